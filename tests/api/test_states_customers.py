"""Services by whose they are: a customer's, or a contact key's until the customer is known."""

import pytest

from tests import factories
from tests.api.services import Services, assert_refused, id_of, mine

pytestmark = pytest.mark.django_db
__all__ = ["mine"]

MORNING, NOON, EVENING = "2026-03-01T08:00:00.000Z", "2026-03-01T12:00:00.000Z", "2026-03-01T18:00:00.000Z"


def ids(listed: list[dict[str, str]]) -> list[str]:
    return [service["service_id"] for service in listed]


def test_a_customers_services_by_their_start_and_scope(mine: Services) -> None:
    late, early = mine.start(timestamp=NOON), mine.start(timestamp=MORNING)
    mine.start(customer_id="52Y")
    mine.post(f"{early}/end")

    def listed(suffix: str = "") -> list[str]:
        return ids(mine.read(f"/customers/51X/services{suffix}"))

    assert listed() == [str(id_of(early)), str(id_of(late))]
    assert listed("/active") == [str(id_of(late))]
    assert listed("/completed/") == [str(id_of(early))]
    assert mine.read("/customers/51X/services") == [mine.read(early), mine.read(late)]
    assert mine.read("/customers/nobody/services") == []
    assert Services(factories.make_account()).read("/customers/51X/services") == []


def test_a_customer_is_the_same_as_number_and_as_text(mine: Services) -> None:
    services = [mine.start(customer_id=51), mine.start(customer_id="51")]

    assert sorted(ids(mine.read("/customers/51/services"))) == sorted(str(id_of(service)) for service in services)


def test_services_by_type_and_start(mine: Services) -> None:
    first, second = mine.start(timestamp=MORNING, service_type=1), mine.start(timestamp=NOON, service_type="1")
    third = mine.start(timestamp=EVENING, service_type=2)

    def listed(**parameters: str) -> list[str]:
        return ids(mine.read("/customers/51X/services", **parameters))

    all_of_them = [str(id_of(service)) for service in (first, second, third)]
    assert listed(service_types="1,2") == all_of_them
    assert listed(service_types="1") == all_of_them[:2]
    assert listed(service_types="3") == []
    assert listed(started_from=NOON) == all_of_them[1:]
    assert listed(started_to=NOON) == all_of_them[:1]
    assert listed(started_from=MORNING, started_to=EVENING) == all_of_them[:2]
    assert listed(started_from=NOON, started_to=NOON) == []
    assert listed(started_from="2026-03-01T13:00:00+01:00", service_types="2,1") == all_of_them[1:]


def test_a_list_holds_the_states_that_are_asked_for(mine: Services) -> None:
    service = mine.start(Loyalty={"tier": 3})
    mine.start_state(service, state_type=1)
    mine.start_state(service, state_type=2)
    mine.start_task(service, state_id=1)
    mine.post(f"{service}/states/0/end")

    [read] = mine.read(
        "/customers/51X/services",
        active_states="true",
        completed_states="true",
        active_tasks="true",
        extensions="loyalty",
    )

    assert read["active_states"] == mine.read(f"{service}/states/active", active_tasks="true")
    assert [state["state_type"] for state in read["completed_states"]] == [1]
    assert read["Loyalty"] == {"tier": 3}
    assert read == mine.read(
        service, active_states="true", completed_states="true", active_tasks="true", extensions="LOYALTY"
    )


def test_an_anonymous_service_gets_its_customer(mine: Services) -> None:
    answer = mine.post("/services/start", {"contact_key": "408-832-7799", "service_type": 100})
    service = f"/services/{answer.json()['service_id']}"
    assert mine.read("/services/anonymous/408-832-7799") == [mine.read(service)]
    assert mine.read("/services/anonymous/408-832-7799/completed") == []
    assert mine.read(service)["contact_key"] == "408-832-7799"

    given = mine.post(f"/customers/51X/services/{id_of(service)}")

    read = mine.read(service)
    assert (given.status_code, given.content) == (204, b"")
    assert read["customer_id"] == "51X"
    assert "contact_key" not in read
    assert mine.read("/services/anonymous/408-832-7799") == []
    assert mine.read("/customers/51X/services/active") == [read]


def test_a_customer_may_be_corrected_and_the_start_told_anew(mine: Services) -> None:
    service = mine.start(timestamp=NOON, interaction_id="51", Loyalty=1)

    given = mine.post(
        f"/customers/52Y/services/{id_of(service)}",
        {"service_type": "claim", "timestamp": MORNING, "interaction_id": "52", "Loyalty": 2, "customer_id": "51X"},
    )

    read = mine.read(service, extensions="Loyalty")
    assert given.status_code == 204
    assert (read["customer_id"], read["service_type"], read["Loyalty"]) == ("52Y", "claim", 2)
    assert read["started"] == {"timestamp": MORNING, "interaction_id": "52"}
    assert mine.read("/customers/51X/services") == []


@pytest.mark.parametrize("parameter", ["started_from", "started_to"])
@pytest.mark.parametrize(
    "value", ["", "yesterday", "2026-13-01", "1", "2026-03-01T25:00:00Z", "0001-01-01T00:00+05:00"]
)
def test_a_bad_moment_is_named(mine: Services, parameter: str, value: str) -> None:
    for path in ("/customers/51X/services", "/services/anonymous/x/active"):
        message = assert_refused(mine.get(path, **{parameter: value}), 400, "BadRequest")
        assert message.startswith(parameter)


def test_odd_names_of_customers_are_just_names(mine: Services) -> None:
    for name in ("%00", "%2500", "active", "%C3%A5", "x" * 3000):
        assert mine.read(f"/customers/{name}/services") == []
        assert mine.read(f"/services/anonymous/{name}") == []
