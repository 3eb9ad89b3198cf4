"""The tables of accesses, orders and order events."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('orchestrator', '0002_guards'),
    ]

    operations = [
        migrations.CreateModel(
            name='Feed',
            fields=[
                ('client', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='order_feed', serialize=False, to='orchestrator.client')),
                ('last_position', models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='Access',
            fields=[
                ('id', models.TextField(primary_key=True, serialize=False, validators=[django.core.validators.RegexValidator('\\A[a-zA-Z0-9]{1,32}\\Z', '1 to 32 letters and digits (a-z, A-Z, 0-9)')])),
            ],
            options={
                'verbose_name_plural': 'accesses',
                'constraints': [models.CheckConstraint(condition=models.Q(('id__regex', '^[a-zA-Z0-9]{1,32}$')), name='access_id_is_plain')],
            },
        ),
        migrations.CreateModel(
            name='Order',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('access_id', models.TextField()),
                ('service', models.TextField()),
                ('operation', models.TextField(choices=[('ACTIVATE', 'Activate'), ('DEACTIVATE', 'Deactivate')])),
                ('forced_takeover', models.BooleanField(db_default=False, default=False)),
                ('sp_reference', models.TextField(null=True)),
                ('state', models.TextField(choices=[('RECEIVED', 'Received'), ('DONE_SUCCESS', 'Done Success'), ('DONE_FAILED', 'Done Failed')], db_default='RECEIVED', default='RECEIVED')),
                ('message', models.TextField(db_default='', default='')),
                ('received_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(null=True)),
                ('client', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='orchestrator.client')),
            ],
        ),
        migrations.CreateModel(
            name='OrderEvent',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('position', models.BigIntegerField()),
                ('access_id', models.TextField()),
                ('service', models.TextField()),
                ('operation', models.TextField(choices=[('ACTIVATE', 'Activate'), ('DEACTIVATE', 'Deactivate')])),
                ('state', models.TextField(choices=[('RECEIVED', 'Received'), ('DONE_SUCCESS', 'Done Success'), ('DONE_FAILED', 'Done Failed')])),
                ('message', models.TextField()),
                ('happened_at', models.DateTimeField()),
                ('client', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='orchestrator.client')),
                ('order', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='event', to='orders.order')),
            ],
        ),
        migrations.CreateModel(
            name='AccessService',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('service', models.TextField(validators=[django.core.validators.RegexValidator('\\A(?!\\s)[^:\\x00-\\x1f\\x7f]{1,255}(?<!\\s)\\Z', '1 to 255 printable characters, no colon')])),
                ('service_type', models.TextField(validators=[django.core.validators.RegexValidator('\\A(?!\\s)[^\\x00-\\x1f\\x7f]{1,255}(?<!\\s)\\Z', '1 to 255 printable characters')])),
                ('access', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='services', to='orders.access')),
                ('holder', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='orchestrator.client')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('access', 'service'), name='access_service_once')],
            },
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'RECEIVED')), fields=('access_id', 'service'), name='order_open_once'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['DONE_FAILED', 'DONE_SUCCESS', 'RECEIVED'])), name='order_state_known'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('state', 'RECEIVED')), models.Q(models.Q(('state', 'RECEIVED'), _negated=True), ('finished_at__isnull', False)), _connector='OR'), name='order_finished_exactly_when_final'),
        ),
        migrations.AddConstraint(
            model_name='orderevent',
            constraint=models.UniqueConstraint(fields=('client', 'position'), name='orderevent_position_once'),
        ),
        migrations.AddConstraint(
            model_name='orderevent',
            constraint=models.CheckConstraint(condition=models.Q(('position__gte', 1)), name='orderevent_position_from_one'),
        ),
        migrations.AddConstraint(
            model_name='orderevent',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['DONE_FAILED', 'DONE_SUCCESS'])), name='orderevent_state_final'),
        ),
    ]
