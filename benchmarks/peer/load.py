"""Hand N jobs to the peer and wait until all are complete; prints the seconds. A process of its own."""

import sys
import time

import django

from benchmarks.peer.celery import app, carry_out


def main(jobs: int) -> None:
    django.setup()
    from django.core.management import call_command

    from benchmarks.peer.models import Job

    call_command("migrate", run_syncdb=True, verbosity=0)
    Job.objects.all().delete()
    carry_out.delay(0)  # the connection is open, the workers are warm
    began = time.monotonic()
    rows = Job.objects.bulk_create(Job(payload={"n": n}) for n in range(jobs))
    with app.producer_pool.acquire() as producer:
        for row in rows:
            carry_out.apply_async((row.pk,), producer=producer)
    while Job.objects.exclude(status="complete").exists():
        time.sleep(0.05)
    print(time.monotonic() - began)


if __name__ == "__main__":
    main(int(sys.argv[1]))
