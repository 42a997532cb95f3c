"""Clients of the token service, sign-ins, API tokens and revoked nodes: what tokens are given for, and ended by."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import tenants.models.token
from tenants.rls import rows_belong_to_their_schema

KNOWN = [
    {
        "client_id": "system-client", "description": "The command line and the bulk importer",
        "grants": ["password", "refresh_token"], "rotates": False,
    },
    {
        "client_id": "webui-client", "description": "The archived system's web UI",
        "grants": ["authorization_code", "refresh_token"], "redirect_uris": "http://localhost/*\nhttp://127.0.0.1/*",
    },
    {
        "client_id": "eim-swagger", "description": "The API's documents", "grants": ["authorization_code"],
        "redirect_uris": "/docs/oauth2-redirect.html",
    },
    {
        "client_id": "eim-flower", "description": "Flower, which shows Celery's workers",
        "grants": ["authorization_code"], "redirect_uris": "http://localhost/login\nhttp://127.0.0.1/login",
        "staff_only": True,
    },
]  # fmt: skip


def make_known_clients(apps, schema_editor):
    for known in KNOWN:
        apps.get_model("tenants", "Client").objects.get_or_create(client_id=known["client_id"], defaults=known)


class Migration(migrations.Migration):

    dependencies = [
        ('tenants', '0009_sessions_end'),
    ]

    operations = [
        migrations.AddField(
            model_name='signingkey',
            name='signs_from',
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
        migrations.AddField(
            model_name='signingkey',
            name='verifies_until',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name='Client',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('client_id', models.CharField(max_length=64, unique=True, validators=[tenants.models.token._no_nodes_name])),
                ('description', models.CharField(blank=True, max_length=200)),
                ('secret_hash', models.CharField(blank=True, editable=False, max_length=64)),
                ('grants', models.JSONField(default=list, help_text='of password, refresh_token, authorization_code and client_credentials')),
                ('redirect_uris', models.TextField(blank=True, help_text='one a line')),
                ('staff_only', models.BooleanField(default=False, help_text='only people with staff status sign in with it')),
                ('rotates', models.BooleanField(default=True, help_text='each refresh token is good once; off for clients that keep the one they were given')),
                ('enabled', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('service_account', models.OneToOneField(blank=True, help_text='whose roles it has when it asks for itself', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='service_client', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='RevokedNode',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('schema', models.CharField(max_length=63)),
                ('client_id', models.CharField(max_length=64)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'indexes': [models.Index(fields=['at'], name='revoked_node_by_time')],
            },
        ),
        migrations.CreateModel(
            name='SignIn',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sid', models.CharField(max_length=32, unique=True)),
                ('scope', models.CharField(blank=True, max_length=200)),
                ('nonce', models.CharField(blank=True, max_length=255)),
                ('stamp', models.CharField(max_length=16)),
                ('browser', models.CharField(blank=True, max_length=64)),
                ('refresh_hash', models.CharField(blank=True, max_length=64)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('used_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('expires_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('why_ended', models.CharField(blank=True, max_length=40)),
                ('client', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sign_ins', to='tenants.client')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sign_ins', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='AuthorizationCode',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code_hash', models.CharField(max_length=64, unique=True)),
                ('redirect_uri', models.TextField()),
                ('scope', models.CharField(blank=True, max_length=200)),
                ('nonce', models.CharField(blank=True, max_length=255)),
                ('code_challenge', models.CharField(blank=True, max_length=128)),
                ('code_challenge_method', models.CharField(blank=True, max_length=8)),
                ('browser', models.CharField(blank=True, max_length=64)),
                ('signed_in_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL)),
                ('client', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='tenants.client')),
                ('sign_in', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, to='tenants.signin')),
            ],
        ),
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('key', models.CharField(editable=False, max_length=8, unique=True)),
                ('secret_hash', models.CharField(editable=False, max_length=64)),
                ('read_only', models.BooleanField(default=True)),
                ('everywhere', models.BooleanField(default=True, help_text="in all of the owner's projects, or in those below only")),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField()),
                ('used_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('projects', models.ManyToManyField(blank=True, to='tenants.project')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='api_tokens', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at'],
                'indexes': [models.Index(fields=['expires_at'], name='api_token_by_end')],
            },
        ),
        migrations.AddIndex(
            model_name='signin',
            index=models.Index(fields=['user', 'ended_at'], name='sign_in_by_user'),
        ),
        migrations.AddIndex(
            model_name='signin',
            index=models.Index(fields=['expires_at'], name='sign_in_by_end'),
        ),
        migrations.AddIndex(
            model_name='signin',
            index=models.Index(fields=['refresh_hash'], name='sign_in_by_refresh_token'),
        ),
        migrations.AddIndex(
            model_name='authorizationcode',
            index=models.Index(fields=['expires_at'], name='code_by_end'),
        ),
        rows_belong_to_their_schema("tenants_revokednode"),
        migrations.RunPython(make_known_clients, migrations.RunPython.noop),
    ]
