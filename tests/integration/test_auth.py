"""Who is calling: secrets, our tokens, and those of an outside issuer."""

import base64
import hmac
import json
import time
import uuid
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from werkzeug import Response

from config.embedded.processes import free_port
from orchestrator import accounts, auth, tokens
from orchestrator.models import ClientSecret, Scope
from tests.factories import SECRET, make_client
from tests.waiting import eventually

pytestmark = pytest.mark.django_db


def basic(client_id: str, secret: str = SECRET) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def bearer(**claims: Any) -> str:
    return f"Bearer {tokens.issue(**claims)}"


def refused(header: str | None) -> bool:
    try:
        auth.authenticate(header)
    except auth.BadCredentials:
        return True
    return False


# ---------------------------------------------------------------- secrets


def test_a_client_is_known_by_its_secret() -> None:
    client = make_client(types=["Echo"], max_in_flight=5)

    caller = auth.authenticate(basic(client.client_id))

    assert caller.account.id == client.pk
    assert caller.account.feed_id == client.feed_id
    assert caller.account.max_in_flight == 5
    assert caller.account.may_send("Echo")
    assert not caller.account.may_send("Vehicle")
    assert caller.scopes == frozenset(Scope.values)


def test_no_types_means_all_now_and_later() -> None:
    client = make_client()

    assert auth.authenticate(basic(client.client_id)).account.may_send(f"invented-{uuid.uuid4()}")


def test_a_wrong_secret_an_unknown_client_and_another_clients_secret_are_refused() -> None:
    client, other = make_client(), make_client(secret="another secret")

    assert refused(basic(client.client_id, "wrong"))
    assert refused(basic("nobody"))
    assert refused(basic(client.client_id, "another secret"))
    assert not refused(basic(other.client_id, "another secret"))


def test_a_client_without_a_secret_is_refused_whatever_it_says() -> None:
    client = make_client()
    client.secrets.all().delete()
    accounts.forget()

    assert refused(basic(client.client_id, ""))
    assert refused(basic(client.client_id))


def test_several_secrets_are_valid_at_once_and_a_new_one_at_once() -> None:
    client = make_client()
    auth.authenticate(basic(client.client_id))

    new = accounts.create_secret(client=client)

    eventually(lambda: not refused(basic(client.client_id, new)), within=1)
    assert not refused(basic(client.client_id))


def test_a_generated_secret_has_256_random_bits_and_is_not_kept() -> None:
    client = make_client()

    plain = accounts.create_secret(client=client)

    assert len(base64.urlsafe_b64decode(plain + "=")) == 32
    kept = ClientSecret.objects.filter(client=client).latest("id")
    assert plain.encode() not in bytes(kept.digest)
    assert len(bytes(kept.digest)) == 32


def test_a_secret_that_expired_is_refused() -> None:
    client = make_client()

    client.secrets.update(expires_at=timezone.now() - timedelta(seconds=1))
    accounts.forget()

    assert refused(basic(client.client_id))


def test_a_secret_hashed_with_an_older_server_key_still_fits_until_that_key_is_gone(settings: Settings) -> None:
    settings.WAYBILL_SECRET_KEYS = {"1": "the first key"}
    client = make_client()

    settings.WAYBILL_SECRET_KEYS = {"1": "the first key", "2": "the second key"}
    assert not refused(basic(client.client_id))

    settings.WAYBILL_SECRET_KEYS = {"2": "the second key"}
    assert refused(basic(client.client_id))


def test_secrets_and_ids_may_be_any_text() -> None:
    client = make_client(client_id=f"Åkeri {uuid.uuid4()}", secret="pass:wörd: ✓")

    assert auth.authenticate(basic(client.client_id, "pass:wörd: ✓")).account.id == client.pk


def test_a_disabled_client_is_refused_within_seconds_tokens_included() -> None:
    client = make_client()
    token = bearer(client_id=client.client_id, scopes=[Scope.TRACKING_READ])
    assert not refused(token)

    client.enabled = False
    client.save()

    eventually(lambda: refused(token) and refused(basic(client.client_id)), within=5, what="the refusal")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        " ",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        "Basic " + base64.b64encode(b"a\x00b:c\x00d").decode(),
        "Basic " + base64.b64encode(b":").decode(),
        "Basic YTpi, Basic YTpi",
        "Bearer",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer " + "." * 100,
        "Bearer \xff.\xff.\xff",
        "Digest username=x",
        "basic" + "=" * 100,
        "\x00",
        "Bearer " + "a" * 1_000_000,
        "Basic " + "YTpi" * 1_000_000,
    ],
)
def test_a_bad_header_is_refused_and_nothing_worse(header: str | None) -> None:
    assert refused(header)


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=200))
def test_no_header_at_all_breaks_anything(text: str) -> None:
    for header in (text, f"Bearer {text}", f"Basic {text}", f"Basic {base64.b64encode(text.encode()).decode()}"):
        assert refused(header)


def test_unknown_ids_do_not_fill_the_cache() -> None:
    before = len(accounts._cache)

    for number in range(50):
        assert refused(basic(f"invented-{number}"))

    assert len(accounts._cache) <= before


# ---------------------------------------------------------------- our tokens


def test_a_token_gives_its_scopes_as_far_as_the_client_has_them() -> None:
    client = make_client(scopes=[Scope.TRACKING_READ, Scope.ORDERS_READ])

    caller = auth.authenticate(bearer(client_id=client.client_id, scopes=[Scope.TRACKING_READ, Scope.REQUESTS_WRITE]))

    assert caller.account.id == client.pk
    assert caller.scopes == {Scope.TRACKING_READ}


def test_a_token_says_who_for_whom_and_until_when(settings: Settings) -> None:
    settings.WAYBILL_SECRET_KEYS = {"old": "the first key", "new": "the second key"}

    text = tokens.issue(client_id="me", scopes=[Scope.TRACKING_READ])

    assert jwt.get_unverified_header(text) == {"alg": "HS256", "kid": "new", "typ": "JWT"}
    claims = jwt.decode(text, options={"verify_signature": False})
    assert claims["iss"] == settings.WAYBILL_TOKEN_ISSUER
    assert claims["aud"] == settings.WAYBILL_TOKEN_AUDIENCE
    assert claims["exp"] - claims["iat"] == settings.WAYBILL_TOKEN_SECONDS
    assert (claims["client_id"], claims["scope"]) == ("me", "tracking:read")


def test_any_known_key_verifies_a_token(settings: Settings) -> None:
    client = make_client()
    settings.WAYBILL_SECRET_KEYS = {"1": "the first key"}
    token = bearer(client_id=client.client_id, scopes=[])

    settings.WAYBILL_SECRET_KEYS = {"2": "the second key"}
    assert refused(token)

    settings.WAYBILL_SECRET_KEYS = {"1": "the first key", "2": "the second key"}
    assert not refused(token)


def forge(*, key: bytes | None = None, drop: str = "", algorithm: str = "HS256", **changes: Any) -> str:
    """A token like ours, but for what the arguments say."""
    genuine = jwt.decode(tokens.issue(client_id="x", scopes=["tracking:read"]), options={"verify_signature": False})
    claims = {name: value for name, value in (genuine | changes).items() if name != drop}
    signing = tokens.keys.derive(tokens.keys.current(), purpose="token") if key is None else key
    headers = {"kid": tokens.keys.current()}
    return "Bearer " + jwt.encode(claims, signing or None, algorithm=algorithm, headers=headers)


def test_a_token_must_be_whole_in_time_and_meant_for_us() -> None:
    client = make_client()
    name = {"client_id": client.client_id}

    assert not refused(forge(**name))
    assert refused(forge(**name, key=b"a key of somebody else, long enough"))
    assert refused(forge(**name, algorithm="none", key=b""))
    ours = tokens.keys.derive(tokens.keys.current(), purpose="token")
    assert refused(forge(**name, algorithm="HS384", key=ours + bytes(32)))  # HMAC pads with zeros: the same key
    assert refused(forge(**name, exp=int(time.time()) - 1))
    assert refused(forge(**name, nbf=int(time.time()) + 60))
    assert refused(forge(**name, iss="somebody else"))
    assert refused(forge(**name, aud="somebody else"))
    assert refused(forge(**name, exp="never"))
    for claim in ("iss", "aud", "exp"):
        assert refused(forge(**name, drop=claim))
    assert refused(forge(client_id="a\x00b"))
    assert refused(forge(client_id=7, sub="", drop="azp"))
    assert refused(forge(**name, scope={"a": 1}))


def test_a_token_expires_though_it_was_found_valid_before() -> None:
    client = make_client()
    token = forge(client_id=client.client_id, exp=int(time.time()) + 2)
    assert not refused(token)

    eventually(lambda: refused(token), within=5, what="the token's end")


def test_a_token_whose_header_is_nested_a_thousand_deep_is_refused() -> None:
    header = base64.urlsafe_b64encode(b'{"alg":' + b"[" * 5000 + b"]" * 5000 + b"}").decode().rstrip("=")

    assert refused(f"Bearer {header}.e30.x")


# ---------------------------------------------------------------- an outside issuer

ISSUER = "https://issuer.example"


class Issuer:
    """Signs tokens with its own keys and publishes them on a real HTTP server."""

    def __init__(self, server: HTTPServer) -> None:
        self.server = server
        self.keys: dict[str, Any] = {"rsa-1": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        self.asked = 0
        server.expect_request("/jwks").respond_with_handler(self._answer)

    def _answer(self, _request: Any) -> Response:
        self.asked += 1
        return Response(json.dumps({"keys": [self._public(key_id) for key_id in self.keys]}))

    def _public(self, key_id: str) -> dict[str, Any]:
        key = self.keys[key_id]
        algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
        return json.loads(algorithm.to_jwk(key.public_key())) | {"kid": key_id, "use": "sig"}

    def token(self, *, key_id: str | None = "rsa-1", key: Any = None, algorithm: str = "RS256", **claims: Any) -> str:
        basis = {"iss": ISSUER, "aud": "waybill", "exp": int(time.time()) + 60}
        chosen = {name: value for name, value in (basis | claims).items() if value is not None}
        headers = {"kid": key_id} if key_id else {}
        signing = self.keys[key_id or "rsa-1"] if key is None else key
        return "Bearer " + jwt.encode(chosen, signing, algorithm=algorithm, headers=headers)


@pytest.fixture
def issuer(httpserver: HTTPServer, settings: Settings) -> Issuer:
    settings.WAYBILL_JWKS_URL = httpserver.url_for("/jwks") + f"?{uuid.uuid4()}"  # its keys are remembered by URL
    settings.WAYBILL_JWKS_ISSUER = ISSUER
    settings.WAYBILL_JWKS_AUDIENCE = "waybill"
    return Issuer(httpserver)


def test_a_token_of_the_outside_issuer_is_accepted(issuer: Issuer) -> None:
    client = make_client()

    caller = auth.authenticate(issuer.token(client_id=client.client_id, scope="tracking:read profile"))

    assert caller.account.id == client.pk
    assert caller.scopes == {Scope.TRACKING_READ}


@pytest.mark.parametrize("claim", ["client_id", "azp", "sub"])
def test_the_client_is_taken_from_the_claim_that_the_issuer_uses(issuer: Issuer, claim: str) -> None:
    client = make_client()

    assert auth.authenticate(issuer.token(**{claim: client.client_id})).account.id == client.pk


def test_without_scopes_in_the_token_the_clients_own_count(issuer: Issuer) -> None:
    client = make_client(scopes=[Scope.ORDERS_READ])

    assert auth.authenticate(issuer.token(sub=client.client_id)).scopes == {Scope.ORDERS_READ}
    assert auth.authenticate(issuer.token(sub=client.client_id, scp=["orders:read", 7])).scopes == {Scope.ORDERS_READ}
    assert auth.authenticate(issuer.token(sub=client.client_id, scope="")).scopes == frozenset()


def test_elliptic_keys_and_tokens_without_a_key_id_work(issuer: Issuer) -> None:
    client = make_client()
    assert not refused(issuer.token(key_id=None, sub=client.client_id))

    issuer.keys["ec-1"] = ec.generate_private_key(ec.SECP256R1())
    tokens._known_issuers.clear()

    assert not refused(issuer.token(key_id="ec-1", algorithm="ES256", sub=client.client_id))


def test_an_outside_token_must_be_genuine_in_time_and_meant_for_us(issuer: Issuer) -> None:
    client = make_client()
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    assert refused(issuer.token(sub=client.client_id, key=stranger))
    assert refused(issuer.token(sub=client.client_id, algorithm="RS384"))
    assert refused(issuer.token(sub=client.client_id, iss="https://somebody.example"))
    assert refused(issuer.token(sub=client.client_id, aud="another service"))
    assert refused(issuer.token(sub=client.client_id, exp=int(time.time()) - 60))
    assert refused(issuer.token(sub=client.client_id, exp=None))
    assert refused(issuer.token(sub=client.client_id, aud=None))
    assert refused(issuer.token())
    assert refused(issuer.token(sub="nobody"))


def test_the_issuers_public_key_does_not_serve_as_a_shared_secret(issuer: Issuer) -> None:
    client = make_client()
    public = issuer.keys["rsa-1"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body, _ = issuer.token(sub=client.client_id).removeprefix("Bearer ").split(".")
    confused = base64.urlsafe_b64encode(base64.urlsafe_b64decode(head + "==").replace(b"RS256", b"HS256"))
    signed = confused.rstrip(b"=") + b"." + body.encode()
    signature = base64.urlsafe_b64encode(hmac.digest(public, signed, "sha256")).rstrip(b"=")

    assert refused(f"Bearer {signed.decode()}.{signature.decode()}")


def test_our_own_tokens_still_count_beside_the_issuers(issuer: Issuer) -> None:
    client = make_client()

    assert not refused(bearer(client_id=client.client_id, scopes=[]))
    assert issuer.asked == 0


def test_invented_key_ids_do_not_flood_the_issuer(issuer: Issuer) -> None:
    client = make_client()
    assert not refused(issuer.token(sub=client.client_id))

    for number in range(20):
        assert refused(issuer.token(sub=client.client_id, key_id=f"invented-{number}", key=issuer.keys["rsa-1"]))

    assert issuer.asked <= 2


def test_an_issuer_that_is_away_is_not_the_clients_fault(issuer: Issuer, settings: Settings) -> None:
    client = make_client()
    settings.WAYBILL_JWKS_URL = f"http://127.0.0.1:{free_port()}/jwks"

    with pytest.raises(tokens.IssuerUnreachable):
        auth.authenticate(issuer.token(sub=client.client_id))


@pytest.mark.parametrize("answer", ["no json", "[]", '{"keys": []}', '{"keys": [{"kty": "?"}]}', "[" * 100_000, "\xff"])
def test_an_issuer_that_answers_rubbish_is_treated_as_away(
    httpserver: HTTPServer, issuer: Issuer, settings: Settings, answer: str
) -> None:
    httpserver.expect_request("/rubbish").respond_with_data(answer.encode("latin-1"))
    settings.WAYBILL_JWKS_URL = httpserver.url_for("/rubbish") + f"?{uuid.uuid4()}"

    with pytest.raises(tokens.IssuerUnreachable):
        auth.authenticate(issuer.token(sub=make_client().client_id))


def test_known_keys_still_count_while_the_issuer_is_away(issuer: Issuer) -> None:
    client = make_client()
    assert not refused(issuer.token(sub=client.client_id))

    issuer.server.clear()

    assert not refused(issuer.token(sub=client.client_id, jti="another token"))


def test_without_an_outside_issuer_its_tokens_are_refused(issuer: Issuer, settings: Settings) -> None:
    token = issuer.token(sub=make_client().client_id)

    settings.WAYBILL_JWKS_URL = ""

    assert refused(token)
