"""Fixtures of the tests that run a whole stack."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import stacks


@pytest.fixture
def home() -> Iterator[Path]:
    """Where a stack of this test may keep everything; it does not exist yet."""
    with stacks.new_home() as directory:
        yield directory
