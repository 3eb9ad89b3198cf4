"""A request handed in and followed over HTTP, as any client would.

In: an address, credentials, a JSON body. Out: its id, its progress on the terminal, and whether all went well.
Called by `manage.py submit`.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import httpx2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from orchestrator import lifecycle

_PATIENCE = 60.0
"""Seconds for which an unreachable server is asked again, once the request is accepted."""
_PAUSES = (0.1, 0.2, 0.3, 0.5)
_MOST_ROWS = 50


class Refused(Exception):
    """The API can't be reached, or said no. The text says why."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request that was accepted; `errors` are those of its Invalid messages."""

    id: str
    errors: list[str]


@dataclass(frozen=True, slots=True)
class Summary:
    """How far a request is: its messages by status."""

    total: int
    counts: dict[str, int]

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """Take the numbers of `messageStatusSummary`."""
        summary = data["messageStatusSummary"]
        return cls(total=summary["total"], counts={status: summary[status.lower()] for status in lifecycle.Status})

    @property
    def finished(self) -> int:
        """How many messages are in a final status."""
        return sum(self.counts[status] for status in lifecycle.FINAL)

    @property
    def unsuccessful(self) -> int:
        """How many messages ended other than Complete."""
        return sum(self.counts[status] for status in lifecycle.UNSUCCESSFUL)

    def __str__(self) -> str:
        """Name the statuses that have messages."""
        return ", ".join(f"{count} {status}" for status, count in self.counts.items() if count)


class Api:
    """The Gateway's doors at one address, for one client."""

    def __init__(self, *, url: str, client: str, secret: str) -> None:
        """Remember where, and as whom. Nothing is sent yet."""
        self._url = url.rstrip("/")
        self._client = httpx2.Client(auth=httpx2.BasicAuth(client, secret), timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        """Use the connection for several calls."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._client.close()

    def submit(self, body: bytes) -> Accepted:
        """Hand a body in; raise `Refused`."""
        answer = self._ask("POST", "/api/v1/requests", content=body, headers={"Content-Type": "application/json"})
        content = answer.json()
        return Accepted(id=content["data"]["id"], errors=_read_errors(content))

    def read(self, request_id: str, *, whole: bool = False) -> dict[str, Any]:
        """Return the request as it is now, with its messages when the `whole` of it is wanted."""
        prefer = {} if whole else {"Prefer": "return=minimal"}
        data: dict[str, Any] = self._ask("GET", f"/api/v1/requests/{request_id}", headers=prefer).json()["data"]
        return data

    def watch(self, request_id: str) -> Iterator[Summary]:
        """Yield how far the request is, often at first, until all its messages are final.

        Whatever keeps the answer away for less than a minute (a restart, say) is waited out.
        """
        pauses, reached_at = iter(_PAUSES), time.monotonic()
        while True:
            try:
                summary = Summary.read(self.read(request_id))
            except Unreachable:
                if time.monotonic() - reached_at > _PATIENCE:
                    raise
            else:
                reached_at = time.monotonic()
                yield summary
                if summary.finished == summary.total:
                    return
            time.sleep(next(pauses, _PAUSES[-1]))

    def _ask(self, method: str, path: str, **call: Any) -> httpx2.Response:
        try:
            answer = self._client.request(method, self._url + path, **call)
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as wrong:
            raise Refused(f"not an address: {self._url}") from wrong
        except httpx2.HTTPError as broken:
            raise Unreachable(f"{self._url} can't be reached; is the stack up? ({broken})") from broken
        if answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
            raise Unreachable(_explain(answer))
        if not answer.is_success:
            raise Refused(_explain(answer))
        return answer


class Unreachable(Refused):
    """The API is away, perhaps for a moment only."""


def show_progress(console: Console, summaries: Iterator[Summary]) -> Summary:
    """Draw a bar that grows with the finished messages, and return the last summary."""
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=None)
        for summary in summaries:
            progress.update(bar, total=summary.total, completed=summary.finished, description=str(summary))
    return summary


def make_table(data: dict[str, Any], summary: Summary) -> Table:
    """Return the final table: the messages, what went wrong first, at most fifty."""
    messages = sorted(data["payload"], key=lambda message: message["messageStatus"] not in lifecycle.UNSUCCESSFUL)
    table = Table("externalReference", "messageType", "messageStatus", "error", caption=f"{summary.total}: {summary}")
    for message in messages[:_MOST_ROWS]:
        errors = "; ".join(error["errorMessage"] for error in message.get("errors", []))
        cells = (message["externalReference"], message["messageType"], message["messageStatus"], errors)
        table.add_row(*(Text(cell or "", overflow="fold") for cell in cells))
    if len(messages) > _MOST_ROWS:
        table.add_row(f"… and {len(messages) - _MOST_ROWS} more")
    return table


def _explain(answer: httpx2.Response) -> str:
    """Put an error answer into one line for each of its errors."""
    try:
        texts = _read_errors(answer.json())
    except (ValueError, TypeError, KeyError, AttributeError):
        texts = []
    return f"the API answered {answer.status_code}: {'; '.join(texts) or answer.reason_phrase}"


def _read_errors(content: dict[str, Any]) -> list[str]:
    return [_read_error(error) for error in content["errors"]]


def _read_error(error: dict[str, Any]) -> str:
    where = " ".join(f"{name} {error[name]}" for name in ("index", "field") if name in error)
    return f"{where}: {error['errorMessage']}" if where else str(error["errorMessage"])
