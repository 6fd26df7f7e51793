"""Store agents, their sessions, and what each session has claimed."""

from typing import ClassVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.models import Organisation
from apps.accounts.principal import Principal
from apps.base.fields import JSON
from apps.base.ids import new_id
from apps.pools.models import Pool, Worker
from apps.tasks.models import Run

OPERATORS = ""
"""The name of the agent whose worker holds what operators claim. No session can register by it."""

SESSION_EXECUTOR = "system:session-executor"
"""Who registered the sessions that are opened for operators' runs (`registered_by`)."""

REVIEW_EXECUTOR = "system:review-executor"
"""Who registered the sessions that are opened for a review of a run."""

OPENED_BY_US = (SESSION_EXECUTOR, REVIEW_EXECUTOR)


class Agent(models.Model):
    """Store which worker an agent's name stands for: one worker for all of its sessions.

    So its ratings and its first tasks in a pool are counted for the agent, not for a process.
    """

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    name = models.CharField(max_length=128)
    worker = models.ForeignKey(
        Worker, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )
    # Taken by a key of the worker. Operators who use the name would make that worker a member.
    is_workers_own = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "name"], name="agent_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class SessionState(models.TextChoices):
    """Name the states of a session."""

    ACTIVE = "active"  # the only state that may act
    STOPPED = "stopped"  # final; what it held was released


class SessionQuerySet(models.QuerySet["AgentSession"]):
    """Select sessions by what an actor may see, and lock them."""

    def visible_to(self, actor: Principal) -> "SessionQuerySet":
        """Return the organisation's sessions in pools that are granted to the actor."""
        sessions = self.filter(organisation_id=actor.organisation_id)
        if actor.pool_ids is None:
            return sessions
        return sessions.filter(workspace_id__in=actor.pool_ids)

    def locked(self) -> "SessionQuerySet":
        """Lock the rows until commit: one claim of a session at a time."""
        return self.select_for_update(no_key=True, of=("self",))


class AgentSession(models.Model):
    """Store a process of an agent, which claims one run at a time."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # Its id on the wire, as its agent chose it: `X-AGH-Session-ID`.
    session_id = models.CharField(max_length=200)
    agent_name = models.CharField(max_length=128)
    # The pool whose tasks it claims; null: those that name no pool.
    workspace = models.ForeignKey(
        Pool, on_delete=models.CASCADE, null=True, related_name="+", db_constraint=False
    )
    # Not empty: it claims runs of this coordination channel only.
    channel = models.CharField(max_length=64, blank=True)
    capabilities = ArrayField(models.CharField(max_length=128), default=list)
    state = models.CharField(max_length=7, choices=SessionState, default=SessionState.ACTIVE)
    worker = models.ForeignKey(
        Worker, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )
    # The credential that registered it (`Principal.text`).
    registered_by = models.CharField(max_length=300)
    created_at = models.DateTimeField(db_default=Now())
    # The latest call as of a minute ago.
    last_seen_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    objects: ClassVar[SessionQuerySet] = SessionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "id"], name="session_in_its_organisation"
            ),
            models.UniqueConstraint(
                fields=["organisation", "session_id"], name="session_id_is_unique"
            ),
            models.CheckConstraint(
                condition=Q(state=SessionState.ACTIVE, ended_at__isnull=True)
                | Q(state=SessionState.STOPPED, ended_at__isnull=False),
                name="session_ended_iff_not_active",
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-created_at", "-id"], name="session_list"),
            models.Index(fields=["worker"], condition=Q(state="active"), name="session_active"),
            models.Index(
                fields=["last_seen_at"], condition=Q(state="active"), name="session_silent"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.agent_name} {self.session_id} ({self.state})"

    @property
    def is_executors(self) -> bool:
        """Return whether it was opened for an operator's run, and ends with that."""
        return self.registered_by == SESSION_EXECUTOR

    @property
    def is_reviewers(self) -> bool:
        """Return whether it was opened for a review, and ends some time after that."""
        return self.registered_by == REVIEW_EXECUTOR

    def as_worker(self, actor: Principal) -> Principal:
        """Return the session's worker as the actor of what the session does for `actor`."""
        return actor.for_worker(self.worker_id)


class ClaimEnd(models.TextChoices):
    """Name how a claim ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    RELEASED = "released"
    # Found at the session's next call: its lease lapsed, the task was cancelled or taken back.
    LOST = "lost"


class AgentClaim(models.Model):
    """Store that a session claimed a run, and how that ended.

    The run's lease is the kernel's. A claim is live while its run is held by the session's worker
    with the claim's epoch.
    """

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    session = models.ForeignKey(
        AgentSession, on_delete=models.PROTECT, related_name="claims", db_constraint=False
    )
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    epoch = models.PositiveIntegerField()
    # SHA-256 of a secret that was thrown away: it fences writes of the claim.
    token_hash = models.CharField(max_length=71)
    # The caller's; repeated while the claim is live, it gets the same claim.
    idempotency_key = models.CharField(max_length=255, blank=True)
    claimed_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end = models.CharField(max_length=9, choices=ClaimEnd, blank=True)
    # The credential that completed it, and the member whose session or application that is.
    completed_by = models.CharField(max_length=300, blank=True)
    completed_by_member = models.UUIDField(null=True)
    # What a failed run's agent sent beside its error; deleted with the task's content.
    failure_metadata = JSON(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["session"],
                condition=Q(ended_at__isnull=True),
                name="claim_one_open_per_session",
            ),
            models.UniqueConstraint(fields=["run", "epoch"], name="claim_once_per_epoch"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, end="")
                | (Q(ended_at__isnull=False) & Q(end__in=ClaimEnd.values)),
                name="claim_has_an_end_iff_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.run_id} by {self.session_id}"


def run_of_channel(channel: str) -> UUID | None:
    """Return the run whose coordination channel has this name; None without one."""
    prefix, _, text = channel.partition("coord-")
    try:
        return UUID(text) if not prefix else None
    except ValueError:
        return None
