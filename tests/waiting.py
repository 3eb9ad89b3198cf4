"""Waiting for a condition with a deadline: tests never sleep for a guessed time."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")


def eventually(condition: Callable[[], T | None], *, within: float = 10.0, what: str = "the condition") -> T:
    """Return the condition's first truthy value; fail the test after `within` seconds without one."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come true within {within:g} s; its last value: {value!r}")
        time.sleep(0.02)
    return value
