"""The desk's first page: does the work flow?

In: a look of somebody who may see lanes. Out: the page, and what it asks for every few seconds as JSON: what is going
on now, and a chart's points. Called by Django's admin; the page's script is `static/desk/dashboard.js`.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, JsonResponse
from django.urls import path, reverse
from django.views.decorators.http import require_GET

from orchestrator import board, breakers, standing, trends
from orchestrator.board import Count, LaneNow, WorkerNow
from orchestrator.breakers import BreakerState
from orchestrator.trends import Rate, Rates, Span

_SEES_LANES = "orchestrator.view_lane"

admin.site.index_template = "desk/dashboard.html"


def fill_page(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Tell the first page whether to be the dashboard: named by `UNFOLD` in the settings."""
    return {**context, "has_dashboard": request.user.has_perm(_SEES_LANES), "title": "Dashboard"}


@require_GET
def show_now(request: HttpRequest) -> JsonResponse:
    """Answer what is going on now."""
    _refuse_strangers(request)
    lanes, rates = board.read_lanes(), trends.read_rates()
    workers = board.read_workers()
    states = {state.lane: state for state in breakers.states()}
    may_pause = request.user.has_perm("orchestrator.pause_lane")
    may_drain = request.user.has_perm("orchestrator.drain_worker")
    return _answer(
        {
            "at": datetime.now(UTC).isoformat(),
            "total": _total(lanes, workers, rates.whole),
            "lanes": [_lane(lane, rates.lanes.get(lane.name), states.get(lane.name), may=may_pause) for lane in lanes],
            "backends": _backends(rates, states),
            "workers": [_worker(worker, may=may_drain) for worker in workers],
        }
    )


@require_GET
def show_history(request: HttpRequest) -> JsonResponse:
    """Answer the points of the charts: `?span=hour|day&lane=`, of all lanes without one."""
    _refuse_strangers(request)
    span = Span.DAY if request.GET.get("span") == "day" else Span.HOUR
    lane = request.GET.get("lane", "").replace("\x00", "")
    return _answer({"points": [asdict(point) for point in trends.read_history(span, lane=lane)]})


urlpatterns = [
    path("now", admin.site.admin_view(show_now), name="dashboard_now"),
    path("history", admin.site.admin_view(show_history), name="dashboard_history"),
]


def _refuse_strangers(request: HttpRequest) -> None:
    if not request.user.has_perm(_SEES_LANES):
        raise PermissionDenied


def _answer(body: dict[str, Any]) -> JsonResponse:
    return JsonResponse(body, headers={"Cache-Control": "no-store"})


# ---------------------------------------------------------------- the figures as the page's script takes them


def _total(lanes: list[LaneNow], workers: list[WorkerNow], rate: Rate) -> dict[str, Any]:
    return {
        "queued": _count(_sum([lane.queued for lane in lanes])),
        "retrying": _count(_sum([lane.retrying for lane in lanes])),
        "oldest": max((lane.oldest for lane in lanes if lane.oldest is not None), default=None),
        "processing": sum(lane.processing for lane in lanes),
        "workers": sum(worker.is_alive for worker in workers),
        "silent": sum(not worker.is_alive for worker in workers),
        **_rate(rate),
    }


def _lane(lane: LaneNow, rate: Rate | None, breaker: BreakerState | None, *, may: bool) -> dict[str, Any]:
    name = "resume" if lane.paused else "pause"
    return {
        "key": lane.name,
        "url": reverse("admin:orchestrator_lane_change", args=(quote(lane.name),)),
        "state": standing.of_lane(lane, breaker),
        "queued": _count(lane.queued),
        "retrying": _count(lane.retrying),
        "oldest": lane.oldest,
        "processing": lane.processing,
        **_rate(rate or Rate()),
        "action": name if may else None,
        "action_url": reverse(f"admin:orchestrator_lane_{name}", args=(quote(lane.name),)),
    }


def _backends(rates: Rates, states: dict[str, BreakerState]) -> list[dict[str, Any]]:
    return [
        {
            "key": backend.message_type,
            "url": reverse("admin:orchestrator_backend_change", args=(quote(backend.message_type),)),
            "address": backend.url,
            "state": standing.of_backend(rates.calls.get(backend.message_type), states.get(backend.lane)),
            "breaker": standing.of_breaker(states.get(backend.lane)),
            **_rate(rates.calls.get(backend.message_type) or Rate()),
            "last_failure": state.last_failure if (state := states.get(backend.lane)) else None,
        }
        for backend in board.read_backends()
    ]


def _worker(worker: WorkerNow, *, may: bool) -> dict[str, Any]:
    name = "undrain" if worker.draining else "drain"
    return {
        "key": str(worker.id),
        "name": f"{worker.host}:{worker.pid}",
        "url": reverse("admin:orchestrator_worker_change", args=(worker.id,)),
        "state": standing.of_worker(worker),
        "silent": worker.silent,
        "started_at": worker.started_at.isoformat(),
        "queues": worker.queues,
        "holds": worker.holds,
        "action": name if may else None,
        "action_url": reverse(f"admin:orchestrator_worker_{name}", args=(worker.id,)),
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return {
        "a_minute": rate.a_minute,
        "failure_rate": rate.failure_rate,
        "p50": rate.quantile(0.5),
        "p95": rate.quantile(0.95),
    }


def _count(count: Count) -> dict[str, Any]:
    return {"number": count.number, "at_least": count.at_least, "seconds_old": round(count.seconds_old)}


def _sum(counts: list[Count]) -> Count:
    return Count(
        number=sum(count.number for count in counts),
        at_least=any(count.at_least for count in counts),
        seconds_old=max((count.seconds_old for count in counts), default=0.0),
    )
