"""The accesses and their services: made by the operator, listed for whoever may order.

In: what an operator wishes, or a list that is to be read. Out: rows. Called by `manage.py access` and the window.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from orchestrator import database_errors
from orders.models import Access, AccessService

PAGE = 1000
"""Accesses read at once."""


class Refused(ValueError):
    """An access can't be so; the text says why in one line."""


@dataclass(frozen=True, slots=True)
class Saved:
    """How many accesses there were new ones among those that were saved."""

    created: int
    updated: int


@database_errors.repeat_deadlocked
@transaction.atomic
def save(access_ids: Sequence[str], services: Mapping[str, str | None]) -> Saved:
    """Create or update accesses, each with these services (name → type); raise Refused when one can't be.

    Services that are not named stay. A type None: as it was, and of a new service its own name.
    """
    wanted = list(dict.fromkeys(access_ids))
    check(wanted, services)
    known = Access.objects.filter(pk__in=wanted).count()
    Access.objects.bulk_create((Access(pk=access_id) for access_id in wanted), ignore_conflicts=True)
    _save_services(wanted, {name: of_type for name, of_type in services.items() if of_type}, retype=True)
    _save_services(wanted, {name: name for name, of_type in services.items() if not of_type}, retype=False)
    return Saved(created=len(wanted) - known, updated=known)


def check(access_ids: Sequence[str], services: Mapping[str, str | None]) -> None:
    """Raise Refused for the first access or service that can't be."""
    for access_id in access_ids:
        _check(Access, "id", access_id, what="an accessId")
    for service, service_type in services.items():
        _check(AccessService, "service", service, what="a service")
        _check(AccessService, "service_type", service_type or service, what="a service type")


def read() -> Iterator[str]:
    """Yield all accesses in the order of their ids, a page by each statement, as JSON objects with commas between."""
    after: str | None = ""
    while after is not None:
        page, after = _read_page(after=after)
        if page:
            yield page


def _read_page(*, after: str) -> tuple[str | None, str | None]:
    """Return a page, and the id behind which the next one begins: None behind the last."""
    with connection.cursor() as cursor:
        cursor.execute(_PAGE, {"after": after, "limit": PAGE})
        page, last, count = cursor.fetchone()
    return page, last if count == PAGE else None


def _save_services(access_ids: Sequence[str], services: Mapping[str, str], *, retype: bool) -> None:
    """Insert what is missing, in a fixed order; of what is there, `retype` sets the type, and nobody's holding."""
    AccessService.objects.bulk_create(
        (
            AccessService(access_id=access_id, service=name, service_type=of_type)
            for access_id in sorted(access_ids)
            for name, of_type in sorted(services.items())
        ),
        batch_size=PAGE,
        ignore_conflicts=not retype,
        update_conflicts=retype,
        unique_fields=["access", "service"] if retype else None,
        update_fields=["service_type"] if retype else None,
    )


def _check(model: Any, column: str, value: str, *, what: str) -> None:
    try:
        model._meta.get_field(column).clean(value, None)  # noqa: SLF001 - Django's documented API, underscore and all
    except ValidationError as refused:
        raise Refused(f"not {what}: {value!r} ({refused.messages[0]})") from refused


# By primary key, then access_service_once for each; ids need no escaping.
_PAGE = """
SELECT string_agg('{"accessId":"' || id || '","services":[' || services || ']}', ',' ORDER BY id), max(id), count(*)
FROM (
    SELECT id FROM orders_access WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
) AS access CROSS JOIN LATERAL (
    SELECT coalesce(string_agg(
        '{"service":' || to_json(service) || ',"serviceType":' || to_json(service_type)
            || ',"active":' || (holder_id IS NOT NULL)::text || '}',
        ',' ORDER BY service
    ), '') AS services
    FROM orders_accessservice WHERE access_id = access.id
) AS listed
"""
