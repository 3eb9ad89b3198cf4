"""Work in company: who comes while somebody is at work is worked for by one of those who wait."""

import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import OperationalError

from orchestrator import database_errors
from orchestrator.gathering import Gathering
from tests.waiting import eventually


class Works:
    """Remembers which items were worked on together; the work can be held up."""

    def __init__(self) -> None:
        self.companies: list[list[int]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, items: Sequence[int]) -> list[str | BaseException]:
        self.companies.append(list(items))
        assert self.may_go_on.wait(timeout=10)
        return [ValueError(str(item)) if item < 0 else str(item) for item in items]


def come_while_at_work(works: Works, gathering: Gathering[int, str], items: Sequence[int]) -> list[str | Exception]:
    """Bring 0, and the items while 0 is worked on; return what became of the items."""

    def bring(item: int) -> str | Exception:
        try:
            return gathering.bring("key", item)[0]
        except Exception as error:  # noqa: BLE001 - handed to the test
            return error

    works.may_go_on.clear()
    with ThreadPoolExecutor(len(items) + 1) as pool:
        first = pool.submit(bring, 0)
        eventually(lambda: works.companies, what="the first at work")
        results = [pool.submit(bring, item) for item in items]
        eventually(lambda: len(gathering._waiting["key"]) == len(items), what="the others waiting")
        works.may_go_on.set()
        assert first.result(timeout=10) == "0"
        return [result.result(timeout=10) for result in results]


def test_who_finds_nobody_at_work_begins_at_once_alone() -> None:
    works = Works()
    gathering = Gathering(works, most=10)

    assert gathering.bring("key", 1) == ("1", ["1"])
    assert gathering.bring("key", 2) == ("2", ["2"])
    assert works.companies == [[1], [2]]
    assert not gathering._waiting


def test_those_who_come_meanwhile_are_worked_on_together() -> None:
    works = Works()

    results = come_while_at_work(works, Gathering(works, most=10), range(1, 6))

    assert results == ["1", "2", "3", "4", "5"]
    assert [sorted(company) for company in works.companies] == [[0], [1, 2, 3, 4, 5]]


def test_a_company_has_its_bound() -> None:
    works = Works()

    come_while_at_work(works, Gathering(works, most=2), range(1, 6))

    assert [len(company) for company in works.companies] == [1, 2, 2, 1]


def test_one_of_a_company_learns_what_became_of_all() -> None:
    works = Works()
    gathering = Gathering(works, most=10)
    told: list[Sequence[object]] = []

    works.may_go_on.clear()
    with ThreadPoolExecutor(4) as pool:
        for item in range(4):
            pool.submit(lambda brought: told.append(gathering.bring("key", brought)[1]), item)
        eventually(lambda: len(gathering._waiting.get("key", [])) == 3, what="the others waiting")
        works.may_go_on.set()

    assert sorted(map(len, told)) == [0, 0, 1, 3]


def test_an_exception_is_raised_where_its_item_came_from() -> None:
    works = Works()

    results = come_while_at_work(works, Gathering(works, most=10), [1, -2, 3])

    assert results[::2] == ["1", "3"]
    assert isinstance(results[1], ValueError)


def test_work_that_breaks_is_everybodys_and_the_next_goes_on() -> None:
    def broken(items: Sequence[int]) -> list[str | BaseException]:
        if works(items) and items[0] == 0:
            raise OSError("broken")
        return ["fine" for _ in items]

    works = Works()
    gathering: Gathering[int, str] = Gathering(broken, most=10)
    with pytest.raises(OSError, match="broken"):
        gathering.bring("key", 0)

    assert gathering.bring("key", 1) == ("fine", ["fine"])


def test_each_of_a_company_raises_an_exception_of_its_own() -> None:
    """The race: two threads raise one object, and each writes its own traceback into the other's."""
    cause = psycopg.errors.AdminShutdown("the ledger is restarted")

    def work(items: Sequence[int]) -> list[str | BaseException]:
        if works(items) and items[0] == 0:
            return ["0"]
        raise OperationalError("the ledger is away") from cause

    works = Works()
    failures = come_while_at_work(works, Gathering(work, most=10), [1, 2, 3])

    assert len({id(failure) for failure in failures}) == 3
    for failure in failures:
        assert isinstance(failure, OperationalError)
        assert failure.args == ("the ledger is away",)
        assert failure.__cause__ is cause
        assert database_errors.is_passing(failure)
        # The test's own `bring`, the gathering's, and nothing of another thread's.
        assert [frame.name for frame in traceback.extract_tb(failure.__traceback__)] == ["bring", "bring", "_result_of"]


class Unfit(Exception):
    """One whose parameters are not its args."""

    def __init__(self, *, problems: int) -> None:
        self.problems = problems
        super().__init__(f"{problems} problems")


def test_an_exception_of_ones_own_is_made_whatever_its_parameters_are() -> None:
    def work(items: Sequence[int]) -> list[str | BaseException]:
        return [Unfit(problems=item) for item in items]

    gathering: Gathering[int, str] = Gathering(work, most=10)

    with pytest.raises(Unfit, match=r"^3 problems$") as raised:
        gathering.bring("key", 3)

    assert raised.value.problems == 3


def test_keys_do_not_wait_for_each_other() -> None:
    works = Works()
    gathering = Gathering(works, most=10)
    works.may_go_on.clear()

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(gathering.bring, key, 1) for key in ("one", "other")]
        eventually(lambda: len(works.companies) == 2, what="both at work")
        works.may_go_on.set()
        assert [done.result(timeout=10)[0] for done in both] == ["1", "1"]


def test_nobody_is_left_waiting_or_given_anothers_result() -> None:
    """The race: one who ends and sees nobody waiting, while another sees somebody at work and begins to wait."""

    def work(items: Sequence[int]) -> list[str | BaseException]:
        return [str(item) for item in items]

    gathering = Gathering(work, most=3)

    def come_often(first: int) -> bool:
        return all(gathering.bring("key", item)[0] == str(item) for item in range(first, first + 2000))

    with ThreadPoolExecutor(8) as pool:
        rounds: list[Callable[[], bool]] = [pool.submit(come_often, n * 10_000).result for n in range(8)]
        assert all(result() for result in rounds)
    assert not gathering._waiting
