"""One unit of work inside a request."""

from django.db import models
from django.db.models import Q

from orchestrator.lifecycle import FINAL, UNSUCCESSFUL, FailureKind, Status

_FINAL = sorted(FINAL)
_WAITING = Q(status=Status.QUEUED)


class Message(models.Model):
    """One unit of work: a type, an external reference, a payload, one status, one outcome.

    `payload` and `result` are the JSON text that came: faithful, and never encoded again; the payload is empty text
    once it was cleared (`retention.py`). No update of a message is HOT, so each index is paid at insert, claim and
    outcome: they are few, partial, and each names its query.

    `turn` is its place in its lane until it is final, and from then on its place in the order in which the request's
    messages became final: how many were so before the transaction that made it so, which held the request's lock. So
    (turn, number) never falls from one commit to the next, whatever clocks do, and a reader that knows the last one it
    has seen misses none: see `tracking/gateway/following.py`.
    """

    id = models.UUIDField(primary_key=True)
    # The one foreign key that the database enforces: they halve COPY.
    request = models.ForeignKey("orchestrator.Request", on_delete=models.CASCADE, db_index=False)
    client = models.ForeignKey("orchestrator.Client", on_delete=models.PROTECT, db_constraint=False, db_index=False)
    # The state it belongs to; null: a task of the service itself.
    state_number = models.IntegerField(null=True, default=0, db_default=0)
    number = models.IntegerField()
    type = models.TextField()
    lane = models.TextField()
    turn = models.BigIntegerField()
    external_reference = models.TextField(null=True)
    payload = models.TextField()
    payload_key_id = models.TextField(null=True)
    status = models.TextField(choices=[(status, status) for status in Status])
    failure_kind = models.TextField(null=True, choices=[(kind, kind) for kind in FailureKind])
    result = models.TextField(null=True)
    errors = models.JSONField(null=True)
    attempts = models.SmallIntegerField(default=0, db_default=0)
    losses = models.SmallIntegerField(default=0, db_default=0)
    losses_alone = models.SmallIntegerField(default=0, db_default=0)
    suspect = models.BooleanField(default=False, db_default=False)
    available_at = models.DateTimeField(null=True)
    claim = models.ForeignKey(
        "orchestrator.Claim", null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    received_at = models.DateTimeField()
    first_started_at = models.DateTimeField(null=True)
    processed_at = models.DateTimeField(null=True)

    class Meta:
        permissions = [("unmask_message", "Can see the fields that are masked (WAYBILL_MASKED_FIELDS)")]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=_FINAL, processed_at__isnull=False)
                | (~Q(status__in=_FINAL) & Q(processed_at__isnull=True)),
                name="message_processed_exactly_when_final",
            ),
            models.CheckConstraint(
                condition=Q(status=Status.FAILED, failure_kind__isnull=False)
                | (~Q(status=Status.FAILED) & Q(failure_kind__isnull=True)),
                name="message_failed_has_kind",
            ),
            models.CheckConstraint(
                condition=Q(claim__isnull=True) | Q(status=Status.PROCESSING),
                name="message_claimed_only_in_processing",
            ),
            models.CheckConstraint(
                condition=Q(status__in=sorted(Status)),
                name="message_status_known",
            ),
            models.CheckConstraint(
                condition=Q(available_at__isnull=True) | _WAITING,
                name="message_available_only_when_queued",
            ),
            models.CheckConstraint(
                condition=Q(attempts__gte=0, losses__gte=0, losses_alone__gte=0, turn__gte=0),
                name="message_numbers_not_negative",
            ),
        ]
        indexes = [
            # Every window: a request's messages in order.
            models.Index(fields=["request", "number"], name="message_in_request"),
            # queue.claim, recovery.find_waiting_lanes: the index order is the fairness.
            models.Index(
                fields=["lane", "suspect", "turn"],
                name="message_claimable",
                condition=_WAITING & Q(available_at__isnull=True),
            ),
            # recovery.release_due_retries.
            models.Index(
                fields=["available_at"],
                name="message_retry",
                condition=_WAITING & Q(available_at__isnull=False),
            ),
            # recovery.give_back_lost_claims, queue.find_held: what a claim still holds.
            models.Index(
                fields=["claim"],
                name="message_claimed",
                condition=Q(status=Status.PROCESSING, claim__isnull=False),
            ),
            # Windows: how many of a request are in processing.
            models.Index(fields=["request"], name="message_processing", condition=Q(status=Status.PROCESSING)),
            # tracking and duplicatePolicy: by the client's own reference.
            models.Index(
                fields=["client", "external_reference"],
                name="message_external_reference",
                condition=Q(external_reference__isnull=False),
            ),
            # tracking: what went wrong, by day.
            models.Index(
                fields=["client", "status", "-received_at"],
                name="message_unsuccessful",
                condition=Q(status__in=sorted(UNSUCCESSFUL)),
            ),
            # The desk and replaying: a type's failures, by when they failed. Only a failure pays for it.
            models.Index(
                fields=["type", "processed_at", "id"], name="message_failures", condition=Q(status=Status.FAILED)
            ),
        ]

    def __str__(self) -> str:
        """Return the message's id."""
        return str(self.pk)
