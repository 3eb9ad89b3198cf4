"""The links of the OpenAPI document: what one operation answers leads to the next."""

from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from orchestrator.api import links


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


def operations(document: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    return {
        operation["operationId"]: (path, operation)
        for path, methods in document["paths"].items()
        for operation in methods.values()
    }


def links_of(document: dict[str, Any], operation: str, status: str) -> dict[str, dict[str, str]]:
    answer = operations(document)[operation][1]["responses"][status]
    return {name: link["parameters"] for name, link in answer.get("links", {}).items()}


@pytest.mark.parametrize(
    ("door", "status"),
    [("submit_request", "202"), ("submit_messages", "200"), ("call", "200"), ("bulk", "200"), ("place_order", "201")],
)
def test_every_window_is_asked_by_the_request_id_of_every_door(
    document: dict[str, Any], door: str, status: str
) -> None:
    found = links_of(document, door, status)

    assert set(links.WINDOWS) <= set(found)
    assert {value for name in links.WINDOWS for value in found[name].values()} == {"$response.header.Request-Id"}


def test_what_is_created_is_asked_for_below_the_path_that_created_it(document: dict[str, Any]) -> None:
    assert links_of(document, "place_order", "201")["read_order"] == {"id": "$response.header.Request-Id"}
    assert links_of(document, "service_start", "201")["state_start"] == {"service_id": "$response.body#/service_id"}
    assert links_of(document, "state_transition", "201")["state_end"] == {
        "service_id": "$request.path.service_id",
        "state_id": "$response.body#/state_id",
    }


def test_every_link_leads_to_an_operation_and_names_parameters_of_its_path(document: dict[str, Any]) -> None:
    known = operations(document)
    found = [
        link
        for _, operation in known.values()
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]

    assert found
    for link in found:
        path, _ = known[link["operationId"]]
        assert all(f"{{{name}}}" in path for name in link["parameters"])
