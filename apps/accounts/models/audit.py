"""Store the audit log: what people and credentials did in an organisation."""

from django.db import models
from django.db.models import Q

from apps.accounts.models.organisations import Organisation
from apps.base.fields import JSON


class AuditEvent(models.Model):
    """Store one action of a person or a credential. A trigger protects it from change.

    An action inserts its row without a position, so that it waits for no other transaction. The
    drain `audit` then appends the committed rows to the organisation's hash chain.
    """

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    # 1, 2, 3 … within the organisation, without gaps; null until the row is in the chain.
    position = models.BigIntegerField(null=True)
    # A name of `AuditAction`, such as `member.removed`.
    action = models.CharField(max_length=60)
    actor_kind = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=255)
    # The actor's address; empty for the service itself.
    address = models.CharField(max_length=45, blank=True)
    # What was acted on, such as `member` and its id.
    subject_kind = models.CharField(max_length=40)
    subject_id = models.CharField(max_length=255)
    # Facts of the action (ids, names of roles, scopes and fields); never personal content.
    data = JSON(default=dict)
    occurred_at = models.DateTimeField()
    prev_hash = models.BinaryField(max_length=32, null=True)
    hash = models.BinaryField(max_length=32, null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "position"], name="audit_position_is_unique"
            ),
            models.CheckConstraint(
                condition=Q(position__isnull=True, prev_hash__isnull=True, hash__isnull=True)
                | Q(position__gte=1, prev_hash__isnull=False, hash__isnull=False),
                name="audit_position_has_hashes",
            ),
        ]
        indexes = [
            models.Index(
                fields=["organisation", "id"],
                condition=Q(position__isnull=True),
                name="audit_unchained",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_kind}:{self.actor_id}"
