"""The Celery application: worker processes and the wake-ups between them."""

import os

from celery import Celery
from kombu.transport import redis

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class _QoS(redis.QoS):
    """What kombu knows of wake-ups under way; a connection that has died is no reason to die with it.

    A drain that ends while its connection is being made anew acknowledges its wake-up on the old channel, which has no
    connection any more. Kombu raises an AttributeError there, and that ends Celery's worker.
    """

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a wake-up, unless the channel that it came by is closed: then nobody waits for that."""
        if not self.channel.closed:
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Refuse a wake-up, unless its channel is closed."""
        if not self.channel.closed:
            super().reject(delivery_tag, requeue=requeue)


redis.Channel.QoS = _QoS

# A worker that loses its broker in the middle of a drain must go on. Kombu, closing the dead connection, would try to
# put the unfinished wake-up back over it, and fail with an AttributeError that ends Celery's worker. A wake-up that is
# not put back costs nothing: the drain runs on, and the sweep is behind it.
redis.Channel.do_restore = False

app = Celery("waybill")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["orchestrator"], related_name="celery_tasks")
