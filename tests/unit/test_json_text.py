"""What JSON is let in, and what two bodies must share to be the same."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import json_text


def nested(depth: int, *, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * depth + closing * depth


@pytest.mark.parametrize(
    "body",
    [
        b'{"batchReference": "b", "payload": [{"messageType": "Echo", "n": 1.50}]}',
        b"null",
        b' [1, -0, 0.5, 1e5, 1E-400, true, false, null, "x"] ',
        b"9" * 30,
        b"-" + b"9" * 308,
        b"1" + b"0" * 308,
        b"1.7976931348623157e308",
        b"0." + b"0" * 5000 + b"1",
        rb'"\\u0000 is six characters after a backslash"',
        rb'"\ud83d\ude00 \u00e9 \" \\"',
        '"Ω 😀"'.encode(),
        b'"1e999 in a text, and NaN"',
        b'"' + b"[" * 5000 + b'"',
        rb'"\"' + b"[" * 5000 + rb'\\"',
        nested(100),
        nested(50, opening=b'{"a":[', closing=b"]}"),
        b"[" + b",".join([nested(99)] * 50) + b"]",
    ],
)
def test_json_that_can_be_kept_passes(body: bytes) -> None:
    json_text.check(body)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a": 1,}', "not valid JSON"),
        (b'{"a": 1} x', "not valid JSON"),
        (b"{'a': 1}", "not valid JSON"),
        (b'{"a": 01}', "not valid JSON"),
        (b'{"a": .5}', "not valid JSON"),
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"a": -Infinity}', "not valid JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "not valid JSON"),
        (b'"\x00"', "not valid JSON"),
        (b'"line\nbreak"', "not valid JSON"),
        (rb'"\x"', "not valid JSON"),
        (b'"\xff"', "not UTF-8"),
        (b'{"\xff": 1}', "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (rb'"\u0000"', "NUL"),
        (rb'{"a\u0000": 1}', "NUL"),
        (rb'"\\\u0000"', "NUL"),
        (rb'"\ud800"', "surrogate"),
        (rb'"\ud83d and more"', "surrogate"),
        (rb'"\ude00"', "surrogate"),
        (rb'{"\uD800\u0041": 1}', "surrogate"),
        (b"1e999", "range"),
        (b'{"a": [0, -1e309]}', "range"),
        (b"1.8E+308", "range"),
        (b"9" * 309, "range"),
        (rb'{"\"": 1e999}', "range"),
        (rb'{"\\": 1e999}', "range"),
        (nested(101), "nested"),
        (nested(5000), "nested"),
        (b"[" * 5000, "nested"),
        (nested(51, opening=b'{"a":[', closing=b"]}"), "nested"),
        (rb'["\"", "\\", ' + nested(100) + b"]", "nested"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_the_reason(body: bytes, says: str) -> None:
    with pytest.raises(json_text.BadJSON, match=says):
        json_text.check(body)


def test_a_million_opening_brackets_are_refused_without_a_crash() -> None:
    with pytest.raises(json_text.BadJSON):
        json_text.check(b"[" * 1_000_000)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0")), inner)
    ),
    max_leaves=30,
)


@given(JSON_VALUES, st.booleans())
def test_whatever_a_proper_encoder_writes_passes(value: object, ascii_only: bool) -> None:
    json_text.check(json.dumps(value, ensure_ascii=ascii_only).encode())


@given(st.text(alphabet='[]{}":,\\u0000deE+-.19 tfn\0', max_size=40))
def test_whatever_passes_is_read_alike_by_another_parser(text: str) -> None:
    try:
        json_text.check(text.encode())
    except json_text.BadJSON:
        return

    value = json.loads(text, parse_constant=pytest.fail)

    assert "\0" not in repr(value)
    json.dumps(value, allow_nan=False).encode()


def test_canonical_text_is_the_same_for_the_same_value() -> None:
    one = json_text.canonical(rb'{"b": [1.50, 1e2], "a": "\u00e9\n", "n": 123456789012345678901234567890}')
    other = json_text.canonical('{"n":123456789012345678901234567890,"a":"é\\u000a","b":[1.50,1e2]}'.encode())

    assert one == other
    assert one.decode() == '{"a":"é\\n","b":[1.50,1e2],"n":123456789012345678901234567890}'


@pytest.mark.parametrize(
    ("one", "other"),
    [(b"1", b"1.0"), (b"1e2", b"100"), (b"[1,2]", b"[2,1]"), (b'"1"', b"1"), (b"{}", b"[]"), (b"0", b"-0")],
)
def test_canonical_text_differs_for_other_values_and_other_spellings_of_numbers(one: bytes, other: bytes) -> None:
    assert json_text.canonical(one) != json_text.canonical(other)


def test_canonical_text_is_made_of_integers_longer_than_python_converts() -> None:
    long = b"9" * (sys.get_int_max_str_digits() + 1)

    assert json_text.canonical(long) == long


@given(JSON_VALUES)
def test_canonical_text_still_means_the_same(value: object) -> None:
    assert json.loads(json_text.canonical(json.dumps(value).encode())) == value
