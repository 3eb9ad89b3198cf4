"""The peer's Celery application: `celery -A benchmarks.peer.celery worker`."""

import os

import httpx2
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peer.settings")

app = Celery("peer")
app.config_from_object("django.conf:settings", namespace="CELERY")


@app.task(name="peer.carry_out")
def carry_out(job_id: int) -> None:
    from django.utils import timezone

    from benchmarks.peer.models import Job

    Job.objects.filter(pk=job_id).update(status="processing")
    Job.objects.filter(pk=job_id).update(status="complete", finished_at=timezone.now())


@app.task(name="peer.call_out")
def call_out(job_id: int, url: str, body: dict[str, object]) -> None:
    """The same around a call of a back end."""
    from django.utils import timezone

    from benchmarks.peer.models import Job

    Job.objects.filter(pk=job_id).update(status="processing")
    httpx2.post(url, json=body, timeout=30).raise_for_status()
    Job.objects.filter(pk=job_id).update(status="complete", finished_at=timezone.now())
