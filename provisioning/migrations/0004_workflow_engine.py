"""Runs queue for a place, can be paused, and keep what their actions get apart from what is shown."""

import django.db.models.functions.datetime
import django.utils.timezone
from django.db import migrations, models

import tenants.secrets


class Migration(migrations.Migration):

    dependencies = [
        ('provisioning', '0003_boot_keys_held_and_mirrored'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='workflow',
            name='one_active_a_host',
        ),
        migrations.RemoveIndex(
            model_name='workflow',
            name='active_by_worker',
        ),
        migrations.AddField(
            model_name='workflow',
            name='inputs_sealed',
            field=tenants.secrets.SealedField(blank=True, db_default='', default=''),
        ),
        migrations.AddField(
            model_name='workflow',
            name='os_id',
            field=models.CharField(blank=True, db_default='', default='', max_length=24),
        ),
        migrations.AddField(
            model_name='workflow',
            name='outside',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='workflow',
            name='paused_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='workflow',
            name='placed_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='workflow',
            name='queued_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), default=django.utils.timezone.now),
        ),
        migrations.AddField(
            model_name='workflow',
            name='template',
            field=models.CharField(blank=True, db_default='', default='', max_length=63),
        ),
        migrations.AddField(
            model_name='workflow',
            name='timeout',
            field=models.PositiveIntegerField(db_default=9800, default=9800),
        ),
        migrations.AddField(
            model_name='workflow',
            name='who',
            field=models.CharField(blank=True, db_default='', default='', max_length=255),
        ),
        migrations.AlterField(
            model_name='workflow',
            name='state',
            field=models.CharField(choices=[('STATE_QUEUED', 'Queued'), ('STATE_PENDING', 'Pending'), ('STATE_RUNNING', 'Running'), ('STATE_PAUSED', 'Paused'), ('STATE_SUCCESS', 'Success'), ('STATE_FAILED', 'Failed'), ('STATE_TIMEOUT', 'Timeout'), ('STATE_CANCELLED', 'Cancelled')], default='STATE_PENDING', max_length=24),
        ),
        migrations.AddIndex(
            model_name='workflow',
            index=models.Index(condition=models.Q(('state__in', ['STATE_QUEUED', 'STATE_PENDING', 'STATE_RUNNING', 'STATE_PAUSED'])), fields=['state', 'queued_at'], name='runs_on_their_way'),
        ),
        migrations.AddIndex(
            model_name='workflow',
            index=models.Index(fields=['schema', '-id'], name='runs_of_a_tenant'),
        ),
        migrations.AddConstraint(
            model_name='workflow',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['STATE_QUEUED', 'STATE_PENDING', 'STATE_RUNNING', 'STATE_PAUSED'])), fields=('host_uuid',), name='one_active_run_a_host'),
        ),
    ]
