"""Choose who reviews a run: by the rules and preferences of its task's profile."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Case, Q, QuerySet, Value, When

from apps.agents.models import (
    OPENED_BY_US,
    OPERATORS,
    Agent,
    AgentSession,
    SessionState,
)
from apps.agents.selectors import review_of_session
from apps.operations.caller import AGENT_SESSION
from apps.operations.models import ExecutionProfile
from apps.operations.services import LockedReview

DEFAULT_REVIEWER = "reviewer"
"""The agent that is started where the profile names none, and no other one is known."""
MAX_CHANNEL_LENGTH = 64
"""Of a session."""
CANDIDATES_AT_ONCE = 200
OF_AGENT, OF_PEER, OF_CHANNEL, OF_CAPABILITIES = 4, 3, 2, 1
"""What a session scores by each preference."""


@dataclass(frozen=True, slots=True)
class ReviewerRules:
    """Hold the review block of a profile; empty values restrict and prefer nothing."""

    agent_name: str = ""
    allowed_agents: Sequence[str] = ()
    allowed_channels: Sequence[str] = ()
    allowed_peers: Sequence[str] = ()
    required_capabilities: Sequence[str] = ()
    preferred_agents: Sequence[str] = ()
    preferred_channels: Sequence[str] = ()
    preferred_peers: Sequence[str] = ()
    preferred_capabilities: Sequence[str] = ()

    def allows_agent(self, name: str) -> bool:
        if self.agent_name and name != self.agent_name:
            return False
        return not self.allowed_agents or name in self.allowed_agents

    @property
    def channel_to_open(self) -> str:
        """Return the channel of a session that is opened; empty: of none.

        A profile may name channels that are longer than those of sessions: they are passed over.
        """
        names = self.allowed_channels or self.preferred_channels
        return next((name for name in names if len(name) <= MAX_CHANNEL_LENGTH), "")

    def score(self, session: AgentSession) -> int:
        """Return how far a session is preferred."""
        has_any = not set(self.preferred_capabilities).isdisjoint(session.capabilities)
        named = {self.agent_name, *self.preferred_agents} - {""}
        return (
            OF_AGENT * (session.agent_name in named)
            + OF_PEER * (peer_of(session) in self.preferred_peers)
            + OF_CHANNEL * (session.channel != "" and session.channel in self.preferred_channels)
            + OF_CAPABILITIES * has_any
        )


@dataclass(frozen=True, slots=True)
class Excluded:
    """Hold who does not review a run: who did it, and who asked for the review."""

    sessions: frozenset[str]
    agents: frozenset[str]
    # Whose run it was. Other agents of that worker do not review it either.
    worker_id: UUID | None


def peer_of(session: AgentSession) -> str:
    """Return the address of a session on the network."""
    return f"{session.agent_name.lower()}.{session.session_id}"


def rules_of(locked: LockedReview) -> ReviewerRules:
    """Return the rules by which the run of a review is reviewed."""
    profiles = ExecutionProfile.objects.filter(task_id=locked.run.task.id)
    document: Mapping[str, Any] | None = profiles.values_list("document", flat=True).first()
    block: Mapping[str, Any] = (document or {}).get("review") or {}
    return ReviewerRules(
        agent_name=block.get("agent_name", ""),
        allowed_agents=block.get("allowed_agent_names", ()),
        allowed_channels=block.get("allowed_channel_ids", ()),
        allowed_peers=block.get("allowed_peer_ids", ()),
        required_capabilities=block.get("required_capabilities", ()),
        preferred_agents=block.get("preferred_agent_names", ()),
        preferred_channels=block.get("preferred_channel_ids", ()),
        preferred_peers=block.get("preferred_peer_ids", ()),
        preferred_capabilities=block.get("preferred_capabilities", ()),
    )


def excluded_from(locked: LockedReview) -> Excluded:
    """Return who does not review the run of a review."""
    details, row = locked.run.details, locked.row
    sessions = {details.session_id}
    if details.claimed_by_kind == AGENT_SESSION:
        sessions.add(details.claimed_by_ref)
    if row.requester_kind == AGENT_SESSION:
        sessions.add(row.requester_ref)
    known = AgentSession.objects.filter(
        organisation_id=locked.review.organisation_id, session_id__in=sessions
    )
    agents = {*known.values_list("agent_name", flat=True), row.requester_agent_name}
    return Excluded(frozenset(sessions - {""}), frozenset(agents - {""}), locked.run.run.worker_id)


def candidates(
    locked: LockedReview, rules: ReviewerRules, excluded: Excluded
) -> list[AgentSession]:
    """Return the sessions that may review a run and review nothing, the best first, not locked.

    At most `CANDIDATES_AT_ONCE`, for the task is locked meanwhile. Left out are those that score
    less than these, or as much with a greater id: where other reviews take all of these at the same
    time, a session is opened although one that was left out is free.
    """
    task = locked.run.task
    rows = AgentSession.objects.filter(
        organisation_id=task.organisation_id,
        workspace_id=task.pool_id,
        state=SessionState.ACTIVE,
    )
    rows = rows.exclude(registered_by__in=OPENED_BY_US)
    rows = rows.exclude(session_id__in=excluded.sessions).exclude(agent_name__in=excluded.agents)
    if excluded.worker_id is not None:
        rows = rows.exclude(worker_id=excluded.worker_id)
    if rules.allowed_channels:
        rows = rows.filter(channel__in=list(rules.allowed_channels))
    if rules.agent_name:
        rows = rows.filter(agent_name=rules.agent_name)
    if rules.allowed_agents:
        rows = rows.filter(agent_name__in=list(rules.allowed_agents))
    if rules.allowed_peers:
        rows = rows.filter(session_id__in=_sessions_of(rules.allowed_peers))
    if rules.required_capabilities:
        rows = rows.filter(capabilities__contains=list(rules.required_capabilities))
    fitting = [
        session
        for session in _best(rows.exclude(review_of_session()), rules)
        if not rules.allowed_peers or peer_of(session) in rules.allowed_peers
    ]
    return sorted(fitting, key=lambda one: (-rules.score(one), one.session_id))


def _best(rows: "QuerySet[AgentSession]", rules: ReviewerRules) -> "QuerySet[AgentSession]":
    """Return the first rows by their scores."""
    named = [name for name in [rules.agent_name, *rules.preferred_agents] if name]
    score = (
        _points(OF_AGENT, Q(agent_name__in=named))
        + _points(OF_PEER, Q(session_id__in=_sessions_of(rules.preferred_peers)))
        + _points(OF_CHANNEL, ~Q(channel="") & Q(channel__in=list(rules.preferred_channels)))
        + _points(OF_CAPABILITIES, Q(capabilities__overlap=list(rules.preferred_capabilities)))
    )
    return rows.order_by(score.desc(), "session_id")[:CANDIDATES_AT_ONCE]


def _points(count: int, condition: Q) -> Case:
    return Case(When(condition, then=Value(count)), default=Value(0))


def _sessions_of(peers: Sequence[str]) -> list[str]:
    """Return the ids of sessions that addresses may name: names of agents may have dots, too."""
    parts = [peer.split(".") for peer in peers]
    return [".".join(one[start:]) for one in parts for start in range(1, len(one))]


def agents_to_start(
    locked: LockedReview, rules: ReviewerRules, excluded: Excluded
) -> Iterator[str]:
    """Yield the agents of which a reviewer may be started, the first choice first.

    None where only certain peers may review: a new session is none of them.
    """
    if rules.allowed_peers:
        return
    named = [rules.agent_name, *rules.preferred_agents, *rules.allowed_agents]
    for name in dict.fromkeys([*named, *_known_agents(locked), DEFAULT_REVIEWER]):
        if name and rules.allows_agent(name) and name not in excluded.agents:
            yield name


def _known_agents(locked: LockedReview) -> Iterator[str]:
    """Yield the first agents of the organisation, as many as could be excluded and one more."""
    known = Agent.objects.filter(organisation_id=locked.review.organisation_id)
    yield from known.exclude(name=OPERATORS).order_by("name").values_list("name", flat=True)[:10]
