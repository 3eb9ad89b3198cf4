"""Fixtures of the engine's tests."""

from collections.abc import Callable, Iterator

import pytest

from orchestrator.handlers import MessageType
from tests import engine


@pytest.fixture
def declare() -> Iterator[Callable[..., MessageType]]:
    """Declare message types of the test's own: `declare(handler, kind=Kind.BATCH)`."""
    with engine.declaring() as declaring:
        yield declaring
