"""Store the API keys that programs call with."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from apps.accounts.models.organisations import Organisation
from apps.accounts.scopes import Role


class ApiKey(models.Model):
    """Store a program's credential. The secret is shown once and stored as a keyed hash only."""

    # The public part of the key, by which the row is found.
    id = models.CharField(primary_key=True, max_length=12, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=200)
    role = models.CharField(max_length=10, choices=Role, default=Role.EDITOR)
    secret_hash = models.BinaryField(max_length=32, editable=False)
    scopes = ArrayField(models.CharField(max_length=50), default=list)
    # Which pools the key may see and use; null means every pool of the organisation.
    pool_ids = ArrayField(models.UUIDField(), null=True, blank=True)
    # The worker that the key acts for. The app pools is above this one, so its migration adds the
    # composite foreign key that keeps it inside the organisation.
    worker_id = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(scopes__contains=["work"]) | models.Q(worker_id__isnull=False),
                name="apikey_that_works_has_a_worker",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"
