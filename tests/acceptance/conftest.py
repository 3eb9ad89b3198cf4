"""Fixtures of the tests that run a whole stack."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import backend_types
from tests.acceptance import backend, stacks
from tests.acceptance.backend import Backend


@pytest.fixture
def home() -> Iterator[Path]:
    """Where a stack of this test may keep everything; it does not exist yet."""
    with stacks.new_home() as directory:
        yield directory


@pytest.fixture
def called() -> Iterator[Backend]:
    """The type `Called`, carried out by a back end that logs its calls."""
    with backend.running() as running:
        backend_types.save("Called", {"url": running.url, "attempts": 20})
        yield running
