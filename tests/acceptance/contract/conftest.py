"""The stack, the demo client, and whatever else a test of the contract needs to be there."""

import threading
from collections.abc import Callable, Iterator

import httpx2
import pytest

from tests.acceptance.contract import backend, phone, provider, stack
from tests.acceptance.contract.api import Api, fresh, message, request
from tests.acceptance.contract.phone import Phone, Phones
from tests.acceptance.contract.provider import Provider
from tests.waiting import eventually


@pytest.fixture(scope="session", name="stack")
def _stack(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[stack.Stack]:
    base = tmp_path_factory.getbasetemp()
    with stack.joined(base if worker_id == "master" else base.parent) as running:
        yield running


@pytest.fixture(scope="session")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stack.Stack]:
    """A second stack, for tests that hurt its database or change its network; it has little patience."""
    with stack.joined(tmp_path_factory.mktemp("own"), WAYBILL_ANSWER_SECONDS="3") as running:
        yield running


@pytest.fixture(scope="session")
def http(stack: stack.Stack) -> Iterator[httpx2.Client]:
    limits = httpx2.Limits(max_connections=50)
    with httpx2.Client(base_url=stack.url, timeout=60, limits=limits, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def demo(http: httpx2.Client) -> Api:
    """The client that `make up` makes: all scopes, all types."""
    return Api(http, "demo", "demo-secret")


@pytest.fixture(scope="session")
def make_client(stack: stack.Stack, http: httpx2.Client) -> Callable[..., Api]:
    """Make a client by command: `make_client("--scope", "tracking:read")`."""

    def make(*options: str) -> Api:
        name = fresh("client")
        stack.commanded("client", name, "--secret", f"secret of {name}", *options)
        return Api(http, name, f"secret of {name}")

    return make


@pytest.fixture(scope="session")
def other(make_client: Callable[..., Api]) -> Api:
    """Another client with every right: what is not its own it must not see."""
    return make_client()


@pytest.fixture(scope="session")
def reader(make_client: Callable[..., Api]) -> Api:
    """A client that may only look."""
    return make_client("--scope", "tracking:read")


@pytest.fixture(scope="session")
def writer(make_client: Callable[..., Api]) -> Api:
    """A client that may only hand in Echo."""
    return make_client("--scope", "requests:write", "--type", "Echo")


@pytest.fixture(scope="session")
def back_end() -> Iterator[backend.BackEnd]:
    with backend.BackEnd() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="session")
def make_type(stack: stack.Stack, demo: Api) -> Callable[..., str]:
    """Make a message type by command, wait until the running stack knows it: `make_type("slow", "--url", …)`."""

    def make(word: str, *options: str) -> str:
        name = fresh(word)
        stack.commanded("backend", name, *options)

        def known() -> bool:
            return demo.post("/api/v1/requests", request(message(name))).status_code == 202

        eventually(known, within=8, what=f"the type {name}")
        return name

    return make


@pytest.fixture(scope="session")
def scripted(make_type: Callable[..., str], back_end: backend.BackEnd) -> str:
    """A message type whose messages say themselves how the back end answers; three attempts."""
    return make_type("scripted", "--url", back_end.url(), "--attempts", "3", "--timeout", "10")


@pytest.fixture
def phones(stack: stack.Stack, demo: Api) -> Iterator[Phones]:
    """Make phones: `phones()` with the demo client's credentials, `phones(other)`."""
    with phone.phones(stack.url, demo) as make:
        yield make


@pytest.fixture
def one_phone(phones: Phones) -> Phone:
    return phones()


@pytest.fixture(scope="session")
def make_accesses(stack: stack.Stack) -> Callable[[int], list[str]]:
    """Make accesses by command, each with the services of `provider.SERVICES`."""

    def make(count: int) -> list[str]:
        names = [provider.access_id() for _ in range(count)]
        stack.commanded("access", *names, "--service", *provider.SERVICES)
        return names

    return make


@pytest.fixture(scope="session")
def _accesses(make_accesses: Callable[[int], list[str]]) -> Iterator[str]:
    return iter(make_accesses(100))


@pytest.fixture
def access(_accesses: Iterator[str]) -> str:
    """An access of this test alone."""
    return next(_accesses)


@pytest.fixture(scope="session")
def ours(demo: Api) -> Provider:
    return Provider(demo)


@pytest.fixture(scope="session")
def theirs(other: Api) -> Provider:
    return Provider(other)
