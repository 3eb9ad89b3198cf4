"""Rules that hold at every door and window: paths, methods, Request-Id, own only, query parameters."""

import uuid
from collections.abc import Callable

import httpx2
import pytest

from tests.acceptance.contract.api import Api, assert_nak, assert_refused, message, request

UNKNOWN = {"errorCode": "GLOBAL_1003", "text": "Provided request ID does not exist for your account"}
BAD_IDS = [
    "nonsense",
    "123",
    "00000000-0000-0000-0000-00000000000g",
    "'; drop table",
    "%00",
    "%F0%9F%92%A9",
    "%ff",
    "a" * 3000,
]


@pytest.fixture(scope="module")
def mine(demo: Api) -> str:
    """A finished request of two messages."""
    return str(demo.done(message(), message())["id"])


@pytest.mark.parametrize("slash", ["", "/"])
def test_paths_answer_with_and_without_the_last_slash(demo: Api, mine: str, slash: str) -> None:
    answers = [
        demo.post(f"/api/v1/requests{slash}", request()),
        demo.post(f"/api/v1/messages/Echo{slash}", request()),
        demo.get(f"/api/v1/requests/{mine}{slash}"),
        demo.post(f"/api/v1/requests/{mine}/cancel{slash}"),
        demo.post(f"/api/v1/tracking{slash}", {}),
        demo.get(f"/api/v3/global/call/{mine}{slash}"),
        demo.get(f"/api/v2/global/call/{mine}{slash}"),
        demo.http.post(f"/oauth/token{slash}", data={"grant_type": "client_credentials"}, auth=demo.basic),
        demo.http.get(f"/livez{slash}"),
        demo.http.get(f"/readyz{slash}"),
    ]

    assert [answer.status_code for answer in answers] == [202, 200, 200, 409, 200, 200, 200, 200, 200, 200]


WRONG_METHODS = [
    ("/api/v1/requests", ["GET", "PUT", "PATCH", "DELETE"]),
    ("/api/v1/messages/Echo", ["GET", "PUT", "PATCH", "DELETE"]),
    ("/api/v1/tracking", ["GET", "PUT", "PATCH", "DELETE"]),
    ("/api/v1/requests/{id}", ["POST", "PUT", "PATCH", "DELETE"]),
    ("/api/v1/requests/{id}/cancel", ["GET", "PUT", "PATCH", "DELETE"]),
]


@pytest.mark.parametrize(("path", "methods"), WRONG_METHODS)
def test_a_wrong_method_is_405_in_the_windows_body(demo: Api, mine: str, path: str, methods: list[str]) -> None:
    for method in methods:
        answer = demo.raw(path.replace("{id}", mine), b"{}", method=method)

        assert_refused(answer, 405)
        assert answer.headers["Allow"]


@pytest.mark.parametrize("version", ["v2", "v3"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_wrong_method_on_request_status_is_global_1002(demo: Api, mine: str, version: str, method: str) -> None:
    assert_nak(demo.raw(f"/api/{version}/global/call/{mine}", b"{}", method=method), 405, "GLOBAL_1002")


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/api", "/api/", "/api/v1", "/api/v1/nothing", "/api/v9/requests", "/%00", "/a/../../etc/passwd"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_path_of_no_family_is_404_in_the_gateways_body(demo: Api, path: str, method: str) -> None:
    answer = demo.http.request(method, path, auth=demo.basic, headers={"Accept": "text/html"})

    assert_refused(answer, 404)


def test_a_path_of_no_family_is_404_without_credentials_too(demo: Api) -> None:
    assert_refused(demo.http.get("/nothing"), 404)


@pytest.mark.parametrize(("path", "status"), [("/api/v1/requests", 202), ("/api/v1/messages/Echo", 200)])
def test_every_accepted_submission_carries_its_request_id(demo: Api, path: str, status: int) -> None:
    answer = demo.post(path, request())

    assert answer.status_code == status
    request_id = answer.headers["Request-Id"]
    assert str(uuid.UUID(request_id)) == request_id == answer.json()["data"]["id"]
    assert demo.seen(request_id)["id"] == request_id
    assert demo.get(f"/api/v3/global/call/{request_id}").status_code == 200
    assert [found["id"] for found in demo.search(("id", request_id))] == [request_id]


def test_unknown_query_parameters_are_ignored(demo: Api, mine: str) -> None:
    extra = {"colour": "red", "page[]": "x"}

    assert demo.post("/api/v1/requests", request(), params=extra).status_code == 202
    assert demo.get(f"/api/v1/requests/{mine}", params=extra).status_code == 200
    assert demo.post("/api/v1/tracking", {}, params=extra).status_code == 200
    assert demo.get(f"/api/v3/global/call/{mine}", params=extra).status_code == 200


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
@pytest.mark.parametrize("content", [b"{}", b"{not json", b"\xff\x00"])
def test_a_body_on_get_is_ignored(demo: Api, mine: str, kind: str, content: bytes) -> None:
    for path in (f"/api/v1/requests/{mine}", f"/api/v3/global/call/{mine}"):
        assert demo.raw(path, content, kind=kind, method="GET").status_code == 200


def ways_to_ask(api: Api) -> list[Callable[[str], httpx2.Response]]:
    return [
        lambda key: api.get(f"/api/v1/requests/{key}"),
        lambda key: api.post(f"/api/v1/requests/{key}/cancel"),
        lambda key: api.get(f"/api/v3/global/call/{key}"),
        lambda key: api.get(f"/api/v2/global/call/{key}"),
        lambda key: api.post("/api/v1/tracking", {"search": [{"by": "id", "value": key}]}),
    ]


def test_another_clients_id_is_answered_exactly_as_an_id_that_does_not_exist(demo: Api, other: Api, mine: str) -> None:
    nobodys = str(uuid.uuid4())
    for ask in ways_to_ask(other):
        foreign, unknown = ask(mine), ask(nobodys)

        assert foreign.status_code == unknown.status_code
        assert foreign.text.replace(mine, nobodys) == unknown.text
        assert set(foreign.headers) == set(unknown.headers)

    assert demo.seen(mine)["requestStatus"] == "Complete"


def test_another_clients_message_id_is_unknown_too(demo: Api, other: Api, mine: str) -> None:
    for item in demo.seen(mine)["payload"]:
        assert demo.get(f"/api/v3/global/call/{item['echoId']}").status_code == 200
        assert_nak(other.get(f"/api/v3/global/call/{item['echoId']}"), 404, UNKNOWN["errorCode"], UNKNOWN["text"])


def test_an_unknown_id_is_404_in_each_windows_body(demo: Api) -> None:
    nobodys = uuid.uuid4()

    assert_refused(demo.get(f"/api/v1/requests/{nobodys}"), 404)
    assert_refused(demo.post(f"/api/v1/requests/{nobodys}/cancel"), 404)
    for version in ("v2", "v3"):
        answer = demo.get(f"/api/{version}/global/call/{nobodys}")
        assert_nak(answer, 404, UNKNOWN["errorCode"], UNKNOWN["text"])


@pytest.mark.parametrize("key", BAD_IDS)
def test_a_malformed_id_is_404_in_each_windows_body(demo: Api, key: str) -> None:
    assert_refused(demo.get(f"/api/v1/requests/{key}"), 404)
    assert_refused(demo.post(f"/api/v1/requests/{key}/cancel"), 404)
    for version in ("v2", "v3"):
        answer = demo.get(f"/api/{version}/global/call/{key}")
        assert_nak(answer, 404, UNKNOWN["errorCode"], UNKNOWN["text"])


@pytest.mark.parametrize("header", ["Accept", "Prefer", "Idempotency-Key", "traceparent", "User-Agent", "X-Request-Id"])
@pytest.mark.parametrize("value", ["", "rubbish", "text/html", "ÿþ".encode("latin-1"), "x" * 5000, ";;=,,"])
def test_odd_headers_never_make_a_5xx(demo: Api, header: str, value: str | bytes) -> None:
    answer = demo.http.post("/api/v1/requests", json=request(), auth=demo.basic, headers=[(header.encode(), value)])

    assert answer.status_code < 500, answer.text
    if answer.status_code != 202:
        assert_refused(answer, answer.status_code)
