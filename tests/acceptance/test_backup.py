"""A backup taken under load, restored elsewhere: everything it holds is carried to its end (docs/operations.md)."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from config.embedded import postgres
from orchestrator import backend_types
from orchestrator.lifecycle import Status
from orchestrator.models import Claim, Message, Request
from tests import factories
from tests.acceptance import backend, hardship, stacks
from tests.processes import WorkerProcess, stack_environment
from tests.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

MESSAGES = 2000


def test_what_was_accepted_before_the_backup_ends_once_in_the_restored_ledger(
    tmp_path: Path, worker_process: Callable[..., WorkerProcess]
) -> None:
    account = factories.make_account()
    with backend.running() as called:
        backend_types.save("Called", {"url": called.url, "attempts": 20})
        worker = worker_process()
        hardship.submit(account, ["Echo", "Called"] * (MESSAGES // 2))
        eventually(lambda: Claim.objects.exists() and called.calls.total() > 50, within=30, what="work under way")

        client_program("pg_dump", "--format=custom", "--file", str(tmp_path / "backup"), address())
        worker.stop()
        with restored(tmp_path / "backup"):
            held = Claim.objects.count()
            still_open = hardship.open_messages()
            worker_process()
            books = hardship.close_books()
            feeds = Request.objects.filter(completed_at=None).count()

    assert (held > 0, still_open > 0) == (True, True)  # it was taken in the middle
    assert books.by_status == {Status.COMPLETE: MESSAGES}
    assert (books.unbalanced, feeds) == ([], 0)
    assert set(called.calls) <= set(map(str, Message.objects.values_list("id", flat=True)))


@contextmanager
def restored(backup: Path) -> Iterator[None]:
    """Restore a backup into a new database, and let this process and those it starts use that."""
    before, url = connection.settings_dict["NAME"], stacks.external_database()
    client_program("pg_restore", "--no-owner", "--exit-on-error", "--dbname", url, str(backup))
    connection.close()
    connection.settings_dict["NAME"] = url.rsplit("/", 1)[1]
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


def address() -> str:
    return stack_environment()["DATABASE_URL"]


def client_program(name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's own programs: they came with the server."""
    done = subprocess.run(
        [postgres._wheel() / "pginstall" / "bin" / name, *arguments],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
