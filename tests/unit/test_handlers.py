"""Which message types there are, and what a company's own handlers look like."""

import asyncio
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

import django.db
import pytest
from pytest_django.fixtures import Settings
from structlog.testing import capture_logs

from orchestrator import handlers, schemas
from tests.company import handlers as company


def make_type(name: str = "Parcel", **options: Any) -> handlers.MessageType:
    return handlers.MessageType(name=name, kind=handlers.Kind.PLAIN, handler=lambda work: work.fields(), **options)


def make_work(payload: str = "{}") -> handlers.Work:
    return handlers.Work(
        id=uuid.uuid4(),
        request_id=uuid.uuid4(),
        client_id=1,
        type="Parcel",
        external_reference=None,
        payload=payload,
        attempt=1,
    )


class Rows:
    """A source that can be away, and that counts how often it is asked."""

    def __init__(self, *types: handlers.MessageType) -> None:
        self.types: Mapping[str, handlers.MessageType] = {each.name: each for each in types}
        self.asked = 0
        self.away = False

    def __call__(self) -> Mapping[str, handlers.MessageType]:
        self.asked += 1
        if self.away:
            raise django.db.OperationalError("away")
        return self.types


@pytest.fixture
def registry() -> handlers.Registry:
    return handlers.Registry()


@pytest.fixture
def _short_period(settings: Settings) -> None:
    settings.WAYBILL_TYPES_CACHE_SECONDS = 0.0


@pytest.fixture
def _long_period(settings: Settings) -> None:
    settings.WAYBILL_TYPES_CACHE_SECONDS = 60.0


def test_a_registered_type_is_found_by_its_name(registry: handlers.Registry) -> None:
    parcel = make_type()

    registry.register(parcel)

    assert registry.find("Parcel") is parcel
    assert registry.find("parcel") is None
    assert registry.names() == {"Parcel"}


def test_the_same_name_twice_is_refused(registry: handlers.Registry) -> None:
    registry.register(make_type())

    with pytest.raises(ValueError, match="'Parcel' is registered twice"):
        registry.register(make_type())


def test_a_type_waits_in_the_lane_of_its_name_unless_told_otherwise() -> None:
    assert make_type().lane_name == "Parcel"
    assert make_type(lane="Post").lane_name == "Post"


@pytest.mark.usefixtures("_long_period")
class TestWithinAPeriod:
    def test_the_source_is_asked_once_whatever_is_looked_for(self, registry: handlers.Registry) -> None:
        rows = Rows(make_type("Stored"))
        registry.follow(rows)

        found = [registry.find(name) for name in ("Stored", "Nothing", "Nothing", "Stored")]

        assert [each and each.name for each in found] == ["Stored", None, None, "Stored"]
        assert rows.asked == 1

    def test_many_threads_ask_the_source_once(self, registry: handlers.Registry) -> None:
        rows = Rows(make_type("Stored"))
        registry.follow(rows)
        barrier, found = threading.Barrier(10), []

        def look() -> None:
            barrier.wait()
            found.append(registry.find("Stored"))

        threads = [threading.Thread(target=look) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert rows.asked == 1
        assert None not in found

    def test_what_is_expired_is_asked_for_again(self, registry: handlers.Registry) -> None:
        rows = Rows()
        registry.follow(rows)
        registry.find("Stored")

        rows.types = {"Stored": make_type("Stored")}
        registry.expire()

        assert registry.find("Stored")

    def test_a_source_that_is_away_is_not_asked_at_every_look(
        self, registry: handlers.Registry, settings: Settings
    ) -> None:
        rows = Rows(make_type("Stored"))
        registry.follow(rows)
        registry.find("Stored")
        rows.away = True

        with capture_logs() as logs:
            settings.WAYBILL_TYPES_CACHE_SECONDS = 0.0
            found = [registry.find("Stored")]
            settings.WAYBILL_TYPES_CACHE_SECONDS = 60.0
            found += [registry.find("Stored") for _ in range(5)]

        assert None not in found
        assert rows.asked == 2
        assert len(logs) == 1


@pytest.mark.usefixtures("_short_period")
class TestAfterAPeriod:
    def test_a_change_is_seen(self, registry: handlers.Registry) -> None:
        rows = Rows(make_type("Stored", timeout=1.0))
        registry.follow(rows)
        registry.find("Stored")

        rows.types = {"Stored": make_type("Stored", timeout=2.0)}

        found = registry.find("Stored")
        assert found is not None
        assert found.timeout == 2.0

    def test_the_last_known_types_go_on_serving_while_the_source_is_away(self, registry: handlers.Registry) -> None:
        rows = Rows(make_type("Stored"))
        registry.follow(rows)
        registry.find("Stored")

        rows.away = True

        assert registry.find("Stored")
        rows.away, rows.types = False, {}
        assert registry.find("Stored") is None

    def test_what_was_never_known_is_not_empty(self, registry: handlers.Registry) -> None:
        rows = Rows()
        rows.away = True
        registry.follow(rows)

        with pytest.raises(django.db.OperationalError):
            registry.find("Stored")

    def test_a_source_that_hangs_does_not_hold_the_others_for_long(self, registry: handlers.Registry) -> None:
        rows = Rows(make_type("Stored"))
        registry.follow(rows)
        registry.find("Stored")
        hanging, released = threading.Event(), threading.Event()

        def hang() -> Mapping[str, handlers.MessageType]:
            hanging.set()
            assert released.wait(20)
            return {}

        registry.follow(hang)
        thread = threading.Thread(target=registry.find, args=("Stored",))
        thread.start()
        assert hanging.wait(10)
        began = time.monotonic()

        found = registry.find("Stored")

        assert found is not None
        assert time.monotonic() - began < 10
        released.set()
        thread.join()


def test_a_stored_type_carries_out_a_declared_one_whose_doors_and_schema_hold(registry: handlers.Registry) -> None:
    schema = schemas.from_json_schema({"type": "object"})
    declared = make_type("Order", doors=frozenset({"orders"}), schema=schema, mandatory=True)
    stored = make_type("Order", timeout=7.0)
    registry.register(declared)
    registry.follow(Rows(stored))

    found = registry.find("Order")

    assert found is not None
    assert found.handler is stored.handler
    assert (found.timeout, found.doors, found.schema, found.mandatory) == (7.0, declared.doors, schema, True)


def test_echo_answers_its_own_fields_as_they_came() -> None:
    from orchestrator import echo

    text = '{"amount": 1.10,  "id": 123456789012345678901234567890}'

    assert echo.answer(make_work(text)) == handlers.JSONText(text)


class TestACompanysOwnHandlers:
    def find(self, name: str) -> handlers.MessageType:
        return handlers.registry._declared[name]  # `find` would read the ledger

    def test_a_plain_one(self) -> None:
        invoice = self.find("Invoice")

        assert invoice.kind is handlers.Kind.PLAIN
        assert invoice.timeout == 10
        assert company.book(make_work('{"number": "A1", "amount": 3}')) == {"booked": "A1"}
        with pytest.raises(handlers.Rejected, match="second signature"):
            company.book(make_work('{"number": "A1", "amount": 3e6}'))

    def test_its_schema_is_the_pydantic_model(self) -> None:
        schema = self.find("Invoice").schema

        assert schema is not None
        assert schema.problems('{"number": "A1", "amount": 3}') == []
        assert len(schema.problems('{"amount": -1}')) == 2

    def test_an_asynchronous_one(self) -> None:
        greeting = self.find("Greeting")

        assert greeting.kind is handlers.Kind.ASYNC
        assert greeting.lane_name == "Post"
        assert (greeting.policy.attempts, greeting.policy.first, greeting.policy.ceiling) == (3, 0.1, 1.0)
        assert asyncio.run(company.greet(make_work('{"name": "Ada"}'))) == {"greeting": "Hello, Ada"}

    def test_a_batch_one(self) -> None:
        reading = self.find("Reading")

        results = reading.handler([make_work('{"value": 1}'), make_work('{"value": -1}')])

        assert reading.kind is handlers.Kind.BATCH
        assert results[0] == {"stored": 1}
        assert isinstance(results[1], handlers.Rejected)
        assert reading.schema is not None
        assert reading.schema.problems('{"value": "much"}')
