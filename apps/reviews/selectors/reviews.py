"""Read reviews, their policies, and who their reviewers are."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from apps.accounts.selectors import Creator, creator_of_key, makers_of
from apps.base import crypto
from apps.pools.models import Membership
from apps.pools.selectors import worker_of_member, workers_of_member
from apps.reviews.models import FOR_VIEWERS, Review, ReviewQuerySet, ReviewStatus
from apps.tasks.models import Evidence
from biolayer.errors import NotAReviewer, NotFound, OwnWork
from biolayer.reviews import ReviewPolicy

INSTALLATION = UUID(int=0)

APPEALABLE = (ReviewStatus.REWORK, ReviewStatus.REJECTED)
"""The verdicts that a worker may appeal."""


def sampling_key_place(organisation_id: UUID = INSTALLATION) -> crypto.Place:
    """Return what the sampling key is sealed for."""
    return crypto.Place(INSTALLATION, "reviews_samplingkey", "sealed")


def policy_of(review: Review) -> ReviewPolicy:
    """Return the policy that applied when a review was requested."""
    return ReviewPolicy.model_validate(review.policy)


# --- reviewers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """Say which worker and which member of an organisation a credential acts for; None: none."""

    worker_id: UUID | None = None
    member_id: UUID | None = None
    # Who created the key of a worker, as worker and as member: they may use it themselves.
    creator_worker_id: UUID | None = None
    creator_member_id: UUID | None = None

    def is_worker(self, worker_id: UUID | None) -> bool:
        """Return whether the worker may be behind the credential."""
        return worker_id is not None and worker_id in (self.worker_id, self.creator_worker_id)

    def is_member(self, member_id: UUID | None) -> bool:
        """Return whether the member may be behind the credential."""
        return member_id is not None and member_id in (self.member_id, self.creator_member_id)


@dataclass(frozen=True, slots=True)
class Proposer:
    """Say which credential submitted a run for an agent, and for which member, if for one."""

    credential: str
    member_id: UUID | None
    # Where an operator completed what another one's session did: the credential of that session.
    of_session: str = ""

    @property
    def principals(self) -> set[str]:
        """Return the credentials and the member, as rows name them."""
        member = f"member:{self.member_id}" if self.member_id else ""
        return {name for name in (self.credential, member, self.of_session) if name}


ProposerOfRun = Callable[[UUID], Proposer | None]

_proposers: list[ProposerOfRun] = []


def find_proposers_by(proposer_of: ProposerOfRun) -> None:
    """Find by `proposer_of` who submitted a run for an agent. Called by config/wiring.py only."""
    _proposers[:] = [proposer_of]


def require_not_proposer(actor: Principal, run_id: UUID) -> None:
    """Raise `OwnWork` where the actor's credential, or member, submitted the run for an agent.

    Also where these have made the actor's credential, or one by which it was made.
    """
    for proposer_of in _proposers:
        proposer = proposer_of(run_id)
        if proposer is not None and not proposer.principals.isdisjoint(_behind(actor)):
            raise OwnWork


def _behind(actor: Principal) -> Iterator[str]:
    """Yield the actor and its member, and those who made its credential, as rows name them."""
    yield actor.text
    if actor.member_id is not None:
        yield f"member:{actor.member_id}"
    credential = f"api_key:{actor.key_id}" if actor.key_id else actor.text
    for text in makers_of(organisation_id=actor.organisation_id, credential=credential):
        yield text
        kind, _, id_ = text.partition(":")
        if kind == "oauth_member":
            yield f"member:{id_.partition(':')[0]}"


def require_reviewer(actor: Principal, review: Review) -> Identity:
    """Return who a reviewer is.

    Raise `OwnWork` where this worker did the work, also where the credential is a key that its
    member created, or where it submitted the work for an agent; `RoleTooLow`, and `NotAReviewer`
    while the review is for a pool's workers.
    """
    actor.require(Scope.TASKS_REVIEW)
    policy = policy_of(review)
    actor.require_role(Role(policy.required_role))
    reviewer = identity_of(actor)
    if reviewer.is_worker(review.worker_id):
        raise OwnWork
    require_not_proposer(actor, review.run_id)
    pool_id = None if review.escalated_at else policy.reviewer_pool_id
    if pool_id is not None and not _is_in_pool(reviewer.worker_id, pool_id):
        raise NotAReviewer(str(pool_id))
    return reviewer


def _is_in_pool(worker_id: UUID | None, pool_id: UUID) -> bool:
    if worker_id is None:
        return False
    return Membership.objects.filter(pool_id=pool_id, worker_id=worker_id).exists()


def identity_of(actor: Principal) -> Identity:
    """Return the worker and the member that a credential acts for.

    A key acts for who created it, also by way of another key; that of a worker for the worker.
    """
    creator = Creator(actor.member_id) if actor.member_id else creator_of_key(key_id=actor.key_id)
    worker_id = creator.worker_id
    if creator.member_id is not None:
        ours = actor.organisation_id
        worker_id = worker_of_member(member_id=creator.member_id, organisation_id=ours)
    if actor.worker_id is None:
        return Identity(worker_id, creator.member_id)
    return Identity(actor.worker_id, actor.member_id, worker_id, creator.member_id)


def required_role(review: Review) -> Role:
    """Return the least role of those who may decide a review."""
    return Role(policy_of(review).required_role)


# --- lists ----------------------------------------------------------------------------------------


class Lane(StrEnum):
    """Name the parts of a reviewer's list."""

    MINE = "mine"  # the actor has them
    WAITING = "waiting"  # without a reviewer, and not the actor's own work
    OVERDUE = "overdue"  # open, and reported overdue
    DONE = "done"  # with a verdict


@dataclass(frozen=True, slots=True)
class ReviewFilter:
    """Say which reviews a list has; empty sequences and None restrict nothing."""

    lane: Lane | None = None
    statuses: Sequence[str] = field(default_factory=tuple)
    pool_ids: Sequence[UUID] = field(default_factory=tuple)
    task_ids: Sequence[UUID] = field(default_factory=tuple)


def reviews(*, actor: Principal, filters: ReviewFilter, at: datetime) -> ReviewQuerySet:
    """Return the reviews that the actor may see, unordered. Raise `ScopeMissing`, `RoleTooLow`.

    A viewer sees those only whose policies let viewers decide.
    """
    actor.require(Scope.TASKS_REVIEW)
    rows = Review.objects.visible_to(actor).select_related("task")
    if not actor.has_role(Role.EDITOR):
        rows = rows.filter(FOR_VIEWERS)
    if filters.lane is not None:
        rows = _in_lane(rows, filters.lane, actor, at)
    if filters.statuses:
        rows = rows.filter(_has_status(filters.statuses, at))
    if filters.pool_ids:
        rows = rows.filter(pool_id__in=filters.pool_ids)
    if filters.task_ids:
        rows = rows.filter(task_id__in=filters.task_ids)
    return rows


def _in_lane(rows: ReviewQuerySet, lane: Lane, actor: Principal, at: datetime) -> ReviewQuerySet:
    match lane:
        case Lane.MINE:
            held = Q(status=ReviewStatus.CLAIMED, claimed_by=actor.text, lease_until__gt=at)
            return rows.filter(held)
        case Lane.WAITING:
            return _of_others(rows.free(at), actor)
        case Lane.OVERDUE:
            return rows.open().filter(escalated_at__isnull=False)
        case Lane.DONE:
            return rows.closed()


def _of_others(rows: ReviewQuerySet, actor: Principal) -> ReviewQuerySet:
    """Return the reviews that are not of the actor's own work."""
    if actor.worker_id is None and actor.member_id is not None:
        own_rows = workers_of_member(
            member_id=actor.member_id, organisation_id=actor.organisation_id
        )
        return rows.exclude(worker_id__in=own_rows)
    own = identity_of(actor).worker_id
    return rows if own is None else rows.exclude(worker_id=own)


def _has_status(statuses: Sequence[str], at: datetime) -> Q:
    """Return the condition for statuses as they are shown: a claim that has lapsed is waiting."""
    others = [one for one in statuses if one not in (ReviewStatus.WAITING, ReviewStatus.CLAIMED)]
    condition = Q(status__in=others)
    if ReviewStatus.WAITING in statuses:
        lapsed = Q(status=ReviewStatus.CLAIMED, lease_until__lte=at)
        condition |= Q(status=ReviewStatus.WAITING) | lapsed
    if ReviewStatus.CLAIMED in statuses:
        condition |= Q(status=ReviewStatus.CLAIMED, lease_until__gt=at)
    return condition


# --- one review -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReviewDetail:
    """Hold a review with what a reviewer needs to decide, and the review before."""

    review: Review
    output: Any
    evidence: Sequence[Evidence]
    previous: Review | None

    @property
    def evidence_ids(self) -> Sequence[UUID]:
        """Return the ids of the files that the submission names."""
        return [file.id for file in self.evidence]


def review(*, actor: Principal, review_id: UUID) -> ReviewDetail:
    """Return a review with its output. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`."""
    actor.require(Scope.TASKS_REVIEW)
    rows = Review.objects.visible_to(actor).select_related("task", "run", "worker", "pool")
    found = rows.filter(id=review_id).first()
    if found is None:
        raise NotFound("review")
    if not actor.has_role(Role.EDITOR):
        # Editors read all submitted outputs, a viewer only one that its policy lets viewers decide.
        actor.require_role(Role(policy_of(found).required_role))
    evidence = _evidence([found])
    earlier = Review.objects.filter(task_id=found.task_id, round__lt=found.round)
    return ReviewDetail(
        review=found,
        output=found.run.output,
        evidence=list(evidence.order_by("id")),
        previous=earlier.select_related("run").order_by("-round").first(),
    )


def _evidence(reviews: Sequence[Review]) -> QuerySet[Evidence]:
    runs = [one.run_id for one in reviews]
    return Evidence.objects.filter(run_id__in=runs, is_submitted=True, purged_at=None)


def count_evidence(reviews: Sequence[Review]) -> Counter[UUID]:
    """Count by run the files that the reviewed submissions name."""
    return Counter(_evidence(reviews).values_list("run_id", flat=True))


def sent_back(*, task_ids: Sequence[UUID]) -> dict[UUID, Review]:
    """Return by task the latest review by which an output was sent back."""
    rows = Review.objects.filter(task_id__in=task_ids, status__in=APPEALABLE)
    return {row.task_id: row for row in rows.select_related("run").order_by("round")}
