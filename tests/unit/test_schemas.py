"""What is said of fields that do not fit their type."""

import pydantic
import pytest

from orchestrator import schemas

TICKET = {
    "type": "object",
    "required": ["title"],
    "properties": {
        "title": {"type": "string", "maxLength": 10},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}


class Ticket(pydantic.BaseModel):
    title: str
    tags: list[str] = []


@pytest.mark.parametrize("schema", [schemas.from_json_schema(TICKET), schemas.from_model(Ticket)])
def test_fields_that_fit_have_no_problems(schema: schemas.PayloadSchema) -> None:
    assert schema.problems('{"title": "Hello", "tags": ["a"], "more": 123456789012345678901234567890}') == []


def test_json_schema_names_each_problem_with_its_place() -> None:
    problems = schemas.from_json_schema(TICKET).problems('{"title": "far too long a title", "tags": ["a", 5]}')

    assert sorted(problems) == [
        'tags.1: value is not of type "string"',
        "title: value is longer than 10 characters",
    ]


def test_json_schema_names_a_problem_of_the_whole_without_a_place() -> None:
    assert schemas.from_json_schema(TICKET).problems("{}") == ['"title" is a required property']


def test_a_pydantic_model_names_each_problem_with_its_place() -> None:
    problems = schemas.from_model(Ticket).problems('{"tags": ["a", 5]}')

    assert problems == ["title: Field required", "tags.1: Input should be a valid string"]


def test_no_more_problems_are_told_than_help() -> None:
    schema = schemas.from_json_schema({"additionalProperties": {"type": "string"}})

    assert len(schema.problems("{" + ",".join(f'"f{n}": {n}' for n in range(1000)) + "}")) == schemas.MAX_PROBLEMS


@pytest.mark.parametrize("document", [{"type": "nonsense"}, {"$ref": "https://elsewhere.example/schema.json"}])
def test_what_is_no_json_schema_or_leads_elsewhere_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"nonsense|elsewhere"):
        schemas.from_json_schema(document)


def test_parse_keeps_long_integers_exact() -> None:
    assert schemas.parse('{"n": 123456789012345678901234567890}') == {"n": 123456789012345678901234567890}
