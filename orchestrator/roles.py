"""What the desk's three roles may do: look, put things right, and decide who and what there is.

In: each app's declaration. Out: Django groups with permissions. Called by the apps' `ready()`; migrations make the
groups (0003_roles), and each `migrate` gives them what is declared: permissions exist only when it ends.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.apps import AppConfig, apps
from django.db import transaction
from django.db.models.signals import post_migrate


class Role(StrEnum):
    """The names of the groups, each of which may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


_declared: dict[str, Mapping[Role, tuple[str, ...]]] = {}


def declare(app_label: str, grants: Mapping[Role, tuple[str, ...]]) -> None:
    """Say by codename which permissions of an app each role has beyond those of the roles before it."""
    _declared[app_label] = grants
    post_migrate.connect(_grant_after_migrate, sender=apps.get_app_config(app_label), dispatch_uid=f"roles {app_label}")


def declare_engine() -> None:
    """Declare the roles for the engine's tables, and for the desk's own users."""
    declare("orchestrator", _ENGINE)
    declare("auth", _USERS)


def permissions_of(app_label: str, role: Role) -> set[str]:
    """Return the codenames of all permissions that a role has in an app."""
    roles = list(Role)
    before = roles[: roles.index(role) + 1]
    return {codename for one in before for codename in _declared[app_label].get(one, ())}


def _grant_after_migrate(*, sender: AppConfig, **_: Any) -> None:
    """Give the roles an app's declared permissions; what else an operator gave them stays."""
    # Models of another app: they are ready when this is called.
    from django.contrib.auth.models import Group, Permission  # noqa: PLC0415

    label = sender.label
    found = dict(Permission.objects.filter(content_type__app_label=label).values_list("codename", "pk"))
    grants = Group.permissions.through
    with transaction.atomic():
        Group.objects.bulk_create((Group(name=role) for role in Role), ignore_conflicts=True)
        groups = dict(Group.objects.filter(name__in=list(Role)).values_list("name", "pk"))
        grants.objects.bulk_create(
            (
                grants(group_id=groups[role], permission_id=found[codename])
                for role in Role
                for codename in sorted(permissions_of(label, role))
            ),
            ignore_conflicts=True,
        )


_ENGINE = {
    Role.VIEWER: (
        *("view_request", "view_message", "view_lane", "view_worker"),
        *("view_client", "view_clientsecret", "view_backend"),
    ),
    Role.OPERATOR: (
        *("cancel_request", "replay_request", "unmask_message", "pause_lane", "drain_worker", "call_backend"),
        "view_auditentry",
    ),
    Role.ADMINISTRATOR: (
        *("add_client", "change_client", "change_clientsecret", "delete_clientsecret", "change_lane"),
        *("add_backend", "change_backend", "delete_backend"),
    ),
}

_USERS = {
    Role.ADMINISTRATOR: (
        *("view_user", "add_user", "change_user", "delete_user"),
        *("view_group", "add_group", "change_group", "delete_group"),
    )
}
