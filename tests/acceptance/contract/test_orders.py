"""Orders: every answer to placing one, its way to its final state, and what is active on an access afterwards."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from tests.acceptance.contract.api import Api, fresh
from tests.acceptance.contract.provider import (
    ROOT,
    SLOW,
    Provider,
    activate,
    assert_cause,
    deactivate,
)
from tests.acceptance.contract.stack import Stack

OTHER_ACTIVE = "Another Service of ServiceType 'BB' is already active."


def test_an_order_is_accepted(ours: Provider, access: str) -> None:
    equipment = [{"vendorId": "0013C3", "macAddress": "00:13:C3:0A:1B:2C"}]

    answer = ours.order(activate(access, equipment=equipment, spReference="customer 4711"))

    assert answer.status_code == 201
    key = str(uuid.UUID(answer.headers["Request-Id"]))
    assert answer.text == (
        f'{{"path":"{ROOT}/orders/{key}","accessId":"{access}","service":"BB-100-10","operation":"ACTIVATE",'
        '"state":"RECEIVED","message":""}'
    )
    assert answer.headers["Location"].endswith(f"{ROOT}/orders/{key}")
    modified = parsedate_to_datetime(answer.headers["Last-Modified"])
    assert abs(modified - datetime.now(UTC)) < timedelta(seconds=30)
    done = ours.ended(answer.json()["path"])
    assert done == {**answer.json(), "state": "DONE_SUCCESS"}
    assert ours.active(access) == {"BB-100-10"}
    assert ours.api.seen(key)["batchReference"] == "customer 4711"


def test_what_is_as_wished_already_makes_no_order_and_no_event(ours: Provider, access: str) -> None:
    before = ours.feed()

    nothing = ours.order(deactivate(access))
    ours.done(activate(access))
    again = ours.order(activate(access, forcedTakeover=True))

    for answer, operation in ((nothing, "DEACTIVATE"), (again, "ACTIVATE")):
        assert answer.status_code == 200
        assert answer.text == (
            f'{{"accessId":"{access}","service":"BB-100-10","operation":"{operation}",'
            '"state":"DONE_SUCCESS","message":""}'
        )
        assert "Location" not in answer.headers
    events = [event for event in ours.feed()[len(before) :] if event["order"]["accessId"] == access]
    assert [event["order"]["operation"] for event in events] == ["ACTIVATE"]


def test_while_one_is_received_every_order_is_answered_with_it(ours: Provider, access: str) -> None:
    first = ours.order(activate(access, **SLOW)).json()

    for body in (activate(access), activate(access, forcedTakeover=True), deactivate(access)):
        answer = ours.order(body)
        assert (answer.status_code, answer.json()) == (200, first)
    assert ours.order(activate(access, "TV-1")).status_code == 201


def test_an_order_for_what_anothers_order_is_about_is_400(ours: Provider, theirs: Provider, access: str) -> None:
    path = ours.placed(activate(access, **SLOW))

    for body in (activate(access), activate(access, forcedTakeover=True), deactivate(access)):
        assert_cause(theirs.order(body), 400)
    assert ours.seen(path)["state"] == "RECEIVED"


def test_the_networks_no_becomes_the_message(ours: Provider, access: str) -> None:
    text = "Port is too busy for you. You can't handle the truth! é🚚"

    order = ours.done(activate(access, sandbox={"status": 409, "detail": text}), "DONE_FAILED")

    assert order["message"] == text
    assert ours.active(access) == set()
    assert ours.done(activate(access))["message"] == ""  # a new order, which works
    assert ours.seen(order["path"]) == order


def test_a_cancelled_order_is_failed(ours: Provider, access: str) -> None:
    waits = {"sandbox": {"status": 503, "times": 9}}
    path = ours.placed(activate(access, **waits))

    ours.api.cancelled(path.rsplit("/", 1)[1])

    order = ours.ended(path)
    assert (order["state"], order["message"]) == ("DONE_FAILED", "Cancelled")
    assert ours.active(access) == set()


def test_an_order_is_tried_again(ours: Provider, access: str) -> None:
    assert ours.done(activate(access, sandbox={"status": 503, "times": 1}))["message"] == ""


def test_activated_and_deactivated(ours: Provider, access: str) -> None:
    ours.done(activate(access))

    assert ours.done(deactivate(access))["operation"] == "DEACTIVATE"
    assert ours.active(access) == set()


def test_a_failed_deactivation_leaves_it_active(ours: Provider, access: str) -> None:
    ours.done(activate(access))

    ours.done(deactivate(access, sandbox={"status": 400, "detail": "no"}), "DONE_FAILED")

    assert ours.active(access) == {"BB-100-10"}


def test_of_one_type_one_service_is_active(ours: Provider, theirs: Provider, access: str) -> None:
    ours.done(activate(access))

    for forced in (False, True):
        assert_cause(ours.order(activate(access, "BB-100-100", forcedTakeover=forced)), 400, OTHER_ACTIVE)
        assert_cause(theirs.order(activate(access, "BB-100-100", forcedTakeover=forced)), 400, OTHER_ACTIVE)
    ours.done(activate(access, "TV-1"))
    assert ours.active(access) == {"BB-100-10", "TV-1"}
    ours.done(deactivate(access))
    ours.done(activate(access, "BB-100-100"))
    assert ours.active(access) == {"BB-100-100", "TV-1"}


def test_what_another_provider_holds_is_taken_only_by_force(ours: Provider, theirs: Provider, access: str) -> None:
    ours.done(activate(access))

    assert_cause(theirs.order(activate(access)), 400)
    assert_cause(theirs.order(deactivate(access)), 400)
    theirs.done(activate(access, forcedTakeover=True, sandbox={"status": 400, "detail": "no"}), "DONE_FAILED")
    assert ours.order(activate(access)).json().get("path") is None  # still ours: as wished already
    theirs.done(activate(access, forcedTakeover=True))

    assert ours.active(access) == theirs.active(access) == {"BB-100-10"}
    assert_cause(ours.order(deactivate(access)), 400)
    assert_cause(ours.order(activate(access)), 400)
    assert theirs.order(activate(access)).json().get("path") is None
    ours.done(activate(access, forcedTakeover=True))
    ours.done(deactivate(access))
    assert theirs.order(deactivate(access)).status_code == 200
    theirs.done(activate(access))


def test_of_orders_at_once_one_is_placed(ours: Provider, access: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ours.order(activate(access, **SLOW)), range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["path"] for answer in answers}) == 1


def test_of_two_providers_at_once_one_orders(ours: Provider, theirs: Provider, access: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda who: who.order(activate(access, **SLOW)), [ours, theirs] * 4))

    codes = [answer.status_code for answer in answers]
    assert sorted(codes) == [200] * 3 + [201] + [400] * 4
    assert len({code == 400 for code in codes[::2]}) == 1


def test_of_two_services_of_one_type_at_once_one_is_active_in_the_end(ours: Provider, access: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda name: ours.order(activate(access, name)), ["BB-100-10", "BB-100-100"]))

    for answer in answers:
        if answer.status_code == 201:
            ours.ended(answer.json()["path"])
    assert len(ours.active(access)) == 1


def test_accesses_are_listed_with_what_can_be_ordered(ours: Provider, theirs: Provider, access: str) -> None:
    listed = ours.api.get(f"{ROOT}/accesses/").json()

    (mine,) = (item for item in listed if item["accessId"] == access)
    assert list(mine) == ["accessId", "services"]
    assert sorted(mine["services"], key=lambda service: str(service["service"])) == [
        {"service": "BB-100-10", "serviceType": "BB", "active": False},
        {"service": "BB-100-100", "serviceType": "BB", "active": False},
        {"service": "TV-1", "serviceType": "TV", "active": False},
    ]
    assert mine in theirs.api.get(f"{ROOT}/accesses").json()


def test_the_command_makes_and_updates_accesses(stack: Stack, ours: Provider, access: str) -> None:
    ours.done(activate(access))
    new = f"{access}x"

    stack.commanded("access", access, new, "-s", "FON", "BB-1000:BB")

    for body in (activate(new, "FON"), activate(access, "FON")):
        ours.done(body)
    assert ours.active(access) == {"BB-100-10", "FON"}
    assert_cause(ours.order(activate(access, "BB-1000")), 400, OTHER_ACTIVE)
    assert_cause(ours.order(activate(new, "TV-1")), 400, "Unknown service: 'TV-1'")
    for bad in ("STTA-1", "x" * 33, "é", ""):
        assert stack.manage("access", bad, "--service", "BB:BB").returncode != 0


def test_an_idempotency_key_places_one_order(ours: Provider, access: str) -> None:
    headers = {"Idempotency-Key": fresh("key")}
    first = ours.order(activate(access), headers=headers)
    ours.ended(first.json()["path"])

    again = ours.order(activate(access), headers=headers)

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert_cause(ours.order(activate(access, "TV-1"), headers=headers), 422)


def test_a_token_does_as_well(ours: Provider, demo: Api, access: str) -> None:
    grant = {"grant_type": "client_credentials"}
    token = demo.http.post("/oauth/token", data=grant, auth=demo.basic).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}

    answer = demo.http.post(f"{ROOT}/orders", json=activate(access), headers=headers)

    assert answer.status_code == 201
    assert demo.http.get(answer.json()["path"], headers=headers).json()["accessId"] == access
    ours.ended(answer.json()["path"])
    assert demo.http.get(f"{ROOT}/orderevents", headers=headers).status_code == 200
