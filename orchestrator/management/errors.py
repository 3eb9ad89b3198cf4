"""What an operator can put right is told in one line, with exit status 1; everything else keeps its traceback.

In: what a command runs. Out: `CommandError`. Called by every command.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import django.db
from django.core.management.base import CommandError

from orchestrator import backend_types, clients, lanes, workers


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turn refusals, and a ledger that is away or empty, into `CommandError`."""
    try:
        yield
    except (clients.Refused, backend_types.Refused, lanes.UnknownLane, workers.UnknownWorker) as refused:
        raise CommandError(str(refused)) from refused
    except django.db.OperationalError as away:
        raise CommandError(f"the ledger can't be reached; is the stack up? ({_first_line(away)})") from away
    except django.db.ProgrammingError as missing:
        raise CommandError(f"the ledger isn't ready; has it been migrated? ({_first_line(missing)})") from missing


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
