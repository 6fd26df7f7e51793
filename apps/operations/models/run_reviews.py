"""Store what `/api` knows of the reviews of final runs, besides the kernel's row."""

from django.db import models
from django.db.models import Q

from apps.accounts.models import Organisation
from apps.base.fields import JSON
from apps.reviews.models import Review


class RunReviewQuerySet(models.QuerySet["RunReview"]):
    """Select the reviews that someone or something is to move on."""

    def active(self) -> "RunReviewQuerySet":
        """Return those that are open, and were not stored by an open circuit."""
        return self.filter(check_at__isnull=False)


class RunReview(models.Model):
    """Store a review of a final run. Written under the locks of its task and its `Review`.

    The kernel's row says which run, round and attempt it is of, whether it is open, who has it
    until when, and who decided when.
    """

    review = models.OneToOneField(
        Review,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="of_run",
        db_constraint=False,
    )
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # `on_success`, `on_failure`, `always`: which runs the requester meant.
    policy = models.CharField(max_length=10)
    parent_review_id = models.UUIDField(null=True)
    requester_kind = models.CharField(max_length=20)
    requester_ref = models.CharField(max_length=255)
    # Of a session that asked. It and the agent do not review.
    requester_agent_name = models.CharField(max_length=128, blank=True)
    request_reason = models.TextField(blank=True)
    # Asked for while the task's circuit was open: it is not routed, only a person answers it.
    is_held_back = models.BooleanField(default=False)
    # The session that it was bound to last; empty: to none.
    reviewer_session_id = models.CharField(max_length=200, blank=True)
    reviewer_agent_name = models.CharField(max_length=128, blank=True)
    reviewer_peer_id = models.CharField(max_length=330, blank=True)
    reviewer_channel_id = models.CharField(max_length=64, blank=True)
    routed_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    # Empty until it is recorded.
    outcome = models.CharField(max_length=14, blank=True)
    confidence = models.FloatField(null=True)
    delivery_id = models.CharField(max_length=256, blank=True)
    reason = models.TextField(blank=True)
    missing_work = JSON(default=list)
    guidance = models.TextField(blank=True)
    text = models.TextField(blank=True)
    reviewed_by_kind = models.CharField(max_length=20, blank=True)
    reviewed_by_ref = models.CharField(max_length=255, blank=True)
    # What the verdict did: a repeated one answers the same.
    continuation_run_id = models.UUIDField(null=True)
    has_opened_circuit = models.BooleanField(default=False)
    updated_at = models.DateTimeField()
    # When the sweep looks at it: to route it, or at its deadline. Null: it is not active.
    check_at = models.DateTimeField(null=True)

    objects = RunReviewQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "reviewer_session_id"],
                condition=~Q(reviewer_session_id="") & Q(check_at__isnull=False),
                name="run_review_one_per_session",
            ),
            models.CheckConstraint(
                condition=Q(outcome="") | Q(check_at__isnull=True),
                name="run_review_recorded_is_done",
            ),
        ]
        indexes = [
            models.Index(
                fields=["check_at"],
                condition=Q(check_at__isnull=False),
                name="run_review_due",
            ),
        ]

    def __str__(self) -> str:
        return f"review {self.review_id} ({self.outcome or 'open'})"
