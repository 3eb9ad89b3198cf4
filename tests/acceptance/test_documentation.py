"""Every command printed in the README and in docs/ is run, and answers as printed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.embedded import processes
from tests import console
from tests.acceptance import stacks

pytestmark = [pytest.mark.timeout(300), pytest.mark.debian("curl", "curl")]

PAGES = [stacks.ROOT / "README.md", *sorted((stacks.ROOT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def stack() -> Iterator[stacks.Stack]:
    with stacks.new_home() as home:
        running = stacks.ready(home, port=processes.free_port())
        try:
            yield running
        finally:
            running.stop()


@pytest.mark.parametrize("page", [page for page in PAGES if console.steps(page)], ids=lambda page: page.name)
def test_a_page_shows_what_a_reader_gets(page: Path, stack: stacks.Stack) -> None:
    environment = {"PATH": os.environ["PATH"], "WAYBILL_HOME": str(stack.home), "HOME": os.environ["HOME"]}

    console.run(page, port=stack.port, environment=environment)
