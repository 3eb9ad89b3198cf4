"""Lanes: which Celery queue serves them, and whether they are paused.

In: a lane. Out: pages to look at; its queue can be changed, and it can be paused and resumed, each after a question.
Called by Django's admin.
"""
# ruff: noqa: ARG002 - Django calls with these arguments

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import URLPattern

from orchestrator import lanes
from orchestrator.admin import confirming
from orchestrator.admin.confirming import Deed
from orchestrator.admin.pages import Page
from orchestrator.models import AuditAction, Lane

_PAUSE = Deed(
    word="pause",
    action=AuditAction.PAUSE,
    permission="orchestrator.pause_lane",
    title="Pause lane {}?",
    told=(
        "Nothing more is claimed in it. What a worker has claimed already is finished.",
        "New messages are still accepted; they wait, and keep their turns, until the lane is resumed.",
    ),
    button="Pause the lane",
    do=lanes.pause,
    done="Lane {} is paused.",
    already="Lane {} was paused already.",
)
_RESUME = Deed(
    word="resume",
    action=AuditAction.RESUME,
    permission="orchestrator.pause_lane",
    title="Resume lane {}?",
    told=("Its workers are woken at once, and claim what waits in it, in its order.",),
    button="Resume the lane",
    do=lanes.resume,
    done="Lane {} is resumed.",
    already="Lane {} was not paused.",
)
_DEEDS = confirming.Deeds(table="lane", check=lanes.check, refusals=(lanes.UnknownLane,), deeds=(_PAUSE, _RESUME))


@admin.register(Lane)
class LanePage(Page):
    """Lanes: they are made by the first message that waits in them."""

    list_display = ("name", "queue", "standing", "clock")
    readonly_fields = ("name", "paused", "clock")
    fields = ("name", "queue", "paused", "clock")
    ordering = ("name",)
    change_form_outer_before_template = "desk/lane_actions.html"

    def get_urls(self) -> list[URLPattern]:
        """Add what can be done to a lane; its name is part of the address."""
        return [*confirming.addresses(_DEEDS), *super().get_urls()]

    @admin.display(description="state")
    def standing(self, lane: Lane) -> str:
        """Say whether it is paused."""
        return "paused" if lane.paused else "open"

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: a lane is made when it is needed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: its clock must never fall."""
        return False
