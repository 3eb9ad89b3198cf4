"""The audit log: every deed of an operator leaves an entry that nobody can change."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db import IntegrityError, transaction
from django.test import Client as Browser
from django.test import override_settings

from orchestrator import audit, backend_types, remote
from orchestrator.models import AuditAction, AuditEntry, AuditOutcome, Backend, Client
from tests import engine, factories
from tests.integration.test_admin import backend_form, client_form

pytestmark = pytest.mark.django_db

SOMEBODY = audit.Actor("somebody", 7, "192.0.2.1")
SOMETHING = audit.Deed(AuditAction.CHANGE, "lane", "Echo")


@pytest.fixture
def user() -> User:
    return User.objects.create_superuser("operator", password="open")


@pytest.fixture
def browser(user: User) -> Browser:
    browser = Browser()
    browser.force_login(user)
    return browser


def last() -> AuditEntry:
    entry = AuditEntry.objects.order_by("-id").first()
    assert entry is not None
    return entry


def told(entry: AuditEntry) -> tuple[str, str, str, str, str]:
    return entry.actor, entry.action, entry.object_type, entry.object_id, entry.outcome


def log_in_visitor(*permissions: str | None) -> Browser:
    visitor = User.objects.create_user("visitor", password="open", is_staff=True)
    visitor.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    browser = Browser()
    browser.force_login(visitor)
    return browser


def deletion(*keys: object, **fields: str) -> dict[str, object]:
    """What the list's form sends for rows that are ticked; with `post`, what its question sends."""
    return {"action": "delete_selected", "_selected_action": list(keys), **fields}


def own_password(*, old: str, again: str = "very-hidden-1") -> dict[str, str]:
    return {"old_password": old, "new_password1": "very-hidden-1", "new_password2": again}


def test_an_entry_says_who_did_what_to_which_object_when_and_from_where() -> None:
    audit.record(SOMEBODY, SOMETHING, detail={"queue": "slow"})

    entry = last()
    assert told(entry) == ("somebody", "change", "lane", "Echo", AuditOutcome.DONE)
    assert (entry.actor_id, entry.ip, entry.detail) == (7, "192.0.2.1", {"queue": "slow"})
    assert entry.at is not None


@pytest.mark.parametrize(
    "statement", ["UPDATE orchestrator_auditentry SET actor = 'me'", "DELETE FROM orchestrator_auditentry"]
)
def test_an_entry_is_never_changed(statement: str) -> None:
    audit.record(SOMEBODY, SOMETHING)

    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        engine.run(statement)

    assert last().actor == "somebody"


class TestAnAttempt:
    def test_stands_with_its_entry(self) -> None:
        with audit.attempt(SOMEBODY, SOMETHING, detail={"a": 1}) as detail:
            factories.make_client(client_id="acme")
            detail["b"] = 2

        assert last().detail == {"a": 1, "b": 2}

    def test_that_is_refused_is_undone_and_has_its_entry(self) -> None:
        def make_and_refuse() -> None:
            with audit.attempt(SOMEBODY, SOMETHING, refusals=(ValueError,)):
                factories.make_client(client_id="acme")
                raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            make_and_refuse()

        assert not Client.objects.exists()
        assert (last().outcome, last().detail) == (AuditOutcome.REFUSED, {"reason": "no"})

    def test_that_fails_otherwise_leaves_none(self) -> None:
        with pytest.raises(KeyError), audit.attempt(SOMEBODY, SOMETHING, refusals=(ValueError,)):
            raise KeyError

        assert not AuditEntry.objects.exists()

    def test_with_texts_without_end_or_sense_is_recorded(self) -> None:
        audit.refuse(audit.Actor("n\x00me" * 100), SOMETHING, reason="\ud800" + "x" * 10_000, detail={"list": ["\x00"]})

        assert len(last().actor) == 150
        assert len(last().detail["reason"]) == 1000


class TestTheDesk:
    def test_records_logins(self, user: User) -> None:
        browser = Browser(REMOTE_ADDR="192.0.2.9")

        browser.post("/admin/login/", {"username": "operator", "password": "wrong"})
        failed = last()
        browser.post("/admin/login/", {"username": "operator", "password": "open"})
        logged_in = last()
        browser.post("/admin/logout/")

        assert told(failed) == ("operator", "log in", "user", "operator", AuditOutcome.REFUSED)
        assert "wrong" not in str(failed.detail).replace("wrong name or password", "")
        assert told(logged_in) == ("operator", "log in", "user", "operator", AuditOutcome.DONE)
        assert told(last())[1:4] == ("log out", "user", "operator")
        assert {entry.ip for entry in AuditEntry.objects.all()} == {"192.0.2.9"}

    def test_records_rows_that_are_added_changed_and_deleted(self, browser: Browser) -> None:
        browser.post("/admin/orchestrator/backend/add/", backend_form(headers="Authorization: Bearer hidden"))
        added = last()
        browser.post("/admin/orchestrator/backend/Parcel/change/", backend_form(attempts="2"))
        changed = last()
        browser.post("/admin/orchestrator/backend/Parcel/delete/", {"post": "yes"})

        assert told(added) == ("operator", "add", "backend", "Parcel", AuditOutcome.DONE)
        assert added.detail == {"set": ["Message type", "Url", "headers"]}
        assert "hidden" not in str(added.detail)
        assert told(changed)[1:] == ("change", "backend", "Parcel", AuditOutcome.DONE)
        assert changed.detail == {"set": ["Attempts"]}
        assert told(last())[1:] == ("delete", "backend", "Parcel", AuditOutcome.DONE)

    def test_records_a_form_that_was_refused_without_what_was_typed(self, browser: Browser) -> None:
        browser.post("/admin/orchestrator/backend/add/", backend_form(headers="hidden"))

        assert told(last())[1:] == ("add", "backend", "", AuditOutcome.REFUSED)
        assert "headers" in last().detail["reason"]
        assert "hidden" not in str(last().detail)
        assert not Backend.objects.exists()

    def test_records_an_attempt_that_is_not_permitted(self) -> None:
        client = factories.make_client()
        browser = Browser()
        browser.force_login(User.objects.create_user("visitor", password="open", is_staff=True))

        changed = browser.post(f"/admin/orchestrator/client/{client.pk}/change/", client_form())
        attempt = last()
        deleted = browser.post(f"/admin/orchestrator/client/{client.pk}/delete/", {"post": "yes"})

        assert (changed.status_code, deleted.status_code) == (403, 403)
        assert told(attempt) == ("visitor", "change", "client", client.client_id, AuditOutcome.REFUSED)
        assert told(last())[1:4] == ("delete", "client", client.client_id)

    @pytest.mark.parametrize("ticked", [[], ["Echo_5F1"], ["Echo_5F1", "Parcel"], ["no\x00where"]])
    @pytest.mark.parametrize("permission", [None, "view_backend"])
    def test_records_rows_that_somebody_may_not_delete_from_the_list(
        self, permission: str | None, ticked: list[str]
    ) -> None:
        for name in ("Echo_5F1", "Parcel"):
            backend_types.save(name, {"url": "http://parcels/"})
        browser = log_in_visitor(permission)

        answer = browser.post("/admin/orchestrator/backend/", deletion(*ticked, post="yes"))

        assert answer.status_code == 403
        attempts = AuditEntry.objects.exclude(action="log in").order_by("pk")
        named = [name.replace("\x00", "\N{REPLACEMENT CHARACTER}") for name in ticked or [""]]
        assert [told(entry) for entry in attempts] == [
            ("visitor", "delete", "backend", name, AuditOutcome.REFUSED) for name in named
        ]
        assert Backend.objects.count() == 2

    def test_records_a_superuser_whom_an_administrator_may_not_delete_from_the_list(self, user: User) -> None:
        browser = log_in_visitor("view_user", "delete_user")

        answer = browser.post("/admin/auth/user/", deletion(user.pk, post="yes"))

        assert answer.status_code == 403
        assert told(last()) == ("visitor", "delete", "user", "operator", AuditOutcome.REFUSED)
        assert User.objects.filter(pk=user.pk).exists()

    @pytest.mark.parametrize("page", ["request", "message", "worker", "client", "auditentry"])
    def test_records_that_nobody_deletes_what_is_only_looked_at(self, browser: Browser, page: str) -> None:
        answer = browser.post(f"/admin/orchestrator/{page}/", deletion("1", post="yes"))

        assert answer.status_code == 403
        assert told(last())[:3] == ("operator", "delete", page)

    def test_records_each_row_that_is_deleted_from_the_list(self, browser: Browser) -> None:
        backend_types.save("Parcel", {"url": "http://parcels/"})

        asked = browser.post("/admin/orchestrator/backend/", deletion("Parcel"))
        browser.post("/admin/orchestrator/backend/", deletion("Parcel", post="yes"))

        assert asked.status_code == 200
        entry = AuditEntry.objects.get(action="delete")
        assert told(entry)[1:] == ("delete", "backend", "Parcel", AuditOutcome.DONE)
        assert not Backend.objects.exists()

    def test_records_users_and_their_passwords_without_telling_them(self, browser: Browser) -> None:
        form = {
            "username": "new",
            "password1": "very-hidden-1",
            "password2": "very-hidden-1",
            "usable_password": "true",
        }

        browser.post("/admin/auth/user/add/", form)

        assert told(last())[1:4] == ("add", "user", "new")
        assert "Username" in last().detail["set"]
        assert "hidden" not in str(last().detail)

    def test_records_a_user_s_own_new_password_without_telling_it(self) -> None:
        browser = log_in_visitor()

        answer = browser.post("/admin/password_change/", own_password(old="open"))

        assert answer.status_code == 302
        assert told(last()) == ("visitor", "change", "user", "visitor", AuditOutcome.DONE)
        assert last().detail == {"set": ["password"]}
        assert User.objects.get(username="visitor").check_password("very-hidden-1")

    @pytest.mark.parametrize(
        ("form", "wrong"),
        [({"old": "very-wrong"}, "old_password"), ({"old": "open", "again": "very-other-1"}, "new_password2")],
    )
    def test_records_that_a_user_s_own_password_was_not_changed(self, form: dict[str, str], wrong: str) -> None:
        browser = log_in_visitor()

        answer = browser.post("/admin/password_change/", own_password(**form))

        assert answer.status_code == 200
        assert told(last()) == ("visitor", "change", "user", "visitor", AuditOutcome.REFUSED)
        assert last().detail == {"reason": f"can't be so: {wrong}"}
        assert User.objects.get(username="visitor").check_password("open")

    def test_records_nothing_when_a_user_only_looks_at_the_form_for_a_password(self) -> None:
        browser = log_in_visitor()

        assert browser.get("/admin/password_change/").status_code == 200
        assert Browser().post("/admin/password_change/", own_password(old="open")).status_code == 302

        assert not AuditEntry.objects.filter(action="change").exists()

    def test_names_clients_and_users_and_not_the_numbers_of_their_rows(self, browser: Browser) -> None:
        browser.post("/admin/orchestrator/client/add/", client_form(new_secret="on"))
        user = User.objects.create_user("visitor", password="open")
        browser.post(f"/admin/auth/user/{user.pk}/delete/", {"post": "yes"})

        named = (
            AuditEntry.objects.exclude(action="log in").order_by("pk").values_list("action", "object_type", "object_id")
        )
        assert list(named) == [
            ("make a secret", "client", "acme"),
            ("add", "client", "acme"),
            ("delete", "user", "visitor"),
        ]

    def test_shows_the_log_and_lets_nobody_touch_it(self, browser: Browser) -> None:
        audit.record(SOMEBODY, SOMETHING)
        audit.refuse(SOMEBODY, audit.Deed(AuditAction.PAUSE, "lane", "nowhere"), reason="no such lane")
        page = "/admin/orchestrator/auditentry/"

        def shown(**query: str) -> list[str]:
            return [entry.action for entry in browser.get(page, query).context["cl"].result_list]

        assert shown(q="somebody") == ["pause", "change"]
        assert shown(q="Echo") == ["change"]
        assert shown(q="Ech") == []
        assert shown(action="pause") == ["pause"]
        assert shown(outcome="refused") == ["pause"]
        key = last().pk
        assert browser.get(f"{page}{key}/change/").status_code == 200
        assert browser.get(f"{page}add/").status_code == 403
        assert browser.post(f"{page}{key}/change/", {"actor": "me"}).status_code == 403
        assert browser.post(f"{page}{key}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    ("trusted", "remote_address", "forwarded", "seen"),
    [
        ([], "192.0.2.1", "203.0.113.5", "192.0.2.1"),
        (["10.0.0.0/8"], "10.0.0.1", "203.0.113.5", "203.0.113.5"),
        (["10.0.0.0/8"], "10.0.0.1", "1.2.3.4, 203.0.113.5, 10.9.9.9", "203.0.113.5"),
        (["10.0.0.0/8"], "192.0.2.1", "203.0.113.5", "192.0.2.1"),
        (["10.0.0.1"], "10.0.0.1", "nonsense", "10.0.0.1"),
        (["10.0.0.1"], "10.0.0.1", "", "10.0.0.1"),
        (["::1"], "::1", "2001:db8::1", "2001:db8::1"),
        (["10.0.0.1"], "::ffff:10.0.0.1", "203.0.113.5", "203.0.113.5"),
        (["10.0.0.1"], "", "203.0.113.5", None),
    ],
)
def test_an_address_is_believed_only_from_a_trusted_proxy(
    trusted: list[str], remote_address: str, forwarded: str, seen: str | None
) -> None:
    with override_settings(WAYBILL_TRUSTED_PROXIES=trusted):
        meta = {"REMOTE_ADDR": remote_address, "HTTP_X_FORWARDED_FOR": forwarded}

        assert remote.find_address(meta) == seen
