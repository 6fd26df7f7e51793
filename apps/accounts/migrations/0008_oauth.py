"""Store authorisation codes and consents of OAuth 2.0, and the scopes and flows of clients.

Clients that exist had every scope: they keep them.
"""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import oauth2_provider.models
from django.conf import settings
from django.db import migrations, models

import apps.base.ids
from apps.base.sql import same_organisation

KEEP = """
UPDATE accounts_oauthapplication SET
    grant_types = CASE WHEN authorization_grant_type = 'authorization-code'
            THEN ARRAY['authorization_code']
        WHEN authorization_grant_type = 'client-credentials' AND client_type = 'confidential'
            THEN ARRAY['client_credentials']
        ELSE ARRAY[]::text[] END,
    scopes = ARRAY['tasks:read', 'tasks:create', 'tasks:cancel', 'webhooks:read', 'webhooks:manage',
        'pools:read', 'pools:manage']
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_sandbox"),
    ]

    operations = [
        migrations.AddField(
            model_name="oauthapplication",
            name="grant_types",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=40),
                db_default=[],
                default=list,
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="oauthapplication",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=50),
                db_default=[],
                default=list,
                size=None,
            ),
        ),
        migrations.RunSQL(KEEP, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="member",
            constraint=models.UniqueConstraint(
                fields=("organisation", "id"), name="member_in_organisation"
            ),
        ),
        migrations.AddConstraint(
            model_name="oauthapplication",
            constraint=models.UniqueConstraint(
                fields=("organisation", "id"), name="oauthapplication_in_organisation"
            ),
        ),
        migrations.AddConstraint(
            model_name="oauthapplication",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("client_type", "public"), _negated=True),
                    models.Q(("grant_types__contains", ["client_credentials"]), _negated=True),
                    _connector="OR",
                ),
                name="oauthapplication_public_acts_for_people",
            ),
        ),
        migrations.CreateModel(
            name="OAuthCode",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("code", models.CharField(max_length=255, unique=True, verbose_name="code")),
                ("expires", models.DateTimeField(verbose_name="expires")),
                ("redirect_uri", models.TextField(verbose_name="redirect URI")),
                ("scope", models.TextField(blank=True, verbose_name="scope")),
                ("created", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                ("updated", models.DateTimeField(auto_now=True, verbose_name="updated")),
                (
                    "code_challenge",
                    models.CharField(
                        blank=True, default="", max_length=128, verbose_name="code challenge"
                    ),
                ),
                (
                    "code_challenge_method",
                    models.CharField(
                        blank=True,
                        choices=[("plain", "plain"), ("S256", "S256")],
                        default="",
                        max_length=10,
                        verbose_name="code challenge method",
                    ),
                ),
                (
                    "nonce",
                    models.CharField(blank=True, default="", max_length=255, verbose_name="nonce"),
                ),
                ("claims", models.TextField(blank=True, verbose_name="claims")),
                (
                    "resource",
                    oauth2_provider.models.ResourceJSONField(
                        blank=True, default=list, verbose_name="resource"
                    ),
                ),
                ("used_at", models.DateTimeField(null=True)),
                ("token_family", models.UUIDField(null=True, unique=True)),
                (
                    "application",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.OAUTH2_PROVIDER_APPLICATION_MODEL,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(app_label)s_%(class)s",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("token_family__isnull", True), ("used_at__isnull", True)),
                            models.Q(("token_family__isnull", False), ("used_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="oauthcode_used_has_family",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="OAuthConsent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.base.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=50), size=None
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "updated_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
                (
                    "application",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="consents",
                        to=settings.OAUTH2_PROVIDER_APPLICATION_MODEL,
                    ),
                ),
                (
                    "member",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="consents",
                        to="accounts.member",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("application", "member"), name="one_consent_each"
                    )
                ],
            },
        ),
        same_organisation(
            "accounts_oauthconsent", "member_id", "accounts_member", on_delete="CASCADE"
        ),
        same_organisation(
            "accounts_oauthconsent",
            "application_id",
            "accounts_oauthapplication",
            on_delete="CASCADE",
        ),
    ]
