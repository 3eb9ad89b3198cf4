"""`manage.py replay`: hand failed messages in anew.

In: ids of requests or messages, or a type and a time. Out: the new requests' ids, one a line. Called by operators.
"""

import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from orchestrator import amounts, audit, ids, replaying, replays
from orchestrator.management.errors import told_in_one_line
from orchestrator.replaying import Replayed

_AGO = re.compile(r"(?P<count>\d{1,9})(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Command(BaseCommand):
    """Translates options into calls of `replaying`."""

    help = "Replay failed messages: new requests with copies of them. What is final stays final."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "id", nargs="*", metavar="ID", help="a request whose failed messages, or one failed message"
        )
        parser.add_argument("--type", metavar="TYPE", help="instead of ids: all failures of a message type")
        parser.add_argument("--since", metavar="TIME", help="that failed since: 2026-01-31T12:00Z, or 90m, 2h, 1d ago")
        parser.add_argument("--again", action="store_true", help="also those that were replayed already")

    def handle(self, **options: Any) -> None:
        """Replay, and print each new request."""
        if bool(options["id"]) == bool(options["type"]) or bool(options["type"]) != bool(options["since"]):
            raise CommandError("give either ids, or --type and --since")
        messages = 0
        with told_in_one_line():
            try:
                for replayed in _replay(options):
                    messages += replayed.messages
                    self.stdout.write(f"request {replayed.request_id}: {amounts.tell(replayed.messages, 'message')}")
            except replaying.Refused as refused:
                raise CommandError(str(refused)) from refused
        self.stdout.write(f"replayed: {amounts.tell(messages, 'message')}")


def _replay(options: dict[str, Any]) -> Iterator[Replayed]:
    actor = audit.on_the_command_line()
    if options["type"]:
        yield from replaying.replay_failures(
            options["type"],
            since=_read_time(options["since"]),
            actor=actor,
            again=options["again"],
        )
    for text in options["id"]:
        yield _replay_one(_read_id(text), actor, again=options["again"])


def _replay_one(wanted: uuid.UUID, actor: audit.Actor, *, again: bool) -> Replayed:
    """Replay a request, or a message of one. A single call's message has its request's id: they are the same then."""
    is_message = not replays.has_request(wanted) and replays.find_message(wanted) is not None
    if is_message:
        return replaying.replay_message(wanted, actor=actor, again=again)
    return replaying.replay_request(wanted, actor=actor, again=again)


def _read_id(text: str) -> uuid.UUID:
    found = ids.parse(text)
    if found is None:
        raise CommandError(f"not an id: {text!r}")
    return found


def _read_time(text: str) -> datetime:
    if ago := _AGO.fullmatch(text):
        return _read_ago(text, timedelta(**{_UNITS[ago["unit"]]: int(ago["count"])}))
    try:
        found = parse_datetime(text)
    except ValueError as broken:
        raise CommandError(f"not a time: {text!r} ({broken})") from broken
    if found is None:
        raise CommandError(f"not a time: {text!r} (2026-01-31T12:00Z, or 90m, 2h, 1d ago)")
    return found if timezone.is_aware(found) else found.replace(tzinfo=timezone.get_current_timezone())


def _read_ago(text: str, ago: timedelta) -> datetime:
    try:
        return timezone.now() - ago
    except OverflowError as too_long:
        raise CommandError(f"not a time: {text!r} ago is before the year 1") from too_long
