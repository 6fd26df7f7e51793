"""Store the key by which tasks are drawn for reviews."""

from uuid import UUID

from django.db import models
from django.db.models import Q

ONLY_KEY = UUID(int=1)
"""The id of the installation's sampling key: a second one has no place."""


class SamplingKey(models.Model):
    """Store the key of the installation by which tasks are drawn for reviews.

    There is one row at most. It is a random key of its own, sealed by `ENCRYPTION_KEYS`: a rotation
    of those seals it again, and draws the same tasks.
    """

    id = models.UUIDField(primary_key=True, default=ONLY_KEY, editable=False)
    # 32 bytes as hexadecimal digits.
    sealed = models.BinaryField(editable=False)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=ONLY_KEY), name="one_sampling_key")]

    def __str__(self) -> str:
        return f"sampling key from {self.created_at}"
