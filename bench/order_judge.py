"""Judge whether the order of a queue was kept, by the event log of its organisation alone.

1. Each task's events are read in their order, and give its `History`: its place, when it waited,
   and which workers it was offered to.
2. Each offer is compared with the tasks that waited at that moment: one that overtook another task
   is a `Jump`.
3. Each offer's delay is measured from the moment at which a fitting worker was free.

Nothing here calls the service or reads a clock.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

SETTLED_SECONDS = 0.5
"""Least wait that counts: the matcher may not have seen a later task when it chose."""

SEEN_AT = "seen_at"
"""Field that the reader of the feed adds to an event: a Unix time at which it could be read."""

AHEAD_SECONDS = {"critical": 3600.0, "high": 900.0, "normal": 0.0, "low": -900.0}
"""Seconds by which an urgency moves a task's place ahead: see docs/matching.md."""

SKILLS = tuple(f"skill-{number}" for number in range(1, 9))
LOW_RATING, HIGH_RATING, MIDDLE_RATING = 1.0, 5.0, 3.0
"""Ratings of workers, and one that tasks require.

Weighted with the pool's mean, the low one becomes 2.4 at most, and the high one 3.6 at least.
"""

Event = Mapping[str, Any]


# --- facts ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Demand:
    """Describe what a task requires of its worker, and its urgency. Each task takes one unit."""

    skills: tuple[str, ...] = ()
    trust_level: int = 0
    min_rating: float = 0.0
    urgency: str = "normal"

    def contract(self, *, pool_id: str) -> dict[str, Any]:
        """Return the body of `POST /v1/tasks`."""
        return {
            "task_type": "verification",
            "domain": "security",
            "title": "Verify endpoint owner activity",
            "instructions": "Call the endpoint owner and confirm the session.",
            "sla": {"urgency": self.urgency},
            "requirements": {
                "skills": list(self.skills),
                "trust_level": self.trust_level,
                "min_rating": self.min_rating,
                "worker_pool_id": pool_id,
            },
            "output": {"schema": {"reached_user": "boolean", "notes": "string"}},
        }


@dataclass(frozen=True, slots=True)
class Profile:
    """Describe what a worker can do."""

    skills: tuple[str, ...] = SKILLS
    trust_level: int = 5
    rating: float = HIGH_RATING
    capacity: int = 1
    presence: str = "available"

    def fits(self, demand: Demand) -> bool:
        """Return whether the worker may be offered such a task while it has a unit free."""
        return (
            set(demand.skills) <= set(self.skills)
            and self.trust_level >= demand.trust_level
            and self.rating >= demand.min_rating
        )


# --- the verdict ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Offered:
    """Record the offer of a task to a worker; `at` in Unix time."""

    at: float
    task_id: str
    worker_id: str


@dataclass(frozen=True, slots=True)
class Jump:
    """Record an offer that overtook `overtaken` tasks.

    The task that was furthest ahead is `worst_id`: by `seconds` of place, after it had `waited`
    seconds.
    """

    offer: Offered
    worst_id: str
    seconds: float
    waited: float
    overtaken: int

    def __str__(self) -> str:
        return (
            f"task {self.offer.task_id} was offered to {self.offer.worker_id}"
            f" ahead of {self.overtaken}: of {self.worst_id} by {self.seconds:.3f} s of place,"
            f" which had waited {self.waited:.1f} s"
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Sum up the logs of some tasks. `delays`: seconds of each offer while a worker was free."""

    tasks: int = 0
    offers: int = 0
    submitted: int = 0
    jumps: Sequence[Jump] = ()
    delays: Sequence[float] = ()

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(
            tasks=self.tasks + other.tasks,
            offers=self.offers + other.offers,
            submitted=self.submitted + other.submitted,
            jumps=[*self.jumps, *other.jumps],
            delays=[*self.delays, *other.delays],
        )


@dataclass(slots=True)
class Wait:
    """Bound a time in which a task was queued (Unix times); `seen_at`: see `SEEN_AT`."""

    begins: float
    seen_at: float
    ends: float = math.inf


@dataclass(slots=True)
class History:
    """Collect from a task's log its place, its waits, and the first offer to each worker."""

    demand: Demand
    place: float = math.inf
    waits: list[Wait] = field(default_factory=list)
    offered_at: dict[str, float] = field(default_factory=dict)

    def note(self, event: Event) -> None:
        """Add the task's next event."""
        at = moment(event)
        was_queued = event["previous_status"] == "queued"
        is_queued = event["status"] == "queued"
        if is_queued and not was_queued:
            self.waits.append(Wait(at, event.get(SEEN_AT, at)))
            if len(self.waits) == 1:
                self.place = at - AHEAD_SECONDS[self.demand.urgency]
        elif was_queued and not is_queued:
            self.waits[-1].ends = at
        for worker_id in offered_in(event):
            self.offered_at.setdefault(worker_id, at)

    def wait_over(self, at: float) -> Wait | None:
        """Return the wait that lasts beyond `at`, and was settled by then."""
        waits = (one for one in self.waits if one.begins <= at - SETTLED_SECONDS and at < one.ends)
        return next((one for one in waits if one.seen_at <= at), None)

    def waited_until(self, at: float) -> float:
        """Return the begin of the wait that ended at `at`, by the offer that was made then."""
        return max(one.begins for one in self.waits if one.ends <= at)

    def may_be_offered(self, worker_id: str, *, at: float) -> bool:
        """Return whether the worker had no offer before `at`, so that it has no cooldown."""
        return self.offered_at.get(worker_id, math.inf) >= at


def judge(
    log: Iterable[Event], *, demands: Mapping[str, Demand], workers: Mapping[str, Profile]
) -> Verdict:
    """Find the jumps in the events of an organisation.

    `demands` are by task id and `workers` by worker id. Events of other tasks are ignored; a task's
    events must come in their order.
    """
    events = [event for event in log if event["task_id"] in demands]
    histories = {task_id: History(demand) for task_id, demand in demands.items()}
    for event in events:
        histories[event["task_id"]].note(event)
    offers = [
        Offered(moment(event), event["task_id"], worker_id)
        for event in events
        for worker_id in offered_in(event)
    ]
    jumps = (jump_of(offer, histories, workers[offer.worker_id]) for offer in offers)
    return Verdict(
        tasks=len(demands),
        offers=len(offers),
        submitted=sum(event["type"] == "task.submitted" for event in events),
        jumps=[jump for jump in jumps if jump is not None],
        delays=list(delays_of(events, histories, workers)),
    )


def jump_of(offer: Offered, histories: Mapping[str, History], worker: Profile) -> Jump | None:
    """Return the jump that this offer is, or None when it overtook no task."""
    place = histories[offer.task_id].place
    ahead: list[tuple[float, float, str]] = []
    for task_id, other in histories.items():
        wait = other.wait_over(offer.at)
        if (
            other.place < place
            and wait is not None
            and worker.fits(other.demand)
            and other.may_be_offered(offer.worker_id, at=offer.at)
        ):
            ahead.append((place - other.place, offer.at - wait.begins, task_id))
    if not ahead:
        return None
    seconds, waited, worst_id = max(ahead)
    return Jump(offer, worst_id, seconds, waited, overtaken=len(ahead))


def delays_of(
    events: Iterable[Event], histories: Mapping[str, History], workers: Mapping[str, Profile]
) -> Iterator[float]:
    """Yield for each offer the seconds that the task waited while a fitting worker was free.

    1. A worker has one unit less from an offer on, until the task is queued again, submitted or
       ended.
    2. `free_since` holds the workers with a unit free. A worker who was offline at first is not in
       it before its first offer, since the log does not say when it became available.
    3. At an offer, the worker who was free longest counts: the task could have been offered to it.
    """
    free_since = {
        worker_id: -math.inf for worker_id, one in workers.items() if one.presence == "available"
    }
    load = dict.fromkeys(workers, 0)
    holder: dict[str, str] = {}
    for event in sorted(events, key=moment):
        at, task_id = moment(event), event["task_id"]
        for worker_id in offered_in(event):
            history = histories[task_id]
            queued_at = history.waited_until(at)
            starts = [
                max(queued_at, since)
                for fitting_id, since in free_since.items()
                if workers[fitting_id].fits(history.demand)
                and history.may_be_offered(fitting_id, at=at)
            ]
            if starts:
                yield at - min(starts)
            holder[task_id] = worker_id
            load[worker_id] += 1
            free_since.setdefault(worker_id, at)
            if load[worker_id] >= workers[worker_id].capacity:
                del free_since[worker_id]
        if event["status"] in {"queued", "submitted", "cancelled", "failed"} and task_id in holder:
            worker_id = holder.pop(task_id)
            load[worker_id] -= 1
            # A unit that is freed during a batch may be taken by an offer with an earlier time.
            if load[worker_id] < workers[worker_id].capacity:
                free_since.setdefault(worker_id, at)


def offered_in(event: Event) -> list[str]:
    """Return the ids of the workers to whom this event offers its task."""
    if event["type"] != "task.offered":
        return []
    data = event["data"]
    return [offer["worker_id"] for offer in data.get("offers", [data])]


def moment(event: Event) -> float:
    """Return when the event happened (Unix time)."""
    return datetime.fromisoformat(event["timestamp"]).timestamp()
