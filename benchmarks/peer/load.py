"""Hand N jobs to the peer and wait until all are complete; prints the seconds. A process of its own.

`load N`: rows and tasks as quickly as they can be made. `load N URL BODY`: tasks that POST the body to a back end.
"""

import json
import sys
import time

import django

from benchmarks.peer.celery import app, call_out, carry_out


def main(jobs: int, *back_end: str) -> None:
    django.setup()
    from django.core.management import call_command

    from benchmarks.peer.models import Job

    call_command("migrate", run_syncdb=True, verbosity=0)
    Job.objects.all().delete()
    task, arguments = (call_out, (back_end[0], json.loads(back_end[1]))) if back_end else (carry_out, ())
    task.apply_async((0, *arguments))  # the connection is open
    began = time.monotonic()
    rows = Job.objects.bulk_create(Job(payload={"n": n}) for n in range(jobs))
    with app.producer_pool.acquire() as producer:
        for row in rows:
            task.apply_async((row.pk, *arguments), producer=producer)
    while Job.objects.exclude(status="complete").exists():
        time.sleep(0.05)
    print(time.monotonic() - began)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
