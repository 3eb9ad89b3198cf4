"""deploy/kubernetes is docker-compose.yml on a cluster: valid by the published schemas, with the same commands."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from django.conf import settings

from config import healthy
from config.embedded import parts
from orchestrator import turns
from orchestrator.models import Lane
from tests.repo.test_compose import SERVICES
from tests.repo.test_environment_example import lines_of_the_example

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "deploy" / "kubernetes"
SCHEMAS = Path(__file__).parent / "kubernetes"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
GROUPS = {
    ("v1", "Namespace"): "core.v1",
    ("v1", "Service"): "core.v1",
    ("apps/v1", "Deployment"): "apps.v1",
    ("batch/v1", "Job"): "batch.v1",
    ("policy/v1", "PodDisruptionBudget"): "policy.v1",
}


def objects() -> Iterator[dict[str, Any]]:
    for name in KUSTOMIZATION["resources"]:
        yield from yaml.safe_load_all((FOLDER / name).read_text())


def schema_of(thing: dict[str, Any]) -> Any:
    if thing["kind"] == "ScaledObject":
        return json.loads((SCHEMAS / "scaledobject.json").read_text())
    definitions = json.loads((SCHEMAS / "kubernetes.json").read_text())
    return definitions | {"$ref": f"#/$defs/io.k8s.api.{GROUPS[thing['apiVersion'], thing['kind']]}.{thing['kind']}"}


def pods() -> dict[str, dict[str, Any]]:
    """Workload → the one container's pod."""
    found = [thing for thing in objects() if thing["kind"] in {"Deployment", "Job"}]
    return {thing["metadata"]["name"].removeprefix("waybill-"): thing["spec"]["template"]["spec"] for thing in found}


def container(name: str) -> dict[str, Any]:
    (only,) = pods()[name]["containers"]
    return dict(only)


def variables_of(file: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", (FOLDER / file).read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    "thing", [pytest.param(each, id=f"{each['kind']}-{each['metadata']['name']}") for each in objects()]
)
def test_each_object_is_valid_by_its_published_schema(thing: dict[str, Any]) -> None:
    errors = jsonschema_rs.validator_for(schema_of(thing)).iter_errors(thing)

    assert [(error.instance_path, error.message) for error in errors] == []


def test_a_misspelt_field_would_be_found() -> None:
    (job,) = (thing for thing in objects() if thing["kind"] == "Job")
    job["spec"]["backofLimit"] = 3

    assert list(jsonschema_rs.validator_for(schema_of(job)).iter_errors(job))


def test_the_kustomization_is_valid_and_names_every_file() -> None:
    errors = jsonschema_rs.validator_for(json.loads((SCHEMAS / "kustomization.json").read_text())).iter_errors(
        KUSTOMIZATION
    )

    assert [error.message for error in errors] == []
    assert set(KUSTOMIZATION["resources"]) | {"kustomization.yaml"} == {path.name for path in FOLDER.glob("*.yaml")}


@pytest.mark.parametrize("name", ["web", "worker", "beat", "migrate"])
def test_the_commands_are_those_of_compose(name: str) -> None:
    assert container(name)["command"] == SERVICES[name]["command"]
    assert container(name)["image"] == "waybill"


@pytest.mark.parametrize("name", ["web", "worker", "beat"])
def test_each_process_is_told_its_role_and_is_asked_for_its_health(name: str) -> None:
    process = container(name)

    assert {"name": "WAYBILL_ROLE", "value": name} in process["env"]
    assert {"startupProbe", "livenessProbe"} <= set(process)
    assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "python", "config/healthy.py"]
    assert healthy.SILENT_FOR >= 60


@pytest.mark.parametrize("name", ["web", "worker", "beat", "migrate"])
def test_nothing_runs_as_root_or_writes_outside_of_tmp(name: str) -> None:
    security, service = container(name)["securityContext"], SERVICES[name]

    assert pods()[name]["securityContext"]["runAsNonRoot"] is True
    assert (security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"]) == (True, False)
    assert container(name)["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert (service["read_only"], service["tmpfs"], service["cap_drop"]) == (True, ["/tmp"], ["ALL"])


def test_every_variable_is_one_that_waybill_reads() -> None:
    known = set(lines_of_the_example())

    assert set(variables_of("settings.env")) - known == set()
    assert set(variables_of("secret.env.example")) == {"SECRET_KEY", "DATABASE_URL", "BROKER_URL", "CACHE_URL"}


def test_a_pod_is_given_more_time_to_stop_than_its_work() -> None:
    grace = float(variables_of("settings.env")["WAYBILL_GRACE"])

    assert pods()["worker"]["terminationGracePeriodSeconds"] >= grace + 10


@pytest.mark.django_db
def test_every_lane_has_a_worker() -> None:
    """A lane that comes to be is served by the default queue, and a worker without -Q listens to just that one."""
    turns.open_lanes(["new"])

    assert set(Lane.objects.values_list("queue", flat=True)) == {settings.CELERY_TASK_DEFAULT_QUEUE}
    assert "-Q" not in parts.WORKER
    assert "--queues" not in parts.WORKER


def test_only_selected_pods_are_there_to_be_selected() -> None:
    labels = {
        thing["metadata"]["name"]: thing["spec"]["template"]["metadata"]["labels"]
        for thing in objects()
        if thing["kind"] == "Deployment"
    }
    for thing in objects():
        selector = thing.get("spec", {}).get("selector", {})
        wanted = selector.get("matchLabels", selector)
        if wanted:
            assert wanted.items() <= labels[thing["metadata"]["name"]].items()
