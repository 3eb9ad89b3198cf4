"""How the operations follow each other, as OpenAPI links: what one answers, the next is asked for by.

In: the whole OpenAPI document. Out: the same, with links at the answers of the POSTs that create.
Called by drf-spectacular as a hook, through the settings.

Two rules make them. What is created under a path is asked for under that path, by the id of the answer's body or by its
`Request-Id`. And any request, whatever door it came through, is asked for by its `Request-Id` in the windows.
"""

import re
from collections.abc import Iterator
from typing import Any

WINDOWS = ("read_request", "cancel_request", "request_status_v3", "request_status_v2", "states")
"""The operations that take any Request-Id."""

_HEADER = "Request-Id"
_VERBS = ("/start", "/transition")
_PARAMETER = re.compile(r"{(\w+)}")
Document = dict[str, Any]


def add_links(result: Document, **_: Any) -> Document:
    """Add the links to a document; drf-spectacular's hook."""
    targets = {operation["operationId"]: path for path, _, operation in _operations(result)}
    for path, method, operation in _operations(result):
        if method != "post":
            continue
        # Where there is a 201, a 200 has created nothing.
        answer = operation["responses"][max(status for status in operation["responses"] if status < "300")]
        if links := dict(_links(path, answer, targets)):
            answer["links"] = links
    return result


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _links(path: str, answer: Document, targets: dict[str, str]) -> Iterator[tuple[str, Document]]:
    """Yield the links of one answer, named after the operations that they lead to."""
    collection = _collection(path)
    given = {name: f"$request.path.{name}" for name in _PARAMETER.findall(collection)}
    ids = {name: f"$response.body#/{name}" for name in _keys_of(answer)}
    request_id = f"$response.header.{_HEADER}" if _HEADER in answer.get("headers", {}) else None
    for name, target in targets.items():
        below = _PARAMETER.match(target.removeprefix(f"{collection}/"))
        source = ids.get(below[1], request_id) if below else None
        if below and source:
            yield name, _link(name, given | {below[1]: source})
        elif name in WINDOWS and request_id:
            yield name, _link(name, dict.fromkeys(_PARAMETER.findall(target), request_id))


def _collection(path: str) -> str:
    """Return the path that what is created here stands under."""
    for verb in _VERBS:
        path = path.removesuffix(verb)
    return path


def _keys_of(answer: Document) -> set[str]:
    """Return the keys of the answer's body."""
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return set(schema.get("properties", {}))


def _link(operation: str, parameters: dict[str, str]) -> Document:
    return {"operationId": operation, "parameters": parameters}
