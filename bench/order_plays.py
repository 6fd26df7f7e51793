"""Play scenarios on a real installation, each with a seed and in an organisation of its own.

`prepare` makes the organisations, and `played` plays one of them: tasks are posted, workers answer
their offers, and the event log is judged.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from bench.order_judge import (
    AHEAD_SECONDS,
    HIGH_RATING,
    LOW_RATING,
    MIDDLE_RATING,
    SEEN_AT,
    SETTLED_SECONDS,
    SKILLS,
    Demand,
    Event,
    Profile,
    Verdict,
    judge,
)
from tests.faults.installation import OURS, PROJECT, Installation, eventually

POSTERS = 4
WORKER_THREADS = 6
PLAY_SECONDS = 15.0
QUEUED_WITHIN_SECONDS = 10.0
MADE_WITHIN_SECONDS = 120.0
LOOK_SECONDS = 0.03
READ_SECONDS = 0.1
HTTP_SECONDS = 10.0


# --- the scenarios --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Conduct:
    """Say what the workers do: shares of offers or runs, and the seconds of a run (from, to)."""

    declines: float = 0.0
    lapses: float = 0.0
    releases: float = 0.0
    works: tuple[float, float] = (0.25, 0.25)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Describe a pool, its workers and tasks, drawn by chance, and what the workers do."""

    name: str
    pool: Mapping[str, Any]
    conduct: Conduct
    workers: Callable[[random.Random], list[Profile]]
    demands: Callable[[random.Random, Sequence[Profile]], list[Demand]]


def three_equals(chance: random.Random) -> list[Profile]:
    """Return three workers of two units who can do everything."""
    return [Profile(capacity=2)] * 3


def demands_of_all_urgencies(chance: random.Random, workers: Sequence[Profile]) -> list[Demand]:
    """Return 160 demands, half of them of normal urgency."""
    urgencies = ["normal"] * 80 + ["high"] * 40 + ["critical"] * 40
    chance.shuffle(urgencies)
    return [
        Demand(
            skills=tuple(chance.sample(SKILLS, chance.randint(0, 3))),
            trust_level=chance.randint(0, 3),
            min_rating=float(chance.randint(0, 4)),
            urgency=urgency,
        )
        for urgency in urgencies
    ]


def crowd(chance: random.Random) -> list[Profile]:
    """Return 30 different workers."""
    return [
        Profile(
            skills=tuple(chance.sample(SKILLS, chance.randint(2, 6))),
            trust_level=chance.randint(0, 5),
            rating=chance.choice((LOW_RATING, HIGH_RATING)),
            capacity=chance.randint(1, 3),
        )
        for _ in range(30)
    ]


def various_demands(chance: random.Random, workers: Sequence[Profile]) -> list[Demand]:
    """Return 150 demands, each of which fits three workers at least."""

    def one() -> Demand:
        return Demand(
            skills=tuple(chance.sample(SKILLS, chance.randint(0, 3))),
            trust_level=chance.randint(0, 4),
            min_rating=chance.choice((0.0, MIDDLE_RATING)),
            urgency=chance.choice(tuple(AHEAD_SECONDS)),
        )

    demands: list[Demand] = []
    while len(demands) < 150:
        demand = one()
        if sum(worker.fits(demand) for worker in workers) >= 3:
            demands.append(demand)
    return demands


def one_offline(chance: random.Random) -> list[Profile]:
    """Return one worker of three units, who is offline at first."""
    return [Profile(skills=SKILLS[:6], capacity=3, presence="offline")]


def equal_demands(chance: random.Random, workers: Sequence[Profile]) -> list[Demand]:
    """Return 82 demands of normal urgency, all of which fit the first worker."""
    return [
        Demand(skills=tuple(chance.sample(workers[0].skills, chance.randint(1, 3))))
        for _ in range(82)
    ]


SCENARIOS = {
    one.name: one
    for one in (
        Scenario(
            "three equal workers",
            pool={},
            conduct=Conduct(releases=0.2),
            workers=three_equals,
            demands=demands_of_all_urgencies,
        ),
        Scenario(
            "a crowd",
            pool={"offer_seconds": dict.fromkeys(AHEAD_SECONDS, 2), "misses_until_away": None},
            conduct=Conduct(declines=0.2, lapses=0.1, releases=0.15, works=(0.5, 1.5)),
            workers=crowd,
            demands=various_demands,
        ),
        Scenario(
            "one worker",
            pool={},
            conduct=Conduct(works=(0.0, 0.25)),
            workers=one_offline,
            demands=equal_demands,
        ),
    )
}


# --- organisations --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Member:
    """Identify a worker of an organisation, with the key that its app calls with."""

    worker_id: str
    key: str
    profile: Profile


@dataclass(frozen=True, slots=True)
class Play:
    """Tie a scenario and one seed to an organisation of their own."""

    scenario: Scenario
    seed: int
    base_url: str
    key: str
    pool_id: str
    members: Sequence[Member]

    def client(self, key: str) -> httpx.Client:
        """Return a client that calls with this key; the caller closes it."""
        return httpx.Client(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=HTTP_SECONDS,
            trust_env=False,
        )


def prepare(
    installation: Installation, *, scenarios: Iterable[Scenario], seeds: Iterable[int]
) -> list[Play]:
    """Make an organisation with its pool and workers for each scenario and seed.

    A process with the installation's own settings makes them all, since the API makes no keys.
    """
    pairs = [(scenario, seed) for scenario in scenarios for seed in seeds]
    crews = [scenario.workers(random.Random(seed)) for scenario, seed in pairs]
    described = [
        {"pool": dict(scenario.pool), "workers": [asdict(one) for one in crew]}
        for (scenario, _), crew in zip(pairs, crews, strict=True)
    ]
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    process = subprocess.run(
        [sys.executable, "-c", "from bench import order_plays; order_plays.make_described()"],
        cwd=PROJECT,
        env={**inherited, "BIOLAYER_HOME": str(installation.home)},
        input=json.dumps(described),
        stdout=subprocess.PIPE,
        text=True,
        timeout=MADE_WITHIN_SECONDS,
        check=True,
    )
    return [
        Play(
            scenario,
            seed,
            installation.access["base_url"],
            made["key"],
            made["pool_id"],
            [
                Member(worker_id, key, profile)
                for (worker_id, key), profile in zip(made["workers"], crew, strict=True)
            ],
        )
        for (scenario, seed), crew, made in zip(
            pairs, crews, json.loads(process.stdout), strict=True
        )
    ]


def make_described() -> None:
    """Read descriptions from standard input, make the organisations, and print ids and keys."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    print(json.dumps([_make(**one) for one in json.load(sys.stdin)]))


def _make(*, pool: dict[str, Any], workers: list[dict[str, Any]]) -> dict[str, Any]:
    from apps.accounts.scopes import Scope
    from apps.accounts.selectors import authenticate_key
    from apps.accounts.services import create_organisation, issue_key
    from apps.base import clock
    from apps.pools.services import create_pool, create_worker

    organisation_id = create_organisation(name="queue order").id
    key = issue_key(organisation_id=organisation_id, name="backend")
    known = authenticate_key(key)
    assert known is not None
    actor, at = known.principal, clock.now()
    pool_id = create_pool(actor=actor, document={"name": "Everyone", **pool}, at=at).id
    made = []
    for number, traits in enumerate(workers, start=1):
        document = {"name": f"Worker {number}", "pool_ids": [str(pool_id)], **traits}
        worker_id = create_worker(actor=actor, document=document, at=at).id
        worker_key = issue_key(
            organisation_id=organisation_id,
            name=document["name"],
            scopes=[Scope.WORK],
            worker_id=worker_id,
        )
        made.append((str(worker_id), worker_key))
    return {"key": key, "pool_id": str(pool_id), "workers": made}


# --- what workers do ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """Note a run that is to be finished at `due` (monotonic): submitted, or released."""

    due: float
    run_id: str
    epoch: int
    is_released: bool


class App:
    """Act as a worker's app: answer offers, and work on what was accepted."""

    def __init__(self, client: httpx.Client, conduct: Conduct, chance: random.Random) -> None:
        self.submitted = 0
        self._client = client
        self._conduct = conduct
        self._chance = chance
        self._ignored: set[str] = set()
        self._held: list[Held] = []

    def step(self) -> None:
        """Finish what is due, and answer each offer that is open."""
        due = [run for run in self._held if run.due <= time.monotonic()]
        for run in due:
            self._finish(run)
            self._held.remove(run)
        offers = self._client.get("/v1/offers", params={"limit": "100"})
        offers.raise_for_status()
        for offer in offers.json()["data"]:
            if offer["offer_id"] not in self._ignored:
                self._answer(offer["offer_id"])

    def _answer(self, offer_id: str) -> None:
        drawn = self._chance.random()
        if drawn < self._conduct.lapses:
            self._ignored.add(offer_id)
        elif drawn < self._conduct.lapses + self._conduct.declines:
            self._post(f"/v1/offers/{offer_id}/decline", {}, or_late=True)
        else:
            self._accept(offer_id)

    def _accept(self, offer_id: str) -> None:
        accepted = self._post(f"/v1/offers/{offer_id}/accept", {}, or_late=True)
        if accepted is None:
            return
        run = accepted["run"]
        self._post(f"/v1/runs/{run['run_id']}/start", {"epoch": run["epoch"]})
        is_released = self._chance.random() < self._conduct.releases
        due = time.monotonic() + self._chance.uniform(*self._conduct.works)
        self._held.append(Held(due, run["run_id"], run["epoch"], is_released))

    def _finish(self, run: Held) -> None:
        if run.is_released:
            self._post(f"/v1/runs/{run.run_id}/release", {"epoch": run.epoch})
            return
        output = {"reached_user": True, "notes": "Confirmed."}
        self._post(f"/v1/runs/{run.run_id}/submit", {"epoch": run.epoch, "output": output})
        self.submitted += 1

    def _post(self, path: str, body: dict[str, Any], *, or_late: bool = False) -> Any:
        """Return the answer; None for an offer that lapsed meanwhile."""
        answer = self._client.post(path, json=body)
        if or_late and answer.status_code == 409:
            return None
        answer.raise_for_status()
        return answer.json()


class Reader:
    """Read the organisation's feed while tasks are played; `log` has each event with `SEEN_AT`."""

    def __init__(self, backend: httpx.Client) -> None:
        self.log: list[Event] = []
        self._backend = backend
        self._after = "beginning"

    def run(self, stopped: threading.Event) -> None:
        """Read until `stopped`."""
        while not stopped.wait(READ_SECONDS):
            self.read()

    def read(self) -> None:
        """Read the events since the last call."""
        has_more = True
        while has_more:
            query = {"limit": "1000", "after": self._after}
            answer = self._backend.get("/v1/events", params=query)
            answer.raise_for_status()
            page = answer.json()
            now = time.time()
            self.log += [{**event, SEEN_AT: now} for event in page["data"]]
            self._after, has_more = page["next_cursor"], page["has_more"]


# --- one play -------------------------------------------------------------------------------------


def played(play: Play) -> Verdict:
    """Play a scenario once, for `PLAY_SECONDS` at most, and judge it. Leave no task open."""
    chance = random.Random(play.seed)
    profiles = [member.profile for member in play.members]
    drawn = play.scenario.demands(chance, profiles)
    stopped = threading.Event()
    with ExitStack() as stack:
        apps = [
            App(stack.enter_context(play.client(one.key)), play.scenario.conduct, chance)
            for one in play.members
        ]
        backend = stack.enter_context(play.client(play.key))
        threads = stack.enter_context(ThreadPoolExecutor(WORKER_THREADS + 1))
        stack.callback(stopped.set)
        shares = [apps[first::WORKER_THREADS] for first in range(min(WORKER_THREADS, len(apps)))]
        working = [threads.submit(_work, share, stopped) for share in shares]
        ends = time.monotonic() + PLAY_SECONDS
        reader = Reader(backend)
        reading = threads.submit(reader.run, stopped)
        demands = _post_all(play, drawn)
        _make_available(play, reader, demands)
        while time.monotonic() < ends and sum(app.submitted for app in apps) < len(demands):
            if any(thread.done() for thread in (reading, *working)):
                break
            time.sleep(LOOK_SECONDS)
        stopped.set()
        for thread in (reading, *working):
            thread.result()
        reader.read()
        _cancel_rest(backend, reader.log)
    workers = {member.worker_id: member.profile for member in play.members}
    return judge(reader.log, demands=demands, workers=workers)


def _work(apps: Sequence[App], stopped: threading.Event) -> None:
    while not stopped.is_set():
        for app in apps:
            app.step()
        stopped.wait(LOOK_SECONDS)


def _post_all(play: Play, drawn: Sequence[Demand]) -> dict[str, Demand]:
    """Post the tasks from several threads; return the demands by task id."""

    def post(demand: Demand) -> str:
        answer = backend.post("/v1/tasks", json=demand.contract(pool_id=play.pool_id))
        answer.raise_for_status()
        return str(answer.json()["task_id"])

    with play.client(play.key) as backend, ThreadPoolExecutor(POSTERS) as posters:
        return dict(zip(posters.map(post, drawn), drawn, strict=True))


def _make_available(play: Play, reader: Reader, demands: Mapping[str, Demand]) -> None:
    """Make workers who were offline available once all tasks have waited long enough."""
    late = [member for member in play.members if member.profile.presence == "offline"]
    if not late:
        return
    eventually(
        lambda: sum(event["type"] == "task.queued" for event in reader.log) >= len(demands),
        seconds=QUEUED_WITHIN_SECONDS,
        what="all tasks are queued",
    )
    time.sleep(2 * SETTLED_SECONDS)
    for member in late:
        with play.client(member.key) as client:
            client.patch("/v1/workers/me", json={"presence": "available"}).raise_for_status()


def _cancel_rest(backend: httpx.Client, log: Iterable[Event]) -> None:
    """Cancel the tasks that were not submitted, or they would take batches from the next play."""
    last = {event["task_id"]: event["status"] for event in log}
    for task_id, status in last.items():
        if status in {"created", "queued", "matched", "offered", "accepted", "started"}:
            answer = backend.post(f"/v1/tasks/{task_id}/cancel", json={})
            # Submitted since the log was read.
            if answer.status_code != 409:
                answer.raise_for_status()
