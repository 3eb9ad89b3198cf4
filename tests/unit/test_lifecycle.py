"""The life of a message: the table of moves, and the page that draws it."""

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lifecycle import AT_INTAKE, FINAL, MOVES, OPEN, Status

PAGE = Path(__file__).resolve().parents[2] / "docs" / "message-life.md"

ARROW = re.compile(r"^ *(\S+) --> (\w+|\[\*\])(?:: .+)?$", re.MULTILINE)


def test_the_diagram_in_the_docs_is_the_table_of_moves() -> None:
    drawn = set(ARROW.findall(PAGE.read_text()))

    moves = {(source.value, target.value) for source, targets in MOVES.items() for target in targets}
    born = {("[*]", status.value) for status in AT_INTAKE}
    ended = {(status.value, "[*]") for status in FINAL}
    assert drawn == moves | born | ended


def test_the_page_says_what_each_status_is() -> None:
    described = set(re.findall(r"^\*\*(\w+)\.\*\*", PAGE.read_text(), re.MULTILINE))

    assert described == {status.value for status in Status}


def test_the_final_statuses_are_complete_failed_invalid_and_cancelled() -> None:
    assert {Status.COMPLETE, Status.FAILED, Status.INVALID, Status.CANCELLED} == FINAL


@pytest.mark.parametrize("status", sorted(FINAL))
def test_nothing_moves_on_from_a_final_status(status: Status) -> None:
    assert MOVES[status] == frozenset()


@pytest.mark.parametrize("status", sorted(OPEN))
def test_an_open_status_leads_to_a_final_one(status: Status) -> None:
    assert MOVES[status] & FINAL


def test_the_table_knows_every_status() -> None:
    assert set(MOVES) == set(Status)
    assert set(itertools.chain(*MOVES.values())) | AT_INTAKE == set(Status)


def test_nothing_becomes_invalid_after_intake() -> None:
    assert not any(Status.INVALID in MOVES[source] for source in Status)


@given(st.data())
def test_a_walk_along_the_moves_meets_at_most_one_final_status(data: st.DataObject) -> None:
    walk = [data.draw(st.sampled_from(sorted(AT_INTAKE)))]
    while MOVES[walk[-1]] and len(walk) < 30:
        walk.append(data.draw(st.sampled_from(sorted(MOVES[walk[-1]]))))

    assert sum(status in FINAL for status in walk) <= 1
    assert all(status in OPEN for status in walk[:-1])
