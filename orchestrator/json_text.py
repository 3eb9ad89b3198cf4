"""JSON as text: strict about what is let in, faithful about what is kept.

In: the bytes of a body. Out: nothing when it is JSON that can be kept, `BadJSON` when it is not; and the canonical
form that idempotency compares. Called by every door that takes JSON.
"""

import json
import math
import re

import msgspec

MAX_DEPTH = 100

# msgspec checks the grammar, and refuses NaN, comments and lone surrogates. What it lets through is looked for here:
# bad UTF-8, NUL, numbers beyond double range, deep nesting. Each check is a pass or two at C speed over the whole body,
# and allocates next to nothing: a Python step a value would cost more than storing the message does.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")
_LONE_SURROGATE = re.compile(rb"\\u(?:[dD][89abAB]..(?!\\u[dD][c-fC-F])|[dD][c-fC-F])")
_SUSPICIOUS = re.compile(rb"[0-9][0-9.]{99}|[0-9][0-9.]*+[eE]\+?[0-9]{3}")
"""The beginning of what may be a number beyond double range: shorter ones with smaller exponents are not."""
_NUMBER = re.compile(rb"[0-9][-+.0-9eE]*+")
_TO_ROUND = bytes.maketrans(b"[]{}", b"()()")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))


class BadJSON(Exception):
    """The text is not JSON that can be kept; the message says why, for the client."""


def check(body: bytes) -> None:
    """Raise BadJSON unless `body` is JSON whose every text and number can be stored and handed on as it is."""
    _check_encoding(body)
    _check_grammar(body)
    _check_nul(body)
    bare = _without_escaped_quotes(body)
    _check_numbers(bare)
    _check_depth(bare)


def canonical(body: bytes) -> bytes:
    """Return the canonical form of checked JSON: keys sorted, no spaces, text by its value, numbers as written."""
    value = json.loads(body, parse_int=msgspec.Raw, parse_float=msgspec.Raw)
    return msgspec.json.encode(value, order="sorted")


def _check_encoding(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BadJSON(f"The body is not UTF-8 (byte {error.start}).") from error


def _check_grammar(body: bytes) -> None:
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except RecursionError as error:
        raise BadJSON(_too_deep()) from error
    except msgspec.DecodeError as error:
        if _LONE_SURROGATE.search(body):
            raise BadJSON("The body is not valid JSON: a text holds half a surrogate pair.") from error
        raise BadJSON(f"The body is not valid JSON: {error}.") from error


def _check_nul(body: bytes) -> None:
    if rb"\u0000" in body and _NUL.search(body):
        raise BadJSON("The body holds a NUL character, which can't be kept.")


def _without_escaped_quotes(body: bytes) -> bytes:
    """Take out escaped backslashes, then escaped quotation marks: those that stay begin and end a string."""
    return body.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in body else body


def _check_numbers(bare: bytes) -> None:
    """Refuse numbers that no double can hold. Integers within its range pass, however many digits they have."""
    outside = 0  # a place that is in no string
    while found := _SUSPICIOUS.search(bare, outside):
        if bare.count(b'"', outside, found.start()) % 2:
            outside = bare.index(b'"', found.start()) + 1
            continue
        number = bare[found.start() : _end_of_number(bare, found.start())]
        if math.isinf(float(number)):
            raise BadJSON("The body holds a number beyond the range of a double.")
        outside = found.start() + len(number)


def _end_of_number(text: bytes, start: int) -> int:
    found = _NUMBER.match(text, start)
    return found.end() if found else start


def _check_depth(bare: bytes) -> None:
    """Refuse nesting beyond MAX_DEPTH: each pass takes the innermost pairs away, so the passes count the levels."""
    # Dropping two quotation marks that stand side by side leaves it unchanged what is inside a string.
    quoted = bare.translate(_TO_ROUND, _NOT_STRUCTURE).replace(b'""', b"")
    brackets = b"".join(quoted.split(b'"')[::2])
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"()", b"")
        if not brackets:
            return
    if brackets:
        raise BadJSON(_too_deep())


def _too_deep() -> str:
    return f"The body is nested more than {MAX_DEPTH} levels deep."
