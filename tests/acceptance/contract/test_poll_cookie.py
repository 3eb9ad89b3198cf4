"""The cookie `mdtpapi`: nothing readable, nothing forgeable, one NINO only, and not for ever."""

import base64
import uuid
from collections.abc import Iterator
from urllib.parse import unquote

import pytest

from tests.acceptance.contract import phone as phone_module
from tests.acceptance.contract import second_web, stack
from tests.acceptance.contract.api import Api
from tests.acceptance.contract.phone import FOREIGN, NINO, Phone, Phones, ask, assert_error, waiting
from tests.waiting import eventually

TIMEOUT = {"status": {"code": "timeout"}}
COMPLETE = {"code": "complete"}


def bits(cookie: str) -> bytes:
    """What the cookie's base64 stands for, if that is what it is."""
    padded = unquote(cookie) + "=" * (-len(cookie) % 4)
    return base64.urlsafe_b64decode(padded)


@pytest.fixture
def done(one_phone: Phone) -> Phone:
    """A phone whose task has finished."""
    one_phone.started(ask("Echo"))
    one_phone.polled()
    return one_phone


def test_nothing_can_be_read_in_it(one_phone: Phone) -> None:
    request_id = uuid.UUID(one_phone.started(ask("Echo")))

    value = one_phone.cookie

    for form in (value.encode(), unquote(value).encode(), bits(value)):
        for secret in (NINO, NINO[:8], one_phone.api.client_id, str(request_id), request_id.hex):
            assert secret.encode().lower() not in form.lower()
        assert request_id.bytes not in form


def test_two_cookies_have_nothing_in_common(phones: Phones) -> None:
    values = []
    for _ in range(2):
        phone = phones()
        phone.started(ask("Echo"))
        values.append(bits(phone.cookie))

    assert values[0][-16:] != values[1][-16:]
    assert sum(a == b for a, b in zip(*values, strict=True)) < len(values[0]) / 2


def test_no_cookie_is_404(phones: Phones) -> None:
    assert_error(phones().poll(), 404)


@pytest.mark.parametrize(
    "value", ["", "nonsense", "a" * 3000, "%00", "{}", str(uuid.UUID(int=1)), "AAAA", "....", '"AAAA"', "é"]
)
def test_a_cookie_that_cannot_be_read_is_404(one_phone: Phone, value: str) -> None:
    assert_error(one_phone.poll(cookie=value), 404)


def test_a_changed_cookie_is_404(done: Phone) -> None:
    value = done.cookie
    whole = done.poll().json()
    other = {character: "B" if character == "A" else "A" for character in value}

    forged = [value[:place] + other[value[place]] + value[place + 1 :] for place in range(len(value) - 1)]
    forged += [value[:length] for length in (0, 1, len(value) // 2, len(value) - 2)]
    forged += [value[1:], value[::-1], value + "AAAA", value + value, value.swapcase()]

    for cookie in forged:
        assert_error(done.poll(cookie=cookie), 404)
    assert done.poll(cookie=value).json() == whole


def test_every_flipped_bit_is_seen(done: Phone) -> None:
    raw = bits(done.cookie)

    for place in range(0, len(raw) * 8, 7):
        flipped = bytearray(raw)
        flipped[place // 8] ^= 1 << place % 8
        assert_error(done.poll(cookie=base64.urlsafe_b64encode(flipped).decode().rstrip("=")), 404)


def test_halves_of_two_cookies_make_none(done: Phone, phones: Phones) -> None:
    other = phones()
    other.started(ask("Echo"))
    mine, its = bits(done.cookie), bits(other.cookie)

    for cut in (12, 16, len(mine) // 2, len(mine) - 16):
        mixed = base64.urlsafe_b64encode(mine[:cut] + its[cut:]).decode().rstrip("=")
        assert_error(done.poll(cookie=mixed), 404)


@pytest.mark.parametrize("nino", ["AA123457A", "AB123456A", "BA123456A", "AA123450D"])
def test_another_nino_is_401(done: Phone, nino: str) -> None:
    assert_error(done.poll(nino=nino), 401, FOREIGN)


@pytest.mark.parametrize("nino", ["AA123456B", "AA 12 34 56 A", "AA123456 D"])
def test_the_first_eight_characters_are_compared(done: Phone, nino: str) -> None:
    assert done.poll(nino=nino).json()["status"] == COMPLETE


def test_nino_and_accept_are_checked_before_the_cookie(done: Phone) -> None:
    assert_error(done.poll(nino="BG123456A", accept="*/*"), 400)
    assert_error(done.poll(nino="BB123456A", accept="*/*"), 406)


def test_a_running_tasks_cookie_of_another_nino_is_refused_too(one_phone: Phone, scripted: str) -> None:
    one_phone.started(waiting(scripted))

    assert_error(one_phone.poll(nino="AA123457A"), 401, FOREIGN)
    assert one_phone.poll().json() == {"status": "poll"}


@pytest.fixture(scope="module")
def hasty(stack: stack.Stack) -> Iterator[str]:
    """A web server that loses patience after a second and forgets after five, behind a proxy that ends TLS."""
    settings = {
        "WAYBILL_POLL_TIMEOUT_SECONDS": "1",
        "WAYBILL_POLL_EXPIRY_SECONDS": "5",
        "WAYBILL_BEHIND_TLS": "true",
    }
    with second_web.beside(stack, **settings) as url:
        yield url


@pytest.fixture
def hasty_phone(hasty: str, demo: Api) -> Iterator[Phone]:
    with phone_module.phones(hasty, demo) as make:
        yield make()


def test_a_task_that_takes_too_long_is_timeout_until_it_has_finished(
    hasty_phone: Phone, demo: Api, scripted: str
) -> None:
    request_id = hasty_phone.started(waiting(scripted))

    first = hasty_phone.poll()
    late = hasty_phone.polled(within=3)

    assert first.json() in ({"status": "poll"}, TIMEOUT)
    assert (late.status_code, late.json()) == (200, TIMEOUT)
    assert late.headers["Cache-Control"] == "no-store"
    demo.cancelled(request_id)
    assert hasty_phone.poll().json()["status"] == COMPLETE


def test_after_the_timeout_the_same_cookie_may_start_anew(hasty_phone: Phone, scripted: str) -> None:
    first = hasty_phone.started(waiting(scripted))
    assert hasty_phone.polled(within=3).json() == TIMEOUT

    second = hasty_phone.started(ask("Echo"))

    assert second != first
    assert hasty_phone.polled(within=5).json()["status"] == COMPLETE


def test_an_expired_task_is_404(hasty_phone: Phone) -> None:
    hasty_phone.started(ask("Echo"))
    cookie = hasty_phone.cookie
    assert hasty_phone.polled(within=4).json()["status"] == COMPLETE

    eventually(lambda: hasty_phone.poll(cookie=cookie).status_code == 404, within=8, what="expiry")

    assert_error(hasty_phone.poll(cookie=cookie), 404)


def test_over_tls_the_cookie_is_secure(hasty_phone: Phone) -> None:
    answer = hasty_phone.startup(ask("Echo"), headers={"X-Forwarded-Proto": "https"})

    assert "Secure" in [part.strip() for part in answer.headers["Set-Cookie"].split(";")]
