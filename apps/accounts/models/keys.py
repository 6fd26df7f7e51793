"""Store the API keys that programs call with."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from apps.accounts.models.organisations import Organisation
from apps.accounts.scopes import Role


class ApiKey(models.Model):
    """Store a secret of a program's key, as a keyed hash only: it is shown once.

    A key has one secret, and two while it is being rotated: one row each, with the same grant. Its
    first row gives the key its id, creation and name, and is kept as long as the key.
    """

    # The public part of the secret, by which the row is found.
    id = models.CharField(primary_key=True, max_length=12, editable=False)
    # The first row of a key that was rotated; null for the first row itself.
    original = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        related_name="later_secrets",
        db_index=False,
        # A composite key of a migration keeps it inside the organisation.
        db_constraint=False,
    )
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=200)
    role = models.CharField(max_length=10, choices=Role, default=Role.EDITOR)
    secret_hash = models.BinaryField(max_length=32, editable=False)
    scopes = ArrayField(models.CharField(max_length=50), default=list)
    # Which pools the key may see and use; null means every pool of the organisation.
    pool_ids = ArrayField(models.UUIDField(), null=True, blank=True)
    # Networks that may call with the key, besides the organisation's list; null means any.
    allowed_networks = ArrayField(models.CharField(max_length=50), null=True, blank=True)
    # The worker that the key acts for. The app pools is above this one, so its migration adds the
    # composite foreign key that keeps it inside the organisation.
    worker_id = models.UUIDField(null=True, blank=True)
    # The principal that created the key, as `kind:id`; empty for the commands of the server.
    created_by = models.CharField(max_length=300, db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # The end of the key, or of the secret's overlap after a rotation.
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    # When a later secret replaced this one.
    replaced_at = models.DateTimeField(null=True, editable=False)
    # Written at most once a minute. No index may contain it, so that its updates stay in the page.
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=~Q(scopes__contains=["work"]) | Q(worker_id__isnull=False),
                name="apikey_that_works_has_a_worker",
            ),
            models.UniqueConstraint(
                fields=["organisation", "id"], name="apikey_in_its_organisation"
            ),
            models.UniqueConstraint(
                Coalesce("original", "id"),
                condition=Q(replaced_at__isnull=True),
                name="apikey_has_one_secret_without_successor",
            ),
            models.CheckConstraint(
                condition=Q(replaced_at__isnull=True) | Q(expires_at__isnull=False),
                name="apikey_replaced_secret_ends",
            ),
        ]
        indexes = [
            models.Index(
                fields=["original"],
                condition=Q(original__isnull=False),
                name="apikey_later_secrets",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"
