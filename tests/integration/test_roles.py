"""Viewer, operator, administrator: what each may see and do at the desk."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client as Browser

from orchestrator import backend_types, roles
from orchestrator.models import AuditEntry, Client, Lane
from orchestrator.roles import Role
from orders import accesses
from tests import factories
from tests.integration.test_admin import backend_form, client_form

pytestmark = pytest.mark.django_db


def log_in(role: Role | None) -> Browser:
    user = User.objects.create_user("someone", password="open", is_staff=True)
    if role:
        user.groups.add(Group.objects.get(name=role))
    browser = Browser()
    browser.force_login(user)
    return browser


def test_a_migration_makes_the_roles_with_their_permissions() -> None:
    for role in Role:
        given = {
            (permission.content_type.app_label, permission.codename)
            for permission in Group.objects.get(name=role).permissions.select_related("content_type")
        }

        for label in ("orchestrator", "orders", "auth"):
            assert {codename for app, codename in given if app == label} == roles.permissions_of(label, role)


LOOKED_AT = [
    *("orchestrator/request", "orchestrator/message", "orchestrator/lane", "orchestrator/worker"),
    *("orchestrator/client", "orchestrator/backend", "orders/access", "orders/order", "orders/orderevent"),
]


@pytest.mark.parametrize("page", LOOKED_AT)
@pytest.mark.parametrize("role", Role)
def test_every_role_looks_at_the_pages(role: Role, page: str) -> None:
    assert log_in(role).get(f"/admin/{page}/").status_code == 200


@pytest.mark.parametrize(
    ("role", "page", "status"),
    [
        (Role.VIEWER, "orchestrator/auditentry/", 403),
        (Role.OPERATOR, "orchestrator/auditentry/", 200),
        (Role.ADMINISTRATOR, "orchestrator/auditentry/", 200),
        (Role.VIEWER, "auth/user/", 403),
        (Role.OPERATOR, "auth/user/", 403),
        (Role.ADMINISTRATOR, "auth/user/", 200),
        (Role.VIEWER, "orchestrator/client/add/", 403),
        (Role.OPERATOR, "orchestrator/client/add/", 403),
        (Role.ADMINISTRATOR, "orchestrator/client/add/", 200),
        (Role.OPERATOR, "orchestrator/backend/add/", 403),
        (Role.ADMINISTRATOR, "orchestrator/backend/add/", 200),
        (Role.OPERATOR, "orders/access/add/", 403),
        (Role.ADMINISTRATOR, "orders/access/add/", 200),
    ],
)
def test_some_pages_are_for_some_roles(role: Role, page: str, status: int) -> None:
    assert log_in(role).get(f"/admin/{page}").status_code == status


@pytest.mark.parametrize(
    "asked",
    [
        *("message/?payload__contains=DE", "message/?result__regex=^.DE", "message/?status=complete"),
        *(
            "client/?secrets__secret_hash__startswith=a",
            "backend/?headers_sealed__startswith=a",
            "auditentry/?actor=me",
        ),
    ],
)
def test_an_address_asks_for_no_column(asked: str) -> None:
    browser = log_in(Role.ADMINISTRATOR)

    answer = browser.get(f"/admin/orchestrator/{asked}")

    assert answer.status_code == 400


def test_the_pages_own_filters_are_asked_for() -> None:
    browser = log_in(Role.ADMINISTRATOR)

    answer = browser.get("/admin/orchestrator/auditentry/?action=log+in&outcome=done&q=someone&p=1")

    assert answer.status_code == 200


@pytest.mark.parametrize("role", [None, Role.VIEWER, Role.OPERATOR])
def test_nobody_but_administrators_changes_what_there_is(role: Role | None) -> None:
    browser = log_in(role)
    client = factories.make_client(client_id="kept", name="kept")
    backend_types.save("Parcel", {"url": "http://kept/"})
    accesses.save(["KEPT"], {})
    Lane.objects.create(name="Kept", queue="kept")

    answers = [
        browser.post("/admin/orchestrator/client/add/", client_form(client_id="new")),
        browser.post(f"/admin/orchestrator/client/{client.pk}/change/", client_form()),
        browser.post("/admin/orchestrator/backend/Parcel/change/", backend_form()),
        browser.post("/admin/orchestrator/backend/Parcel/delete/", {"post": "yes"}),
        browser.post("/admin/orders/access/KEPT/delete/", {"post": "yes"}),
    ]

    assert {answer.status_code for answer in answers} == {403}
    assert list(Client.objects.values_list("client_id", "name")) == [("kept", "kept")]
    assert backend_types.load()["Parcel"].handler.url == "http://kept/"


def test_an_administrator_makes_no_superuser_and_changes_none() -> None:
    browser = log_in(Role.ADMINISTRATOR)
    chief = User.objects.create_superuser("chief", password="kept")
    user = User.objects.create_user("plain", password="old")
    form = {"username": "plain", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    dates = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}

    changed = browser.post(f"/admin/auth/user/{user.pk}/change/", form | dates)
    refused = browser.post(f"/admin/auth/user/{chief.pk}/password/", {"password1": "mine", "password2": "mine"})

    user.refresh_from_db()
    chief.refresh_from_db()
    assert (changed.status_code, user.is_staff, user.is_superuser) == (302, True, False)
    assert refused.status_code == 403
    assert chief.check_password("kept")
    assert browser.post(f"/admin/auth/user/{chief.pk}/delete/", {"post": "yes"}).status_code == 403


def test_users_that_are_not_ones_to_make_or_change_are_noted() -> None:
    browser = log_in(Role.OPERATOR)
    chief = User.objects.create_superuser("chief", password="kept")

    browser.post("/admin/auth/user/add/", {"username": "mine"})
    browser.post(f"/admin/auth/user/{chief.pk}/password/", {"password1": "mine", "password2": "mine"})
    browser.get("/admin/auth/user/add/")

    noted = AuditEntry.objects.filter(outcome="refused").order_by("id")
    assert list(noted.values_list("action", "object_type", "object_id")) == [
        ("add", "user", ""),
        ("change", "user", "chief"),
    ]
