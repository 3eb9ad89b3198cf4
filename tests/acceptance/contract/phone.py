"""A phone with an app on it: startup and poll, its own cookie jar, and the families' error body."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from tests.acceptance.contract.api import WAITS, Api
from tests.waiting import eventually

NINO = "AA123456A"
FOREIGN = "Unauthorized to access resource"
ACCEPT = "application/vnd.hmrc.1.0+json"
PHRASES = {
    400: ("BADREQUEST", "Bad Request"),
    401: ("UNAUTHORIZED", "Unauthorized"),
    403: ("FORBIDDEN", "Forbidden"),
    404: ("NOTFOUND", "Resource was not found"),
    405: ("METHOD_NOT_ALLOWED", "Method Not Allowed"),
    406: ("ACCEPT_HEADER_INVALID", "The accept header is missing or invalid"),
    413: ("CONTENT_TOO_LARGE", "Content Too Large"),
    415: ("UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type"),
    422: ("UNPROCESSABLE_CONTENT", "Unprocessable Content"),
    503: ("SERVICE_UNAVAILABLE", "Service Unavailable"),
}


def ask(*names: str, **own: Any) -> dict[str, Any]:
    """The first body form: these services, all with the same own fields."""
    return {"request": [{"serviceName": name, **({"postRequest": own} if own else {})} for name in names]}


def waiting(scripted: str) -> dict[str, Any]:
    """A service that does not finish: its back end says again and again to come back in a minute."""
    return ask(scripted, **WAITS)


class Phone:
    """One app's calls, with one client's credentials."""

    def __init__(self, http: httpx2.Client, api: Api) -> None:
        self.http, self.api = http, api

    @property
    def cookie(self) -> str:
        return str(self.http.cookies["mdtpapi"])

    def startup(self, body: Any, *, nino: str = NINO, accept: str = ACCEPT, **more: Any) -> httpx2.Response:
        headers = {"Accept": accept, **more.pop("headers", {})}
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        if isinstance(body, bytes):
            headers.setdefault("Content-Type", "application/json")
        auth = more.pop("auth", self.api.basic)
        return self.http.post(f"/native-app/{nino}/startup", headers=headers, auth=auth, **content, **more)

    def started(self, body: Any, **more: Any) -> str:
        """Start what must be accepted; returns the request's id."""
        answer = self.startup(body, **more)
        assert (answer.status_code, answer.json()) == (200, {"status": {"code": "poll"}}), answer.text
        return str(answer.headers["Request-Id"])

    def poll(self, *, nino: str = NINO, accept: str = ACCEPT, cookie: str | None = None) -> httpx2.Response:
        headers = {b"Accept": accept.encode()}
        if cookie is not None:  # instead of the jar's
            self.http.cookies.clear()
            headers[b"Cookie"] = f"mdtpapi={cookie}".encode()
        return self.http.get(f"/native-app/{nino}/poll", headers=headers)

    def polled(self, *, within: float = 20, **more: Any) -> httpx2.Response:
        """Poll until the answer is another than poll."""

        def over() -> httpx2.Response | None:
            answer = self.poll(**more)
            assert answer.status_code == 200, answer.text
            return answer if answer.json() != {"status": "poll"} else None

        return eventually(over, within=within, what="the end of poll")

    def entries(self, **more: Any) -> list[dict[str, Any]]:
        """Poll until complete; the entries of the first form."""
        body = self.polled(**more).json()
        assert list(body) == ["OrchestrationResponse", "status"]
        assert body["status"] == {"code": "complete"}
        assert list(body["OrchestrationResponse"]) == ["response"]
        return list(body["OrchestrationResponse"]["response"])


Phones = Callable[..., Phone]


@contextmanager
def phones(url: str, api: Api) -> Iterator[Phones]:
    """Make phones; all are switched off at the end."""
    made: list[httpx2.Client] = []

    def make(with_api: Api = api) -> Phone:
        made.append(httpx2.Client(base_url=url, timeout=30, trust_env=False))
        return Phone(made[-1], with_api)

    yield make
    for http in made:
        http.close()


def assert_error(answer: httpx2.Response, status: int, message: str | None = None) -> None:
    """It is the family's error body, to the letter."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    code, phrase = PHRASES[status]
    phrases = [message] if message else [phrase, FOREIGN] if status == 401 else [phrase]
    assert list(answer.json()) == ["code", "message"]
    assert answer.json()["code"] == code
    assert answer.json()["message"] in phrases
