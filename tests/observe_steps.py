"""What tests of the inbox and the dashboard share: a mixed set of tasks, and a count by hand.

The count looks at each row by itself, and shares with the product only `task_status` and the
buckets of histograms.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from apps.agents.models import AgentClaim, AgentSession
from apps.base import clock
from apps.events.models import Event
from apps.operations.buckets import bucket_of, percentile
from apps.operations.models import LogEntry, RunDetails, TaskDetails, TriageState
from apps.operations.projection import task_status
from apps.operations.services import fold_all
from apps.tasks.models import Dependency, Run, Task
from tests.agent_steps import Agent
from tests.factories import House
from tests.operator_steps import Desk

FINAL = ("completed", "failed", "canceled")
HELD = ("claimed", "starting", "running")
LANES = ("my_work", "approvals", "failed_runs", "blocked", "archived")
CHANNELS = ("", "", "ops", "night")


# --- a mixed set of tasks -------------------------------------------------------------------------


@dataclass
class Mixture:
    """Make tasks and runs of both APIs, by calls that a seed chooses."""

    house: House
    desk: Desk
    seed: int
    agents: list[Agent] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.agents = [
            self.desk.agent(None, "s-global"),
            self.desk.agent(None, "s-second"),
            self.desk.agent(self.house, "s-pool", name="painter"),
        ]

    def build(self, steps: int = 130) -> None:
        self.other_api()
        for _ in range(8):
            self.create()
        calls = [self.create, self.create, self.run, self.run, self.run, self.depend, self.decide]
        calls += [self.claim, self.claim, self.claim, self.end, self.end, self.triage, self.close]
        for _ in range(steps):
            self.chance.choice(calls)()
            if self.chance.random() < 0.1:
                fold_all()
        self.spread_times()

    def other_api(self) -> None:
        """Make tasks of `/v1` in several statuses."""
        self.house.completed()
        self.house.started()
        waiting = self.house.queued()
        self.house.task(depends_on=[str(waiting.id)])

    def create(self) -> None:
        pick = self.chance.choice
        scope = pick([{"scope": "global"}, {"scope": "workspace", "workspace": "Front desk"}])
        owners = [None, None, {"kind": "human", "ref": self.desk.caller.principal.text}]
        owners += [{"kind": "agent_session", "ref": "s-pool"}, {"kind": "pool", "ref": "drafter"}]
        made = self.desk.task(
            **scope,
            title=f"{pick(['Draft', 'Paint', 'Mend'])} {len(self.ids)}",
            identifier=pick(["", "IR-1", "ir-27"]),
            owner=pick(owners),
            network_channel=pick(CHANNELS),
            approval_policy=pick(["none", "none", "manual"]),
            priority=pick(["low", "medium", "high", "urgent"]),
            max_attempts=pick([1, 2, 3]),
            draft=self.chance.random() < 0.2,
        )
        self.ids.append(made["id"])

    def on(self, verb: str, **body: Any) -> None:
        """Call a verb of any task; a refusal is as good."""
        answer = self.desk.post(f"/tasks/{self.chance.choice(self.ids)}/{verb}", **body)
        assert answer.status_code in (200, 201, 409, 422), answer.content

    def run(self) -> None:
        self.on(self.chance.choice(["start", "runs", "publish"]), network_channel="")
        self.on("runs", network_channel=self.chance.choice(CHANNELS))

    def claim(self) -> None:
        self.chance.choice(self.agents).claim(required_capabilities=[])

    def end(self) -> None:
        agent = self.chance.choice(self.agents)
        held = AgentClaim.objects.filter(session__session_id=agent.session_id, ended_at=None)
        for claim in held:
            verb = self.chance.choice(["complete", "complete", "fail", "release"])
            agent.on(str(claim.run_id), verb, error="The portal is down.")

    def depend(self) -> None:
        other = self.chance.choice(self.ids)
        self.on("dependencies", depends_on_task_id=other)

    def decide(self) -> None:
        self.on(self.chance.choice(["approve", "reject"]))

    def close(self) -> None:
        if self.chance.random() < 0.4:
            self.on("cancel")
        elif self.chance.random() < 0.3:
            gone = self.chance.choice(self.ids)
            if self.desk.delete(f"/tasks/{gone}").status_code == 204:
                self.ids.remove(gone)

    def triage(self) -> None:
        verb = self.chance.choice(["read", "read", "read", "dismiss", "dismiss", "archive"])
        self.on(f"triage/{verb}")

    def spread_times(self) -> None:
        """Give runs other times, and a few of them statuses that only other calls lead to."""
        for run in Run.objects.exclude(status__in=FINAL).order_by("id"):
            back = timedelta(seconds=self.chance.randrange(4000))
            run.queued_at -= back
            if run.claimed_at:
                run.claimed_at -= self.chance.choice([back, back / 2, back * 2])
            if run.started_at:
                run.started_at -= back / 3
            if run.status == "claimed" and self.chance.random() < 0.6:
                run.status = self.chance.choice(["starting", "running"])
                run.started_at = run.claimed_at if run.status == "running" else None
            if run.status == "queued" and self.chance.random() < 0.2:
                run.status = "needs_attention"
            run.save()
        if self.chance.random() < 0.5:
            ended = {"state": "stopped", "ended_at": clock.now()}
            AgentSession.objects.filter(session_id="s-pool").update(**ended)


# --- the count by hand ----------------------------------------------------------------------------


@dataclass
class Counted:
    """Hold every row of an organisation, and what a filter selects of them."""

    organisation_id: UUID
    is_selected: Callable[[Task, TaskDetails | None], bool] = lambda _task, _details: True
    is_counted: Callable[[RunDetails | None], bool] = lambda _details: True
    tasks: list[Task] = field(default_factory=list)
    details: dict[UUID, TaskDetails] = field(default_factory=dict)
    runs: dict[UUID, list[Run]] = field(default_factory=dict)
    run_details: dict[UUID, RunDetails] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.details = {row.task_id: row for row in TaskDetails.objects.all()}
        self.run_details = {row.run_id: row for row in RunDetails.objects.all()}
        found: dict[UUID, list[Run]] = defaultdict(list)
        for run in Run.objects.all():
            found[run.task_id].append(run)
        self.runs = found
        for task in Task.objects.filter(organisation_id=self.organisation_id):
            details = self.details.get(task.id)
            is_deleted = details is not None and details.deleted_at is not None
            if not is_deleted and self.is_selected(task, details):
                self.tasks.append(task)

    def status(self, task: Task) -> str:
        unfinished = [run.status for run in self.runs[task.id] if run.status not in FINAL]
        return task_status(task, unfinished[0] if unfinished else "")

    def newest(self, task: Task) -> Run | None:
        return max(self.runs[task.id], key=lambda run: run.attempt, default=None)

    def wire_id(self, task: Task) -> str:
        details = self.details.get(task.id)
        return str(task.id) if details is None else details.wire_id

    def activity(self, task: Task) -> datetime:
        times: list[datetime | None] = [task.created_at, task.changed_at, task.closed_at]
        if (details := self.details.get(task.id)) is not None:
            times.append(details.updated_at)
        for run in self.runs[task.id]:
            times += [run.queued_at, run.claimed_at, run.started_at, run.ended_at]
        times += LogEntry.objects.filter(task_id=task.id).values_list("occurred_at", flat=True)
        times += Event.objects.filter(task_id=task.id).values_list("occurred_at", flat=True)
        return max(time for time in times if time is not None)

    def session_of(self, run: Run) -> str:
        if run.id in self.run_details:
            return self.run_details[run.id].session_id
        claim = AgentClaim.objects.filter(run=run, epoch=run.epoch).first()
        return "" if claim is None else claim.session.session_id


def ms(length: timedelta) -> int:
    return max(0, length // timedelta(milliseconds=1))


def as_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def expected_dashboard(seen: Mapping[str, Any], counted: Counted) -> dict[str, Any]:
    """Return the dashboard as counted by hand, at the time of the one that was seen."""
    at = as_time(seen["freshness"]["observed_at"])
    tasks: Counter[str] = Counter(counted.status(task) for task in counted.tasks)
    blocked = [task for task in counted.tasks if counted.status(task) == "blocked"]
    pending = [
        task
        for task in blocked
        if task.id in counted.details and counted.details[task.id].approval_state == "pending"
    ]
    edges = [task for task in blocked if Dependency.objects.filter(task=task).exists()]
    rows = [
        run
        for task in counted.tasks
        for run in counted.runs[task.id]
        if counted.is_counted(counted.run_details.get(run.id))
    ]
    runs: Counter[str] = Counter(run.status for run in rows)
    active = sum(runs[status] for status in ("queued", *HELD))
    queue = _queue(at, [run for run in rows if run.status == "queued"], counted)
    stuck = [run for run in rows if _is_stuck(run, at)]
    orphans = [run for run in rows if _is_orphan(run, counted)]
    is_ok = not (stuck or orphans or queue["backlog_warning"])
    health = "ok" if is_ok else "warn"
    order = ["completed", "pending", "in_progress", "ready", "blocked", "failed", "canceled"]
    total = len(counted.tasks)
    by_status = {f"{name}_runs": runs[name] for name in ("queued", *HELD)}
    return {
        "totals": {
            "tasks_total": total,
            **{f"{name}_tasks": tasks[name] for name in [*order, "draft"]},
            "awaiting_approval_tasks": len(pending),
            "dependency_blocked_tasks": len(edges),
            "runs_total": len(rows),
            "active_runs": active,
            **by_status,
            **{f"{name}_runs": runs[name] for name in FINAL},
        },
        "status_breakdown": [
            {
                "status": name,
                "count": tasks[name],
                "share_percent": int(tasks[name] * 100 / total + 0.5),
            }
            for name in [*order, "draft"]
            if tasks[name]
        ],
        "queue": queue,
        "health": {
            "status": health,
            "stuck_runs": len(stuck),
            "active_orphan_runs": len(orphans),
            "queue_backlog": queue["backlog_warning"],
        },
        "active_runs": {
            "total": active,
            **{name: runs[name] for name in ("queued", *HELD)},
            "items": _first_four(rows),
        },
        "cards": {
            "in_progress": {
                "tasks": tasks["in_progress"],
                "active_runs": active,
                **by_status,
                "health_status": health,
            },
            "blocked": {
                "tasks": len(blocked),
                "awaiting_approval": len(pending),
                "awaiting_dependencies": len(edges),
                "health_status": "warn" if blocked else "ok",
            },
            "failed": {
                "tasks": tasks["failed"],
                "failed_runs": runs["failed"],
                "forced_stops": 0,
                "health_status": "warn" if tasks["failed"] or runs["failed"] else "ok",
            },
            "latency": {
                "claim_latency_ms": _latency(
                    [run.claimed_at - run.queued_at for run in rows if run.claimed_at]
                ),
                "start_latency_ms": _latency(
                    [
                        run.started_at - (run.claimed_at or run.queued_at)
                        for run in rows
                        if run.started_at
                    ]
                ),
            },
        },
        "freshness": _freshness(at, counted, is_live=active > 0),
    }


def comparable(seen: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dashboard in the form of the count: of the active runs their ids, times as such."""
    shown = {**seen, "active_runs": {**seen["active_runs"]}}
    shown["active_runs"]["items"] = [run["run_id"] for run in seen["active_runs"].get("items", [])]
    shown["queue"] = {"depth": [], **seen["queue"]}
    shown.setdefault("status_breakdown", [])
    return _with_times(shown)


def _with_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: as_time(part) if name.endswith("_at") else _with_times(part)
            for name, part in value.items()
        }
    return [_with_times(part) for part in value] if isinstance(value, list) else value


NEVER = datetime.fromisoformat("0001-01-01T00:00:00Z")


def _queue(at: datetime, queued: Sequence[Run], counted: Counted) -> dict[str, Any]:
    by_channel: dict[str, list[datetime]] = defaultdict(list)
    for run in queued:
        details = counted.run_details.get(run.id)
        by_channel["" if details is None else details.network_channel].append(run.queued_at)
    oldest = min((run.queued_at for run in queued), default=None)
    is_late = oldest is not None and at - oldest >= timedelta(minutes=10)
    return {
        "total": len(queued),
        "oldest_queued_at": oldest or NEVER,
        "oldest_queue_age_ms": 0 if oldest is None else ms(at - oldest),
        "backlog_status": "warn" if is_late else "ok",
        "backlog_threshold_ms": 600_000,
        "backlog_warning": is_late,
        "depth": [
            {
                "count": len(times),
                "oldest_queued_at": min(times),
                "oldest_queue_age_ms": ms(at - min(times)),
                **({"network_channel": name} if name else {}),
            }
            for name, times in sorted(by_channel.items())
        ],
    }


def _is_stuck(run: Run, at: datetime) -> bool:
    if run.status in ("claimed", "starting"):
        return bool(run.claimed_at) and at - run.claimed_at >= timedelta(minutes=5)
    is_running = run.status == "running" and run.started_at is not None
    return is_running and at - run.started_at >= timedelta(minutes=30)


def _is_orphan(run: Run, counted: Counted) -> bool:
    if run.status not in ("starting", "running"):
        return False
    session = counted.session_of(run)
    if not session:
        return run.id in counted.run_details
    return not AgentSession.objects.filter(session_id=session, state="active").exists()


def _first_four(rows: Sequence[Run]) -> list[str]:
    ranks = ["running", "starting", "claimed", "queued"]

    def place(run: Run) -> tuple[int, float, int]:
        times = (run.queued_at, run.claimed_at, run.started_at, run.heartbeat_at)
        latest = max(time for time in times if time is not None)
        return ranks.index(run.status), -latest.timestamp(), -run.id.int

    active = sorted((run for run in rows if run.status in ranks), key=place)
    return [str(run.id) for run in active[:4]]


def _latency(lengths: Sequence[timedelta]) -> dict[str, int]:
    names = ("samples", "average_ms", "maximum_ms", "p50_ms", "p95_ms", "p99_ms")
    if not lengths:
        return dict.fromkeys(names, 0)
    positive = [max(length, timedelta()) for length in lengths]
    longest = ms(max(positive))
    buckets = Counter(bucket_of(length.total_seconds()) for length in positive)
    shares = [min(round(percentile(buckets, share) * 1000), longest) for share in (0.5, 0.95, 0.99)]
    average = ms(sum(positive, timedelta()) // len(lengths))
    return dict(zip(names, (len(lengths), average, longest, *shares), strict=True))


def _freshness(at: datetime, counted: Counted, *, is_live: bool) -> dict[str, Any]:
    latest = max((counted.activity(task) for task in counted.tasks), default=None)
    is_stale = latest is not None and is_live and at - latest > timedelta(minutes=2)
    return {
        "status": "empty" if latest is None else "stale" if is_stale else "current",
        "observed_at": at,
        "latest_activity_at": latest or NEVER,
        "age_ms": 0 if latest is None else ms(at - latest),
        "stale_after_ms": 120_000,
        "stale": is_stale,
        "has_live_work": is_live,
    }


Item = tuple[str, bool, str | None]


def expected_inbox(
    counted: Counted, actor: tuple[str, str], *, lane: str = "", unread: bool = False
) -> dict[str, list[Item]]:
    """Return by lane, in its order: the task, whether it was read, and what blocks it."""
    found: dict[str, list[tuple[Any, Item]]] = {name: [] for name in LANES if lane in ("", name)}
    states = {
        state.task_id: state
        for state in TriageState.objects.filter(actor_kind=actor[0], actor_ref=actor[1])
    }
    urgencies = ["critical", "high", "normal", "low"]
    for task in counted.tasks:
        activity, state = counted.activity(task), states.get(task.id)
        is_new = state is None or activity > state.last_seen_activity_at
        is_archived = state is not None and state.is_archived
        is_read = is_archived or (state is not None and state.is_read and not is_new)
        place = _lane(counted, task, actor, is_archived=is_archived)
        is_hidden = state is not None and state.is_dismissed and not is_new
        if place not in found or is_hidden or (unread and is_read):
            continue
        wire_id = counted.wire_id(task)
        key = (is_read, -activity.timestamp(), urgencies.index(task.urgency), wire_id)
        found[place].append((key, (wire_id, is_read, _reason(counted, task))))
    return {name: [item for _, item in sorted(items)] for name, items in found.items()}


def _lane(counted: Counted, task: Task, actor: tuple[str, str], *, is_archived: bool) -> str:
    details, newest = counted.details.get(task.id), counted.newest(task)
    status = counted.status(task)
    is_blocked = status == "blocked"
    is_pending = details is not None and details.approval_state == "pending"
    fits = {
        "archived": is_archived,
        "approvals": is_blocked and is_pending,
        "failed_runs": newest is not None and newest.status == "failed",
        "blocked": is_blocked,
        "my_work": status not in ("draft", *FINAL) and _is_of(counted, task, actor),
    }
    return next((name for name, is_it in fits.items() if is_it), "")


def _is_of(counted: Counted, task: Task, actor: tuple[str, str]) -> bool:
    """Return whether an actor owns a task, or holds its run."""
    details = counted.details.get(task.id)
    if details is not None and (details.owner_kind, details.owner_ref) == actor:
        return True
    for run in counted.runs[task.id]:
        known = counted.run_details.get(run.id)
        if known is None:
            claimer = ("agent_session", counted.session_of(run))
        else:
            claimer = (known.claimed_by_kind, known.claimed_by_ref)
        if run.status in HELD and claimer == actor:
            return True
    return False


def _reason(counted: Counted, task: Task) -> str | None:
    details, newest = counted.details.get(task.id), counted.newest(task)
    approval = "" if details is None else details.approval_state
    if approval == "pending":
        return "awaiting_approval"
    if approval == "rejected":
        return "approval_rejected"
    if newest is not None and newest.status == "failed":
        return "latest_run_failed"
    return "awaiting_dependencies" if counted.status(task) == "blocked" else None


def shown_inbox(inbox: Mapping[str, Any]) -> dict[str, list[Item]]:
    """Return an inbox in the form of the count."""
    return {
        group["lane"]: [
            (item["task"]["id"], item["triage"]["read"], item.get("blocking_reason"))
            for item in group.get("items", [])
        ]
        for group in inbox["groups"]
    }
