"""Reading signing secrets."""

from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now

from apps.base import crypto
from apps.webhooks.models import SigningSecret


def secret_place(organisation_id: UUID) -> crypto.Place:
    return crypto.Place(organisation_id, "webhooks_signingsecret", "secret")


def active_secrets(*, organisation_id: UUID) -> list[str]:
    """The organisation's secrets that have not expired, newest first, opened."""
    sealed = (
        SigningSecret.objects.filter(organisation_id=organisation_id)
        .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=Now()))
        .order_by("-created_at")
        .values_list("sealed", flat=True)
    )
    place = secret_place(organisation_id)
    return [crypto.unseal(bytes(ciphertext), place) for ciphertext in sealed]
