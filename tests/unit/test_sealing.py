"""Sealed bytes: nobody reads them, nobody changes them, keys can be rotated."""

import pytest
from pytest_django import Settings

from orchestrator import sealing


def test_what_is_sealed_comes_back(settings: Settings) -> None:
    settings.WAYBILL_SECRET_KEYS = {"1": "the first key"}

    sealed = sealing.seal(b"Authorization: secret")

    assert b"secret" not in sealed
    assert sealing.unseal(sealed) == b"Authorization: secret"
    assert sealing.unseal(sealing.seal(b"")) == b""


def test_the_same_bytes_are_sealed_differently_each_time() -> None:
    assert sealing.seal(b"same") != sealing.seal(b"same")


def test_the_last_key_seals_and_any_known_key_opens(settings: Settings) -> None:
    settings.WAYBILL_SECRET_KEYS = {"1": "the first key"}
    old = sealing.seal(b"old")

    settings.WAYBILL_SECRET_KEYS = {"1": "the first key", "2": "the second key"}
    new = sealing.seal(b"new")

    assert sealing.unseal(old) == b"old"
    settings.WAYBILL_SECRET_KEYS = {"2": "the second key"}
    assert sealing.unseal(new) == b"new"
    with pytest.raises(sealing.Unsealable):
        sealing.unseal(old)


def test_a_changed_byte_anywhere_is_noticed() -> None:
    sealed = sealing.seal(b"a cookie")

    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(sealing.Unsealable):
            sealing.unseal(changed)


@pytest.mark.parametrize(
    "rubbish", [b"", b"\x01", b"\x01\xff", b"\x02\x011", b"\x01\x01\xff" + b"x" * 40, b"\x00" * 80]
)
def test_rubbish_is_refused(rubbish: bytes) -> None:
    with pytest.raises(sealing.Unsealable):
        sealing.unseal(rubbish)


def test_a_cut_off_end_is_refused() -> None:
    sealed = sealing.seal(b"a cookie")

    for length in range(len(sealed)):
        with pytest.raises(sealing.Unsealable):
            sealing.unseal(sealed[:length])


def test_what_is_sealed_for_one_purpose_is_no_use_for_another() -> None:
    sealed = sealing.seal(b"42", purpose="cookie")

    with pytest.raises(sealing.Unsealable):
        sealing.unseal(sealed, purpose="headers")
