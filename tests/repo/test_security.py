"""SECURITY.md names where each defence is and what tries it: the files are there."""

import re

import pytest

from tests.processes import ROOT

_NAMED = re.compile(r"`((?:[a-z_]+/)+[a-z_*]+(?:\.py)?|Dockerfile|deploy/)`")
_TEXT = (ROOT / "SECURITY.md").read_text()


def test_it_names_files() -> None:
    assert len(set(_NAMED.findall(_TEXT))) > 20


@pytest.mark.parametrize("path", sorted(set(_NAMED.findall(_TEXT))))
def test_each_named_file_is_there(path: str) -> None:
    assert list(ROOT.glob(path.rstrip("/")))


def test_each_setting_it_names_is_one() -> None:
    known = (ROOT / ".env.example").read_text()

    assert {name for name in re.findall(r"WAYBILL_[A-Z_]+", _TEXT) if name not in known} == set()
