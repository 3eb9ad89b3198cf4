"""Poll: what it answers before, at and after the end, in both forms; mandatory services; preflight."""

import uuid
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.acceptance.contract.api import Api
from tests.acceptance.contract.backend import BackEnd
from tests.acceptance.contract.phone import ACCEPT, NINO, Phone, Phones, ask, assert_error, waiting
from tests.waiting import eventually

TICKET = {"script": [{"json": {"ticket_id": 1234567890}}]}
REFUSED = {"script": [{"status": 422, "json": {"detail": "No such thing"}}]}
BROKEN = {"script": [{"status": 500}]}
ERROR = {"status": {"code": "error"}}
FINISHED_CACHE = "private, max-age=14400"
PREFLIGHT = {"os": "ios", "version": "1.0.0"}


@pytest.fixture(scope="module")
def once(make_type: Callable[..., str], back_end: BackEnd) -> str:
    """A type that is tried once, for a second at most."""
    return make_type("once", "--url", back_end.url(), "--attempts", "1", "--timeout", "1")


@pytest.fixture(scope="module")
def mandatory(make_type: Callable[..., str], back_end: BackEnd) -> str:
    return make_type("mandatory", "--url", back_end.url(), "--attempts", "1", "--timeout", "1", "--mandatory")


@pytest.fixture(scope="module")
def strict(make_type: Callable[..., str], back_end: BackEnd, tmp_path_factory: pytest.TempPathFactory) -> str:
    schema = tmp_path_factory.mktemp("schema") / "schema.json"
    schema.write_text('{"type": "object", "required": ["size"]}')
    return make_type("strict", "--url", back_end.url(), "--schema", str(schema))


def test_the_documents_success(one_phone: Phone, scripted: str) -> None:
    one_phone.started(ask(scripted, **TICKET))

    answer = one_phone.polled()

    entry = {"serviceName": scripted, "responseData": {"ticket_id": 1234567890}}
    assert answer.json() == {"OrchestrationResponse": {"response": [entry]}, "status": {"code": "complete"}}
    assert answer.headers["Cache-Control"] == FINISHED_CACHE
    assert one_phone.poll().json() == answer.json()


def test_the_documents_failure(one_phone: Phone, scripted: str) -> None:
    one_phone.started(ask(scripted, **REFUSED))

    assert one_phone.polled().text == (
        f'{{"OrchestrationResponse":{{"response":[{{"serviceName":"{scripted}","failure":true}}]}},'
        '"status":{"code":"complete"}}'
    )


def test_until_it_has_finished_the_answer_is_poll(one_phone: Phone, scripted: str) -> None:
    one_phone.started(waiting(scripted))

    answer = one_phone.poll()

    assert answer.status_code == 200
    assert answer.text == '{"status":"poll"}'
    assert answer.headers["Cache-Control"] == "no-store"


def test_entries_come_in_the_order_asked_for_and_fail_alone(one_phone: Phone, scripted: str, strict: str) -> None:
    slow = {"script": [{"wait": 0.5, "json": "slow"}]}
    entries: list[tuple[str, Any]] = [
        (scripted, slow),
        (strict, {"length": 1}),
        ("Echo", {"n": 1}),
        (scripted, REFUSED),
        (strict, {"size": 1}),
        ("Echo", {"n": 2}),
        (scripted, {"script": [{"status": 204}]}),
    ]
    one_phone.started({"request": [{"serviceName": name, "postRequest": own} for name, own in entries]})

    found = one_phone.entries()

    assert [entry["serviceName"] for entry in found] == [name for name, _ in entries]
    assert found[0] == {"serviceName": scripted, "responseData": "slow"}
    assert found[1] == {"serviceName": strict, "failure": True}
    assert found[2] == {"serviceName": "Echo", "responseData": {"n": 1}}
    assert found[3] == {"serviceName": scripted, "failure": True}
    assert found[4] == {"serviceName": strict, "responseData": {"fine": True}}
    assert found[5] == {"serviceName": "Echo", "responseData": {"n": 2}}
    assert set(found[6]) == {"serviceName", "responseData"}


@pytest.mark.parametrize("own", [[], [1, "a"], "text", "", 0, 12345678901234567890123, 1.5, True, False, None, {}])
def test_post_request_is_any_json(one_phone: Phone, own: Any) -> None:
    one_phone.started({"request": [{"serviceName": "Echo", "postRequest": own}]})

    assert one_phone.entries() == [{"serviceName": "Echo", "responseData": own}]


def test_what_is_asked_for_is_what_the_back_end_gets(
    one_phone: Phone, back_end: BackEnd, scripted: str, make_type: Callable[..., str]
) -> None:
    bodies: list[Any] = [{"a": [1, {"é": "🚚"}]}, [1], "text", None]
    entries = [{"serviceName": scripted, "postRequest": own} for own in bodies] + [{"serviceName": scripted}]
    request_id = one_phone.started({"request": entries})
    one_phone.entries()

    content = one_phone.api.get(f"/api/v3/global/call/{request_id}").json()["content"]
    assert [back_end.calls(item["requestId"])[0].json for item in content] == [*bodies, {}]


def test_ten_entries_of_one_service(one_phone: Phone) -> None:
    one_phone.started({"request": [{"serviceName": "Echo", "postRequest": number} for number in range(10)]})

    assert [entry["responseData"] for entry in one_phone.entries()] == list(range(10))


@pytest.mark.parametrize("own", [REFUSED, BROKEN, {"script": [{"wait": 2}]}])
def test_every_failure_looks_the_same_in_the_first_form(one_phone: Phone, once: str, own: dict[str, Any]) -> None:
    one_phone.started(ask("Echo", once, **own))

    assert one_phone.entries()[1] == {"serviceName": once, "failure": True}


def test_the_second_form(one_phone: Phone, once: str) -> None:
    services = [
        {"name": once, "data": {"script": [{"json": [1, 2]}]}},
        {"name": once, "data": REFUSED},
        {"name": once, "data": {"script": [{"wait": 2}]}},
        {"name": "Echo"},
    ]
    one_phone.started({"serviceRequest": services, "eventRequest": [{"name": "Echo", "data": {"e": 1}}]})

    answer = one_phone.polled()

    found = answer.json()
    assert found["status"] == {"code": "complete"}
    assert set(found["OrchestrationResponse"]) == {"serviceResponse", "eventResponse"}
    first, second, third, fourth = found["OrchestrationResponse"]["serviceResponse"]
    assert first == {"name": once, "responseData": [1, 2], "failure": False}
    assert {**second, "timeout": False} == {"name": once, "failure": True, "timeout": False}
    assert third == {"name": once, "failure": True, "timeout": True}
    assert fourth == {"name": "Echo", "responseData": {}, "failure": False}
    event = {"name": "Echo", "responseData": {"e": 1}, "failure": False}
    assert found["OrchestrationResponse"]["eventResponse"] == [event]
    assert answer.headers["Cache-Control"] == FINISHED_CACHE


@pytest.mark.parametrize("kind", ["service", "event"])
def test_a_list_of_the_second_form_is_there_when_asked_for(one_phone: Phone, kind: str) -> None:
    one_phone.started({f"{kind}Request": [{"name": "Echo", "data": [kind]}]})

    assert one_phone.polled().json()["OrchestrationResponse"] == {
        f"{kind}Response": [{"name": "Echo", "responseData": [kind], "failure": False}]
    }


@pytest.mark.parametrize("own", [REFUSED, BROKEN, {"script": [{"wait": 2}]}])
def test_a_mandatory_service_that_fails_is_an_error(one_phone: Phone, mandatory: str, own: dict[str, Any]) -> None:
    one_phone.started(ask("Echo", mandatory, **own))

    assert one_phone.polled().json() == ERROR


def test_a_mandatory_service_that_works_is_an_entry(one_phone: Phone, mandatory: str, scripted: str) -> None:
    wanted = [{"serviceName": mandatory, "postRequest": TICKET}, {"serviceName": scripted, "postRequest": REFUSED}]
    one_phone.started({"request": wanted})

    assert one_phone.entries() == [
        {"serviceName": mandatory, "responseData": {"ticket_id": 1234567890}},
        {"serviceName": scripted, "failure": True},
    ]


def test_a_cancelled_task_is_complete_with_failures(one_phone: Phone, demo: Api, scripted: str) -> None:
    demo.cancelled(one_phone.started(waiting(scripted)))

    assert one_phone.entries() == [{"serviceName": scripted, "failure": True}]


def test_poll_ignores_credentials(one_phone: Phone) -> None:
    one_phone.started(ask("Echo"))
    whole = one_phone.polled().json()

    for auth in (httpx2.BasicAuth("nobody", "nothing"), one_phone.api.basic):
        answer = one_phone.http.get(f"/native-app/{NINO}/poll", headers={"Accept": ACCEPT}, auth=auth)
        assert (answer.status_code, answer.json()) == (200, whole)
    headers = {"Accept": ACCEPT, "Authorization": "Bearer nonsense"}
    assert one_phone.http.get(f"/native-app/{NINO}/poll/?journeyId=x", headers=headers).json() == whole


def preflight(phone: Phone, body: Any = None, **more: Any) -> httpx2.Response:
    headers = {"Accept": ACCEPT, **more.pop("headers", {})}
    auth = more.pop("auth", phone.api.basic)
    body = PREFLIGHT if body is None else body
    return phone.http.post("/native-app/preflight-check", json=body, headers=headers, auth=auth, **more)


def test_preflight_answers_and_clears_the_cookie(one_phone: Phone) -> None:
    one_phone.started(ask("Echo"))

    new = preflight(one_phone)

    journey = new.json()["accounts"].pop("journeyId")
    assert (new.status_code, new.json()["upgradeRequired"]) == (200, False)
    assert new.json()["accounts"] == {"routeToIV": False, "routeToTwoFactor": False, "journeyId": journey}
    assert str(uuid.UUID(journey)) == journey
    assert new.headers["Set-Cookie"].startswith("mdtpapi=")
    assert "mdtpapi" not in one_phone.http.cookies
    assert_error(one_phone.poll(), 404)


def test_preflight_keeps_a_journey_that_is_given(one_phone: Phone) -> None:
    given = str(uuid.uuid4())

    assert preflight(one_phone, params={"journeyId": given}).json()["accounts"]["journeyId"] == given


def test_preflight_checks_accept_and_credentials_like_startup(one_phone: Phone, phones: Phones, reader: Api) -> None:
    nobody = httpx2.BasicAuth("nobody", "nothing")

    assert_error(preflight(one_phone, headers={"Accept": "application/json"}, auth=nobody), 406)
    assert_error(preflight(one_phone, auth=nobody), 401)
    assert_error(preflight(phones(reader)), 403)
    assert_error(one_phone.http.get("/native-app/preflight-check", headers={"Accept": ACCEPT}), 405)


def test_the_gateways_windows_show_the_task_too(one_phone: Phone, demo: Api) -> None:
    request_id = one_phone.started(ask("Echo", "Echo"))
    one_phone.polled()

    assert eventually(lambda: demo.statuses(request_id), what="request status") == ["SUCCESS", "SUCCESS"]
