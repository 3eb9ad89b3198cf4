"""ARCHITECTURE.md's map has every room: a module that is on no line of it is found by nobody."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FURNITURE = {"__init__.py", "apps.py"}


def test_every_module_is_on_the_map() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    on_it = set(re.findall(r"[`/](\w+\.py)`", text))

    modules = {path.name for app in ("orchestrator", "orders") for path in (ROOT / app).glob("*.py")}

    assert modules - FURNITURE - on_it == set()


def test_nothing_is_on_the_map_that_is_not_there() -> None:
    named = set(
        re.findall(
            r"`((?:orchestrator|tracking|orders|config|tests)/[\w/]+\.py)`", (ROOT / "ARCHITECTURE.md").read_text()
        )
    )

    assert named
    assert {name for name in named if not (ROOT / name).exists()} == set()
