"""Settings of a form of their own: what is read, and that nothing starts with one that is malformed."""

import os
import subprocess
import sys
from base64 import b64encode

import pytest
from environs import ValidationError

from config import readers

KEY = b64encode(b"k" * 32).decode()
ENOUGH = {
    "SECRET_KEY": "long-enough",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "BROKER_URL": "redis://127.0.0.1:1/0",
}


def test_what_is_well_formed_is_read() -> None:
    assert readers.days(" Feedback=7, *=0.5 ") == {"Feedback": 7.0, "*": 0.5}
    assert list(readers.secret_keys("new=with=equals,old=b").items()) == [("new", "with=equals"), ("old", "b")]
    assert readers.payload_keys(f"1={KEY}") == {"1": b"k" * 32}
    assert readers.network(" 10.1.2.3/8 ") == "10.1.2.3/8"


@pytest.mark.parametrize("number", [-1, -0.1, float("nan"), float("inf")])
def test_numbers_below_nothing_or_without_end_are_refused(number: float) -> None:
    with pytest.raises(ValidationError, match="0 or more"):
        readers.not_negative(number)


def test_none_is_not_some() -> None:
    readers.not_negative(0)
    readers.some(1)

    with pytest.raises(ValidationError, match="1 or more"):
        readers.some(0)


def test_nothing_is_read_as_nothing() -> None:
    assert (readers.days(""), readers.secret_keys(" "), readers.payload_keys("")) == ({}, {}, {})


@pytest.mark.parametrize("text", ["7", "Echo=", "=7", "Echo=soon", "Echo=-1", "Echo=nan", "Echo=inf", "Echo=1,Echo=2"])
def test_days_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="type=days"):
        readers.days(text)


@pytest.mark.parametrize("text", [KEY, "a=", f"a:b={KEY}", "a=c2hvcnQ=", f"a={KEY}x", f"a={KEY},a={KEY}"])
def test_payload_keys_that_could_not_be_used_are_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValidationError, match="32 bytes") as refused:
        readers.payload_keys(text)

    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "malformed"),
    [
        ("SECRET_KEY", ""),
        ("WAYBILL_ROLE", "boss"),
        ("WAYBILL_SECRET_KEYS", "a-key-without-an-id"),
        ("WAYBILL_PAYLOAD_KEYS", "a=short"),
        ("WAYBILL_PAYLOAD_KEY_ID", "one-that-is-not-there"),
        ("WAYBILL_DELETE_AFTER_DAYS", "*=-1"),
        ("WAYBILL_WEB_THREADS", "0"),
        ("WAYBILL_LEASE", "-1"),
        ("WAYBILL_TRUSTED_PROXIES", "10.0.0.0/8,the-proxy"),
        ("WAYBILL_LOGIN_RATE", "often"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_malformed_variable_ends_the_start_with_its_name(variable: str, malformed: str) -> None:
    environment = {**os.environ, **ENOUGH, variable: malformed}

    start = subprocess.run(
        [sys.executable, "-c", "import config.settings"], env=environment, capture_output=True, text=True, check=False
    )

    assert start.returncode == 1
    assert f'"{variable}"' in start.stderr.splitlines()[-1]
