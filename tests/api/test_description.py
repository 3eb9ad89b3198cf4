"""The OpenAPI document: complete, true to itself, and with links that lead from one operation to the next."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from drf_spectacular.generators import SchemaGenerator

from orchestrator.api import links


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def bodies(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body that is sent or answered, with where it is: the schema and the examples."""
    for _, operation in operations(document):
        name = operation["operationId"]
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            yield f"{name}: {kind}", content
        for status, answer in operation["responses"].items():
            for content in answer.get("content", {}).values():
                yield f"{name}: {status}", content


def test_every_body_has_an_example(document: dict[str, Any]) -> None:
    assert [place for place, content in bodies(document) if not content.get("examples")] == []


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    wrong = []
    for place, content in bodies(document):
        rooted = {"components": document["components"], "allOf": [content["schema"]]}
        validator = jsonschema_rs.validator_for(rooted, validate_formats=True)
        for name, example in content.get("examples", {}).items():
            wrong += [f"{place} ({name}): {error.message}" for error in validator.iter_errors(example["value"])]

    assert wrong == []


def test_every_refusal_is_told_in_a_body(document: dict[str, Any]) -> None:
    silent = [
        f"{operation['operationId']}: {status}"
        for _, operation in operations(document)
        for status, answer in operation["responses"].items()
        if status >= "400" and not answer.get("content")
    ]

    assert silent == []


def test_every_parameter_of_a_path_is_described(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
        assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}, path
        assert all(each.get("description") for each in operation.get("parameters", [])), path


# ---------------------------------------------------------------- links


def links_of(document: dict[str, Any], wanted: str, status: str) -> dict[str, dict[str, str]]:
    [answer] = [
        operation["responses"][status] for _, operation in operations(document) if operation["operationId"] == wanted
    ]
    return {name: link["parameters"] for name, link in answer.get("links", {}).items()}


@pytest.mark.parametrize(
    ("door", "status"),
    [
        ("submit_request", "202"),
        ("submit_messages", "200"),
        ("startup", "200"),
        ("call", "200"),
        ("bulk", "200"),
        ("service_start", "201"),
        ("place_order", "201"),
    ],
)
def test_every_window_is_asked_by_the_request_id_of_every_door(
    document: dict[str, Any], door: str, status: str
) -> None:
    found = links_of(document, door, status)

    assert set(links.WINDOWS) <= set(found)


def test_what_is_created_is_asked_for_below_the_path_that_created_it(document: dict[str, Any]) -> None:
    assert links_of(document, "place_order", "201")["read_order"] == {"id": "$response.header.Request-Id"}
    assert links_of(document, "service_start", "201")["state_start"] == {"service_id": "$response.body#/service_id"}
    assert links_of(document, "state_transition", "201")["state_end"] == {
        "service_id": "$request.path.service_id",
        "state_id": "$response.body#/state_id",
    }


def test_every_link_leads_to_an_operation_and_names_parameters_of_its_path(document: dict[str, Any]) -> None:
    paths = {operation["operationId"]: path for path, operation in operations(document)}
    found = [
        link
        for _, operation in operations(document)
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]

    assert found
    for link in found:
        assert all(f"{{{name}}}" in paths[link["operationId"]] for name in link["parameters"])
