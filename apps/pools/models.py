"""Store pools and their workers. Other APIs call a pool a team or a workspace."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import Func
from django.db.models.functions import Now

from apps.accounts.models import Organisation, User
from apps.base.fields import JSON, CurrentXid, Numeric, Xid8
from apps.base.ids import new_id


class PoolStatus(models.TextChoices):
    """Name the statuses of a pool."""

    ACTIVE = "active"  # its workers are offered tasks
    CLOSED = "closed"  # kept for its history; it offers nothing new


class WorkerKind(models.TextChoices):
    """Name the kinds of workers."""

    HUMAN = "human"  # works by offers; the pool's work_seconds renew its lease
    AGENT = "agent"  # may also claim; heartbeats renew its lease


class Presence(models.TextChoices):
    """Name the presences of a worker."""

    AVAILABLE = "available"  # the only presence that gets offers
    BUSY = "busy"
    AWAY = "away"
    OFFLINE = "offline"


class OfferMode(models.TextChoices):
    """Name how a pool offers a task."""

    SEQUENTIAL = "sequential"  # to one worker at a time
    BROADCAST = "broadcast"  # to several workers at once; the first to accept gets it


class Pool(models.Model):
    """Store a group of workers with its policies."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="pools")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    status = models.CharField(max_length=10, choices=PoolStatus, default=PoolStatus.ACTIVE)
    # Seconds that an offer stays open, by urgency; an urgency that is missing uses OFFER_SECONDS.
    offer_seconds = JSON(default=dict, blank=True)
    # How tasks are offered, and to how many workers at once in a broadcast.
    offer_mode = models.CharField(max_length=10, choices=OfferMode, default=OfferMode.SEQUENTIAL)
    broadcast_to = models.PositiveSmallIntegerField(default=5)
    # No worker gets more offers than that in `offer_window_seconds`; null: no limit.
    offers_per_window = models.PositiveSmallIntegerField(null=True, blank=True)
    offer_window_seconds = models.PositiveIntegerField(default=3600)
    # After so many expired offers in a row the worker is set away; null: never.
    misses_until_away = models.PositiveSmallIntegerField(null=True, blank=True, default=3)
    # Units of a worker's capacity that a task takes, by its type; 1 for one that is missing.
    costs = JSON(default=dict, blank=True)
    # The steps to take while no worker accepts a task: see apps/matching.
    escalation = JSON(default=dict, blank=True)
    # Which submissions a person reviews: the stated fields of a `ReviewPolicy`; null: none.
    review_policy = JSON(null=True, blank=True)
    # The mean of its workers' ratings, which ratings with a low count are drawn to; null: no
    # ratings.
    rating_mean = models.FloatField(null=True, blank=True)
    # Seconds that a person's lease lasts, from accept and from every call on the run.
    work_seconds = models.PositiveIntegerField(default=3600)
    # How often a team's agent runs its cycle.
    cadence_minutes = models.PositiveIntegerField(default=30)
    # Who approves what, in the terms of the team workspace API; unknown keys are kept.
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
    """Store a person or an agent that works on tasks."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="workers")
    # The member who is this worker: one person, both hats. The unique index serves as its index.
    user = models.ForeignKey(
        User, on_delete=models.SET_NULL, related_name="workers", null=True, db_index=False
    )
    kind = models.CharField(max_length=10, choices=WorkerKind, default=WorkerKind.HUMAN)
    name = models.CharField(max_length=200)
    presence = models.CharField(max_length=10, choices=Presence, default=Presence.OFFLINE)
    # Why the presence is what it is, where the worker did not set it itself.
    presence_reason = models.CharField(max_length=40, blank=True)
    skills = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    # Slug -> 1 to 5; a skill that is missing here has level 1.
    skill_levels = JSON(default=dict, blank=True)
    # BCP 47 tags in lower case.
    languages = ArrayField(models.CharField(max_length=35), default=list, blank=True)
    trust_level = models.PositiveSmallIntegerField(default=0)
    # The mean of its ratings, and their count. Version 0.1 reads and writes the first; the exact
    # one is used where it is set.
    rating = models.DecimalField(max_digits=6, decimal_places=5, default=0)
    exact_rating = Numeric(null=True)
    rating_count = models.PositiveIntegerField(default=0)
    # The units that the worker takes at once, and those in use by open offers and held runs.
    capacity = models.PositiveSmallIntegerField(default=1)
    load = models.SmallIntegerField(default=0)
    # Since when it waits for work: set when it was created and at each submission only.
    waiting_since = models.DateTimeField(db_default=Now())
    # Offers in a row that it let expire.
    missed_in_row = models.PositiveSmallIntegerField(default=0)
    # When it works: weekday ("mon" …) -> [["09:00", "17:00"], …] in its time zone; empty: always.
    hours = JSON(default=dict, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    # Whether it is within its hours, as of its latest timer.
    is_on_shift = models.BooleanField(default=True)
    # Until when it gets no offers, by its own request.
    snoozed_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "id"], name="worker_in_its_organisation"
            ),
            models.UniqueConstraint(
                fields=["user", "organisation"],
                condition=models.Q(user__isnull=False),
                name="one_worker_each",
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
            # The console searches by the words of a name.
            GinIndex(SearchVector("name", config="simple"), name="worker_name_words"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def rating_now(self) -> float:
        """Return the mean of its ratings, as it is compared with what a task requires."""
        return float(self.rating if self.exact_rating is None else self.exact_rating)


class Membership(models.Model):
    """Store that a worker is in a pool.

    The worker's traits that matching requires are copied here, indexed in the order in which
    workers get offers, so that the first eligible workers are found by an index scan, however many
    there are. Triggers copy them from the worker's row (triggers/); no other code writes these
    columns.
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
    # Units that the worker can take now: 0 while it is full or not available.
    free = models.SmallIntegerField(default=0, editable=False)
    load_share = models.FloatField(default=0, editable=False)
    waiting_since = models.DateTimeField(db_default=Now(), editable=False)
    rating = models.FloatField(default=0, editable=False)
    trust_level = models.PositiveSmallIntegerField(default=0, editable=False)
    # Skills, levels and languages as words that are compared with requirements.
    abilities = ArrayField(models.CharField(max_length=80), default=list, editable=False)
    # The transaction in which it last opened: more free units than before, or another trait.
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


class PoolNote(models.Model):
    """Store what an operator tells the members of a pool, until it expires or is deleted."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    pool = models.ForeignKey(
        Pool, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    text = models.CharField(max_length=1000)
    # The credential that wrote it.
    created_by = models.CharField(max_length=300)
    created_at = models.DateTimeField()
    # Null: it is shown until a member dismisses it.
    expires_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "id"], name="pool_note_in_its_organisation"
            ),
        ]
        indexes = [models.Index(fields=["pool", "-id"], name="pool_notes_newest")]

    def __str__(self) -> str:
        return self.text[:50]


class NoteDismissal(models.Model):
    """Store that a worker has read a note: it is not shown any more."""

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    note = models.ForeignKey(
        PoolNote,
        on_delete=models.CASCADE,
        related_name="dismissals",
        db_constraint=False,
        db_index=False,
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["note", "worker"], name="note_dismissed_once"),
        ]

    def __str__(self) -> str:
        return f"{self.note_id} by {self.worker_id}"


class Certification(models.Model):
    """Store proof of something that a worker may do, valid until it expires."""

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
    # Where the document is shown.
    document_url = models.CharField(max_length=2048, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["worker", "code"], name="certification_once_a_worker"),
        ]

    def __str__(self) -> str:
        return self.code


class ClaimStatus(models.TextChoices):
    """Name the statuses of a worker's claim of a certification."""

    PENDING = "pending"  # waits for an operator's check; it counts for nothing
    CONFIRMED = "confirmed"  # the worker's certification was written from it
    REJECTED = "rejected"  # the document is deleted; the reason is for the worker


class CertificationClaim(models.Model):
    """Store that a worker says it has a certification, with a document for operators to check.

    Of a code, a worker has one claim of each status at most: a later one replaces the earlier.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.CASCADE, related_name="claims", db_constraint=False
    )
    code = models.CharField(max_length=64)
    issuer = models.CharField(max_length=200, blank=True)
    expires_at = models.DateTimeField(null=True)
    status = models.CharField(max_length=9, choices=ClaimStatus, default=ClaimStatus.PENDING)
    # An operator's words, when it was rejected.
    reason = models.CharField(max_length=1000, blank=True)
    # The row of the stored file, which a higher app has; null once the document is deleted.
    file_id = models.UUIDField(null=True)
    filename = models.CharField(max_length=200, blank=True)
    content_type = models.CharField(max_length=100)
    size = models.PositiveIntegerField()
    sha256 = models.BinaryField(max_length=32)
    path = models.CharField(max_length=300)
    created_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    # The credential that decided.
    decided_by = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["worker", "code", "status"], name="claim_once_in_a_status"
            ),
            models.CheckConstraint(
                condition=models.Q(status=ClaimStatus.PENDING, decided_at__isnull=True)
                | models.Q(
                    status__in=[ClaimStatus.CONFIRMED, ClaimStatus.REJECTED],
                    decided_at__isnull=False,
                ),
                name="claim_is_decided_iff_not_pending",
            ),
            models.CheckConstraint(
                condition=models.Q(status=ClaimStatus.REJECTED, file_id__isnull=True)
                | (~models.Q(status=ClaimStatus.REJECTED) & models.Q(file_id__isnull=False)),
                name="claim_has_a_document_unless_rejected",
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "status", "-id"], name="claims_of_status"),
            models.Index(fields=["organisation", "-id"], name="claims_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.code} ({self.status})"
