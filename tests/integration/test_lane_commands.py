"""`manage.py lane` and `manage.py worker`: for operators without a browser; each deed has its entry all the same."""

import io
import uuid

import pytest
from django.core.management import CommandError, call_command

from orchestrator.models import AuditEntry, Lane, Worker
from tests import engine, factories

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    """Run a command and return what it printed."""
    printed = io.StringIO()
    call_command(*arguments, stdout=printed)
    return printed.getvalue()


class TestLane:
    def test_is_paused_and_resumed_with_an_entry_each(self) -> None:
        Lane.objects.create(name="Echo", queue="waybill")

        assert run("lane", "pause", "Echo") == "lane: Echo (paused)\n"
        assert run("lane", "pause", "Echo") == "lane: Echo (paused, as it was)\n"
        assert Lane.objects.get().paused
        assert run("lane", "resume", "Echo") == "lane: Echo (open)\n"
        assert not Lane.objects.get().paused

        entries = AuditEntry.objects.order_by("id")
        assert [entry.action for entry in entries] == ["pause", "pause", "resume"]
        assert entries[0].actor.startswith("command line: ")

    def test_that_is_unknown_is_told_in_one_line_and_recorded(self) -> None:
        with pytest.raises(CommandError, match=r"^there is no lane 'Nothing'$"):
            run("lane", "pause", "Nothing")

        assert AuditEntry.objects.get().outcome == "refused"

    def test_is_listed(self) -> None:
        engine.hand_in(client_id=factories.make_client().pk, payloads=[{}] * 3)
        engine.claim("Echo", limit=1)
        Lane.objects.create(name="Other", queue="waybill", paused=True)

        assert (
            run("lane", "list") == "Echo: open, 2 queued, 1 in processing\nOther: paused, 0 queued, 0 in processing\n"
        )


class TestWorker:
    def test_is_drained_and_put_back_to_work_with_an_entry_each(self) -> None:
        worker_id = str(Worker.objects.create(id=uuid.uuid4(), host="here", pid=1, queues=[]).id)

        assert run("worker", "drain", worker_id) == f"worker: {worker_id} (draining)\n"
        assert Worker.objects.get().draining
        assert run("worker", "undrain", worker_id) == f"worker: {worker_id} (working)\n"
        assert not Worker.objects.get().draining

        assert [entry.action for entry in AuditEntry.objects.order_by("id")] == ["drain", "put back to work"]

    def test_that_is_unknown_is_told_in_one_line_and_recorded(self) -> None:
        with pytest.raises(CommandError, match=r"^there is no worker 'worker-1'$"):
            run("worker", "drain", "worker-1")

        assert AuditEntry.objects.get().outcome == "refused"

    def test_is_listed_with_what_it_is_about(self) -> None:
        engine.hand_in(client_id=factories.make_client().pk, payloads=[{}] * 3)
        Worker.objects.create(id=engine.WORKER, host="here", pid=7, queues=[], draining=True)
        idle, drained = (
            Worker.objects.create(
                id=uuid.uuid4(), host="there", pid=pid, queues=[], draining=pid == 9, resting=pid == 9
            )
            for pid in (8, 9)
        )
        engine.claim("Echo", limit=2)

        assert run("worker", "list").splitlines() == [
            f"{engine.WORKER} here:7 draining, holds Echo 2",
            f"{idle.id} there:8 idle, holds nothing",
            f"{drained.id} there:9 drained, holds nothing",
        ]
