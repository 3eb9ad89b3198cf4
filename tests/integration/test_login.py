"""The desk's login slows guessing down."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client as Browser

from orchestrator import rates
from orchestrator.models import AuditEntry

pytestmark = pytest.mark.django_db

PASSWORD = "open-the-desk-please"
TOO_MANY = "Too many failed logins. Please wait "


@pytest.fixture(autouse=True)
def _operator(settings: LazySettings) -> Iterator[None]:
    settings.WAYBILL_LOGIN_RATE = "3/hour"
    User.objects.create_superuser("operator", password=PASSWORD)
    rates._rest._until = float("-inf")
    yield
    for cached in (rates._in_cache, rates._in_memory):
        cached.cache_clear()
    rates._rest._until = float("-inf")


def log_in(password: str = PASSWORD, *, name: str = "operator", address: str = "203.0.113.7") -> Any:
    return Browser().post("/admin/login/", {"username": name, "password": password}, REMOTE_ADDR=address)


def test_who_knows_the_password_comes_in() -> None:
    assert log_in().status_code == 302


def test_after_some_failures_not_even_the_right_password_helps() -> None:
    for _ in range(3):
        assert "Please enter the correct" in log_in("guessed").content.decode()

    answer = log_in()

    assert answer.status_code == 429
    assert 1 <= int(answer["Retry-After"]) <= 3600
    assert TOO_MANY in answer.content.decode()
    assert 'id="login-form"' in answer.content.decode()


def test_a_failure_that_is_judged_is_no_refusal() -> None:
    answer = log_in("guessed")

    assert answer.status_code == 200
    assert "Retry-After" not in answer


def test_a_short_wait_is_told_in_good_english(settings: LazySettings) -> None:
    settings.WAYBILL_LOGIN_RATE = "1/minute"
    log_in("guessed")

    assert f"{TOO_MANY}1 minute and" in log_in().content.decode()


def test_the_refusals_are_in_the_audit_log_once() -> None:
    for _ in range(6):
        log_in("guessed")

    reasons = [entry.detail["reason"] for entry in AuditEntry.objects.order_by("pk")]
    assert reasons.count("wrong name or password") == 3
    assert reasons.count("too many failed logins") == 1


def test_nobody_locks_another_out_from_elsewhere() -> None:
    for _ in range(4):
        log_in("guessed", address="203.0.113.8")

    assert log_in().status_code == 302


def test_another_name_does_not_help_for_ever() -> None:
    for number in range(30):
        log_in("guessed", name=f"operator-{number}")

    assert TOO_MANY in log_in(name="yet another").content.decode()


def test_capitals_are_no_other_name() -> None:
    for name in ("Operator", "OPERATOR", "operator"):
        log_in("guessed", name=name)

    assert TOO_MANY in log_in().content.decode()


def test_without_a_cache_each_process_counts_for_itself(settings: LazySettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings.CACHE_URL = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"
        rates._in_cache.cache_clear()
        for _ in range(3):
            log_in("guessed")

        assert TOO_MANY in log_in().content.decode()


@pytest.mark.parametrize("password", ["", "eleven-long", "password123456", "operator-2026"])
def test_no_password_is_set_that_is_soon_guessed(password: str) -> None:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("chief"))
    operator = User.objects.get(username="operator")

    answer = browser.post(f"/admin/auth/user/{operator.pk}/password/", {"password1": password, "password2": password})

    operator.refresh_from_db()
    assert answer.status_code == 200
    assert operator.check_password(PASSWORD)
