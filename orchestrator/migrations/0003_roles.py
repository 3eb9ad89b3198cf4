"""The desk's three roles. What they may do is granted when a `migrate` ends (roles.py): permissions exist only then."""

from django.db import migrations

ROLES = ("viewer", "operator", "administrator")


def make_groups(apps, schema_editor):
    Group = apps.get_model("auth", "Group")
    for name in ROLES:
        Group.objects.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [("orchestrator", "0002_guards"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
