"""What a browser at the desk is told when a page is not there, not for its user, or has failed."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import OperationalError, connection
from django.test import Client as Browser

from orchestrator.roles import Role

pytestmark = pytest.mark.django_db


def log_in(role: Role, **options: Any) -> Browser:
    user = User.objects.create_user("someone", password="open", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    browser = Browser(**options)
    browser.force_login(user)
    return browser


def page_of(answer: Any) -> str:
    assert answer["Content-Type"].startswith("text/html")
    text = str(answer.content.decode())
    assert "<title>" in text
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/admin/nowhere/", 404, "There is no such page"),
        ("/admin/orchestrator/request/nonsense/change/", 404, "There is no such page"),
        ("/admin/auth/user/", 403, "Your roles don&#x27;t allow this"),
        ("/admin/orchestrator/lane/Echo/pause/", 403, "Your roles don&#x27;t allow this"),
    ],
)
def test_a_page_that_is_not_there_or_not_for_its_user_is_a_page_of_the_desk(path: str, status: int, told: str) -> None:
    answer = log_in(Role.VIEWER).get(path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert answer.status_code == status
    page = page_of(answer)
    assert told in page
    assert "/admin/orchestrator/request/" in page  # the side bar leads on


def test_who_is_not_logged_in_is_asked_to() -> None:
    assert Browser().get("/admin/nowhere/").status_code == 302


def test_a_forged_form_is_refused_by_a_page() -> None:
    forger = log_in(Role.OPERATOR, enforce_csrf_checks=True)

    answer = forger.post("/admin/orchestrator/lane/Echo/pause/")

    assert answer.status_code == 403
    assert "Load its page anew" in page_of(answer)


def test_a_failure_is_a_page_that_tells_nothing_and_asks_the_ledger_nothing() -> None:
    browser = log_in(Role.VIEWER)
    browser.raise_request_exception = False
    is_away = False

    def lose_the_ledger(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal is_away
        is_away = is_away or "orchestrator_request" in sql
        if is_away:
            raise OperationalError("password authentication failed")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(lose_the_ledger):
        answer = browser.get("/admin/orchestrator/request/")

    assert answer.status_code == 500
    page = page_of(answer)
    assert "stands in the log" in page
    assert "password" not in page


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/api/v1/nowhere", "text/html"),
        ("/nowhere", "text/html"),
        ("/admin/dashboard/nowhere", "application/json"),
    ],
)
def test_the_api_and_the_desks_own_scripts_get_json(path: str, accept: str) -> None:
    answer = log_in(Role.VIEWER).get(path, headers={"Accept": accept})

    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/json"


def test_a_dashboard_that_is_not_the_users_is_told_to_its_script_as_json() -> None:
    user = User.objects.create_user("nobody", password="open", is_staff=True)
    browser = Browser()
    browser.force_login(user)

    answer = browser.get("/admin/dashboard/now", headers={"Accept": "application/json"})

    assert answer.status_code == 403
    assert answer["Content-Type"] == "application/json"
