"""The people at the desk: Django's own users and groups, in the desk's looks.

In: a superuser's or an administrator's form. Out: who may open the desk, and as what. Called by Django's admin.
"""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from orchestrator.admin.login import LoginForm
from orchestrator.admin.pages import Recorded
from orchestrator.models import AuditAction

# Not by unfold's setting: it would import this package, and so register its pages, before the site is there.
admin.site.login_form = LoginForm
admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserPage(Recorded, UserAdmin, ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Who may open the desk."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def add_view(self, request: HttpRequest, *more: Any, **context: Any) -> HttpResponse:
        """Add a user. Django refuses within a transaction, which would take the entry back."""
        self.demand(request, "auth.change_user", AuditAction.ADD, None)
        return super().add_view(request, *more, **context)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        """Give a user another password; an attempt that isn't the user's to make is recorded."""
        try:
            return super().user_change_password(request, id, form_url)
        except PermissionDenied:
            self.refuse(request, AuditAction.CHANGE, id, "not permitted")
            raise

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Let only superusers make superusers, or hand out single permissions: else any administrator were one."""
        kept = tuple(super().get_readonly_fields(request, obj))
        return kept if _is_superuser(request) else (*kept, "is_superuser", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Let only superusers change superusers, their passwords included."""
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Let only superusers delete superusers."""
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def _may_touch(self, request: HttpRequest, obj: User | None) -> bool:
        return obj is None or not obj.is_superuser or _is_superuser(request)


@admin.register(Group)
class GroupPage(Recorded, GroupAdmin, ModelAdmin):
    """What a group of them may do."""


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
