"""Define what deliveries are signed with."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.models import Organisation
from apps.base.ids import new_id


class KeyKind(models.TextChoices):
    """Name the two signatures of Standard Webhooks."""

    V1 = "v1"  # HMAC-SHA256 under a secret that the receiver shares
    V1A = "v1a"  # ed25519 under a key whose public half is published


class SigningKey(models.Model):
    """Store a key that signs an organisation's deliveries. Several of a kind during a rotation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="signing_keys"
    )
    kind = models.CharField(max_length=3, choices=KeyKind, default=KeyKind.V1)
    # The `whsec_` secret or the `whsk_` private key.
    sealed = models.BinaryField(editable=False)
    # The `whpk_` half of a v1a key; a v1 secret has none.
    public = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # Null: until it is replaced.
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "kind"],
                condition=Q(expires_at__isnull=True),
                name="signing_key_one_of_a_kind_without_end",
            ),
            models.CheckConstraint(
                condition=Q(kind="v1", public="") | (Q(kind="v1a") & ~Q(public="")),
                name="signing_key_is_public_iff_v1a",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} key of {self.organisation_id} from {self.created_at}"
