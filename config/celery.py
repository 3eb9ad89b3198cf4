"""The Celery application: worker processes and the wake-ups between them."""

import os

from celery import Celery
from kombu.transport import redis

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# A worker that loses its broker in the middle of a drain must go on. Kombu, closing the dead connection, would try to
# put the unfinished wake-up back over it, and fail with an AttributeError that ends Celery's worker. A wake-up that is
# not put back costs nothing: the drain runs on, and the sweep is behind it.
redis.Channel.do_restore = False

app = Celery("waybill")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["orchestrator"], related_name="celery_tasks")
