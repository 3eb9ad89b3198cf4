"""Show JSON to people: indented, bounded, and with the fields masked that are not everybody's to see. Pure.

In: a message's JSON text, and the names from WAYBILL_MASKED_FIELDS. Out: text for a page, still to be escaped there.
Called by the desk.
"""

import json
from collections.abc import Sequence
from typing import Any

MASK = "•••"
LONGEST = 64 * 1024
"""Characters of a text that is indented or masked; a longer one is only shown in part, and to some not at all."""


class _Number(str):
    """A number as it was written: 1.0 stays 1.0, however many digits it has."""

    __slots__ = ()


def show(text: str | None, *, masked: Sequence[str], length: int | None = None, longest: int = LONGEST) -> str:
    """Return JSON text as people read it; `length` is the whole text's, where `text` is only its beginning.

    `masked`: names of fields at any depth (`iban`), or paths from the top (`customer.iban`, also `$.customer.iban`);
    arrays are passed through, and case doesn't count.
    """
    if text is None:
        return ""
    whole = len(text) if length is None else length
    if whole > min(len(text), longest):
        if masked:
            return f"not shown: {whole} characters are too many to mask its fields"
        return f"{text[:longest]}… ({whole} characters)"
    try:
        value = json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
        return _write(_mask(value, _split(masked), ""))
    except (ValueError, RecursionError):
        return "not shown: its fields can't be found" if masked else text


def _split(masked: Sequence[str]) -> frozenset[str]:
    """Return the wanted names and paths, as they are compared."""
    wanted = (name.strip().casefold().removeprefix("$.") for name in masked)
    return frozenset(name for name in wanted if name)


def _mask(value: Any, wanted: frozenset[str], path: str) -> Any:
    if not wanted:
        return value
    if isinstance(value, list):
        return [_mask(inner, wanted, path) for inner in value]
    if not isinstance(value, dict):
        return value
    return {name: _mask_field(name.casefold(), inner, wanted, path) for name, inner in value.items()}


def _mask_field(name: str, value: Any, wanted: frozenset[str], path: str) -> Any:
    """Mask a field by its name, at any depth, or by its path; a name with a dot in it is taken for both."""
    here = f"{path}.{name}" if path else name
    return MASK if name in wanted or here in wanted else _mask(value, wanted, here)


def _write(value: Any, indent: str = "") -> str:
    inner = indent + "  "
    if isinstance(value, dict) and value:
        lines = (f"{inner}{_quote(name)}: {_write(item, inner)}" for name, item in value.items())
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(inner + _write(item, inner) for item in value) + f"\n{indent}]"
    return str(value) if isinstance(value, _Number) else _quote(value)


def _quote(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
