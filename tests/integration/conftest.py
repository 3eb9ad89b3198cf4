"""Fixtures of the engine's tests."""

from collections.abc import Callable, Iterator

import pytest
from django.test import override_settings

from orchestrator import dispatch, finishing
from orchestrator.handlers import MessageType
from tests import engine, service


@pytest.fixture
def declare() -> Iterator[Callable[..., MessageType]]:
    """Declare message types of the test's own: `declare(handler, kind=Kind.BATCH)`."""
    with engine.declaring() as declaring:
        yield declaring


@pytest.fixture
def effects() -> Iterator[Callable[[str, finishing.Effect], None]]:
    """Hang effects on message types for one test: `effects("Echo", effect)`."""
    before = dict(finishing._effects)
    yield finishing.register_effect
    finishing._effects.clear()
    finishing._effects.update(before)


@pytest.fixture
def back_end() -> Iterator[service.Service]:
    """A back end that listens; `service.configure` makes it that of a message type."""
    with service.running() as running:
        yield running


@pytest.fixture
def broker_away() -> Iterator[None]:
    """Nobody answers where this process publishes its wake-ups."""
    away = "redis://127.0.0.1:1/0"
    with override_settings(BROKER_URL=away):
        dispatch._producers.cache_clear()
        yield
    dispatch._producers.cache_clear()
