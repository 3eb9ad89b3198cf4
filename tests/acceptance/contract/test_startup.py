"""Startup: what it accepts, what it refuses, in which order it looks, and when it starts nothing."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.acceptance.contract.api import Api, fresh
from tests.acceptance.contract.phone import ACCEPT, NINO, Phone, Phones, ask, assert_error, waiting

POLL = {"status": {"code": "poll"}}
THROTTLE = {"status": {"code": "throttle"}}
ECHO = {"serviceName": "Echo"}
ECHO_2 = {"name": "Echo"}

BAD_BODIES: dict[str, Any] = {
    "nothing": b"",
    "no JSON": b"{not json",
    "NaN": b'{"request": [{"serviceName": "Echo", "postRequest": NaN}]}',
    "a NUL": b'{"request": [{"serviceName": "Echo", "postRequest": "\\u0000"}]}',
    "bad UTF-8": b'{"request": [{"serviceName": "Echo", "postRequest": "\xff"}]}',
    "too deep": b'{"request": [{"serviceName": "Echo", "postRequest": ' + b"[" * 120 + b"]" * 120 + b"}]}",
    "a list": [ECHO],
    "null": b"null",
    "empty": {},
    "an empty list": {"request": []},
    "eleven": {"request": [ECHO] * 11},
    "no list": {"request": ECHO},
    "null for a list": {"request": None},
    "an entry that is no object": {"request": ["Echo"]},
    "no serviceName": {"request": [{"postRequest": {}}]},
    "serviceName no text": {"request": [{"serviceName": 1}]},
    "an unknown service": {"request": [ECHO, {"serviceName": "NoSuchService"}]},
    "an order": {"request": [{"serviceName": "Order"}]},
    "another key": {"request": [ECHO], "colour": "red"},
    "another key in an entry": {"request": [{**ECHO, "data": {}}]},
    "first form with serviceRequest": {"request": [ECHO], "serviceRequest": [ECHO_2]},
    "first form with eventRequest": {"request": [ECHO], "eventRequest": [ECHO_2]},
    "second form, first form's keys": {"serviceRequest": [ECHO]},
    "second form, empty": {"serviceRequest": []},
    "second form, one list empty": {"serviceRequest": [ECHO_2], "eventRequest": []},
    "second form, eleven": {"eventRequest": [ECHO_2] * 11},
    "second form, an unknown service": {"serviceRequest": [ECHO_2], "eventRequest": [{"name": "NoSuchService"}]},
    "second form, another key": {"serviceRequest": [{**ECHO_2, "postRequest": {}}]},
}

GOOD_NINOS = ["AA123456A", "AB123456D", "AA 12 34 56 A", "AA12 3456A", "AA123456 B", "TW111111C", "ZY000000A"]
BAD_NINOS = [
    "AA123456",
    "AA123456E",
    "AA12345A",
    "AA1234567A",
    "aa123456a",
    "AA123456a",
    *(f"{prefix}123456A" for prefix in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")),
    *(f"{letter}A123456A" for letter in "DFIQUV"),
    *(f"A{letter}123456A" for letter in "DFIOQUV"),
    "AA123456A%0A",
    "%20AA123456A",
    "AA123456A%20",
    "AA%20%20123456A",
    "AA%09123456A",
    "AA1%2023456A",
    "AA%D9%A1%D9%A2%D9%A3%D9%A4%D9%A5%D9%A6A",
    "AA%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96A",
    "nonsense",
    "%00",
    "%ff",
]
BAD_ACCEPTS = ["", "*/*", "application/json", f"{ACCEPT}; charset=utf-8", f"{ACCEPT}, */*", ACCEPT.upper(), "text/html"]


def test_startup_answers_poll_and_sets_the_cookie(demo: Api, one_phone: Phone) -> None:
    answer = one_phone.startup(ask("Echo", hello="world"))

    assert answer.status_code == 200
    assert answer.text == '{"status":{"code":"poll"}}'
    name, *attributes = (part.strip() for part in answer.headers["Set-Cookie"].split(";"))
    assert name == f"mdtpapi={one_phone.cookie}"
    assert "HttpOnly" in attributes
    assert "SameSite=Lax" in attributes
    assert "Secure" not in attributes  # this is not TLS
    done = demo.finished(answer.headers["Request-Id"])
    assert done["batchReference"] is None
    assert [(item["messageType"], item["externalReference"]) for item in done["payload"]] == [("Echo", None)]


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_400_for_the_whole(one_phone: Phone, name: str) -> None:
    answer = one_phone.startup(BAD_BODIES[name])

    assert_error(answer, 400)
    assert "Set-Cookie" not in answer.headers
    assert "Request-Id" not in answer.headers


def test_a_type_that_is_not_the_clients_is_400(phones: Phones, writer: Api) -> None:
    assert_error(phones(writer).startup(ask("Echo", "Vehicle")), 400)


@pytest.mark.parametrize("nino", GOOD_NINOS)
def test_a_nino_is_taken_with_its_spaces(one_phone: Phone, nino: str) -> None:
    one_phone.started(ask("Echo"), nino=nino)

    assert one_phone.entries(nino=nino.replace(" ", ""))[0]["serviceName"] == "Echo"


@pytest.mark.parametrize("nino", BAD_NINOS)
def test_a_bad_nino_is_400_before_anything_else(demo: Api, nino: str) -> None:
    assert_error(demo.http.post(f"/native-app/{nino}/startup", content=b"{bad"), 400)
    assert_error(demo.http.get(f"/native-app/{nino}/poll"), 400)


@pytest.mark.parametrize("accept", BAD_ACCEPTS)
def test_another_accept_is_406_before_credentials_and_body(one_phone: Phone, accept: str) -> None:
    nobody = httpx2.BasicAuth("nobody", "nothing")

    assert_error(one_phone.startup(b"{bad", accept=accept, auth=nobody), 406)
    assert_error(one_phone.startup(ask("Echo"), accept=accept), 406)
    assert_error(one_phone.poll(accept=accept), 406)


def test_no_accept_at_all_is_406(demo: Api) -> None:
    request = demo.http.build_request("POST", f"/native-app/{NINO}/startup", json=ask("Echo"))
    del request.headers["Accept"]

    assert_error(demo.http.send(request, auth=demo.basic), 406)


def test_credentials_come_before_the_body(demo: Api, one_phone: Phone, phones: Phones, reader: Api) -> None:
    path, headers = f"/native-app/{NINO}/startup", {"Accept": ACCEPT, "Content-Type": "application/json"}

    answers = [
        demo.http.post(path, content=b"{bad", headers=headers),
        one_phone.startup(b"{bad", auth=httpx2.BasicAuth("demo", "wrong")),
        demo.http.post(path, content=b"{bad", headers={**headers, "Authorization": "Bearer nonsense"}),
    ]

    for answer in answers:
        assert_error(answer, 401)
        assert answer.headers["WWW-Authenticate"]
    assert_error(phones(reader).startup(b"{bad"), 403)


def test_a_bad_body_is_400_while_a_task_is_running_too(one_phone: Phone, scripted: str) -> None:
    one_phone.started(waiting(scripted))

    assert_error(one_phone.startup({"request": []}), 400)


def test_a_wrong_content_type_is_415(one_phone: Phone) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
        assert_error(one_phone.startup(b"{}", headers={"Content-Type": kind}), 415)


@pytest.mark.parametrize(
    ("path", "methods"), [("startup", ["GET", "PUT", "PATCH", "DELETE"]), ("poll", ["POST", "PUT", "DELETE"])]
)
def test_a_wrong_method_is_405(demo: Api, path: str, methods: list[str]) -> None:
    for method in methods:
        answer = demo.http.request(
            method, f"/native-app/{NINO}/{path}", json={}, headers={"Accept": ACCEPT}, auth=demo.basic
        )

        assert_error(answer, 405)
        assert answer.headers["Allow"]


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_journey_and_a_last_slash_change_nothing(demo: Api, slash: str) -> None:
    for journey in ("abc", "", "%F0%9F%92%A9", "x" * 2000):
        path = f"/native-app/{NINO}/startup{slash}?journeyId={journey}&colour=red"

        answer = demo.http.post(path, json=ask("Echo"), headers={"Accept": ACCEPT}, auth=demo.basic)
        demo.http.cookies.clear()  # the session's client is no phone

        assert (answer.status_code, answer.json()) == (200, POLL)


def test_one_task_runs_per_cookie(other: Api, phones: Phones, scripted: str) -> None:
    before, phone = len(other.search()), phones(other)
    first = phone.started(waiting(scripted))

    again = [phone.startup(ask("Echo")) for _ in range(3)]

    assert [(answer.status_code, answer.json()) for answer in again] == [(200, POLL)] * 3
    assert len(other.search()) == before + 1
    assert phone.poll().json() == {"status": "poll"}
    other.cancelled(first)
    second = phone.started(ask("Echo"))
    assert second != first
    assert phone.entries() == [{"serviceName": "Echo", "responseData": {}}]


def test_without_the_cookie_each_startup_is_its_own(phones: Phones, scripted: str) -> None:
    first, second = phones(), phones()

    assert first.started(waiting(scripted)) != second.started(ask("Echo"))
    assert second.entries() == [{"serviceName": "Echo", "responseData": {}}]
    assert first.poll().json() == {"status": "poll"}


def test_a_cookie_that_cannot_be_read_starts_anew(one_phone: Phone) -> None:
    for cookie in ("nonsense", "", "%00", "a" * 3000):
        one_phone.http.cookies.clear()
        answer = one_phone.startup(ask("Echo"), headers={"Cookie": f"mdtpapi={cookie}"})

        assert (answer.status_code, answer.json()) == (200, POLL)
        assert answer.headers["Request-Id"]
        assert one_phone.entries()[0]["serviceName"] == "Echo"


def test_too_many_in_flight_are_throttled(make_client: Callable[..., Api], phones: Phones, scripted: str) -> None:
    mine = make_client("--max-in-flight", "1")
    running, late = phones(mine), phones(mine)
    first = running.started(waiting(scripted))

    refused = late.startup(ask("Echo"))

    assert (refused.status_code, refused.json()) == (429, THROTTLE)
    assert refused.headers["Retry-After"].isdigit()
    assert "Set-Cookie" not in refused.headers
    assert running.startup(ask("Echo")).json() == POLL  # already running comes before throttle
    assert_error(late.startup({"request": []}), 400)  # and so does the body
    mine.cancelled(first)
    late.started(ask("Echo"))


def test_an_idempotency_key_starts_once(phones: Phones) -> None:
    headers = {"Idempotency-Key": fresh("key")}
    first, second, third = phones(), phones(), phones()
    started = first.started(ask("Echo", a=1), headers=headers)

    again = second.startup(ask("Echo", a=1), headers=headers)
    other = third.startup(ask("Echo", a=2), headers=headers)

    assert (again.status_code, again.json()) == (200, POLL)
    assert again.headers["Request-Id"] == started
    assert again.headers["Idempotent-Replayed"] == "true"
    assert second.entries() == first.entries() == [{"serviceName": "Echo", "responseData": {"a": 1}}]
    assert_error(other, 422)
