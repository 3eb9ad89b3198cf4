"""The people at the desk: Django's own users and groups, in the desk's looks."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from orchestrator.admin.pages import Recorded

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserPage(Recorded, UserAdmin, ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Who may open the desk."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupPage(Recorded, GroupAdmin, ModelAdmin):
    """What a group of them may do."""
