"""The regular and the bulk call: ACK and NAK to the letter, all or nothing, one id in header, ACK and status."""

import uuid
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.acceptance.contract.api import Api, assert_nak, fresh
from tests.acceptance.contract.backend import BackEnd

CALL, BULK = "/api/v3/call", "/api/v3/bulk"
REFUSED = {"script": [{"status": 422, "json": {"detail": "No such thing"}}]}
BAD_TEXTS: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{not json",
    "NaN": b'{"a": NaN, "bulk": [{"content": {"a": NaN}}]}',
    "a NUL": b'{"a": "\\u0000", "bulk": [{"content": {"a": "\\u0000"}}]}',
    "a lone surrogate": b'{"a": "\\ud800", "bulk": [{"content": {"a": "\\ud800"}}]}',
    "bad UTF-8": b'{"a": "\xff"}',
    "too deep": b'{"bulk": [{"content": {"a": ' + b"[" * 120 + b"]" * 120 + b"}}]}",
    "a list": b"[]",
    "text": b'"text"',
    "null": b"null",
}
BAD_BULKS: dict[str, Any] = {
    "no bulk": {},
    "an empty bulk": {"bulk": []},
    "bulk no list": {"bulk": {"content": {}}},
    "bulk null": {"bulk": None},
    "201 nodes": {"bulk": [{"content": {}}] * 201},
    "201 nodes, bad ones too": {"bulk": [{"content": 1}] * 201},
}


@pytest.fixture(scope="module")
def strict(make_type: Callable[..., str], back_end: BackEnd, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A message type that insists on an integer `size`."""
    schema = tmp_path_factory.mktemp("schema") / "schema.json"
    schema.write_text('{"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}')
    return make_type("strict", "--url", back_end.url(), "--schema", str(schema))


def assert_ack(answer: httpx2.Response) -> str:
    """It is the ACK of a regular call; returns its id."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == ["errorCode", "errorMessage", "content", "pageable"]
    assert (body["errorCode"], body["errorMessage"]) == ("", "")
    assert body["content"] == [{"requestId": answer.headers["Request-Id"]}]
    return str(uuid.UUID(answer.headers["Request-Id"]))


def bulk(*contents: Any) -> dict[str, Any]:
    return {"bulk": [{"content": content} for content in contents]}


def acked(answer: httpx2.Response) -> list[str]:
    """It is the ACK of a bulk call; returns the ids of its nodes."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == ["bulk", "pageable"]
    for node in body["bulk"]:
        assert list(node) == ["errorCode", "errorMessage", "requestId", "subscriberIdentifiers", "content"]
        assert (node["errorCode"], node["errorMessage"]) == ("", "")
    return [str(uuid.UUID(node["requestId"])) for node in body["bulk"]]


def found(api: Api) -> int:
    """How many requests the client has."""
    return len(api.search())


def test_header_ack_and_status_carry_the_same_id(demo: Api, back_end: BackEnd, scripted: str) -> None:
    request_id = assert_ack(demo.post(f"{CALL}/{scripted}", {"a": [1, {"é": "🚚"}]}))

    done = demo.finished(request_id)
    assert done["batchReference"] is None
    assert [item["externalReference"] for item in done["payload"]] == [None]
    assert done["payload"][0]["messageType"] == scripted
    status = demo.get(f"/api/v3/global/call/{request_id}").json()
    assert status == {
        "errorCode": "",
        "errorMessage": "",
        "content": [{"requestId": request_id, "status": "SUCCESS"}],
        "pageable": {"page": 0, "size": 10, "totalPages": 1, "totalElements": 1},
    }
    assert demo.get(f"/api/v2/global/call/{request_id}").json()["content"] == [{"status": "SUCCESS"}]
    assert [call.json for call in back_end.calls(request_id)] == [{"a": [1, {"é": "🚚"}]}]


def test_a_call_that_the_back_end_refuses_is_failure(demo: Api, scripted: str) -> None:
    request_id = assert_ack(demo.post(f"{CALL}/{scripted}", REFUSED))

    demo.finished(request_id)
    assert demo.statuses(request_id) == ["FAILURE"]


@pytest.mark.parametrize("own", [{}, {"size": "one"}, {"size": 1.5}])
def test_a_call_that_fails_its_schema_is_a_nak_and_nothing_is_created(
    other: Api, strict: str, own: dict[str, Any]
) -> None:
    before = found(other)

    answer = other.post(f"{CALL}/{strict}", own)

    assert_nak(answer, 400, "GLOBAL_1002")
    assert "Request-Id" not in answer.headers
    assert found(other) == before


@pytest.mark.parametrize("path", [CALL, BULK])
@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_body_that_is_no_object_of_json_is_global_1002(demo: Api, path: str, name: str) -> None:
    assert_nak(demo.raw(f"{path}/Echo", BAD_TEXTS[name]), 400, "GLOBAL_1002")


@pytest.mark.parametrize("path", [CALL, BULK])
@pytest.mark.parametrize("name", ["NoSuchType", "Order", "echo", "%F0%9F%92%A9", "%00"])
def test_a_type_that_is_unknown_or_only_the_orders_is_auth_1002(demo: Api, path: str, name: str) -> None:
    assert_nak(demo.post(f"{path}/{name}", bulk({})), 403, "AUTH_1002")


def test_credentials_and_scopes(demo: Api, reader: Api, writer: Api) -> None:
    for path in (f"{CALL}/Echo", f"{BULK}/Echo"):
        nobody = demo.http.post(path, json=bulk({}))
        assert_nak(nobody, 401, "AUTH_1001")
        assert nobody.headers["WWW-Authenticate"]
        assert_nak(demo.http.post(path, json=bulk({}), auth=("demo", "wrong")), 401, "AUTH_1001")
        assert_nak(reader.post(path, bulk({})), 403, "AUTH_1002")
        assert writer.post(path, bulk({})).status_code == 200
        assert_nak(writer.post(path.replace("Echo", "Vehicle"), bulk({})), 403, "AUTH_1002")


@pytest.mark.parametrize("path", [CALL, BULK])
def test_wrong_methods_kinds_and_sizes_are_global_1002(demo: Api, path: str) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = demo.raw(f"{path}/Echo", b"{}", method=method)
        assert_nak(answer, 405, "GLOBAL_1002")
        assert "POST" in answer.headers["Allow"]
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        assert_nak(demo.raw(f"{path}/Echo", b"{}", kind=kind), 415, "GLOBAL_1002")


def test_a_bulk_acks_each_node(demo: Api, back_end: BackEnd, scripted: str) -> None:
    nodes = [
        {"subscriberIdentifiers": {"msisdn": "4711"}, "content": {"n": 1}},
        {"content": {"n": 2}},
        {"subscriberIdentifiers": [1, "é"], "content": {"n": 3, **REFUSED}},
    ]

    answer = demo.post(f"{BULK}/{scripted}", {"bulk": nodes})

    keys = acked(answer)
    assert len(set(keys)) == 3
    assert [node["subscriberIdentifiers"] for node in answer.json()["bulk"]][::2] == [{"msisdn": "4711"}, [1, "é"]]
    umbrella = answer.headers["Request-Id"]
    demo.finished(umbrella)
    status = demo.get(f"/api/v3/global/call/{umbrella}").json()
    assert status["content"] == [
        {"requestId": key, "status": word} for key, word in zip(keys, ["SUCCESS", "SUCCESS", "FAILURE"], strict=True)
    ]
    assert status["pageable"]["totalElements"] == 3
    for key, word in zip(keys, ["SUCCESS", "SUCCESS", "FAILURE"], strict=True):
        one = demo.get(f"/api/v3/global/call/{key}").json()
        assert one["content"] == [{"requestId": key, "status": word}]
    assert [back_end.calls(key)[0].json["n"] for key in keys] == [1, 2, 3]


def test_the_nodes_of_a_bulk_run_independently(demo: Api, scripted: str) -> None:
    answer = demo.post(f"{BULK}/{scripted}", bulk(REFUSED, {}, REFUSED, {}))

    done = demo.finished(answer.headers["Request-Id"])
    words = [item["messageStatus"] for item in done["payload"]]
    assert words == ["Failed", "Complete", "Failed", "Complete"]
    assert done["requestStatus"] == "Complete"


def test_a_bulk_is_taken_whole_or_not_at_all(other: Api, strict: str) -> None:
    before = found(other)
    nodes = [{"content": {"size": 1}}, {"content": {"size": "x"}}, {"content": {"size": 3}}, {"content": {}}]

    answer = other.post(f"{BULK}/{strict}", {"bulk": nodes})

    assert answer.status_code == 400
    assert "Request-Id" not in answer.headers
    failed = answer.json()["bulk"]
    assert len(failed) == 2
    for node in failed:
        assert (node["errorCode"], node["requestId"]) == ("GLOBAL_1002", "")
        assert node["errorMessage"]
    assert found(other) == before


@pytest.mark.parametrize("node", [1, None, [], "text", {}, {"content": 1}, {"content": None}, {"content": []}])
def test_a_node_without_an_object_for_content_fails(demo: Api, node: Any) -> None:
    answer = demo.post(f"{BULK}/Echo", {"bulk": [{"content": {}}, node]})

    assert answer.status_code == 400, answer.text
    assert len(answer.json().get("bulk", [0])) == 1
    assert "Request-Id" not in answer.headers


@pytest.mark.parametrize("name", BAD_BULKS)
def test_a_bulk_of_no_or_too_many_nodes_is_the_familys_nak(demo: Api, name: str) -> None:
    assert_nak(demo.post(f"{BULK}/Echo", BAD_BULKS[name]), 400, "GLOBAL_1002")


@pytest.mark.parametrize("count", [1, 200])
def test_a_bulk_may_have_one_node_to_two_hundred(demo: Api, count: int) -> None:
    answer = demo.post(f"{BULK}/Echo/", bulk(*({"n": number} for number in range(count))))

    keys = acked(answer)
    assert len(set(keys)) == count
    page = {"page": 0, "size": 1000}
    content = demo.get(f"/api/v3/global/call/{answer.headers['Request-Id']}", params=page).json()["content"]
    assert [item["requestId"] for item in content] == keys


@pytest.mark.parametrize("path", [f"{CALL}/Echo", f"{BULK}/Echo"])
def test_an_idempotency_key_creates_once(demo: Api, path: str) -> None:
    headers = {"Idempotency-Key": fresh("key")}

    first, again = (demo.post(path, bulk({"n": 1}), headers=headers) for _ in range(2))

    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["Request-Id"] == first.headers["Request-Id"]
    assert_nak(demo.post(path, bulk({"n": 2}), headers=headers), 422, "GLOBAL_1002")


def test_too_many_in_flight_is_429_global_1001(make_client: Callable[..., Api], scripted: str) -> None:
    mine = make_client("--max-in-flight", "1")
    assert_ack(mine.post(f"{CALL}/{scripted}", {"script": [{"status": 503, "headers": {"Retry-After": "60"}}]}))

    for path in (CALL, BULK):
        answer = mine.post(f"{path}/Echo", bulk({}))
        assert_nak(answer, 429, "GLOBAL_1001")
        assert answer.headers["Retry-After"].isdigit()
