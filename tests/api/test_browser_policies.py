"""What a browser may do with our answers. That the pages work under it, tests/browser tells: a violation fails it."""

import pytest
from django.contrib.auth.models import User
from django.test import Client as Browser

pytestmark = pytest.mark.django_db


def directives(path: str) -> dict[str, set[str]]:
    policy = Browser().get(path)["Content-Security-Policy"]
    return {name: set(sources) for name, *sources in (part.split() for part in policy.split(";") if part.strip())}


@pytest.mark.parametrize("path", ["/api/v1/requests/1", "/livez", "/oauth/token", "/api/schema", "/nowhere"])
def test_data_loads_nothing_and_is_not_framed(path: str) -> None:
    assert directives(path) == {"default-src": {"'none'"}, "frame-ancestors": {"'none'"}}


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/api/docs", "/api/redoc/"])
def test_pages_load_from_here_only_and_run_no_inline_script(path: str) -> None:
    found = directives(path)

    assert found["default-src"] == {"'none'"}
    assert found["frame-ancestors"] == {"'none'"}
    assert found["base-uri"] == {"'none'"}
    assert "'unsafe-inline'" not in found["script-src"]
    sources = {source for name in found for source in found[name]}
    assert sources <= {"'self'", "'none'", "'unsafe-eval'", "'unsafe-inline'", "data:", "blob:"}


def test_only_the_desk_may_make_code_of_text() -> None:
    assert "'unsafe-eval'" in directives("/admin/")["script-src"]
    assert "'unsafe-eval'" not in directives("/api/docs")["script-src"] | directives("/api/redoc")["script-src"]


@pytest.mark.parametrize("path", ["/admin/login/", "/api/docs", "/api/v1/requests/1"])
def test_no_answer_is_guessed_at_or_tells_where_its_reader_came_from(path: str) -> None:
    answer = Browser().get(path)

    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"


def test_the_desks_cookies_are_out_of_reach_for_scripts_and_other_sites() -> None:
    User.objects.create_superuser("operator", password="open-the-desk-please")
    browser = Browser()

    browser.post("/admin/login/", {"username": "operator", "password": "open-the-desk-please"})

    session = browser.cookies["sessionid"]
    assert (session["httponly"], session["samesite"]) == (True, "Lax")
