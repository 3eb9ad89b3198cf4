"""Fixtures of the windows' tests."""

import pytest

from orchestrator import handlers
from tests.api import native


@pytest.fixture
def native_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message types that tests of startup and poll ask for."""
    for message_type in native.TYPES:
        monkeypatch.setitem(handlers.registry._declared, message_type.name, message_type)
