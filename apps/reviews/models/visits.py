"""Store what a member has seen of the inbox."""

from django.db import models

from apps.accounts.models import Member
from apps.base.ids import new_id


class LaneVisit(models.Model):
    """Store when a member last opened a lane of the inbox: what came after it is new to them."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # Without a constraint: the previous version removes members, and knows no visits.
    member = models.ForeignKey(
        Member,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    lane = models.CharField(max_length=10)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["member", "lane"], name="one_visit_per_lane"),
        ]

    def __str__(self) -> str:
        return f"{self.lane} at {self.seen_at}"
