"""The page that a caller asks for: `page` from 0, `size` from 1 to 1000. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.api.problems import Problem

DEFAULT_SIZE = 10
LARGEST_SIZE = 1000
LARGEST_PAGE = 10**15 - 1
_DIGITS = re.compile(r"[0-9]{1,15}", re.ASCII)  # fifteen: still exact in JSON, and times the size still a bigint


@dataclass(frozen=True, slots=True)
class PageWanted:
    """Which page, from 0, and how many elements it holds."""

    page: int
    size: int


def read_page(query: Mapping[str, str]) -> PageWanted:
    """Read `page` and `size` from the query parameters; raise a `Problem` 400 that names the bad one."""
    page = _number(query.get("page", "0"))
    size = _number(query.get("size", str(DEFAULT_SIZE)))
    if page is None:
        raise Problem(400, "page must be a whole number from 0", field="page")
    if size is None or not 1 <= size <= LARGEST_SIZE:
        raise Problem(400, f"size must be a whole number from 1 to {LARGEST_SIZE}", field="size")
    return PageWanted(page=page, size=size)


def _number(text: str) -> int | None:
    return int(text) if _DIGITS.fullmatch(text) else None
