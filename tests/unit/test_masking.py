"""JSON for people: indented, faithful, bounded, and masked where it is not everybody's to see."""

import pytest

from orchestrator import masking

ORDER = '{"customer":{"IBAN":"DE02","name":"Ada"},"lines":[{"iban":"DE03","price":1.10}],"total":12345678901234567890}'


def test_json_is_indented_and_numbers_stay_as_they_were_written() -> None:
    assert masking.show('{"a":[1.0,{"b":null}],"e":{},"ü":"<b>"}', masked=()) == (
        '{\n  "a": [\n    1.0,\n    {\n      "b": null\n    }\n  ],\n  "e": {},\n  "ü": "<b>"\n}'
    )


def test_a_name_is_masked_at_any_depth_and_in_any_case() -> None:
    shown = masking.show(ORDER, masked=["iban"])

    assert "DE02" not in shown
    assert "DE03" not in shown
    assert shown.count(masking.MASK) == 2
    assert "Ada" in shown
    assert "12345678901234567890" in shown


@pytest.mark.parametrize("path", ["customer.iban", "$.customer.iban", " Customer.IBAN "])
def test_a_path_is_masked_from_the_top(path: str) -> None:
    shown = masking.show(ORDER, masked=[path])

    assert "DE02" not in shown
    assert "DE03" in shown


def test_a_path_passes_through_arrays_and_hides_what_is_within() -> None:
    assert "DE03" not in masking.show(ORDER, masked=["lines.iban"])
    assert "Ada" not in masking.show(ORDER, masked=["customer"])


def test_a_field_with_a_dot_in_its_name_is_masked_like_the_path_of_that_name() -> None:
    shown = masking.show('{"customer.name":"Ada","a":[{"customer.name":"Eve"}],"x.y":"kept"}', masked=["customer.name"])

    assert shown.count(masking.MASK) == 2
    assert "kept" in shown


def test_what_is_too_long_is_shown_in_part_or_to_some_not_at_all() -> None:
    text = '{"iban":"' + "x" * 100 + '"}'

    assert masking.show(text, masked=(), longest=20) == f"{text[:20]}… (111 characters)"
    assert masking.show(text[:20], masked=(), length=111) == f"{text[:20]}… (111 characters)"
    assert "x" not in masking.show(text, masked=["iban"], longest=20).replace("characters", "")
    assert "iban" not in masking.show(text[:20], masked=["iban"], length=111)


@pytest.mark.parametrize("text", ["no json", "[" * 30_000 + "]" * 30_000])
def test_what_can_not_be_read_is_shown_as_it_is_only_to_those_who_may_see_all(text: str) -> None:
    assert masking.show(text, masked=()) == text
    assert masking.show(text, masked=["iban"]).startswith("not shown")


def test_nothing_is_shown_of_nothing() -> None:
    assert masking.show(None, masked=["a"]) == ""
