"""The looks of the desk: its name, its colours, and what its side bar leads to.

In: nothing. Out: `UNFOLD`, which django-unfold reads from the settings.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

_BLUE = {
    "50": "oklch(97% .014 254.604)",
    "100": "oklch(93.2% .032 255.585)",
    "200": "oklch(88.2% .059 254.128)",
    "300": "oklch(80.9% .105 251.813)",
    "400": "oklch(70.7% .165 254.624)",
    "500": "oklch(62.3% .214 259.815)",
    "600": "oklch(54.6% .245 262.881)",
    "700": "oklch(48.8% .243 264.376)",
    "800": "oklch(42.4% .199 265.638)",
    "900": "oklch(37.9% .146 265.522)",
    "950": "oklch(28.2% .091 267.935)",
}


def _may(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(permission)


def _to(title: str, icon: str, model: str) -> dict[str, Any]:
    """Lead to a model's list, for those who may see it."""
    app, name = model.split(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": _may(f"{app}.view_{name}"),
    }


_SIDE_BAR = [
    {
        "items": [{"title": "Dashboard", "icon": "monitoring", "link": reverse_lazy("admin:index")}],
    },
    {
        "title": "Work",
        "items": [
            _to("Requests", "inbox", "orchestrator.request"),
            _to("Messages", "mail", "orchestrator.message"),
            _to("Lanes", "lan", "orchestrator.lane"),
            _to("Workers", "memory", "orchestrator.worker"),
        ],
    },
    {
        "title": "Who and what",
        "items": [
            _to("Clients", "key", "orchestrator.client"),
            _to("Back ends", "dns", "orchestrator.backend"),
        ],
    },
    {
        "title": "Orders",
        "items": [
            _to("Accesses", "cable", "orders.access"),
            _to("Orders", "receipt_long", "orders.order"),
            _to("Order events", "history", "orders.orderevent"),
        ],
    },
    {
        "title": "The desk",
        "items": [
            _to("Users", "person", "auth.user"),
            _to("Groups", "group", "auth.group"),
            _to("Audit log", "policy", "orchestrator.auditentry"),
        ],
    },
]

UNFOLD = {
    "SITE_TITLE": "Waybill",
    "SITE_HEADER": "Waybill",
    "SITE_SUBHEADER": "The operator's desk",
    "SITE_SYMBOL": "conveyor_belt",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _: static("desk/icon.svg")}],
    "SHOW_HISTORY": False,
    "DASHBOARD_CALLBACK": "orchestrator.admin.dashboard.fill_page",
    "COLORS": {"primary": _BLUE},
    "SCRIPTS": [lambda _: static("desk/icons.js")],
    "STYLES": [lambda _: static("desk/forms.css")],
    "SIDEBAR": {"show_search": False, "navigation": _SIDE_BAR},
}
