"""Extensions: whatever an application adds to a service, a state or a task, kept and answered as it was given."""

import json
from typing import Any

import pytest
from pytest_django import Settings

from tests.api.services import Services, assert_refused, mine

pytestmark = pytest.mark.django_db
__all__ = ["mine"]

PLACES = ["", "/states/0", "/tasks/0"]


@pytest.fixture
def service(mine: Services) -> str:
    service = mine.start()
    mine.start_state(service)
    mine.start_task(service, state_id=0)
    return service


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "value", [{"rating": 7}, [{"a": 1}, {"b": [None, True]}], "text", "", 0, 1.5, None, False, {}, [], 10**30]
)
def test_any_json_is_kept_and_answered(mine: Services, service: str, place: str, value: Any) -> None:
    answer = mine.put(f"{service}{place}/extensions/Feedback", json.dumps(value).encode())

    assert (answer.status_code, answer.content) == (204, b"")
    assert mine.read(f"{service}{place}", extensions="Feedback")["Feedback"] == value


def test_an_extension_keeps_its_numbers_as_they_were_written(mine: Services, service: str) -> None:
    mine.put(f"{service}/extensions/Rate", b' {"a": 1.50, "b": 1e-400, "c": 12345678901234567890} ')

    assert b'"Rate":{"a": 1.50, "b": 1e-400, "c": 12345678901234567890}' in mine.get(service, extensions="Rate").content


@pytest.mark.parametrize("place", PLACES)
def test_extensions_come_only_when_they_are_named(mine: Services, service: str, place: str) -> None:
    for name in ("Feedback", "Offer", "Note"):
        mine.put(f"{service}{place}/extensions/{name}", name.upper())

    def answered(extensions: str) -> set[str]:
        return set(mine.read(f"{service}{place}", extensions=extensions)) & {"Feedback", "Offer", "Note"}

    assert answered("") == set()
    assert answered("feedback") == {"Feedback"}
    assert answered("FEEDBACK, note,unheard of") == {"Feedback", "Note"}
    assert "Feedback" not in mine.read(f"{service}{place}")


def test_only_a_space_is_a_space_around_a_name(mine: Services, service: str) -> None:
    assert mine.put(f"{service}/extensions/%1Eodd%1E", 1).status_code == 204

    assert mine.read(service, extensions=" \x1eodd\x1e ,x")["\x1eodd\x1e"] == 1


@pytest.mark.parametrize("place", PLACES)
def test_a_put_replaces_the_whole_value_whatever_its_case(mine: Services, service: str, place: str) -> None:
    mine.put(f"{service}{place}/extensions/Feedback", {"rating": 7, "notes": "warm"})
    mine.put(f"{service}{place}/extensions/feedback", {"rating": 8})

    read = mine.read(f"{service}{place}", extensions="Feedback")

    assert read["feedback"] == {"rating": 8}
    assert "Feedback" not in read


@pytest.mark.parametrize("place", PLACES)
def test_an_end_replaces_what_it_names_and_leaves_the_rest(mine: Services, service: str, place: str) -> None:
    mine.put(f"{service}{place}/extensions/Feedback", {"rating": 7})
    mine.put(f"{service}{place}/extensions/Offer", "silver")

    mine.post(f"{service}{place}/end", {"Feedback": {"notes": "cool"}, "Survey": [1]})

    read = mine.read(f"{service}{place}", extensions="Feedback,Offer,Survey")
    assert (read["Feedback"], read["Offer"], read["Survey"]) == ({"notes": "cool"}, "silver", [1])


@pytest.mark.parametrize("place", PLACES)
def test_what_is_over_can_still_be_added_to(mine: Services, service: str, place: str) -> None:
    mine.post(f"{service}/end")

    assert mine.put(f"{service}{place}/extensions/Feedback", 5).status_code == 204
    assert mine.read(f"{service}{place}", extensions="Feedback")["Feedback"] == 5


def test_a_start_takes_every_other_key_as_an_extension(mine: Services) -> None:
    service = mine.start(Feedback=1, **{"odd key": {"x": 1}, "from": 2, "state_type": 3})
    mine.start_state(service, Feedback=2, service_type="x")
    mine.start_task(service, Feedback=3, duration="short")

    assert mine.read(service, extensions="Feedback,odd key,from,state_type") == mine.read(service) | {
        "Feedback": 1,
        "odd key": {"x": 1},
        "from": 2,
        "state_type": 3,
    }
    assert mine.read(f"{service}/states/0", extensions="Feedback,service_type")["service_type"] == "x"
    assert mine.read(f"{service}/tasks/0", extensions="duration")["duration"] == "short"


def test_in_lists_states_bring_theirs_and_tasks_bring_theirs(mine: Services, service: str) -> None:
    for place in PLACES:
        mine.put(f"{service}{place}/extensions/Feedback", place)

    [state] = mine.read(f"{service}/states", extensions="Feedback", active_tasks="true")
    [task] = mine.read(f"{service}/tasks/active", extensions="Feedback")

    assert (state["Feedback"], task["Feedback"]) == ("/states/0", "/tasks/0")
    assert "Feedback" not in state["active_tasks"][0]


@pytest.mark.parametrize("name", ["", " x", "a,b", "%00", "x" * 256, "started", "service_id"])
def test_names_that_are_none(mine: Services, service: str, name: str) -> None:
    answers = [mine.put(f"{service}/extensions/{name}", 1)]
    if name not in {"%00", "service_id"}:
        answers.append(mine.post("/services/start", {"customer_id": 1, "service_type": 1, name: 1}))

    for answer in answers:
        if name or answer is not answers[0]:
            assert_refused(answer, 400, "BadRequest")


def test_ids_in_a_body_only_repeat_the_path(mine: Services, service: str) -> None:
    ended = mine.post(f"{service}/states/0/end", {"state_id": 0, "service_id": "x"})

    assert ended.status_code == 204


def test_all_extensions_of_one_thing_are_no_longer_than_a_body_may_be(
    mine: Services, service: str, settings: Settings
) -> None:
    settings.WAYBILL_MAX_BODY_BYTES = 1000
    assert mine.put(f"{service}/extensions/First", "x" * 900).status_code == 204

    assert_refused(mine.put(f"{service}/extensions/Second", "x" * 100), 413, "TooLarge")
    assert mine.put(f"{service}/extensions/first", "x" * 950).status_code == 204
    assert json.loads(mine.get(service, extensions="first,second").content)["first"] == "x" * 950
