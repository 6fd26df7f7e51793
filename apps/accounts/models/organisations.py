"""Store tenants and their organisations."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.db.models.lookups import Exact

from apps.base.fields import OfVersion
from apps.base.ids import new_id


class Tenant(models.Model):
    """Store a customer of the installation, with one or more organisations."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return self.name


class Organisation(models.Model):
    """Store an organisation: its data is never visible, or known to exist, to another one.

    A sandbox is an organisation, too: test keys act in it, and its workers are simulated.
    """

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
    # A member without a second factor then reaches only the pages that add one.
    requires_second_factor = models.BooleanField(default=False, db_default=False)
    # The live organisation whose sandbox this is; null: this one is live. The checks make it
    # unique, and refuse a sandbox of a sandbox.
    sandbox_of = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        db_index=False,
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(sandbox_of__isnull=True)
                | Q(
                    Exact(F("id"), OfVersion(F("sandbox_of"), version=8)),
                    Exact(F("sandbox_of"), OfVersion(F("id"), version=7)),
                ),
                name="organisation_sandbox_has_its_id",
            ),
            models.CheckConstraint(
                condition=Q(sandbox_of__isnull=False)
                | ~Q(Exact(F("id"), OfVersion(F("id"), version=8))),
                name="organisation_live_has_no_sandbox_id",
            ),
            models.CheckConstraint(
                condition=models.Q(retain_days__range=(1, 3650)),
                name="organisation_retains_1_to_3650_days",
            ),
        ]

    def __str__(self) -> str:
        return self.name
