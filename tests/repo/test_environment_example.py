"""`.env.example` and the settings name the same variables with the same defaults."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OUTSIDE_THE_SETTINGS = {"POSTGRES_PASSWORD"}  # read by docker-compose.yml


def variables_of_the_settings() -> set[str]:
    return set(re.findall(r'(?:env\.\w+|count|number)\(\s*"([A-Z_]+)"', (ROOT / "config" / "settings.py").read_text()))


def lines_of_the_example() -> dict[str, str]:
    pattern = re.compile(r"^#?([A-Z_]+)=(\S*)", re.MULTILINE)
    return dict(pattern.findall((ROOT / ".env.example").read_text()))


def test_every_variable_that_is_read_is_in_the_example() -> None:
    assert variables_of_the_settings() - set(lines_of_the_example()) == set()


def test_every_variable_of_the_example_is_read() -> None:
    assert set(lines_of_the_example()) - variables_of_the_settings() == OUTSIDE_THE_SETTINGS


def test_the_example_shows_the_defaults() -> None:
    source = (ROOT / "config" / "settings.py").read_text()
    shown = lines_of_the_example()
    wrong = {}
    for name, default in re.findall(r'env\.(?:int|float)\("([A-Z_]+)", ([\d_. *]+)\)', source):
        value = 1.0
        for factor in default.split("*"):
            value *= float(factor)
        if float(shown[name]) != value:
            wrong[name] = (shown[name], default)

    assert wrong == {}


def test_no_secret_has_a_default() -> None:
    shown = lines_of_the_example()

    assert [shown[name] for name in ("SECRET_KEY", "DATABASE_URL", "BROKER_URL", "POSTGRES_PASSWORD")] == [""] * 4
