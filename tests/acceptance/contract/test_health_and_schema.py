"""Health endpoints, the OpenAPI schema and its pages."""

import re
from typing import Any

import pytest

from tests.acceptance.contract.api import Api

PATHS = [
    "/oauth/token",
    "/api/v1/requests",
    "/api/v1/requests/{}",
    "/api/v1/requests/{}/cancel",
    "/api/v1/messages/{}",
    "/api/v1/tracking",
    "/api/v3/global/call/{}",
    "/api/v2/global/call/{}",
]


@pytest.fixture(scope="module")
def schema(demo: Api) -> dict[str, Any]:
    answer = demo.http.get("/api/schema", headers={"Accept": "application/json, application/vnd.oai.openapi+json"})
    assert answer.status_code == 200
    return dict(answer.json())


def test_alive_and_ready_without_credentials(demo: Api) -> None:
    assert demo.http.get("/livez").status_code == 200
    ready = demo.http.get("/readyz")

    assert ready.status_code == 200
    assert ready.headers["Content-Type"].split(";")[0] == "application/json"
    for part in ("database", "broker", "migrations"):
        assert part in ready.text


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health_is_get_only(demo: Api, path: str) -> None:
    assert demo.http.post(path).status_code == 405


def test_the_schema_describes_every_door_and_window(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")
    described = {re.sub(r"\{[^}]*\}", "{}", path).rstrip("/") for path in schema["paths"]}
    assert set(PATHS) <= described


def test_every_operation_describes_its_answers_and_errors(schema: dict[str, Any]) -> None:
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            if not path.startswith("/api/v") or method == "parameters":
                continue
            assert {"401", "403"} <= set(operation["responses"]), (method, path)
            assert any(code.startswith("2") for code in operation["responses"]), (method, path)


def test_bodies_have_examples(schema: dict[str, Any]) -> None:
    for path in schema["paths"]:
        post = schema["paths"][path].get("post")
        if post and path.startswith("/api/v1") and "cancel" not in path:
            content = post["requestBody"]["content"]["application/json"]
            assert "example" in str(content), path


def test_the_schema_as_a_tool_gets_it_by_default(demo: Api) -> None:
    answer = demo.http.get("/api/schema")

    assert answer.status_code == 200
    assert "openapi" in answer.text[:2000]


@pytest.mark.parametrize("path", ["/api/docs", "/api/docs/"])
def test_swagger_is_served_here(demo: Api, path: str) -> None:
    page = demo.http.get(path)

    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert "swagger" in page.text.lower()
    local = re.findall(r'(?:src|href)="([^"]+\.(?:js|css))"', page.text)
    assert local, "no scripts of its own"
    for url in local:
        assert url.startswith("/"), f"{url} needs the network"
        assert demo.http.get(url).status_code == 200, url
