"""The operator's desk for orders: accesses are changed there, orders and events are only looked at."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from orchestrator import accounts
from orchestrator.models import AuditEntry
from orders.models import Access, AccessService, Order, OrderEvent
from tests import factories
from tests.ordering import ACCESS, SERVICE, activate, make_access

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def browser() -> Browser:
    operator = User.objects.create_superuser("operator", password="open")
    browser = Browser()
    browser.force_login(operator)
    return browser


@pytest.fixture
def account() -> accounts.Account:
    make_access()
    return factories.make_account()


def access_form(access_id: str, **services: str) -> dict[str, str]:
    """The form of a new access with services (name → type)."""
    form = {"id": access_id, "services-TOTAL_FORMS": str(len(services)), "services-INITIAL_FORMS": "0"}
    for number, (service, service_type) in enumerate(services.items()):
        form |= {f"services-{number}-service": service, f"services-{number}-service_type": service_type}
    return form


@pytest.mark.parametrize("page", ["access", "order", "orderevent"])
def test_every_list_opens_and_counts_no_table(browser: Browser, account: accounts.Account, page: str) -> None:
    activate(account)

    with CaptureQueriesContext(connection) as statements:
        answer = browser.get(f"/admin/orders/{page}/")

    assert answer.status_code == 200
    assert len(answer.context["cl"].result_list) == 1
    assert not [sql for sql in statements.captured_queries if "COUNT(" in sql["sql"].upper()]


@pytest.mark.parametrize("page", ["order", "orderevent"])
def test_orders_and_events_are_looked_at_and_never_touched(
    browser: Browser, account: accounts.Account, page: str
) -> None:
    activate(account)
    key = Order.objects.get().pk if page == "order" else OrderEvent.objects.get().pk

    assert browser.get(f"/admin/orders/{page}/{key}/change/").status_code == 200
    assert browser.get(f"/admin/orders/{page}/add/").status_code == 403
    assert browser.post(f"/admin/orders/{page}/{key}/change/", {"state": "DONE_FAILED"}).status_code == 403
    assert browser.post(f"/admin/orders/{page}/{key}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("page", ["order", "orderevent"])
def test_orders_and_events_are_searched_by_id(browser: Browser, account: accounts.Account, page: str) -> None:
    activate(account)
    key = Order.objects.get().pk if page == "order" else OrderEvent.objects.get().pk

    found = browser.get(f"/admin/orders/{page}/", {"q": str(key)})
    missed = browser.get(f"/admin/orders/{page}/", {"q": "not an id"})

    assert [row.pk for row in found.context["cl"].result_list] == [key]
    assert not missed.context["cl"].result_list


def test_an_access_is_made_with_its_services(browser: Browser) -> None:
    browser.post("/admin/orders/access/add/", access_form("A1", **{"BB-1": "BB", "TV-1": "TV"}))

    made = AccessService.objects.filter(access="A1", holder=None).values_list("service", "service_type")
    assert set(made) == {("BB-1", "BB"), ("TV-1", "TV")}
    entry = AuditEntry.objects.get(action="add")
    assert (entry.object_id, entry.detail["set"]) == ("A1", ["Id"])
    assert sorted(entry.detail["below"]) == [
        "added access service BB-1 on A1",
        "added access service TV-1 on A1",
    ]


@pytest.mark.parametrize("form", [access_form("A-1"), access_form(""), access_form("A1", **{"B:B": "BB"})])
def test_what_can_not_be_is_refused_in_the_form(browser: Browser, form: dict[str, str]) -> None:
    answer = browser.post("/admin/orders/access/add/", form)

    assert answer.status_code == 200
    assert answer.context["errors"]
    assert not Access.objects.exists()


def test_a_holder_is_put_right(browser: Browser, account: accounts.Account) -> None:
    activate(account)
    service = AccessService.objects.get()
    form = {
        "services-TOTAL_FORMS": "1",
        "services-INITIAL_FORMS": "1",
        "services-0-id": str(service.pk),
        "services-0-access": ACCESS,
        "services-0-service": SERVICE,
        "services-0-service_type": "BB",
        "services-0-holder": "",
    }

    answer = browser.post(f"/admin/orders/access/{ACCESS}/change/", form)

    service.refresh_from_db()
    assert answer.status_code == 302
    assert service.holder is None
    changed = AuditEntry.objects.get(action="change")
    assert changed.detail == {"below": [f"changed access service {SERVICE} on {ACCESS}"]}


def test_accesses_are_searched_by_their_beginning(browser: Browser) -> None:
    make_access("STTA0001", "STTA0002", "XTTA0001")

    found = browser.get("/admin/orders/access/", {"q": "STTA"})

    assert [access.pk for access in found.context["cl"].result_list] == ["STTA0001", "STTA0002"]
