"""Lanes: which Celery queue serves them, and whether they are paused.

In: a lane. Out: pages to look at; its queue can be changed, and it can be paused and resumed, each after a question.
Called by Django's admin.
"""
# ruff: noqa: ARG002 - Django calls with these arguments

from functools import partial

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern

from orchestrator import audit, lanes
from orchestrator.admin import confirming
from orchestrator.admin.confirming import Question
from orchestrator.admin.pages import Page
from orchestrator.models import AuditAction, Lane

_REFUSALS = (lanes.UnknownLane,)


@admin.register(Lane)
class LanePage(Page):
    """Lanes: they are made by the first message that waits in them."""

    list_display = ("name", "queue", "standing", "clock")
    readonly_fields = ("name", "paused", "clock")
    fields = ("name", "queue", "paused", "clock")
    ordering = ("name",)
    change_form_outer_before_template = "desk/lane_actions.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the questions; a lane's name is part of their address."""
        own = confirming.addresses("lane", {"pause": self.ask_to_pause, "resume": self.ask_to_resume})
        return [*own, *super().get_urls()]

    def ask_to_pause(self, request: HttpRequest, key: str) -> HttpResponse:
        """Pause a lane after a question."""
        lane = unquote(key)
        return confirming.confirm(
            request,
            Question(
                deed=audit.Deed(AuditAction.PAUSE, "lane", lane),
                permission="orchestrator.pause_lane",
                title=f"Pause lane {lane}?",
                told=(
                    "Nothing more is claimed in it. What a worker has claimed already is finished.",
                    "New messages are still accepted; they wait, and keep their turns, until the lane is resumed.",
                ),
                button="Pause the lane",
                check=partial(lanes.check, lane),
                do=partial(_pause, lane),
                refusals=_REFUSALS,
            ),
        )

    def ask_to_resume(self, request: HttpRequest, key: str) -> HttpResponse:
        """Resume a lane after a question."""
        lane = unquote(key)
        return confirming.confirm(
            request,
            Question(
                deed=audit.Deed(AuditAction.RESUME, "lane", lane),
                permission="orchestrator.pause_lane",
                title=f"Resume lane {lane}?",
                told=("Its workers are woken at once, and claim what waits in it, in its order.",),
                button="Resume the lane",
                check=partial(lanes.check, lane),
                do=partial(_resume, lane),
                refusals=_REFUSALS,
            ),
        )

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


def _pause(lane: str) -> str:
    return f"Lane {lane} is paused." if lanes.pause(lane) else f"Lane {lane} was paused already."


def _resume(lane: str) -> str:
    return f"Lane {lane} is resumed." if lanes.resume(lane) else f"Lane {lane} was not paused."
