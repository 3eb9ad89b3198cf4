"""The people at the desk: Django's own users and groups, in the desk's looks.

In: a superuser's or an administrator's form. Out: who may open the desk, and as what. Called by Django's admin.
"""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from orchestrator.admin.login import LoginForm
from orchestrator.admin.pages import Recorded

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
