"""The tracking search: POST /api/v1/tracking, what it asks and what it answers."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client as Browser

from orchestrator import accounts
from orchestrator.lifecycle import Status
from orchestrator.models import Request
from tests import factories
from tests.api.calls import basic
from tests.factories import AMessage

pytestmark = pytest.mark.django_db

OCTOBER = datetime(2018, 10, 1, 8, 38, 14, 250_000, tzinfo=UTC)


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


def post(account: accounts.Account, body: Any) -> Any:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    return Browser().post(
        "/api/v1/tracking", data=text, content_type="application/json", headers=basic(account.client_id)
    )


def search(account: accounts.Account, *criteria: tuple[str, Any], **rest: Any) -> list[dict[str, Any]]:
    """The requests that a search finds. Without a date among the criteria: of all time, unless `today`."""
    body = {"search": [{"by": by, "value": value} for by, value in criteria], **rest}
    answer = post(account, body)
    assert answer.status_code == 200, answer.content
    requests: list[dict[str, Any]] = answer.json()["data"]["requests"]
    return requests


def ids(requests: list[dict[str, Any]]) -> list[str]:
    return [request["id"] for request in requests]


def make(account: accounts.Account, *messages: AMessage, **fields: Any) -> Request:
    return factories.make_request(client_id=account.id, messages=messages or (AMessage(),), **fields)


class TestTheDocumentsOwnExamples:
    def test_failed_opportunities_of_three_days(self, account: accounts.Account) -> None:
        failed = AMessage(
            type="Opportunity",
            status=Status.FAILED,
            external_reference="oppref-ABC12345",
            errors=("Unable to process",),
            processed_at=datetime(2018, 12, 25, 8, 38, 14, tzinfo=UTC),
        )
        complete = AMessage(type="Opportunity")
        five = make(account, failed, *[complete] * 4, received_at=OCTOBER, batch_reference="ABC12345")
        ten = make(
            account, failed, *[complete] * 9, received_at=OCTOBER + timedelta(days=1), batch_reference="XYZ67890"
        )
        make(account, failed, received_at=OCTOBER + timedelta(days=3))
        asked = [
            {"by": "messageType", "value": "Opportunity"},
            {"by": "messageStatus", "value": "Failed"},
            {"by": "receivedDate", "value": ["2018-10-01T00:00:00+00:00", "2018-10-03T00:00:00+00:00"]},
        ]

        answer = post(account, {"search": asked, "sorts": [{"by": "receivedDate", "order": "ascending"}]})

        def expected(request: Request, received: str, total: int) -> dict[str, Any]:
            return {
                "feedId": str(account.feed_id),
                "clientName": "A client",
                "id": str(request.id),
                "batchReference": request.batch_reference,
                "receivedDate": received,
                "requestStatus": "Complete",
                "messageStatusSummary": {
                    "total": total,
                    "queued": 0,
                    "processing": 0,
                    "cancelled": 0,
                    "failed": 1,
                    "invalid": 0,
                    "complete": total - 1,
                },
                "payload": [
                    {
                        "opportunityId": str(factories.messages_of(request)[0].id),
                        "externalReference": "oppref-ABC12345",
                        "messageStatus": "Failed",
                        "messageType": "Opportunity",
                        "processedTime": "2018-12-25T08:38:14+00:00",
                        "errors": [{"errorMessage": "Unable to process"}],
                    }
                ],
            }

        assert answer.status_code == 200
        assert answer.json() == {
            "data": {
                "search": asked,
                "requests": [
                    expected(five, "2018-10-01T08:38:14+00:00", 5),
                    expected(ten, "2018-10-02T08:38:14+00:00", 10),
                ],
            },
            "errors": [],
            "success": True,
        }

    def test_by_id_with_pages_of_ten(self, account: accounts.Account) -> None:
        request = make(account, received_at=OCTOBER)
        make(account)

        found = search(
            account,
            ("id", [str(request.id)]),
            paging={"number": "1", "size": "10"},
            sorts=[{"by": "receivedDate", "order": "asc"}],
        )

        assert ids(found) == [str(request.id)]

    def test_type_and_one_of_two_statuses_and_its_misspelt_date(self, account: accounts.Account) -> None:
        failed = make(account, AMessage(type="Estimate", status=Status.FAILED), received_at=OCTOBER)
        complete = make(account, AMessage(type="Estimate"), received_at=OCTOBER)
        make(account, AMessage(type="Estimate", status=Status.QUEUED), received_at=OCTOBER)
        make(account, AMessage(type="Estimate"), received_at=OCTOBER + timedelta(days=1))
        make(account, AMessage(type="Vehicle"), received_at=OCTOBER)

        found = search(
            account,
            ("messageType", ["Estimate"]),
            ("messageStatus", ["Failed", "Complete"]),
            ("recievedDate", ["2018-10-01T00:00:00+00:00", "2018-10-02T00:00:00+00:00"]),
        )

        assert set(ids(found)) == {str(failed.id), str(complete.id)}

    def test_its_slips_are_refused(self, account: accounts.Account) -> None:
        uuid_as_order = {"sorts": [{"by": "receivedDate", "order": "78452e72-0fcb-4455-afc3-68fadb22646f"}]}
        trailing_comma = '{"search": [{"by": "messageType", "value": ["Estimate"]},]}'

        assert post(account, uuid_as_order).status_code == 400
        assert post(account, trailing_comma).status_code == 400


class TestWhatIsFound:
    def test_a_message_must_meet_all_criteria_at_once(self, account: accounts.Account) -> None:
        make(account, AMessage(type="Estimate", status=Status.COMPLETE), AMessage(type="Vehicle", status=Status.FAILED))
        both = make(account, AMessage(type="Vehicle"), AMessage(type="Estimate", status=Status.FAILED))

        found = search(account, ("messageType", "Estimate"), ("messageStatus", "Failed"))

        assert ids(found) == [str(both.id)]
        assert [message["estimateId"] for message in found[0]["payload"]] == [str(factories.messages_of(both)[1].id)]

    def test_values_of_one_criterion_are_alternatives(self, account: accounts.Account) -> None:
        make(account, AMessage(type="Estimate"), AMessage(type="Vehicle"), AMessage(type="Customer"))

        [found] = search(account, ("messageType", ["Customer", "Estimate"]))

        assert [message["messageType"] for message in found["payload"]] == ["Estimate", "Customer"]

    def test_payload_holds_the_matching_messages_and_the_summary_counts_all(self, account: accounts.Account) -> None:
        make(
            account,
            AMessage(status=Status.QUEUED),
            AMessage(status=Status.QUEUED),
            AMessage(status=Status.PROCESSING),
            AMessage(status=Status.CANCELLED),
            AMessage(status=Status.FAILED),
            AMessage(status=Status.INVALID, errors=("amount: is missing", "name: is too long")),
            AMessage(status=Status.COMPLETE),
            AMessage(status=Status.COMPLETE),
            AMessage(status=Status.COMPLETE),
        )

        [found] = search(account, ("messageStatus", "Invalid"))

        assert found["messageStatusSummary"] == {
            "total": 9,
            "queued": 2,
            "processing": 1,
            "cancelled": 1,
            "failed": 1,
            "invalid": 1,
            "complete": 3,
        }
        assert [message["errors"] for message in found["payload"]] == [
            [{"errorMessage": "amount: is missing"}, {"errorMessage": "name: is too long"}]
        ]

    @pytest.mark.parametrize("status", list(Status))
    def test_each_status_can_be_asked_for(self, account: accounts.Account, status: Status) -> None:
        for other in Status:
            make(account, AMessage(status=other))

        [found] = search(account, ("messageStatus", status.value))

        assert [message["messageStatus"] for message in found["payload"]] == [status.value]

    def test_processed_is_understood_as_processing(self, account: accounts.Account) -> None:
        request = make(account, AMessage(status=Status.PROCESSING))
        make(account, AMessage(status=Status.COMPLETE))

        [found] = search(account, ("messageStatus", ["Processed"]))

        assert found["id"] == str(request.id)
        assert found["payload"][0]["messageStatus"] == "Processing"

    def test_without_a_date_id_or_reference_only_today_is_searched(self, account: accounts.Account) -> None:
        today = make(account)
        make(account, received_at=datetime.now(UTC) - timedelta(days=1))

        assert ids(post(account, {}).json()["data"]["requests"]) == [str(today.id)]
        assert ids(search(account)) == [str(today.id)]
        assert ids(search(account, ("messageType", "Echo"), ("messageStatus", "Complete"))) == [str(today.id)]

    def test_an_id_or_a_reference_is_found_on_any_day(self, account: accounts.Account) -> None:
        old = make(account, AMessage(external_reference="mine"), received_at=OCTOBER, batch_reference="batch 1")

        for criterion in (("id", str(old.id)), ("externalReference", "mine"), ("externalReference", "batch 1")):
            assert ids(search(account, criterion)) == [str(old.id)]
            assert ids(search(account, criterion, ("receivedDate", "2018-10-02"))) == []
            assert ids(search(account, criterion, ("receivedDate", "2018-10-01"))) == [str(old.id)]

    def test_an_id_in_capitals_or_among_others(self, account: accounts.Account) -> None:
        one, two, _ = make(account), make(account), make(account)

        found = search(account, ("id", [str(one.id).upper(), "no-uuid", str(uuid.uuid4()), str(two.id)]))

        assert set(ids(found)) == {str(one.id), str(two.id)}

    @pytest.mark.parametrize(
        "criterion",
        [
            ("id", "no-uuid"),
            ("id", str(uuid.uuid4())),
            ("messageType", "Unknown"),
            ("messageType", "echo"),
            ("externalReference", "nobody's"),
            ("externalReference", ""),
            ("receivedDate", "1999-01-01"),
        ],
    )
    def test_what_does_not_exist_matches_nothing(self, account: accounts.Account, criterion: tuple[str, str]) -> None:
        make(account)

        assert search(account, criterion) == []

    def test_a_messages_own_reference_finds_that_message_alone(self, account: accounts.Account) -> None:
        request = make(account, *[AMessage(external_reference=f"ref-{n}") for n in range(3)], batch_reference="b")

        [by_message] = search(account, ("externalReference", "ref-1"))
        [by_batch] = search(account, ("externalReference", ["b"]))

        assert [message["externalReference"] for message in by_message["payload"]] == ["ref-1"]
        assert [message["externalReference"] for message in by_batch["payload"]] == ["ref-0", "ref-1", "ref-2"]
        assert by_message["id"] == by_batch["id"] == str(request.id)

    def test_a_reference_with_a_status(self, account: accounts.Account) -> None:
        make(account, AMessage(external_reference="a"), AMessage(status=Status.FAILED), batch_reference="batch")

        assert len(search(account, ("externalReference", "batch"), ("messageStatus", "Failed"))[0]["payload"]) == 1
        assert search(account, ("externalReference", "a"), ("messageStatus", "Failed")) == []

    def test_one_criterion_given_twice_must_be_met_twice(self, account: accounts.Account) -> None:
        make(account, AMessage(type="Estimate"), AMessage(type="Vehicle"), received_at=OCTOBER)
        both = make(account, AMessage(external_reference="r"), received_at=OCTOBER, batch_reference="b")
        october = ("receivedDate", "2018-10-01")

        assert search(account, october, ("messageType", "Estimate"), ("messageType", "Vehicle")) == []
        assert search(account, october, ("messageStatus", "Failed"), ("messageStatus", "Complete")) == []
        assert search(account, october, ("receivedDate", ["2018-10-02", "2018-10-03"])) == []
        assert search(account, ("id", str(both.id)), ("id", str(uuid.uuid4()))) == []
        assert ids(search(account, ("externalReference", "r"), ("externalReference", "b"))) == [str(both.id)]
        assert search(account, ("externalReference", "r"), ("externalReference", "x")) == []

    def test_another_clients_requests_are_never_found(self, account: accounts.Account) -> None:
        other = factories.make_account()
        theirs = make(other, AMessage(status=Status.FAILED, external_reference="shared"), batch_reference="shared")
        mine = make(account, AMessage(status=Status.FAILED, external_reference="shared"), batch_reference="shared")

        assert search(account, ("id", str(theirs.id))) == []
        for criteria in ([], [("externalReference", "shared")], [("messageStatus", "Failed")]):
            assert ids(search(account, *criteria)) == [str(mine.id)]

    def test_a_service_without_messages_is_found_as_long_as_nothing_is_asked_of_messages(
        self, account: accounts.Account
    ) -> None:
        service = factories.make_request(
            client_id=account.id, messages=[], door="services", ended=False, batch_reference=None
        )

        [found] = search(account, ("id", str(service.id)))

        assert found["payload"] == []
        assert found["batchReference"] is None
        assert search(account, ("id", str(service.id)), ("messageStatus", "Processing")) == []


class TestDates:
    @pytest.mark.parametrize(
        "value",
        [
            "2018-10-01",
            ["2018-10-01"],
            "2018-10-01T23:59:59+00:00",
            "2018-10-01T00:00:00Z",
            "2018-10-02T01:30:00+02:00",
            "2018-09-30T23:00:00-05:00",
            "2018-10-01T10:00:00",
            ["2018-10-01", "2018-10-01"],
            ["2018-09-30", "2018-10-01"],
            ["2018-10-01T08:38:14+00:00", "2018-10-01T08:38:14+00:00"],
            ["2018-10-01T08:38:14.250Z", "2018-10-01T08:38:14.250000Z"],
            ["2018-10-01T10:38:14+02:00", "2018-10-01T10:38:14+0200"],
            ["0001-01-01", "9999-12-31"],
            ["2018-10-01 08:38", "2018-10-01"],
        ],
    )
    def test_found(self, account: accounts.Account, value: Any) -> None:
        request = make(account, received_at=OCTOBER)

        assert ids(search(account, ("receivedDate", value))) == [str(request.id)]

    @pytest.mark.parametrize(
        "value",
        [
            "2018-10-02",
            "2018-10-01T23:00:00-05:00",
            ["2018-09-29", "2018-09-30"],
            ["2018-10-02", "2018-10-03"],
            ["2018-10-01T08:38:15Z", "2018-10-01"],
            ["2018-10-01", "2018-10-01T08:38:13Z"],
            ["2018-10-01T08:38:14.251Z", "2018-10-02"],
            ["2018-10-01", "2018-10-01T08:38:14.249Z"],
            "9999-12-31",
        ],
    )
    def test_not_found(self, account: accounts.Account, value: Any) -> None:
        make(account, received_at=OCTOBER)

        assert search(account, ("receivedDate", value)) == []

    def test_a_day_begins_and_ends_at_midnight(self, account: accounts.Account) -> None:
        midnight = datetime(2018, 10, 1, tzinfo=UTC)
        make(account, received_at=midnight - timedelta(microseconds=1))
        first = make(account, received_at=midnight)
        last = make(account, received_at=midnight + timedelta(days=1, microseconds=-1))
        make(account, received_at=midnight + timedelta(days=1))

        assert ids(search(account, ("receivedDate", "2018-10-01"))) == [str(last.id), str(first.id)]
        assert ids(search(account, ("receivedDate", ["2018-10-01", "2018-10-01"]))) == [str(last.id), str(first.id)]


class TestOrderAndPages:
    def test_newest_first_unless_told_otherwise(self, account: accounts.Account) -> None:
        made = [make(account, received_at=OCTOBER + timedelta(minutes=n)) for n in range(3)]
        oldest_first = [str(request.id) for request in made]
        day = ("receivedDate", "2018-10-01")

        def found(**sorts: Any) -> list[str]:
            return ids(search(account, day, **sorts))

        assert found() == found(sorts=[]) == found(sorts=[{}]) == oldest_first[::-1]
        assert found(sorts=[{"by": "receivedDate"}]) == oldest_first
        assert found(sorts={"by": "receivedDate"}) == oldest_first
        for order in ("asc", "ascending"):
            assert found(sorts=[{"by": "receivedDate", "order": order}]) == oldest_first
        for order in ("desc", "descending"):
            assert found(sorts=[{"by": "receivedDate", "order": order}]) == oldest_first[::-1]

    def test_by_processed_date_the_unfinished_stand_last(self, account: accounts.Account) -> None:
        def done(minutes: int) -> Request:
            at = datetime.now(UTC) - timedelta(hours=1) + timedelta(minutes=minutes)
            return make(account, AMessage(processed_at=at - timedelta(hours=1)), AMessage(processed_at=at))

        second, first = done(2), done(1)
        open_ = [make(account, AMessage(status=Status.QUEUED)) for _ in range(2)]
        unfinished = sorted(str(request.id) for request in open_)

        def found(order: str) -> list[str]:
            return ids(search(account, sorts=[{"by": "processedDate", "order": order}]))

        assert found("asc") == [str(first.id), str(second.id), *unfinished]
        assert found("desc") == [str(second.id), str(first.id), *unfinished]

    def test_by_batch_reference_null_stands_last_and_ties_go_by_id(self, account: accounts.Account) -> None:
        made = {text: make(account, batch_reference=text) for text in ("b", None, "a", "B")}
        twin = make(account, batch_reference="b")

        def found(order: str) -> list[str]:
            return ids(search(account, sorts=[{"by": "batchReference", "order": order}]))

        upper, a, null = (str(made[text].id) for text in ("B", "a", None))
        twins = sorted([str(made["b"].id), str(twin.id)])
        assert found("asc") == [upper, a, *twins, null]
        assert found("desc") == [*twins, a, upper, null]

    def test_several_sorts(self, account: accounts.Account) -> None:
        old_b, new_a, new_b = (
            make(account, batch_reference=text, received_at=OCTOBER + timedelta(minutes=n))
            for n, text in enumerate(["b", "a", "b"])
        )

        found = search(
            account,
            ("receivedDate", "2018-10-01"),
            sorts=[{"by": "batchReference", "order": "desc"}, {"by": "receivedDate", "order": "desc"}],
        )

        assert ids(found) == [str(new_b.id), str(old_b.id), str(new_a.id)]

    @pytest.mark.parametrize("by", ["receivedDate", "processedDate", "batchReference"])
    @pytest.mark.parametrize("order", ["asc", "desc"])
    def test_pages_together_are_the_whole(self, account: accounts.Account, by: str, order: str) -> None:
        for n in range(7):
            status = Status.QUEUED if n % 3 == 0 else Status.COMPLETE
            make(account, AMessage(status=status), batch_reference=["x", None, "y"][n % 3], received_at=OCTOBER)
        day, sorts = ("receivedDate", "2018-10-01"), [{"by": by, "order": order}]

        pages = [search(account, day, paging={"number": n, "size": 3}, sorts=sorts) for n in (1, 2, 3, 4)]

        assert [len(page) for page in pages] == [3, 3, 1, 0]
        assert [one for page in pages for one in ids(page)] == ids(search(account, day, sorts=sorts))

    @pytest.mark.parametrize(
        "paging", [{"number": 1, "size": 1000}, {"number": "01", "size": "2"}, {"number": 1.0, "size": 2.0}]
    )
    def test_pages_as_numbers_or_digits(self, account: accounts.Account, paging: dict[str, Any]) -> None:
        make(account)

        assert len(search(account, paging=paging)) == 1

    def test_a_page_far_beyond_the_end_is_empty(self, account: accounts.Account) -> None:
        make(account)

        assert search(account, paging={"number": 999_999_999_999_999, "size": 1000}) == []


class TestOneRequestAndMessage:
    @pytest.mark.parametrize(
        ("statuses", "word"),
        [
            ([Status.QUEUED], "Queued"),
            ([Status.QUEUED, Status.INVALID], "Queued"),
            ([Status.QUEUED, Status.CANCELLED], "Queued"),
            ([Status.QUEUED, Status.PROCESSING], "Processing"),
            ([Status.PROCESSING], "Processing"),
            ([Status.PROCESSING, Status.INVALID], "Processing"),
            ([Status.QUEUED, Status.COMPLETE], "Processing"),
            ([Status.QUEUED, Status.FAILED], "Processing"),
            ([Status.COMPLETE], "Complete"),
            ([Status.FAILED], "Complete"),
            ([Status.INVALID], "Complete"),
            ([Status.COMPLETE, Status.CANCELLED], "Complete"),
            ([Status.FAILED, Status.CANCELLED], "Complete"),
            ([Status.CANCELLED], "Cancelled"),
            ([Status.CANCELLED, Status.INVALID], "Cancelled"),
        ],
    )
    def test_the_status_of_the_whole(self, account: accounts.Account, statuses: list[Status], word: str) -> None:
        make(account, *[AMessage(status=status) for status in statuses])

        assert [request["requestStatus"] for request in search(account)] == [word]

    @pytest.mark.parametrize("messages", [[], [AMessage()], [AMessage(status=Status.PROCESSING)]])
    def test_a_service_is_processing_until_it_is_ended(
        self, account: accounts.Account, messages: list[AMessage]
    ) -> None:
        factories.make_request(client_id=account.id, messages=messages, door="services", ended=False)

        assert [request["requestStatus"] for request in search(account)] == ["Processing"]

    @pytest.mark.parametrize("messages", [[], [AMessage()]])
    def test_a_service_that_is_ended_is_complete(self, account: accounts.Account, messages: list[AMessage]) -> None:
        factories.make_request(client_id=account.id, messages=messages, door="services", ended=True)

        assert [request["requestStatus"] for request in search(account)] == ["Complete"]

    @pytest.mark.parametrize(
        ("message_type", "key"),
        [
            ("Opportunity", "opportunityId"),
            ("deskpro-feedback", "deskproFeedbackId"),
            ("Echo", "echoId"),
            ("sales_order.line", "salesOrderLineId"),
            ("CustomerNote", "customerNoteId"),
            ("2nd-look", "2ndLookId"),
        ],
    )
    def test_the_id_stands_under_a_key_named_after_the_type(
        self, account: accounts.Account, message_type: str, key: str
    ) -> None:
        request = make(account, AMessage(type=message_type))

        [found] = search(account)

        assert found["payload"][0][key] == str(request.id)

    def test_a_message_that_is_open_has_no_processed_time_and_no_errors(self, account: accounts.Account) -> None:
        make(account, AMessage(status=Status.QUEUED))

        [found] = search(account)

        assert found["payload"] == [
            {
                "echoId": found["id"],
                "externalReference": None,
                "messageStatus": "Queued",
                "messageType": "Echo",
                "processedTime": None,
            }
        ]

    def test_the_search_goes_back_as_it_was_written(self, account: accounts.Account) -> None:
        written = '[ {"value":"Echo",  "by":"messageType", "note":1.50, "é":[123456789012345678901234567890]} ]'

        answer = post(account, f'{{"search": {written}}}')

        assert f'"search":{written},'.encode() in answer.content


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("criterion", "name"),
        [
            ({"by": "colour", "value": "red"}, "colour"),
            ({"by": "MessageType", "value": "Echo"}, "MessageType"),
            ({"by": 5, "value": "x"}, "by"),
            ({"by": ["id"], "value": "x"}, "by"),
            ({"value": "x"}, "by"),
            ("messageType", "search"),
            (None, "search"),
            ({"by": "messageType"}, "messageType"),
            ({"by": "messageType", "value": None}, "messageType"),
            ({"by": "messageType", "value": 5}, "messageType"),
            ({"by": "messageType", "value": []}, "messageType"),
            ({"by": "messageType", "value": ["Echo", 5]}, "messageType"),
            ({"by": "messageType", "value": {"is": "Echo"}}, "messageType"),
            ({"by": "id", "value": 12}, "id"),
            ({"by": "messageStatus", "value": "failed"}, "messageStatus"),
            ({"by": "messageStatus", "value": ["Failed", "Done"]}, "messageStatus"),
            ({"by": "receivedDate", "value": "yesterday"}, "receivedDate"),
            ({"by": "receivedDate", "value": ""}, "receivedDate"),
            ({"by": "receivedDate", "value": "2018-13-01"}, "receivedDate"),
            ({"by": "receivedDate", "value": "2018-02-30"}, "receivedDate"),
            ({"by": "receivedDate", "value": "20181001"}, "receivedDate"),
            ({"by": "receivedDate", "value": "2018-10-01T25:00:00Z"}, "receivedDate"),
            ({"by": "receivedDate", "value": "2018-10-01T10:00:00+25:00"}, "receivedDate"),
            ({"by": "receivedDate", "value": "0001-01-01T00:00:00+10:00"}, "receivedDate"),
            ({"by": "receivedDate", "value": "\uff12\uff10\uff11\uff18-10-01"}, "receivedDate"),
            ({"by": "receivedDate", "value": ["2018-10-01", "2018-10-02", "2018-10-03"]}, "receivedDate"),
            ({"by": "receivedDate", "value": ["2018-10-02", "2018-10-01"]}, "receivedDate"),
            ({"by": "receivedDate", "value": ["2018-10-01T10:00:00Z", "2018-10-01T09:00:00Z"]}, "receivedDate"),
            ({"by": "recievedDate", "value": "x"}, "recievedDate"),
        ],
    )
    def test_a_bad_criterion_is_named(self, account: accounts.Account, criterion: Any, name: str) -> None:
        answer = post(account, {"search": [{"by": "id", "value": "x"}, criterion]})

        error = assert_refused(answer)
        assert name in error["errorMessage"]
        assert error["index"] == 1

    @pytest.mark.parametrize("value", [None, {}, "Echo", 5, {"by": "id", "value": "x"}])
    def test_a_search_that_is_no_list(self, account: accounts.Account, value: Any) -> None:
        assert "search" in assert_refused(post(account, {"search": value}))["errorMessage"]

    def test_more_criteria_than_any_honest_search_has(self, account: accounts.Account) -> None:
        assert_refused(post(account, {"search": [{"by": "externalReference", "value": "x"}] * 51}))

    @pytest.mark.parametrize(
        "paging",
        [
            None,
            [],
            "1",
            {},
            {"number": 1},
            {"size": 10},
            {"number": 0, "size": 10},
            {"number": -1, "size": 10},
            {"number": 1, "size": 0},
            {"number": 1, "size": 1001},
            {"number": "one", "size": 10},
            {"number": "", "size": 10},
            {"number": 1.5, "size": 10},
            {"number": True, "size": 10},
            {"number": None, "size": 10},
            {"number": "٣", "size": 10},
            {"number": 10**30, "size": 10},
        ],
    )
    def test_a_bad_page(self, account: accounts.Account, paging: Any) -> None:
        assert "paging" in assert_refused(post(account, {"paging": paging}))["errorMessage"]

    @pytest.mark.parametrize(
        "sorts",
        [
            None,
            "receivedDate",
            ["receivedDate"],
            [{"by": "id"}],
            [{"by": "receiveddate"}],
            [{"by": None}],
            [{"by": "receivedDate", "order": "up"}],
            [{"by": "receivedDate", "order": "DESC"}],
            [{"by": "receivedDate", "order": None}],
        ],
    )
    def test_a_bad_sort(self, account: accounts.Account, sorts: Any) -> None:
        assert "sorts" in assert_refused(post(account, {"sorts": sorts}))["errorMessage"]

    @pytest.mark.parametrize(
        "body",
        [
            b" ",
            b"[]",
            b"null",
            b'"search"',
            b"{",
            b'{"search": [],}',
            b"{'search': []}",
            b'{"paging": {"number": NaN, "size": 1}}',
            b'{"paging": {"number": 1e999, "size": 1}}',
            b'{"search": [{"by": "messageType", "value": "\\u0000"}]}',
            b'{"search": [{"by": "messageType", "value": "\\ud800"}]}',
            b'{"search": [{"by": "messageType", "value": "\xff"}]}',
            b'{"search": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        ],
    )
    def test_a_body_that_is_no_search(self, account: accounts.Account, body: bytes) -> None:
        assert_refused(post(account, body))

    def test_who_calls_must_be_known_and_allowed(self) -> None:
        writer = factories.make_account(scopes=["requests:write"])

        unknown = Browser().post("/api/v1/tracking", data="{}", content_type="application/json")
        unscoped = post(writer, {})

        assert (unknown.status_code, unscoped.status_code) == (401, 403)
        assert "WWW-Authenticate" in unknown
        for answer in (unknown, unscoped):
            assert_body_of_refusal(answer)

    def test_another_method_or_content_type(self, account: accounts.Account) -> None:
        headers = basic(account.client_id)
        as_text = Browser().post("/api/v1/tracking", data="{}", content_type="text/plain", headers=headers)
        as_get = Browser().get("/api/v1/tracking", headers=headers)

        assert (as_text.status_code, as_get.status_code) == (415, 405)
        for answer in (as_text, as_get):
            assert_body_of_refusal(answer)

    def test_with_the_last_slash_it_answers_the_same(self, account: accounts.Account) -> None:
        headers = basic(account.client_id)
        answer = Browser().post("/api/v1/tracking/", data="{}", content_type="application/json", headers=headers)

        assert answer.json() == {"data": {"search": [], "requests": []}, "errors": [], "success": True}


def assert_refused(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 400, answer.content
    return assert_body_of_refusal(answer)


def assert_body_of_refusal(answer: Any) -> dict[str, Any]:
    body = answer.json()
    [error] = body["errors"]
    assert body == {"data": None, "errors": [error], "success": False}
    assert error["errorMessage"]
    return dict(error)
