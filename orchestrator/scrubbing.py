"""Keep payloads out of the log, although errors like to quote what they broke on.

In: what a log line or a handler's exception says. Out: the same without the data. Called by the log's processors and
by processing.
"""

import json
import re
import traceback
from collections.abc import Iterator, MutableMapping
from typing import Any

_SHORTEST = 4
_LONGEST_PAYLOAD = 64 * 1024
_MASK = "[...]"

# PostgreSQL quotes rows, keys and the statement, in which our parameters stand, behind these words. A row may go over
# several lines; in a repr they are written as backslash and n.
_QUOTING = re.compile(
    r"(?:\\n|\n)(?:DETAIL|CONTEXT|QUERY|LINE \d+):.*?(?=(?:\\n|\n)(?:HINT:|Traceback|The above|During handling)|$)",
    re.DOTALL,
)
_PYDANTIC = re.compile(r"input_value=.*?(?=, input_type=)", re.DOTALL)
_QUOTED_BY = ("error", "exception", "reason", "event")


def scrub_line(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop what PostgreSQL's errors quote of rows and statements; a processor of structlog's."""
    for name in _QUOTED_BY:
        text = line.get(name)
        if isinstance(text, str):
            line[name] = _QUOTING.sub("", text)
    return line


def describe(error: BaseException, *, payload: str | None) -> str:
    """Return an exception's repr without the values of the message that it is about."""
    name = type(error).__name__
    said = repr(error)
    return _mask(said if name in said else f"{name}: {said}", payload, otherwise=name)


def describe_whole(error: BaseException, *, payload: str | None) -> str:
    """Return an exception's traceback without the values of the message that it is about."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return _mask("".join(traceback.format_exception(error)), payload, otherwise=f"{frames}{type(error).__name__}")


def _mask(text: str, payload: str | None, *, otherwise: str) -> str:
    """Replace each value of the payload that stands in the text; one with too many to look for has the text dropped."""
    text = _PYDANTIC.sub(f"input_value={_MASK}", text)  # cut off in the middle: no value could be found again
    try:
        parsed = json.loads(payload) if payload is not None and len(payload) <= _LONGEST_PAYLOAD else None
    except (ValueError, RecursionError):
        return otherwise
    if parsed is None:
        return otherwise
    found = {form for value in _values(parsed) for form in _forms(value) if len(form) >= _SHORTEST and form in text}
    for form in sorted(found, key=len, reverse=True):
        text = text.replace(form, _MASK)
    return text


def _values(parsed: Any) -> Iterator[str]:
    """Yield what a payload holds at its ends, as text; names of fields are no secret."""
    if isinstance(parsed, dict):
        for value in parsed.values():
            yield from _values(value)
    elif isinstance(parsed, list):
        for value in parsed:
            yield from _values(value)
    elif isinstance(parsed, str | int | float) and not isinstance(parsed, bool):
        yield str(parsed)


def _forms(value: str) -> set[str]:
    """Return how a value may be written: as it is, in a repr, in JSON, and these once more in a repr."""
    forms = {value, repr(value)[1:-1], json.dumps(value)[1:-1]}
    return forms | {form.replace("\\", "\\\\") for form in forms}
