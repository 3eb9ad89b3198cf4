"""Accesses: GET /api/2.3.1/accesses/, and the command that makes them."""

import io

import pytest
from django.core.management import CommandError, call_command

from orchestrator import accounts
from orders.models import Access, AccessService
from tests import factories
from tests.ordering import ACCESS, ACCESSES, SERVICE, activate, get, make_access, post, read_list, wish

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account() -> accounts.Account:
    make_access()
    return factories.make_account()


@pytest.fixture
def other() -> accounts.Account:
    return factories.make_account()


def test_the_accesses_are_listed_with_what_is_active(account: accounts.Account, other: accounts.Account) -> None:
    make_access("A1", services={"TV-1": "TV", "BB-1": None})
    activate(account)

    for caller in (account, other):
        assert read_list(get(caller, ACCESSES)) == [
            {
                "accessId": "A1",
                "services": [
                    {"service": "BB-1", "serviceType": "BB-1", "active": False},
                    {"service": "TV-1", "serviceType": "TV", "active": False},
                ],
            },
            {"accessId": ACCESS, "services": [{"service": SERVICE, "serviceType": "BB", "active": True}]},
        ]


@pytest.mark.parametrize("count", [0, 1, 1000, 1001, 2500])
def test_many_accesses_are_streamed(count: int) -> None:
    names = [f"A{number:05}" for number in range(count)]
    if names:
        make_access(*names)

    listed = read_list(get(factories.make_account(), ACCESSES))

    assert [access["accessId"] for access in listed] == names


# ---------------------------------------------------------------- manage.py access


def run(*arguments: str) -> str:
    printed = io.StringIO()
    call_command("access", *arguments, stdout=printed)
    return printed.getvalue()


def services_of(access_id: str) -> dict[str, str]:
    return dict(AccessService.objects.filter(access=access_id).values_list("service", "service_type"))


def test_several_accesses_are_made_at_once() -> None:
    printed = run("A1", "A2", "--service", "BB-100-10:BB", "--service", "TV-1")

    assert printed == "accesses: 2 created, 0 updated\nservices: BB-100-10 (BB), TV-1\n"
    assert services_of("A1") == services_of("A2") == {"BB-100-10": "BB", "TV-1": "TV-1"}


def test_services_may_follow_one_option() -> None:
    run("A1", "--service", "BB-100-10:BB", "TV-1:TV")

    assert services_of("A1") == {"BB-100-10": "BB", "TV-1": "TV"}


def test_what_no_option_names_stays(account: accounts.Account) -> None:
    activate(account)

    printed = run(ACCESS, "A1", "--service", SERVICE, "--service", "TV-1:TV")
    run(ACCESS, "--service", "TV-1:Video")

    assert printed.startswith("accesses: 1 created, 1 updated")
    assert services_of(ACCESS) == {SERVICE: "BB", "TV-1": "Video"}
    assert services_of("A1") == {SERVICE: SERVICE, "TV-1": "TV"}
    assert post(account, wish()).status_code == 200  # it is active as before


def test_the_same_command_twice_changes_nothing() -> None:
    for _ in range(2):
        run("A1", "A1", "-s", "BB:BB", "-s", "BB:BB")

    assert services_of("A1") == {"BB": "BB"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["A-1"], "not an accessId: 'A-1' (1 to 32 letters and digits"),
        ([""], "not an accessId"),
        (["A" * 33], "not an accessId"),
        (["A1\n"], "not an accessId"),
        (["å"], "not an accessId"),
        (["A1", "--service", ""], "not a service: ''"),
        (["A1", "--service", ":BB"], "not a service: ''"),
        (["A1", "--service", " BB"], "not a service"),
        (["A1", "--service", "B" * 256], "not a service"),
        (["A1", "--service", "BB: x"], "not a service type"),
        (["A1", "--service", "BB:\x07"], "not a service type"),
    ],
)
def test_what_can_not_be_is_told_in_one_line(arguments: list[str], text: str) -> None:
    with pytest.raises(CommandError) as refused:
        run(*arguments)

    assert text in str(refused.value)
    assert not Access.objects.exists()
