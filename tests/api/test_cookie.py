"""The cookie of startup and poll: nobody reads it, forges it, or uses it beyond its time and its person."""

import base64
import random
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from orchestrator import accounts, sealing
from orchestrator.models import Request
from tests import factories
from tests.api.native import NINO, NOT_FOUND, begin, end, poll, startup, ticket
from tracking.native.cookie import Ticket, seal, unseal

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("native_types")]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


def refused(answer: Any) -> None:
    assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
    assert answer["Content-Type"] == "application/json"


def begin_for_ticket(account: accounts.Account) -> Ticket:
    """Start a task, and return what its cookie holds."""
    begin(account)
    return Ticket(Request.objects.get().id, account.id, NINO)


def is_polled(cookie: str) -> bool:
    return bool(poll(cookie).json() == {"status": "poll"})


# ---------------------------------------------------------------- how it is set


def test_the_cookie_is_kept_from_scripts_and_other_sites(account: accounts.Account) -> None:
    morsel = startup(account).cookies["mdtpapi"]

    assert (morsel["httponly"], morsel["samesite"], morsel["path"], morsel["secure"]) == (True, "Lax", "/", "")
    assert morsel["max-age"] == 14_400


def test_over_tls_the_cookie_travels_by_tls_only(account: accounts.Account, settings: Any) -> None:
    assert startup(account, secure=True).cookies["mdtpapi"]["secure"] is True

    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    behind_proxy = startup(account, headers={"Accept": "application/vnd.hmrc.1.0+json", "X-Forwarded-Proto": "https"})
    assert behind_proxy.cookies["mdtpapi"]["secure"] is True


def test_nothing_can_be_read_in_it(account: accounts.Account) -> None:
    answer = startup(account)

    cookie = ticket(answer)
    sealed = base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
    request = Request.objects.get()
    for secret in (request.id.bytes, request.id.hex.encode(), NINO.encode(), account.client_id.encode()):
        assert secret not in sealed
        assert secret.decode("latin-1") not in cookie
    assert set(cookie) <= set(LETTERS)


def test_two_cookies_of_one_task_differ() -> None:
    mine = Ticket(uuid.uuid4(), 1, NINO)

    assert seal(mine) != seal(mine)
    assert unseal(seal(mine)) == mine


# ---------------------------------------------------------------- what is refused


def test_a_flipped_bit_anywhere_is_refused(account: accounts.Account) -> None:
    cookie = begin(account)
    sealed = base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))

    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1 << random.randrange(8)
        refused(poll(base64.urlsafe_b64encode(bytes(changed)).rstrip(b"=").decode()))


def test_another_letter_anywhere_is_refused(account: accounts.Account) -> None:
    """Base64's last letter holds bits that mean nothing: they may not be changed either."""
    cookie = begin(account)

    for place, letter in enumerate(cookie):
        others = LETTERS.replace(letter, "") if place == len(cookie) - 1 else random.choice(LETTERS.replace(letter, ""))
        for other in others:
            refused(poll(cookie[:place] + other + cookie[place + 1 :]))


def test_a_cookie_cut_off_or_lengthened_is_refused(account: accounts.Account) -> None:
    cookie = begin(account)

    for length in range(len(cookie)):
        refused(poll(cookie[:length]))
    for end_of_it in ("A", "AA", "AAAA", "=", "==", ".", "%3D"):
        refused(poll(cookie + end_of_it))
    refused(poll("A" + cookie))
    refused(poll(cookie * 2))
    assert is_polled(cookie)


@pytest.mark.parametrize("cookie", [None, "", "x", "A" * 87, "A" * 5000, "é", "null", "AQEx"])
def test_what_is_no_cookie_of_ours_is_refused(cookie: str | None) -> None:
    refused(poll(cookie))


def test_another_servers_key_is_refused(account: accounts.Account, settings: Any) -> None:
    ours = dict(settings.WAYBILL_SECRET_KEYS)
    mine = begin_for_ticket(account)
    settings.WAYBILL_SECRET_KEYS = dict.fromkeys(ours, "somebody else's key")
    forged = seal(mine)
    settings.WAYBILL_SECRET_KEYS = ours

    refused(poll(forged))
    assert is_polled(seal(mine))


def test_what_was_sealed_for_another_purpose_is_refused(account: accounts.Account) -> None:
    cookie = begin(account)
    content = sealing.unseal(base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4)), purpose="mdtpapi cookie")

    refused(poll(base64.urlsafe_b64encode(sealing.seal(content)).rstrip(b"=").decode()))


def test_another_persons_nino_is_refused(account: accounts.Account) -> None:
    cookie = begin(account)

    for nino in ("CS700101A", "CT700100A", "AA000000A"):
        answer = poll(cookie, nino=nino)
        assert answer.status_code == 401
        assert answer.json() == {"code": "UNAUTHORIZED", "message": "Unauthorized to access resource"}


def test_a_ticket_of_another_client_or_of_no_task_leads_nowhere(account: accounts.Account) -> None:
    task = begin_for_ticket(account)

    refused(poll(seal(replace(task, client_id=factories.make_account().id))))
    refused(poll(seal(replace(task, request_id=uuid.uuid4()))))


def test_after_its_time_a_task_is_unknown(account: accounts.Account) -> None:
    cookie = begin(account)
    end()
    Request.objects.update(received_at=F("received_at") - timedelta(seconds=14_390))
    assert poll(cookie).json()["status"] == {"code": "complete"}

    Request.objects.update(received_at=F("received_at") - timedelta(seconds=20))

    refused(poll(cookie))
    assert startup(account, cookie=cookie).status_code == 200


def test_its_time_is_a_setting(account: accounts.Account, settings: Any) -> None:
    cookie = begin(account)

    settings.WAYBILL_POLL_EXPIRY_SECONDS = 0

    refused(poll(cookie))


# ---------------------------------------------------------------- keys come and go


def test_keys_are_rotated_by_setting(account: accounts.Account, settings: Any) -> None:
    before = dict(settings.WAYBILL_SECRET_KEYS)
    task = begin_for_ticket(account)
    old = seal(task)

    settings.WAYBILL_SECRET_KEYS = before | {"next": "the second key"}
    new = seal(task)
    assert is_polled(old)
    assert is_polled(new)

    settings.WAYBILL_SECRET_KEYS = {"next": "the second key"}
    assert is_polled(new)
    refused(poll(old))
