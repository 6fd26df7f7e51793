"""Store the audit log: what people and credentials did in an organisation."""

from django.db import models
from django.db.models import Q

from apps.accounts.models.organisations import Organisation
from apps.base.fields import JSON
from apps.base.ids import new_id

NEWEST_FIRST = ("-occurred_at", "-id")


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
            # The list, and each of its filters.
            models.Index(fields=["organisation", *NEWEST_FIRST], name="audit_list"),
            models.Index(fields=["organisation", "action", *NEWEST_FIRST], name="audit_action"),
            models.Index(fields=["organisation", "actor_id", *NEWEST_FIRST], name="audit_actor"),
            models.Index(
                fields=["organisation", "subject_id", *NEWEST_FIRST], name="audit_subject"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_kind}:{self.actor_id}"


class AuditKey(models.Model):
    """Store a key of the installation that signs the audit log. It signs until another follows.

    The private half is encrypted by `ENCRYPTION_KEYS`, which the database does not have: writing
    rows is not enough to sign.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # The `whsk_` private key.
    sealed = models.BinaryField(editable=False)
    # Its `whpk_` half, which is published.
    public = models.CharField(max_length=60)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"audit key from {self.created_at}"


class AuditChain(models.Model):
    """Store the end of an organisation's chain. Its row is the mutex of its drains."""

    organisation = models.OneToOneField(
        Organisation, on_delete=models.PROTECT, primary_key=True, related_name="+"
    )
    # The latest row in the chain; 0 and 32 zero bytes before the first.
    position = models.BigIntegerField(default=0)
    hash = models.BinaryField(max_length=32)
    changed_at = models.DateTimeField()
    # The signature of the columns above: the rows since the last head cannot be cut off without
    # a key, or a copy of this row as it was then.
    key = models.ForeignKey(AuditKey, on_delete=models.PROTECT, related_name="+", db_index=False)
    signature = models.BinaryField(max_length=64)
    # The day whose head is signed next.
    next_day = models.DateField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(position__gte=0), name="audit_chain_from_0"),
        ]

    def __str__(self) -> str:
        return f"{self.organisation_id} up to {self.position}"


class AuditHead(models.Model):
    """Store what an organisation's chain was when a day (UTC) ended. A trigger protects it."""

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    day = models.DateField()
    # The latest row in the chain: how many rows there were.
    position = models.BigIntegerField()
    hash = models.BinaryField(max_length=32)
    # Later than the day after where no process ran.
    signed_at = models.DateTimeField()
    key = models.ForeignKey(AuditKey, on_delete=models.PROTECT, related_name="+", db_index=False)
    signature = models.BinaryField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "day"], name="audit_head_once_a_day"),
        ]

    def __str__(self) -> str:
        return f"{self.organisation_id} on {self.day}: {self.position}"
