"""Pools and the workers in them. A pool is also what other doors call a team or a workspace."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now

from apps.accounts.models import Organisation
from apps.base.fields import JSON
from apps.base.ids import new_id


class PoolStatus(models.TextChoices):
    ACTIVE = "active"  # its workers are offered tasks
    CLOSED = "closed"  # kept for its history; nothing new is offered


class WorkerKind(models.TextChoices):
    HUMAN = "human"  # works by offers; the lease lives by the pool's work_seconds
    AGENT = "agent"  # may also claim; the lease lives by heartbeats


class Presence(models.TextChoices):
    AVAILABLE = "available"  # the only one that is offered tasks
    BUSY = "busy"
    AWAY = "away"
    OFFLINE = "offline"


class Pool(models.Model):
    """A group of workers with its policies."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="pools")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    status = models.CharField(max_length=10, choices=PoolStatus, default=PoolStatus.ACTIVE)
    # Seconds that an offer stays open, by urgency; an urgency that is missing uses OFFER_SECONDS.
    offer_seconds = JSON(default=dict, blank=True)
    # Seconds that a person's lease lasts, from accept and from every call on the run.
    work_seconds = models.PositiveIntegerField(default=3600)
    # How often a team's agent runs its cycle.
    cadence_minutes = models.PositiveIntegerField(default=30)
    # Who approves what, in the team workspace's terms; unknown keys are kept.
    approval_policy = JSON(default=dict, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "id"], name="pool_in_its_organisation"),
            models.CheckConstraint(
                condition=models.Q(work_seconds__range=(1, 86_400 * 30)),
                name="pool_work_seconds_up_to_30_days",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Worker(models.Model):
    """A person or an agent that does tasks."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="workers")
    kind = models.CharField(max_length=10, choices=WorkerKind, default=WorkerKind.HUMAN)
    name = models.CharField(max_length=200)
    presence = models.CharField(max_length=10, choices=Presence, default=Presence.OFFLINE)
    skills = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    trust_level = models.PositiveSmallIntegerField(default=0)
    rating = models.DecimalField(max_digits=3, decimal_places=2, default=0)
    # How many tasks the worker takes at once, and how many it has: open offers and held runs.
    capacity = models.PositiveSmallIntegerField(default=1)
    load = models.SmallIntegerField(default=0)
    # Since when it waits for work: set when it joined and whenever it submitted.
    waiting_since = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "id"], name="worker_in_its_organisation"
            ),
            models.CheckConstraint(
                condition=models.Q(trust_level__range=(0, 5)), name="worker_trust_0_to_5"
            ),
            models.CheckConstraint(
                condition=models.Q(rating__range=(0, 5)), name="worker_rating_0_to_5"
            ),
            models.CheckConstraint(
                condition=models.Q(load__gte=0), name="worker_load_is_never_negative"
            ),
        ]
        indexes = [
            GinIndex(fields=["skills"], name="worker_skills"),
            models.Index(
                fields=["organisation", "waiting_since"],
                condition=models.Q(presence="available"),
                name="worker_available",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A worker's place in a pool."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    pool = models.ForeignKey(
        Pool, on_delete=models.CASCADE, related_name="memberships", db_constraint=False
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.CASCADE, related_name="memberships", db_constraint=False
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pool", "worker"], name="worker_once_in_a_pool"),
        ]

    def __str__(self) -> str:
        return f"{self.worker_id} in {self.pool_id}"


class Certification(models.Model):
    """Proof of something a worker may do. It stops counting at the second it expires."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.CASCADE, related_name="certifications", db_constraint=False
    )
    code = models.CharField(max_length=64)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["worker", "code"], name="certification_once_a_worker"),
        ]

    def __str__(self) -> str:
        return self.code
