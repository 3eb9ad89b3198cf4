"""No payload in the log: neither by a handler's exception nor by PostgreSQL's."""

import json
import traceback
from typing import Any

import pydantic
import pytest

from orchestrator import scrubbing

SECRET = 'Mrs. "Öztürk"\nHigh Street'
PAYLOAD = json.dumps({"customer": {"name": SECRET, "iban": "DE89370400440532013000"}, "amount": 123456, "ok": True})


class Customer(pydantic.BaseModel):
    name: int


def raised(work: Any) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
        work()
    return caught.value


def by_its_own_words() -> None:
    raise ValueError(f"{SECRET} has no account DE89370400440532013000 with 123456")


def by_all_of_it() -> None:
    raise KeyError(PAYLOAD)


def by_pydantic() -> None:
    Customer.model_validate(json.loads(PAYLOAD)["customer"])


@pytest.mark.parametrize("work", [by_its_own_words, by_all_of_it, by_pydantic])
def test_a_handlers_exception_says_what_broke_but_not_on_what(work: Any) -> None:
    error = raised(work)

    for text in (scrubbing.describe(error, payload=PAYLOAD), scrubbing.describe_whole(error, payload=PAYLOAD)):
        assert type(error).__name__ in text
        for part in ("Öztürk", "\\xd6zt", "\\u00d6", "High Street", "DE8937", "123456"):
            assert part not in text
    assert work.__name__ in scrubbing.describe_whole(error, payload=PAYLOAD)


def test_what_has_nothing_of_the_payload_stays_as_it_is() -> None:
    error = raised(lambda: {}["missing"])

    assert scrubbing.describe(error, payload=PAYLOAD) == "KeyError('missing')"
    assert scrubbing.describe_whole(error, payload=PAYLOAD) == "".join(traceback.format_exception(error))


@pytest.mark.parametrize("payload", [None, "not JSON", json.dumps("x" * 100_000)])
def test_a_payload_that_cannot_be_looked_for_has_the_words_dropped(payload: str | None) -> None:
    error = raised(by_its_own_words)

    assert scrubbing.describe(error, payload=payload) == "ValueError"
    whole = scrubbing.describe_whole(error, payload=payload)
    assert whole.endswith("ValueError")
    assert "by_its_own_words" in whole
    assert "Öztürk" not in whole


@pytest.mark.parametrize("form", [str, repr])
def test_what_postgresql_quotes_is_dropped(form: Any) -> None:
    said = (
        'new row violates check constraint "a"\n'
        'DETAIL:  Failing row contains (1, {"name":\n "Öztürk"}).\n'
        "HINT:  Look at the row."
    )
    quoted = "invalid input syntax\nLINE 1: INSERT INTO t VALUES ('Öztürk')\n               ^"

    for text in (said, quoted):
        line = scrubbing.scrub_line(None, "", {"event": "flush failed", "error": form(RuntimeError(text))})

        assert "ztürk" not in line["error"]
        assert text.partition("\n")[0] in line["error"].replace("\\", "")
    assert "Look at the row" in scrubbing.scrub_line(None, "", {"error": form(RuntimeError(said))})["error"]
