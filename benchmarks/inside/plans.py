"""How PostgreSQL goes about tracking searches: `python -m benchmarks.inside.plans`, bodies of searches as its input.

Prints, for each body, the tables that a statement of its first page reads sequentially, and the indexes that it uses.
"""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import django

django.setup()

from django.db import connection  # noqa: E402 - Django is ready only now
from django.utils import timezone  # noqa: E402

from orchestrator.models import Client  # noqa: E402
from tracking.gateway import criteria, search  # noqa: E402

Statement = tuple[str, dict[str, Any]]


def main() -> None:
    client_id = Client.objects.get(name="demo").pk
    print(json.dumps([_ways(json.dumps(body).encode(), client_id=client_id) for body in json.load(sys.stdin)]))


def _ways(body: bytes, *, client_id: int) -> dict[str, list[str]]:
    nodes = [node for statement in _statements(body, client_id=client_id) for node in _nodes(_explain(statement))]
    sequential = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
    return {
        "sequential": sorted(sequential),
        "indexes": sorted({node["Index Name"] for node in nodes if "Index Name" in node}),
    }


def _statements(body: bytes, *, client_id: int) -> list[Statement]:
    """Return the statements that the window runs for the first piece of the answer, as it runs them."""
    seen: list[Statement] = []

    def note(execute: Callable[..., Any], sql: str, params: dict[str, Any], many: bool, context: Any) -> Any:
        seen.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        next(search.run(criteria.read(body, now=timezone.now()), client_id=client_id))
    return seen


def _explain(statement: Statement) -> dict[str, Any]:
    sql, params = statement
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
        plan = cursor.fetchone()[0]
    return dict((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes(below)


if __name__ == "__main__":
    main()
