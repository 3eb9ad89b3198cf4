"""S1 and S2: what further worker processes bring, and what holds them back."""

from collections.abc import Callable

from benchmarks import databases, observing, waybill
from benchmarks.figures import Figure
from benchmarks.stack import Running

_NUMBERS = (1, 2, 4)


def plain_messages(running: Running, *, short: bool) -> list[Figure]:
    """S1: Echo messages in requests of 10,000 with 1, 2 and 4 worker processes."""
    messages, per_request = (2_000, 1_000) if short else (200_000, 10_000)

    def work(site: Running) -> float:
        return messages / waybill.flood(site, messages=messages, per_request=per_request)

    return _with_more_workers(running, "S1", "Echo", work, short=short)


def back_end_calls(running: Running, *, short: bool) -> list[Figure]:
    """S2: messages whose back end takes 0.1 s each with 1, 2 and 4 worker processes; the sandbox is the back end."""
    messages, per_request = (200, 100) if short else (10_000, 1_000)

    def work(site: Running) -> float:
        fields = {"message_type": "Vehicle", "sandbox": {"delay": 0.1}}
        return messages / waybill.flood(site, messages=messages, per_request=per_request, **fields)

    return _with_more_workers(running, "S2", "calls of 0.1 s", work, short=short)


def _with_more_workers(
    running: Running, part: str, what: str, work: Callable[[Running], float], *, short: bool
) -> list[Figure]:
    figures: list[Figure] = []
    for number in _NUMBERS[:1] if short else _NUMBERS:
        with (
            databases.database(running, f"workers_{number}") as site,
            databases.web(site) as served,
            databases.workers(served, number),
        ):
            work(served)  # everything is warm
            with observing.Observed(served) as observed:
                rate = work(served)
        name = f"{number} worker process{'es' if number > 1 else ''}, {what}"
        first = figures[0].value if figures else rate
        figures += [Figure(part, name, rate, "messages/s", rate / first), *observed.figures(part, name)]
    return figures
