"""Pools and the workers in them. A pool is also what other doors call a team or a workspace."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Func
from django.db.models.functions import Now

from apps.accounts.models import Organisation
from apps.base.fields import JSON, CurrentXid, Numeric, Xid8
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


class OfferMode(models.TextChoices):
    SEQUENTIAL = "sequential"  # one worker is asked at a time
    BROADCAST = "broadcast"  # several are asked at once; the first who accepts has it


class Pool(models.Model):
    """A group of workers with its policies."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="pools")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    status = models.CharField(max_length=10, choices=PoolStatus, default=PoolStatus.ACTIVE)
    # Seconds that an offer stays open, by urgency; an urgency that is missing uses OFFER_SECONDS.
    offer_seconds = JSON(default=dict, blank=True)
    # How workers are asked, and how many at once in a broadcast.
    offer_mode = models.CharField(max_length=10, choices=OfferMode, default=OfferMode.SEQUENTIAL)
    broadcast_to = models.PositiveSmallIntegerField(default=5)
    # No worker gets more offers than that in `offer_window_seconds`; null: no limit.
    offers_per_window = models.PositiveSmallIntegerField(null=True, blank=True)
    offer_window_seconds = models.PositiveIntegerField(default=3600)
    # So many offers in a row let lapse, and the worker is set away; null: never.
    misses_until_away = models.PositiveSmallIntegerField(null=True, blank=True, default=3)
    # Units of a worker's capacity that a task takes, by its type; 1 for one that is missing.
    costs = JSON(default=dict, blank=True)
    # What is done when nobody takes a task: see matching/escalation.py.
    escalation = JSON(default=dict, blank=True)
    # The mean of its workers' ratings, which those of few ratings are drawn to; null: none given.
    rating_mean = models.FloatField(null=True, blank=True)
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
    # Why the presence is what it is, where the worker did not say so itself.
    presence_reason = models.CharField(max_length=40, blank=True)
    skills = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    # Slug -> 1 to 5; a skill that is missing here is held at level 1.
    skill_levels = JSON(default=dict, blank=True)
    # BCP 47 tags in lower case.
    languages = ArrayField(models.CharField(max_length=35), default=list, blank=True)
    trust_level = models.PositiveSmallIntegerField(default=0)
    # The mean of its ratings, and of how many. The first is what version 0.1 reads and writes; the
    # exact one counts where there is one.
    rating = models.DecimalField(max_digits=6, decimal_places=5, default=0)
    exact_rating = Numeric(null=True)
    rating_count = models.PositiveIntegerField(default=0)
    # Units that the worker takes at once, and those taken: by open offers and held runs.
    capacity = models.PositiveSmallIntegerField(default=1)
    load = models.SmallIntegerField(default=0)
    # Since when it waits for work: set when it joined and whenever it submitted, by nothing else.
    waiting_since = models.DateTimeField(db_default=Now())
    # Offers in a row that it let lapse.
    missed_in_row = models.PositiveSmallIntegerField(default=0)
    # When it works: weekday ("mon" …) -> [["09:00", "17:00"], …] in its time zone; empty: always.
    hours = JSON(default=dict, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    # Whether now is within its hours, as its timer last saw it.
    is_on_shift = models.BooleanField(default=True)
    # It asked not to be asked until then.
    snoozed_until = models.DateTimeField(null=True, blank=True)
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
            GinIndex(
                Func("skills", "skill_levels", "languages", function="pools_abilities"),
                name="worker_abilities",
            ),
            models.Index(
                fields=["organisation", "waiting_since"],
                condition=models.Q(presence="available"),
                name="worker_available",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def rating_now(self) -> float:
        """The mean of its ratings as it is compared with what a task asks for."""
        return float(self.rating if self.exact_rating is None else self.exact_rating)


class Membership(models.Model):
    """A worker's place in a pool: the seat.

    What matching asks of a worker stands here once more, in the order in which workers are asked, so
    that the first who fit are found by walking an index, however many there are. A trigger copies it
    from the worker's row (migrations/_functions.py); nobody else writes these columns.
    """

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
    # Units that can be given to the worker now: 0 while it is full or may not be asked.
    free = models.SmallIntegerField(default=0, editable=False)
    load_share = models.FloatField(default=0, editable=False)
    waiting_since = models.DateTimeField(db_default=Now(), editable=False)
    rating = models.FloatField(default=0, editable=False)
    trust_level = models.PositiveSmallIntegerField(default=0, editable=False)
    # Skills, levels and languages as words that requirements can be compared with.
    abilities = ArrayField(models.CharField(max_length=80), default=list, editable=False)
    # In which transaction it last came to fit more than before: freed, came back, or learnt something.
    opened_in = Xid8(db_default=CurrentXid(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pool", "worker"], name="worker_once_in_a_pool"),
        ]
        indexes = [
            models.Index(
                fields=["pool", "load_share", "waiting_since", "worker"],
                condition=models.Q(free__gt=0),
                name="seat_in_order",
            ),
            models.Index(
                fields=["organisation", "opened_in"],
                condition=models.Q(free__gt=0),
                name="seat_opened",
            ),
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
    issuer = models.CharField(max_length=200, blank=True)
    # Where the document can be looked at.
    document_url = models.CharField(max_length=2048, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["worker", "code"], name="certification_once_a_worker"),
        ]

    def __str__(self) -> str:
        return self.code
