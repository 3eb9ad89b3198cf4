"""W3C Trace Context: which headers are handed on."""

import uuid

import pytest

from orchestrator import traceparent

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    "header", [f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00", f"cc-{TRACE}-{PARENT}-01-later"]
)
def test_a_valid_header_is_handed_on(header: str) -> None:
    assert traceparent.read(header) == header


def test_space_around_it_is_dropped() -> None:
    assert traceparent.read(f" 00-{TRACE}-{PARENT}-01 ") == f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01\n",
        f"cc-{TRACE}-{PARENT}-01-{'x' * 255}",
    ],
)
def test_an_invalid_header_is_ignored(header: str | None) -> None:
    assert traceparent.read(header) is None


def test_a_trace_begins_with_the_requests_id() -> None:
    request_id = uuid.uuid4()

    begun = traceparent.begin(request_id)

    assert traceparent.read(begun) == begun
    assert begun.split("-")[1] == request_id.hex
