"""All resources that were missing, and the missing columns of those that were there."""

import django.core.validators
import django.db.models.deletion
import inventory.models.columns
import inventory.models.location
import inventory.models.metadata
import inventory.models.os
import tenants.resource
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='CustomConfig',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resource_id', models.CharField(editable=False, max_length=24, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(max_length=40, unique=True, validators=[django.core.validators.RegexValidator('^[a-z][a-z0-9-]{0,31}\\Z', 'a lower-case letter, then lower-case letters, digits and -')])),
                ('description', models.CharField(blank=True, max_length=256, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./:;=?@!#,<>*() "]*\\Z', 'only letters, digits and -_./:;=?@!#,<>*() "')])),
                ('config', models.TextField(max_length=16384, validators=[django.core.validators.MaxLengthValidator(16384)])),
            ],
            options={
                'verbose_name': 'custom config',
                'ordering': ['resource_id'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='LocalAccount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resource_id', models.CharField(editable=False, max_length=24, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('username', models.CharField(max_length=32, unique=True, validators=[django.core.validators.RegexValidator('^[a-z][a-z0-9-]{0,31}\\Z', 'a lower-case letter, then lower-case letters, digits and -')])),
                ('ssh_key', models.CharField(max_length=800, validators=[django.core.validators.RegexValidator('^(ssh-ed25519|ecdsa-sha2-nistp521) [A-Za-z0-9+/=]+( .*)?\\Z', 'a public key of kind ssh-ed25519 or ecdsa-sha2-nistp521')])),
            ],
            options={
                'verbose_name': 'local account',
                'ordering': ['resource_id'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='OsUpdateRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resource_id', models.CharField(editable=False, max_length=24, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(blank=True, max_length=40, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./:;=?@!#,<>*() ]*\\Z', 'only letters, digits and -_./:;=?@!#,<>*() ')])),
                ('description', models.CharField(blank=True, max_length=200, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./:;=?@!#,<>*() ]*\\Z', 'only letters, digits and -_./:;=?@!#,<>*() ')])),
                ('start_time', tenants.resource.EpochField(validators=[django.core.validators.MinValueValidator(1)])),
                ('end_time', tenants.resource.EpochField(default=0, editable=False)),
                ('status', models.CharField(default='', editable=False, max_length=1024)),
                ('status_indicator', models.CharField(choices=[('STATUS_INDICATION_UNSPECIFIED', 'Unspecified'), ('STATUS_INDICATION_ERROR', 'Error'), ('STATUS_INDICATION_IN_PROGRESS', 'In Progress'), ('STATUS_INDICATION_IDLE', 'Idle')], default='STATUS_INDICATION_UNSPECIFIED', editable=False, max_length=32)),
                ('status_timestamp', tenants.resource.EpochField(default=0, editable=False)),
                ('status_details', models.TextField(blank=True, editable=False)),
            ],
            options={
                'verbose_name': 'OS update run',
                'ordering': ['resource_id'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Ou',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resource_id', models.CharField(editable=False, max_length=24, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(blank=True, max_length=50, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./: ()]*$', 'only letters, digits, spaces and - _ . / : ( )')])),
                ('ou_kind', models.CharField(blank=True, max_length=64)),
                ('metadata', inventory.models.metadata.MetadataField(blank=True, default=list, validators=[inventory.models.metadata.check_metadata])),
            ],
            options={
                'verbose_name': 'organizational unit',
                'ordering': ['resource_id'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='RemoteAccess',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resource_id', models.CharField(editable=False, max_length=24, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('expiration_timestamp', tenants.resource.EpochField()),
                ('local_port', models.PositiveIntegerField(editable=False, null=True, unique=True, validators=[django.core.validators.MinValueValidator(1024), django.core.validators.MaxValueValidator(65535)])),
                ('user', models.CharField(blank=True, editable=False, max_length=20)),
                ('desired_state', models.CharField(choices=[('REMOTE_ACCESS_STATE_UNSPECIFIED', 'Unspecified'), ('REMOTE_ACCESS_STATE_DELETED', 'Deleted'), ('REMOTE_ACCESS_STATE_ERROR', 'Error'), ('REMOTE_ACCESS_STATE_ENABLED', 'Enabled')], default='REMOTE_ACCESS_STATE_UNSPECIFIED', editable=False, max_length=40)),
                ('current_state', models.CharField(choices=[('REMOTE_ACCESS_STATE_UNSPECIFIED', 'Unspecified'), ('REMOTE_ACCESS_STATE_DELETED', 'Deleted'), ('REMOTE_ACCESS_STATE_ERROR', 'Error'), ('REMOTE_ACCESS_STATE_ENABLED', 'Enabled')], default='REMOTE_ACCESS_STATE_UNSPECIFIED', editable=False, max_length=40)),
                ('configuration_status', models.CharField(default='', editable=False, max_length=1024)),
                ('configuration_status_indicator', models.CharField(choices=[('STATUS_INDICATION_UNSPECIFIED', 'Unspecified'), ('STATUS_INDICATION_ERROR', 'Error'), ('STATUS_INDICATION_IN_PROGRESS', 'In Progress'), ('STATUS_INDICATION_IDLE', 'Idle')], default='STATUS_INDICATION_UNSPECIFIED', editable=False, max_length=32)),
                ('configuration_status_timestamp', tenants.resource.EpochField(default=0, editable=False)),
            ],
            options={
                'verbose_name': 'remote access',
                'verbose_name_plural': 'remote accesses',
                'ordering': ['resource_id'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='RepeatedSchedule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resource_id', models.CharField(editable=False, max_length=24, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('schedule_status', models.CharField(choices=[('SCHEDULE_STATUS_UNSPECIFIED', 'Unspecified'), ('SCHEDULE_STATUS_MAINTENANCE', 'Maintenance'), ('SCHEDULE_STATUS_SHIPPING', 'Shipping'), ('SCHEDULE_STATUS_OS_UPDATE', 'Os Update'), ('SCHEDULE_STATUS_FIRMWARE_UPDATE', 'Firmware Update'), ('SCHEDULE_STATUS_CLUSTER_UPDATE', 'Cluster Update')], default='SCHEDULE_STATUS_UNSPECIFIED', max_length=40)),
                ('name', models.CharField(blank=True, max_length=50, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./: ()]*$', 'only letters, digits, spaces and - _ . / : ( )')])),
                ('duration_seconds', models.PositiveIntegerField(validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(86400)])),
                ('cron_minutes', models.CharField(max_length=200, validators=[django.core.validators.RegexValidator('^(\\*|(59|58|57|56|55|54|53|52|51|50|49|48|47|46|45|44|43|42|41|40|39|38|37|36|35|34|33|32|31|30|29|28|27|26|25|24|23|22|21|20|19|18|17|16|15|14|13|12|11|10|9|8|7|6|5|4|3|2|1|0)(,(59|58|57|56|55|54|53|52|51|50|49|48|47|46|45|44|43|42|41|40|39|38|37|36|35|34|33|32|31|30|29|28|27|26|25|24|23|22|21|20|19|18|17|16|15|14|13|12|11|10|9|8|7|6|5|4|3|2|1|0))*)\\Z', '* or numbers from 0 to 59, like 1,15')])),
                ('cron_hours', models.CharField(max_length=200, validators=[django.core.validators.RegexValidator('^(\\*|(23|22|21|20|19|18|17|16|15|14|13|12|11|10|9|8|7|6|5|4|3|2|1|0)(,(23|22|21|20|19|18|17|16|15|14|13|12|11|10|9|8|7|6|5|4|3|2|1|0))*)\\Z', '* or numbers from 0 to 23, like 1,15')])),
                ('cron_day_month', models.CharField(max_length=200, validators=[django.core.validators.RegexValidator('^(\\*|(31|30|29|28|27|26|25|24|23|22|21|20|19|18|17|16|15|14|13|12|11|10|9|8|7|6|5|4|3|2|1)(,(31|30|29|28|27|26|25|24|23|22|21|20|19|18|17|16|15|14|13|12|11|10|9|8|7|6|5|4|3|2|1))*)\\Z', '* or numbers from 1 to 31, like 1,15')])),
                ('cron_month', models.CharField(max_length=200, validators=[django.core.validators.RegexValidator('^(\\*|(12|11|10|9|8|7|6|5|4|3|2|1)(,(12|11|10|9|8|7|6|5|4|3|2|1))*)\\Z', '* or numbers from 1 to 12, like 1,15')])),
                ('cron_day_week', models.CharField(max_length=200, validators=[django.core.validators.RegexValidator('^(\\*|(6|5|4|3|2|1|0)(,(6|5|4|3|2|1|0))*)\\Z', '* or numbers from 0 to 6, like 1,15')])),
            ],
            options={
                'verbose_name': 'repeated schedule',
                'ordering': ['resource_id'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='SingleSchedule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resource_id', models.CharField(editable=False, max_length=24, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('schedule_status', models.CharField(choices=[('SCHEDULE_STATUS_UNSPECIFIED', 'Unspecified'), ('SCHEDULE_STATUS_MAINTENANCE', 'Maintenance'), ('SCHEDULE_STATUS_SHIPPING', 'Shipping'), ('SCHEDULE_STATUS_OS_UPDATE', 'Os Update'), ('SCHEDULE_STATUS_FIRMWARE_UPDATE', 'Firmware Update'), ('SCHEDULE_STATUS_CLUSTER_UPDATE', 'Cluster Update')], default='SCHEDULE_STATUS_UNSPECIFIED', max_length=40)),
                ('name', models.CharField(blank=True, max_length=50, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./: ()]*$', 'only letters, digits, spaces and - _ . / : ( )')])),
                ('start_seconds', models.BigIntegerField(validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(4294967295)])),
                ('end_seconds', models.BigIntegerField(default=0, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(4294967295)])),
            ],
            options={
                'verbose_name': 'single schedule',
                'ordering': ['resource_id'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='TelemetryGroup',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resource_id', models.CharField(editable=False, max_length=24, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(max_length=50, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./: ()]*$', 'only letters, digits, spaces and - _ . / : ( )')])),
                ('kind', models.CharField(choices=[('TELEMETRY_RESOURCE_KIND_UNSPECIFIED', 'Unspecified'), ('TELEMETRY_RESOURCE_KIND_METRICS', 'Metrics'), ('TELEMETRY_RESOURCE_KIND_LOGS', 'Logs')], max_length=40)),
                ('collector_kind', models.CharField(choices=[('TELEMETRY_COLLECTOR_KIND_UNSPECIFIED', 'Unspecified'), ('TELEMETRY_COLLECTOR_KIND_HOST', 'Host'), ('TELEMETRY_COLLECTOR_KIND_CLUSTER', 'Cluster')], max_length=40)),
                ('groups', models.JSONField(default=list, validators=[inventory.models.columns.Texts('[a-zA-Z0-9\\-_.:;=@?!#*()"\\\\ ]*', 1000, 100)])),
            ],
            options={
                'verbose_name': 'telemetry group',
                'ordering': ['resource_id'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='TelemetryProfile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('resource_id', models.CharField(editable=False, max_length=25, unique=True)),
                ('kind', models.CharField(choices=[('TELEMETRY_RESOURCE_KIND_UNSPECIFIED', 'Unspecified'), ('TELEMETRY_RESOURCE_KIND_METRICS', 'Metrics'), ('TELEMETRY_RESOURCE_KIND_LOGS', 'Logs')], max_length=40)),
                ('metrics_interval', models.PositiveIntegerField(default=0, validators=[django.core.validators.MinValueValidator(0)])),
                ('log_level', models.CharField(choices=[('SEVERITY_LEVEL_UNSPECIFIED', 'Unspecified'), ('SEVERITY_LEVEL_CRITICAL', 'Critical'), ('SEVERITY_LEVEL_ERROR', 'Error'), ('SEVERITY_LEVEL_WARN', 'Warn'), ('SEVERITY_LEVEL_INFO', 'Info'), ('SEVERITY_LEVEL_DEBUG', 'Debug')], default='SEVERITY_LEVEL_UNSPECIFIED', max_length=32)),
            ],
            options={
                'verbose_name': 'telemetry profile',
                'ordering': ['resource_id'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Workload',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resource_id', models.CharField(editable=False, max_length=24, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('desired_state', models.CharField(choices=[('WORKLOAD_STATE_UNSPECIFIED', 'Unspecified'), ('WORKLOAD_STATE_ERROR', 'Error'), ('WORKLOAD_STATE_DELETING', 'Deleting'), ('WORKLOAD_STATE_DELETED', 'Deleted'), ('WORKLOAD_STATE_PROVISIONED', 'Provisioned')], default='WORKLOAD_STATE_UNSPECIFIED', editable=False, max_length=40)),
                ('current_state', models.CharField(choices=[('WORKLOAD_STATE_UNSPECIFIED', 'Unspecified'), ('WORKLOAD_STATE_ERROR', 'Error'), ('WORKLOAD_STATE_DELETING', 'Deleting'), ('WORKLOAD_STATE_DELETED', 'Deleted'), ('WORKLOAD_STATE_PROVISIONED', 'Provisioned')], default='WORKLOAD_STATE_UNSPECIFIED', editable=False, max_length=40)),
                ('state_status', models.CharField(default='', editable=False, max_length=1024)),
                ('state_status_indicator', models.CharField(choices=[('STATUS_INDICATION_UNSPECIFIED', 'Unspecified'), ('STATUS_INDICATION_ERROR', 'Error'), ('STATUS_INDICATION_IN_PROGRESS', 'In Progress'), ('STATUS_INDICATION_IDLE', 'Idle')], default='STATUS_INDICATION_UNSPECIFIED', editable=False, max_length=32)),
                ('state_status_timestamp', tenants.resource.EpochField(default=0, editable=False)),
                ('kind', models.CharField(choices=[('WORKLOAD_KIND_UNSPECIFIED', 'Unspecified'), ('WORKLOAD_KIND_CLUSTER', 'Cluster'), ('WORKLOAD_KIND_DHCP', 'Dhcp')], max_length=32)),
                ('name', models.CharField(blank=True, max_length=50, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./: ()]*$', 'only letters, digits, spaces and - _ . / : ( )')])),
                ('external_id', models.CharField(blank=True, max_length=40, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./: ]*\\Z', 'only letters, digits and -_./: ')])),
                ('status', models.CharField(blank=True, max_length=500, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./:;=?@!#,<>*() ]*\\Z', 'only letters, digits and -_./:;=?@!#,<>*() ')])),
                ('metadata', inventory.models.metadata.MetadataField(blank=True, default=list, validators=[inventory.models.metadata.check_metadata])),
            ],
            options={
                'ordering': ['resource_id'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='WorkloadMember',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resource_id', models.CharField(editable=False, max_length=24, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('kind', models.CharField(choices=[('WORKLOAD_MEMBER_KIND_UNSPECIFIED', 'Unspecified'), ('WORKLOAD_MEMBER_KIND_CLUSTER_NODE', 'Cluster Node')], max_length=40)),
            ],
            options={
                'verbose_name': 'workload member',
                'ordering': ['resource_id'],
                'abstract': False,
            },
        ),
        migrations.AddField(
            model_name='host',
            name='amt_control_mode',
            field=models.CharField(choices=[('AMT_CONTROL_MODE_UNSPECIFIED', 'Unspecified'), ('AMT_CONTROL_MODE_ACM', 'Acm'), ('AMT_CONTROL_MODE_CCM', 'Ccm')], db_default='AMT_CONTROL_MODE_UNSPECIFIED', default='AMT_CONTROL_MODE_UNSPECIFIED', max_length=40),
        ),
        migrations.AddField(
            model_name='host',
            name='amt_dns_suffix',
            field=models.CharField(blank=True, db_default='', max_length=1024),
        ),
        migrations.AddField(
            model_name='host',
            name='amt_sku',
            field=models.CharField(choices=[('AMT_SKU_UNSPECIFIED', 'Unspecified'), ('AMT_SKU_AMT', 'Amt'), ('AMT_SKU_ISM', 'Ism')], db_default='AMT_SKU_UNSPECIFIED', default='AMT_SKU_UNSPECIFIED', editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name='host',
            name='amt_status',
            field=models.CharField(db_default='Unknown', default='Unknown', editable=False, max_length=1024),
        ),
        migrations.AddField(
            model_name='host',
            name='amt_status_indicator',
            field=models.CharField(choices=[('STATUS_INDICATION_UNSPECIFIED', 'Unspecified'), ('STATUS_INDICATION_ERROR', 'Error'), ('STATUS_INDICATION_IN_PROGRESS', 'In Progress'), ('STATUS_INDICATION_IDLE', 'Idle')], db_default='STATUS_INDICATION_UNSPECIFIED', default='STATUS_INDICATION_UNSPECIFIED', editable=False, max_length=32),
        ),
        migrations.AddField(
            model_name='host',
            name='amt_status_timestamp',
            field=tenants.resource.EpochField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name='host',
            name='bmc_kind',
            field=models.CharField(choices=[('BAREMETAL_CONTROLLER_KIND_UNSPECIFIED', 'Unspecified'), ('BAREMETAL_CONTROLLER_KIND_NONE', 'None'), ('BAREMETAL_CONTROLLER_KIND_IPMI', 'Ipmi'), ('BAREMETAL_CONTROLLER_KIND_VPRO', 'Vpro'), ('BAREMETAL_CONTROLLER_KIND_PDU', 'Pdu')], db_default='BAREMETAL_CONTROLLER_KIND_UNSPECIFIED', default='BAREMETAL_CONTROLLER_KIND_UNSPECIFIED', editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name='host',
            name='current_amt_state',
            field=models.CharField(choices=[('AMT_STATE_UNSPECIFIED', 'Unspecified'), ('AMT_STATE_PROVISIONED', 'Provisioned'), ('AMT_STATE_UNPROVISIONED', 'Unprovisioned'), ('AMT_STATE_DISCONNECTED', 'Disconnected')], db_default='AMT_STATE_UNSPECIFIED', default='AMT_STATE_UNSPECIFIED', editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name='host',
            name='current_kvm_state',
            field=models.CharField(choices=[('KVM_STATE_UNSPECIFIED', 'Unspecified'), ('KVM_STATE_START', 'Start'), ('KVM_STATE_STOP', 'Stop'), ('KVM_STATE_AWAITING_CONSENT', 'Awaiting Consent'), ('KVM_STATE_ERROR', 'Error'), ('KVM_CONSENT_RECEIVED', 'Consent Received'), ('KVM_REDIRECTION_RECEIVED', 'Redirection Received')], db_default='KVM_STATE_UNSPECIFIED', default='KVM_STATE_UNSPECIFIED', editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name='host',
            name='current_power_state',
            field=models.CharField(choices=[('POWER_STATE_UNSPECIFIED', 'Unspecified'), ('POWER_STATE_ON', 'On'), ('POWER_STATE_OFF', 'Off'), ('POWER_STATE_SLEEP', 'Sleep'), ('POWER_STATE_HIBERNATE', 'Hibernate'), ('POWER_STATE_RESET', 'Reset'), ('POWER_STATE_POWER_CYCLE', 'Power Cycle'), ('POWER_STATE_RESET_REPEAT', 'Reset Repeat')], db_default='POWER_STATE_UNSPECIFIED', default='POWER_STATE_UNSPECIFIED', editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name='host',
            name='current_sol_state',
            field=models.CharField(choices=[('SOL_STATE_UNSPECIFIED', 'Unspecified'), ('SOL_STATE_START', 'Start'), ('SOL_STATE_STOP', 'Stop'), ('SOL_STATE_AWAITING_CONSENT', 'Awaiting Consent'), ('SOL_STATE_ERROR', 'Error'), ('SOL_STATE_CONSENT_RECEIVED', 'Consent Received'), ('SOL_STATE_REDIRECTION_RECEIVED', 'Redirection Received')], db_default='SOL_STATE_UNSPECIFIED', default='SOL_STATE_UNSPECIFIED', editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name='host',
            name='desired_amt_state',
            field=models.CharField(choices=[('AMT_STATE_UNSPECIFIED', 'Unspecified'), ('AMT_STATE_PROVISIONED', 'Provisioned'), ('AMT_STATE_UNPROVISIONED', 'Unprovisioned'), ('AMT_STATE_DISCONNECTED', 'Disconnected')], db_default='AMT_STATE_UNSPECIFIED', default='AMT_STATE_UNSPECIFIED', editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name='host',
            name='desired_kvm_state',
            field=models.CharField(choices=[('KVM_STATE_UNSPECIFIED', 'Unspecified'), ('KVM_STATE_START', 'Start'), ('KVM_STATE_STOP', 'Stop'), ('KVM_STATE_AWAITING_CONSENT', 'Awaiting Consent'), ('KVM_STATE_ERROR', 'Error'), ('KVM_CONSENT_RECEIVED', 'Consent Received'), ('KVM_REDIRECTION_RECEIVED', 'Redirection Received')], db_default='KVM_STATE_UNSPECIFIED', default='KVM_STATE_UNSPECIFIED', editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name='host',
            name='desired_power_state',
            field=models.CharField(choices=[('POWER_STATE_UNSPECIFIED', 'Unspecified'), ('POWER_STATE_ON', 'On'), ('POWER_STATE_OFF', 'Off'), ('POWER_STATE_SLEEP', 'Sleep'), ('POWER_STATE_HIBERNATE', 'Hibernate'), ('POWER_STATE_RESET', 'Reset'), ('POWER_STATE_POWER_CYCLE', 'Power Cycle'), ('POWER_STATE_RESET_REPEAT', 'Reset Repeat')], db_default='POWER_STATE_UNSPECIFIED', default='POWER_STATE_UNSPECIFIED', editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name='host',
            name='desired_sol_state',
            field=models.CharField(choices=[('SOL_STATE_UNSPECIFIED', 'Unspecified'), ('SOL_STATE_START', 'Start'), ('SOL_STATE_STOP', 'Stop'), ('SOL_STATE_AWAITING_CONSENT', 'Awaiting Consent'), ('SOL_STATE_ERROR', 'Error'), ('SOL_STATE_CONSENT_RECEIVED', 'Consent Received'), ('SOL_STATE_REDIRECTION_RECEIVED', 'Redirection Received')], db_default='SOL_STATE_UNSPECIFIED', default='SOL_STATE_UNSPECIFIED', editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name='host',
            name='hardware_kind',
            field=models.CharField(blank=True, db_default='', editable=False, max_length=128),
        ),
        migrations.AddField(
            model_name='host',
            name='kind',
            field=models.CharField(blank=True, db_default='', editable=False, max_length=128),
        ),
        migrations.AddField(
            model_name='host',
            name='kvm_session_status',
            field=models.CharField(db_default='', default='', editable=False, max_length=1024),
        ),
        migrations.AddField(
            model_name='host',
            name='kvm_session_status_indicator',
            field=models.CharField(choices=[('STATUS_INDICATION_UNSPECIFIED', 'Unspecified'), ('STATUS_INDICATION_ERROR', 'Error'), ('STATUS_INDICATION_IN_PROGRESS', 'In Progress'), ('STATUS_INDICATION_IDLE', 'Idle')], db_default='STATUS_INDICATION_UNSPECIFIED', default='STATUS_INDICATION_UNSPECIFIED', editable=False, max_length=32),
        ),
        migrations.AddField(
            model_name='host',
            name='kvm_session_status_timestamp',
            field=tenants.resource.EpochField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name='host',
            name='kvm_status',
            field=models.CharField(choices=[('KVM_STATUS_UNSPECIFIED', 'Unspecified'), ('KVM_STATUS_ACTIVATED', 'Activated'), ('KVM_STATUS_DEACTIVATED', 'Deactivated')], db_default='KVM_STATUS_UNSPECIFIED', default='KVM_STATUS_UNSPECIFIED', editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name='host',
            name='mgmt_ip',
            field=models.CharField(blank=True, db_default='', editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name='host',
            name='power_command_policy',
            field=models.CharField(choices=[('POWER_COMMAND_POLICY_UNSPECIFIED', 'Unspecified'), ('POWER_COMMAND_POLICY_IMMEDIATE', 'Immediate'), ('POWER_COMMAND_POLICY_ORDERED', 'Ordered')], db_default='POWER_COMMAND_POLICY_IMMEDIATE', default='POWER_COMMAND_POLICY_IMMEDIATE', max_length=40),
        ),
        migrations.AddField(
            model_name='host',
            name='power_on_time',
            field=tenants.resource.EpochField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name='host',
            name='power_status',
            field=models.CharField(db_default='Unknown', default='Unknown', editable=False, max_length=1024),
        ),
        migrations.AddField(
            model_name='host',
            name='power_status_indicator',
            field=models.CharField(choices=[('STATUS_INDICATION_UNSPECIFIED', 'Unspecified'), ('STATUS_INDICATION_ERROR', 'Error'), ('STATUS_INDICATION_IN_PROGRESS', 'In Progress'), ('STATUS_INDICATION_IDLE', 'Idle')], db_default='STATUS_INDICATION_UNSPECIFIED', default='STATUS_INDICATION_UNSPECIFIED', editable=False, max_length=32),
        ),
        migrations.AddField(
            model_name='host',
            name='power_status_timestamp',
            field=tenants.resource.EpochField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name='host',
            name='sol_session_status',
            field=models.CharField(db_default='', default='', editable=False, max_length=1024),
        ),
        migrations.AddField(
            model_name='host',
            name='sol_session_status_indicator',
            field=models.CharField(choices=[('STATUS_INDICATION_UNSPECIFIED', 'Unspecified'), ('STATUS_INDICATION_ERROR', 'Error'), ('STATUS_INDICATION_IN_PROGRESS', 'In Progress'), ('STATUS_INDICATION_IDLE', 'Idle')], db_default='STATUS_INDICATION_UNSPECIFIED', default='STATUS_INDICATION_UNSPECIFIED', editable=False, max_length=32),
        ),
        migrations.AddField(
            model_name='host',
            name='sol_session_status_timestamp',
            field=tenants.resource.EpochField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name='host',
            name='sol_status',
            field=models.CharField(choices=[('SOL_STATUS_UNSPECIFIED', 'Unspecified'), ('SOL_STATUS_ACTIVATED', 'Activated'), ('SOL_STATUS_DEACTIVATED', 'Deactivated')], db_default='SOL_STATUS_UNSPECIFIED', default='SOL_STATUS_UNSPECIFIED', editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name='instance',
            name='existing_cves',
            field=models.TextField(blank=True, db_default='', editable=False, validators=[django.core.validators.MaxLengthValidator(500000)]),
        ),
        migrations.AddField(
            model_name='instance',
            name='os_update_available',
            field=models.TextField(blank=True, db_default='', editable=False, validators=[django.core.validators.MaxLengthValidator(500000)]),
        ),
        migrations.AddField(
            model_name='instance',
            name='provider',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='instances', to='inventory.provider', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='instance',
            name='runtime_packages',
            field=models.TextField(blank=True, db_default='', editable=False, validators=[django.core.validators.MaxLengthValidator(500000)]),
        ),
        migrations.AddField(
            model_name='instance',
            name='trusted_attestation_status',
            field=models.CharField(db_default='Unknown', default='Unknown', editable=False, max_length=1024),
        ),
        migrations.AddField(
            model_name='instance',
            name='trusted_attestation_status_indicator',
            field=models.CharField(choices=[('STATUS_INDICATION_UNSPECIFIED', 'Unspecified'), ('STATUS_INDICATION_ERROR', 'Error'), ('STATUS_INDICATION_IN_PROGRESS', 'In Progress'), ('STATUS_INDICATION_IDLE', 'Idle')], db_default='STATUS_INDICATION_UNSPECIFIED', default='STATUS_INDICATION_UNSPECIFIED', editable=False, max_length=32),
        ),
        migrations.AddField(
            model_name='instance',
            name='trusted_attestation_status_timestamp',
            field=tenants.resource.EpochField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name='instance',
            name='update_status',
            field=models.CharField(db_default='No Current Update', default='No Current Update', editable=False, max_length=1024),
        ),
        migrations.AddField(
            model_name='instance',
            name='update_status_indicator',
            field=models.CharField(choices=[('STATUS_INDICATION_UNSPECIFIED', 'Unspecified'), ('STATUS_INDICATION_ERROR', 'Error'), ('STATUS_INDICATION_IN_PROGRESS', 'In Progress'), ('STATUS_INDICATION_IDLE', 'Idle')], db_default='STATUS_INDICATION_UNSPECIFIED', default='STATUS_INDICATION_UNSPECIFIED', editable=False, max_length=32),
        ),
        migrations.AddField(
            model_name='instance',
            name='update_status_timestamp',
            field=tenants.resource.EpochField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name='instance',
            name='vm_cpu_cores',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='instance',
            name='vm_memory_bytes',
            field=models.PositiveBigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='instance',
            name='vm_storage_bytes',
            field=models.PositiveBigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='operatingsystem',
            name='existing_cves',
            field=models.TextField(blank=True, db_default='', editable=False, validators=[django.core.validators.MaxLengthValidator(500000)]),
        ),
        migrations.AddField(
            model_name='operatingsystem',
            name='existing_cves_url',
            field=models.CharField(blank=True, db_default='', max_length=500),
        ),
        migrations.AddField(
            model_name='operatingsystem',
            name='fixed_cves',
            field=models.TextField(blank=True, db_default='', editable=False, validators=[django.core.validators.MaxLengthValidator(500000)]),
        ),
        migrations.AddField(
            model_name='operatingsystem',
            name='fixed_cves_url',
            field=models.CharField(blank=True, db_default='', max_length=500),
        ),
        migrations.AddField(
            model_name='operatingsystem',
            name='installed_packages',
            field=models.TextField(blank=True, db_default='', editable=False, validators=[django.core.validators.MaxLengthValidator(500000)]),
        ),
        migrations.AddField(
            model_name='operatingsystem',
            name='installed_packages_url',
            field=models.CharField(blank=True, db_default='', max_length=200),
        ),
        migrations.AddField(
            model_name='operatingsystem',
            name='metadata',
            field=models.CharField(blank=True, db_default='', max_length=500, validators=[inventory.models.os.check_flat_object, django.core.validators.RegexValidator('^[a-z0-9,.\\-_:/"\\\\ \\n{}\\[\\]+]*\\Z', "only lower-case letters, digits and JSON's signs")]),
        ),
        migrations.AddField(
            model_name='operatingsystem',
            name='platform_bundle',
            field=models.CharField(blank=True, db_default='', editable=False, max_length=1000),
        ),
        migrations.AddField(
            model_name='provider',
            name='api_credentials',
            field=models.JSONField(blank=True, db_default=[], default=list, validators=[inventory.models.columns.Texts('[a-zA-Z0-9\\-_./:;=?@!#,<>*(){}\\"\\\\ ]*', 500, 100)]),
        ),
        migrations.AddField(
            model_name='region',
            name='region_kind',
            field=models.CharField(blank=True, db_default='', max_length=64),
        ),
        migrations.AddField(
            model_name='site',
            name='address',
            field=models.CharField(blank=True, db_default='', max_length=500),
        ),
        migrations.AddField(
            model_name='site',
            name='dns_servers',
            field=models.JSONField(blank=True, db_default=[], default=list, validators=[inventory.models.location.check_addresses]),
        ),
        migrations.AddField(
            model_name='site',
            name='docker_registries',
            field=models.JSONField(blank=True, db_default=[], default=list, validators=[inventory.models.columns.Texts('[^|\\x00-\\x1f]*', 500, 100)]),
        ),
        migrations.AddField(
            model_name='site',
            name='ftp_proxy',
            field=models.CharField(blank=True, db_default='', max_length=500),
        ),
        migrations.AddField(
            model_name='site',
            name='http_proxy',
            field=models.CharField(blank=True, db_default='', max_length=500),
        ),
        migrations.AddField(
            model_name='site',
            name='https_proxy',
            field=models.CharField(blank=True, db_default='', max_length=500),
        ),
        migrations.AddField(
            model_name='site',
            name='metrics_endpoint',
            field=models.CharField(blank=True, db_default='', max_length=500),
        ),
        migrations.AddField(
            model_name='site',
            name='no_proxy',
            field=models.CharField(blank=True, db_default='', max_length=500),
        ),
        migrations.AddField(
            model_name='site',
            name='provider',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='sites', to='inventory.provider', to_field='resource_id'),
        ),
        migrations.AlterField(
            model_name='instance',
            name='host',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='instance', to='inventory.host', to_field='resource_id'),
        ),
        migrations.AlterField(
            model_name='operatingsystem',
            name='description',
            field=models.CharField(blank=True, max_length=1000, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9_.:;=@?!#,<>*(){}&%$`^+\\- ]*\\Z', 'only letters, digits and _.:;=@?!#,<>*(){}&%$`^+- ')]),
        ),
        migrations.AlterField(
            model_name='operatingsystem',
            name='tls_ca_cert',
            field=models.CharField(blank=True, max_length=10000, validators=[django.core.validators.RegexValidator('^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\\Z', 'base64 is needed')]),
        ),
        migrations.CreateModel(
            name='Customization',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('custom_config', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='inventory.customconfig')),
                ('instance', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='inventory.instance')),
            ],
        ),
        migrations.AddField(
            model_name='instance',
            name='custom_config',
            field=models.ManyToManyField(blank=True, related_name='instances', through='inventory.Customization', to='inventory.customconfig'),
        ),
        migrations.CreateModel(
            name='Endpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resource_id', models.CharField(editable=False, max_length=24, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('kind', models.CharField(blank=True, max_length=64)),
                ('name', models.CharField(blank=True, max_length=50, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./: ()]*$', 'only letters, digits, spaces and - _ . / : ( )')])),
                ('host', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='endpoints', to='inventory.host', to_field='resource_id')),
            ],
            options={
                'ordering': ['resource_id'],
                'abstract': False,
            },
        ),
        migrations.AddField(
            model_name='instance',
            name='local_account',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='instances', to='inventory.localaccount', to_field='resource_id'),
        ),
        migrations.CreateModel(
            name='Netlink',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resource_id', models.CharField(editable=False, max_length=24, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('kind', models.CharField(blank=True, max_length=64)),
                ('name', models.CharField(blank=True, max_length=50, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./: ()]*$', 'only letters, digits, spaces and - _ . / : ( )')])),
                ('desired_state', models.CharField(choices=[('NETLINK_STATE_UNSPECIFIED', 'Unspecified'), ('NETLINK_STATE_DELETED', 'Deleted'), ('NETLINK_STATE_ONLINE', 'Online'), ('NETLINK_STATE_OFFLINE', 'Offline'), ('NETLINK_STATE_ERROR', 'Error')], default='NETLINK_STATE_UNSPECIFIED', editable=False, max_length=40)),
                ('current_state', models.CharField(choices=[('NETLINK_STATE_UNSPECIFIED', 'Unspecified'), ('NETLINK_STATE_DELETED', 'Deleted'), ('NETLINK_STATE_ONLINE', 'Online'), ('NETLINK_STATE_OFFLINE', 'Offline'), ('NETLINK_STATE_ERROR', 'Error')], default='NETLINK_STATE_UNSPECIFIED', editable=False, max_length=40)),
                ('provider_status', models.CharField(default='', editable=False, max_length=1024)),
                ('provider_status_indicator', models.CharField(choices=[('STATUS_INDICATION_UNSPECIFIED', 'Unspecified'), ('STATUS_INDICATION_ERROR', 'Error'), ('STATUS_INDICATION_IN_PROGRESS', 'In Progress'), ('STATUS_INDICATION_IDLE', 'Idle')], default='STATUS_INDICATION_UNSPECIFIED', editable=False, max_length=32)),
                ('provider_status_timestamp', tenants.resource.EpochField(default=0, editable=False)),
                ('dst', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='links_to', to='inventory.endpoint', to_field='resource_id')),
                ('src', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='links_from', to='inventory.endpoint', to_field='resource_id')),
            ],
            options={
                'verbose_name': 'network link',
                'ordering': ['resource_id'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='NetworkSegment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resource_id', models.CharField(editable=False, max_length=24, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(blank=True, max_length=50, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./: ()]*$', 'only letters, digits, spaces and - _ . / : ( )')])),
                ('vlan_id', models.IntegerField(default=0, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(4094)])),
                ('site', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='network_segments', to='inventory.site', to_field='resource_id')),
            ],
            options={
                'verbose_name': 'network segment',
                'ordering': ['resource_id'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='OsUpdatePolicy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resource_id', models.CharField(editable=False, max_length=24, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(max_length=50, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./: ()]*$', 'only letters, digits, spaces and - _ . / : ( )')])),
                ('description', models.CharField(blank=True, max_length=200, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./:;=?@!#,<>*() ]*\\Z', 'only letters, digits and -_./:;=?@!#,<>*() ')])),
                ('update_policy', models.CharField(choices=[('UPDATE_POLICY_UNSPECIFIED', 'Unspecified'), ('UPDATE_POLICY_LATEST', 'Latest'), ('UPDATE_POLICY_TARGET', 'Target')], max_length=32)),
                ('update_packages', models.TextField(blank=True, max_length=500000, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9._/:;=@?!#,<>\\-*+~()\\[\\]{}\\" \\n]*\\Z', 'only letters, digits and ._/:;=@?!#,<>-*+~()[]{}" n'), django.core.validators.MaxLengthValidator(500000)])),
                ('update_sources', models.JSONField(blank=True, default=list, validators=[inventory.models.columns.Texts('[a-zA-Z0-9\\-_./:;=@?!#,<>*+()\\[\\]" \\n]*', 10000, 100)])),
                ('update_kernel_command', models.CharField(blank=True, max_length=500, validators=[django.core.validators.RegexValidator('^[a-zA-Z0-9\\-_./:;=?@!#,<>*() "]*\\Z', 'only letters, digits and -_./:;=?@!#,<>*() "')])),
                ('target_os', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='update_policies', to='inventory.operatingsystem', to_field='resource_id')),
            ],
            options={
                'verbose_name': 'OS update policy',
                'verbose_name_plural': 'OS update policies',
                'ordering': ['resource_id'],
                'abstract': False,
            },
        ),
        migrations.AddField(
            model_name='instance',
            name='os_update_policy',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='instances', to='inventory.osupdatepolicy', to_field='resource_id', verbose_name='OS update policy'),
        ),
        migrations.AddConstraint(
            model_name='instance',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'INSTANCE_KIND_VM'), _negated=True), ('host', None), _connector='OR'), name='instance_vm_without_host'),
        ),
        migrations.AddConstraint(
            model_name='instance',
            constraint=models.CheckConstraint(condition=models.Q(('kind', 'INSTANCE_KIND_VM'), models.Q(('vm_cpu_cores', 0), ('vm_memory_bytes', 0), ('vm_storage_bytes', 0)), _connector='OR'), name='instance_metal_without_vm'),
        ),
        migrations.AddField(
            model_name='osupdaterun',
            name='applied_policy',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='runs', to='inventory.osupdatepolicy', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='osupdaterun',
            name='instance',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='os_update_runs', to='inventory.instance', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='ou',
            name='parent_ou',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='inventory.ou', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='site',
            name='ou',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='sites', to='inventory.ou', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='remoteaccess',
            name='instance',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='remote_accesses', to='inventory.instance', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='repeatedschedule',
            name='target_host',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='%(class)ss', to='inventory.host', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='repeatedschedule',
            name='target_region',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='%(class)ss', to='inventory.region', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='repeatedschedule',
            name='target_site',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='%(class)ss', to='inventory.site', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='singleschedule',
            name='target_host',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='%(class)ss', to='inventory.host', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='singleschedule',
            name='target_region',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='%(class)ss', to='inventory.region', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='singleschedule',
            name='target_site',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='%(class)ss', to='inventory.site', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='telemetryprofile',
            name='group',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='profiles', to='inventory.telemetrygroup', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='telemetryprofile',
            name='instance',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='telemetry_profiles', to='inventory.instance', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='telemetryprofile',
            name='region',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='telemetry_profiles', to='inventory.region', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='telemetryprofile',
            name='site',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='telemetry_profiles', to='inventory.site', to_field='resource_id'),
        ),
        migrations.AddConstraint(
            model_name='workload',
            constraint=models.UniqueConstraint(condition=models.Q(('external_id', ''), _negated=True), fields=('external_id',), name='workload_external_id'),
        ),
        migrations.AddField(
            model_name='singleschedule',
            name='target_workload',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='%(class)ss', to='inventory.workload', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='repeatedschedule',
            name='target_workload',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='%(class)ss', to='inventory.workload', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='workloadmember',
            name='instance',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='workload_member', to='inventory.instance', to_field='resource_id'),
        ),
        migrations.AddField(
            model_name='workloadmember',
            name='workload',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='members', to='inventory.workload', to_field='resource_id'),
        ),
        migrations.AddConstraint(
            model_name='customization',
            constraint=models.UniqueConstraint(fields=('instance', 'custom_config'), name='a_config_once_an_instance'),
        ),
        migrations.AddConstraint(
            model_name='networksegment',
            constraint=models.UniqueConstraint(fields=('site', 'vlan_id'), name='a_vlan_once_a_site'),
        ),
        migrations.AddConstraint(
            model_name='networksegment',
            constraint=models.CheckConstraint(condition=models.Q(('vlan_id__gte', 0), ('vlan_id__lte', 4094), models.Q(('vlan_id', 1), _negated=True)), name='vlan_id'),
        ),
        migrations.AddConstraint(
            model_name='telemetryprofile',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('region__isnull', True), ('site__isnull', True)), models.Q(('instance__isnull', True), ('region__isnull', True)), models.Q(('instance__isnull', True), ('site__isnull', True)), _connector='OR'), name='telemetryprofile_one_target'),
        ),
        migrations.AddConstraint(
            model_name='telemetryprofile',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'TELEMETRY_RESOURCE_KIND_METRICS'), ('metrics_interval__gt', 0)), models.Q(('kind', 'TELEMETRY_RESOURCE_KIND_LOGS'), models.Q(('log_level', 'SEVERITY_LEVEL_UNSPECIFIED'), _negated=True)), _connector='OR'), name='telemetryprofile_interval_or_level'),
        ),
        migrations.AddConstraint(
            model_name='singleschedule',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('target_region__isnull', True), ('target_site__isnull', True), ('target_workload__isnull', True)), models.Q(('target_host__isnull', True), ('target_region__isnull', True), ('target_workload__isnull', True)), models.Q(('target_host__isnull', True), ('target_site__isnull', True), ('target_workload__isnull', True)), models.Q(('target_host__isnull', True), ('target_region__isnull', True), ('target_site__isnull', True)), _connector='OR'), name='singleschedule_one_target'),
        ),
        migrations.AddConstraint(
            model_name='singleschedule',
            constraint=models.CheckConstraint(condition=models.Q(('end_seconds', 0), ('end_seconds__gt', models.F('start_seconds')), _connector='OR'), name='singleschedule_ends_after_its_start'),
        ),
        migrations.AddConstraint(
            model_name='repeatedschedule',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('target_region__isnull', True), ('target_site__isnull', True), ('target_workload__isnull', True)), models.Q(('target_host__isnull', True), ('target_region__isnull', True), ('target_workload__isnull', True)), models.Q(('target_host__isnull', True), ('target_site__isnull', True), ('target_workload__isnull', True)), models.Q(('target_host__isnull', True), ('target_region__isnull', True), ('target_site__isnull', True)), _connector='OR'), name='repeatedschedule_one_target'),
        ),
        migrations.AddConstraint(
            model_name='repeatedschedule',
            constraint=models.CheckConstraint(condition=models.Q(('duration_seconds__range', (1, 86400))), name='repeatedschedule_duration'),
        ),
    ]
