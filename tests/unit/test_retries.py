"""How patiently: the pure policy."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from orchestrator import retries

POLICY = retries.Policy(attempts=5, first=1.0, ceiling=300.0, wish_ceiling=3600.0)


class Longest(random.Random):
    """Chance that always takes the longest wait."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


def test_waits_double_from_the_first() -> None:
    waits = [POLICY.delay(attempts=attempts, chance=Longest()) for attempts in (1, 2, 3, 4)]

    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_no_more_tries_after_the_last_attempt() -> None:
    assert POLICY.delay(attempts=5) is None
    assert POLICY.delay(attempts=6, wish=1.0) is None


def test_waits_never_exceed_the_ceiling() -> None:
    patient = retries.Policy(attempts=100, first=1.0, ceiling=300.0, wish_ceiling=3600.0)

    assert patient.delay(attempts=99, chance=Longest()) == 300.0


@given(attempts=st.integers(1, 4), seed=st.integers())
def test_full_jitter_is_anywhere_between_nothing_and_the_doubled_wait(attempts: int, seed: int) -> None:
    wait = POLICY.delay(attempts=attempts, chance=random.Random(seed))

    assert wait is not None
    assert 0 <= wait <= 2 ** (attempts - 1)


def test_a_crowd_that_failed_together_does_not_come_back_together() -> None:
    waits = [POLICY.delay(attempts=4, chance=random.Random(seed)) for seed in range(100)]

    assert len(set(waits)) == 100


@pytest.mark.parametrize(("wish", "least"), [(30.0, 30.0), (0.0, 0.0), (3600.0, 3600.0), (1e9, 3600.0)])
def test_a_back_ends_wish_is_honoured_up_to_its_ceiling(wish: float, least: float) -> None:
    wait = POLICY.delay(attempts=1, wish=wish)

    assert wait is not None
    assert least <= wait <= max(least, 1.0)


def test_a_wish_never_shortens_the_wait() -> None:
    assert POLICY.delay(attempts=4, wish=1.0, chance=Longest()) == 8.0


def test_the_houses_numbers_are_the_settings(settings: Settings) -> None:
    settings.WAYBILL_RETRY_ATTEMPTS = 7
    settings.WAYBILL_RETRY_FIRST = 2.0

    policy = retries.Policy.from_settings()

    assert (policy.attempts, policy.first) == (7, 2.0)
    assert retries.Policy.from_settings(attempts=1).attempts == 1
