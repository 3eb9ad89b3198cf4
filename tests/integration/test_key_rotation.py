"""The server's keys are changed while several web servers run: no token is refused meanwhile. SECURITY.md, "Keys"."""

import itertools

import pytest
from django.conf import LazySettings

from orchestrator import auth, tokens
from tests import factories
from tests.api.calls import basic

pytestmark = pytest.mark.django_db

OLD, NEW = "the key of last year, which is long enough", "the key of this year, which is long enough"
STEPS = (
    {"1": OLD},
    {"2": NEW, "1": OLD},  # known everywhere before anybody signs with it
    {"1": OLD, "2": NEW},
    {"2": NEW},  # when the last token of the old key is over
)


def issue(settings: LazySettings, keys: dict[str, str], client_id: str) -> str:
    settings.WAYBILL_SECRET_KEYS = keys
    return tokens.issue(client_id=client_id, scopes=["tracking:read"])


def is_accepted(settings: LazySettings, keys: dict[str, str], token: str) -> bool:
    """Ask a server that has these keys and has never seen the token."""
    settings.WAYBILL_SECRET_KEYS = keys
    tokens._verified.clear()
    try:
        auth.authenticate(f"Bearer {token}")
    except auth.BadCredentials:
        return False
    return True


@pytest.mark.parametrize(("before", "after"), list(itertools.pairwise(STEPS))[:2])
def test_while_servers_are_restarted_one_by_one_each_accepts_the_others_tokens(
    settings: LazySettings, before: dict[str, str], after: dict[str, str]
) -> None:
    client = factories.make_client()

    for signing, reading in itertools.product((before, after), repeat=2):
        assert is_accepted(settings, reading, issue(settings, signing, client.client_id))


def test_a_token_outlives_the_change_until_the_old_key_goes(settings: LazySettings) -> None:
    token = issue(settings, STEPS[0], factories.make_client().client_id)

    assert [is_accepted(settings, keys, token) for keys in STEPS] == [True, True, True, False]


def test_a_key_that_signs_before_all_know_it_makes_a_gap(settings: LazySettings) -> None:
    """Why there are two steps: added at the end at once, it signs what servers not yet restarted refuse."""
    token = issue(settings, STEPS[2], factories.make_client().client_id)

    assert not is_accepted(settings, STEPS[0], token)


def test_a_clients_secret_holds_as_long_as_the_key_it_was_made_under(settings: LazySettings) -> None:
    settings.WAYBILL_SECRET_KEYS = STEPS[0]
    header = basic(factories.make_client().client_id)["Authorization"]

    for keys in STEPS[1:3]:
        settings.WAYBILL_SECRET_KEYS = keys
        assert auth.authenticate(header)
    settings.WAYBILL_SECRET_KEYS = STEPS[3]
    with pytest.raises(auth.BadCredentials):
        auth.authenticate(header)
