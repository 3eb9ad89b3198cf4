"""docker-compose.yml is `make up` on servers of one's own: the same commands, the same settings."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from config.embedded import parts, postgres

ROOT = Path(__file__).resolve().parent.parent.parent
SCHEMA = Path(__file__).parent / "compose-spec" / "schema.json"
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_it_is_a_compose_file() -> None:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

    errors = jsonschema_rs.validator_for(json.loads(SCHEMA.read_text())).iter_errors(document)

    assert [error.message for error in errors] == []


def test_it_has_the_five_parts_and_the_migration() -> None:
    always = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert always == {"postgres", "redis", "migrate", "web", "worker", "beat"}
    assert SERVICES["postgres"]["image"] == "postgres:18"
    assert SERVICES["redis"]["image"] == "redis:8"


@pytest.mark.parametrize(
    ("service", "command"),
    [
        ("web", (*parts.WEB, "--host", "0.0.0.0", "--port", "8000")),
        ("worker", parts.WORKER),
        ("beat", (*parts.BEAT, "--schedule", "/tmp/beat-schedule")),
    ],
)
def test_its_commands_are_those_of_make_up(service: str, command: tuple[str, ...]) -> None:
    assert SERVICES[service]["command"] == ["python", "-m", *command]
    assert SERVICES[service]["environment"]["WAYBILL_ROLE"] == service


def test_its_database_has_the_settings_of_make_up() -> None:
    command = SERVICES["postgres"]["command"]
    given = dict(setting.split("=", 1) for setting in command[2::2])

    assert set(command[1::2]) == {"-c"}
    assert given.items() <= postgres.SETTINGS.items()
    assert tuple(SERVICES["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split()) == postgres.LOCALE


def test_its_broker_never_evicts_a_wake_up() -> None:
    assert SERVICES["redis"]["command"][-2:] == ["--maxmemory-policy", "noeviction"]


def test_what_is_optional_belongs_to_a_profile_and_is_asked_for_by_nothing_else() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    required = {
        other
        for service in SERVICES.values()
        for other, condition in service.get("depends_on", {}).items()
        if condition.get("required", True)
    }

    assert profiles == {"rabbitmq": ["rabbitmq"], "prometheus": ["observability"], "grafana": ["observability"]}
    assert required.isdisjoint(profiles)


def test_every_file_that_it_mounts_is_there() -> None:
    mounted = [
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if volume[0] == "."
    ]

    assert [path for path in mounted if not (ROOT / path).exists()] == []
    assert mounted


def test_its_workers_can_be_scaled() -> None:
    assert not {"container_name", "ports"} & set(SERVICES["worker"])


def test_nothing_starts_before_the_tables_are_there() -> None:
    for service in ("web", "worker", "beat"):
        assert SERVICES[service]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
