"""Store tenants, their organisations, people, and the keys that programs call with."""

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from oauth2_provider.models import AbstractApplication

from apps.accounts.scopes import Role
from apps.base.ids import new_id


class Tenant(models.Model):
    """Store a customer of the installation, with one or more organisations."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return self.name


class Organisation(models.Model):
    """Store an organisation: its data is never visible, or known to exist, to another one."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="organisations")
    name = models.CharField(max_length=200)
    retain_days = models.PositiveIntegerField(
        default=365, help_text="Days that a task's personal content is kept, unless the task says."
    )
    allowed_networks = ArrayField(
        models.CharField(max_length=50),
        default=list,
        blank=True,
        help_text="CIDR blocks that may call the API; empty means any.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(retain_days__range=(1, 3650)),
                name="organisation_retains_1_to_3650_days",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """Store a person who signs in with a browser."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)


class Member(models.Model):
    """Store a person's role in an organisation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.VIEWER)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "user"], name="one_membership_each"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} as {self.role}"


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


class OAuthApplication(AbstractApplication):
    """Store an OAuth 2.0 client. It acts inside one organisation, with one role."""

    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="oauth_applications"
    )
    role = models.CharField(max_length=10, choices=Role, default=Role.VIEWER)
    pool_ids = ArrayField(models.UUIDField(), null=True, blank=True)
