"""Store the accesses of the installation's staff to organisations."""

from datetime import timedelta

from django.db import models
from django.db.models import F, Q

from apps.accounts.models.organisations import Organisation
from apps.accounts.models.people import User
from apps.base.ids import new_id

LONGEST = timedelta(hours=1)


class StaffAccess(models.Model):
    """Store that a superuser may read an organisation, why, from which session, and until when.

    It is open until it is closed, expires, or its session ends. The row is kept.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="staff_accesses"
    )
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="staff_accesses")
    # The id of the browser's session. No foreign key: the row outlives the session.
    session_id = models.UUIDField()
    # The organisation's admins read it.
    reason = models.CharField(max_length=500)
    opened_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    # When it ended before its time; null while it is open, and after it expired.
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["session_id"],
                condition=Q(closed_at__isnull=True),
                name="staffaccess_one_of_a_session",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("opened_at"))
                & Q(expires_at__lte=F("opened_at") + LONGEST),
                name="staffaccess_ends_within_an_hour",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} to {self.organisation_id} until {self.expires_at}"
