"""A row, a lock or a connection that is held for long does not delay the others.

These tests run a whole installation without a workforce, hold one thing of it for some seconds, and
measure meanwhile, by its events and responses, the others' SLA clocks, offers and calls. They use
real time, since they test limits of real waits.
"""

import math
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter

import httpx
import pytest

from apps.matching.services.batch_transaction import TRY_LOCK
from config import embedded
from tests.faults import holding
from tests.faults.holding import (
    COMMON,
    HARBOUR,
    UNMATCHED,
    Call,
    Changes,
    Halt,
    Organisation,
    Proxy,
    Seen,
    Watch,
    foreign,
    founded,
    timed,
)
from tests.faults.installation import Installation, eventually, say

PATIENCE = 1.0 if "STRICT" in os.environ else 2.0
"""The limits are for an idle machine; a shared one gets twice as long. `STRICT=1` does not."""

CLOCK_SECONDS = 2.0 * PATIENCE
OFFER_SECONDS = 1.0 if "STRICT" in os.environ else 4.0
CALL_SECONDS = 1.0 * PATIENCE
"""The maximum delay of others: after a clock ran out, after a task was queued, of 99 % of the
responses."""

POSTED_SECONDS = 2.0 * PATIENCE
KNOCK_SECONDS = 2.0 * PATIENCE
"""The maximum time from a post to its offer, and of a call for a held row."""

GOES_ON_SECONDS = 5.0
TURN_SECONDS = 3.0
"""How soon after the release held work continues, and work that waited for the matcher."""

HOLD_SECONDS = 5.0
STOP_SECONDS = 2.0
"""The maximum delay that a stopped process of the service may cause."""

CLOCKS = 30
MANY = 300
FEW = 5
KNOCKERS = 8
FEWEST_OFFERS = 6
LATENCIES = (2, 3, 4)
CALL_EVERY_SECONDS = 0.1
OFFER_EVERY_SECONDS = 0.4
KNOCK_EVERY_SECONDS = 0.1

LOCK_ORGANISATION = TRY_LOCK.replace("pg_try_advisory", "pg_advisory")
"""The lock that a batch of the matcher tries to get; this waits for it."""

QUEUED, OFFERED = "task.queued", "task.offered"
BREACHED, CANCELLED = "task.sla_breached", "task.cancelled"


# --- the tests ------------------------------------------------------------------------------------


def test_held_task_row(here: "Scene") -> None:
    held = here.organisation()
    task_id = held.create(UNMATCHED, latency=2)
    with here.trial(held) as trial:
        trial.post_clocks()
        with foreign(here.url, holding.LOCK_TASKS, [[task_id]]):
            trial.hold(knock=lambda: held.cancel(task_id))
        trial.release()
        trial.goes_on("the held task", [task_id], BREACHED, CANCELLED)
        eventually(
            lambda: held.cancel(task_id).status_code == 200,
            seconds=GOES_ON_SECONDS,
            what="the task that was held is cancelled",
        )


def test_many_held_task_rows(here: "Scene") -> None:
    held = here.organisation()
    task_ids = held.create_many(MANY, UNMATCHED, latency=5)
    turns = iter(task_ids * 100)
    with here.trial(held) as trial:
        trial.post_clocks()
        with foreign(here.url, holding.LOCK_TASKS, [task_ids]):
            trial.hold(knock=lambda: held.cancel(next(turns)))
        trial.release()
        trial.goes_on("the held tasks", task_ids, BREACHED, CANCELLED)


def test_held_organisation_lock(here: "Scene") -> None:
    held = here.organisation()
    with here.trial(held) as trial:
        trial.post_clocks()
        with foreign(here.url, LOCK_ORGANISATION, [held.org_id]):
            trial.post_few(COMMON)
            trial.hold()
        trial.release()
        trial.goes_on("the organisation", trial.few, OFFERED, within=TURN_SECONDS)


def test_held_worker_row(here: "Scene") -> None:
    held = here.organisation()
    worker = held.enrol("Dora Quist", skills=["harbour_inspection"], capacity=100)
    with here.trial(held) as trial:
        trial.post_clocks()
        with foreign(here.url, holding.LOCK_WORKER, [worker]):
            trial.post_few(HARBOUR)
            trial.hold(
                with_held=True, knock=lambda: held.patch(f"/v1/workers/{worker}", name="Dora Q.")
            )
        trial.release()
        trial.goes_on("the tasks for the held worker", trial.few, OFFERED)


def test_held_pool_row(here: "Scene") -> None:
    held = here.organisation()
    pool = held.provision_pool("Back office")
    held.enrol("Dora Quist", skills=["harbour_inspection"], capacity=100, pool_ids=[pool])
    with here.trial(held) as trial:
        trial.post_clocks()
        with foreign(here.url, holding.LOCK_POOL, [pool]):
            trial.post_few(HARBOUR)
            trial.hold(
                with_held=True, knock=lambda: held.patch(f"/v1/pools/{pool}", name="Archive")
            )
        trial.release()
        # An offer need not lock its pool, so it may be made before the release.
        trial.goes_on("the tasks for the held pool", trial.few, OFFERED, maybe_before=True)


def test_held_requirement_row(here: "Scene") -> None:
    # Given a requirement whose only worker has no free capacity, which the matcher will park
    held = here.organisation()
    worker = held.enrol("Dora Quist", skills=["harbour_inspection"], capacity=1)
    with here.trial(held) as trial:
        first = held.create(HARBOUR)
        trial.wait_for([first], OFFERED, within=GOES_ON_SECONDS)
        trial.post_clocks()
        with foreign(here.url, holding.LOCK_REQUIREMENT, [first]):
            trial.post_few(HARBOUR)
            trial.hold(with_held=True)
        trial.release()
        assert held.patch(f"/v1/workers/{worker}", capacity=100).status_code == 200
        trial.goes_on("the tasks of the held requirement", trial.few, OFFERED)


def test_client_stopped_in_a_transaction(here: "Scene") -> None:
    held = here.organisation()
    task_id = held.create(UNMATCHED, latency=4)
    with here.trial(held) as trial:
        trial.post_clocks()
        with holding.stopped_client(here.url, task_id):
            trial.hold(knock=lambda: held.cancel(task_id))
        trial.release()
        trial.goes_on("the held task", [task_id], BREACHED, CANCELLED)


def test_workers_stopped_in_a_transaction(here: "Scene") -> None:
    held = here.organisation()
    with (
        here.trial(held) as trial,
        holding.workers_to_stop(here.installation, here.url) as halts,
    ):
        halt_and_hold(trial, halts)


def test_dead_peer_of_a_client(here: "Scene") -> None:
    held = here.organisation()
    task_id = held.create(UNMATCHED, latency=4)
    with here.trial(held) as trial, Proxy.running(here.installation.home) as proxy:
        trial.post_clocks()
        with foreign(proxy.url, holding.LOCK_TASKS, [[task_id]]):
            proxy.freeze()
            trial.hold(knock=lambda: held.cancel(task_id))
            proxy.cut()
        trial.release()
        trial.goes_on("the held task", [task_id], BREACHED, CANCELLED)


def test_dead_peer_of_workers(here: "Scene") -> None:
    held = here.organisation()
    with here.trial(held) as trial, holding.workers_to_cut_off(here.installation) as halts:
        halt_and_hold(trial, halts)


def halt_and_hold(trial: "Trial", halts: Mapping[str, Halt]) -> None:
    """Halt second workers during a stream of tasks, each while it holds uncommitted rows.

    Measure other work from `STOP_SECONDS` on, then resume the workers.
    """
    # So many that one process does not handle all of it before the others get a hint.
    with trial.streaming(every=0.05):
        holding.wait_until_connected(trial.here.url)
    with trial.streaming(every=0.03):
        for process, halt in halts.items():
            holding.halt_in_transaction(halt, process=process, observer_url=trial.here.url)
    try:
        trial.post_clocks()
        time.sleep(STOP_SECONDS)
        trial.hold(seconds=HOLD_SECONDS - STOP_SECONDS)
    finally:
        for halt in halts.values():
            halt.go()
    trial.release()
    # It is random which tasks they hold.
    trial.goes_on("the stream", trial.stream, OFFERED, maybe_before=True)
    trial.goes_on("the stream's clocks", trial.stream, BREACHED, maybe_before=True)


# --- the scene ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """Hold an installation with an organisation for each test, and one without held objects."""

    installation: Installation
    url: str
    other: Organisation
    _unused: list[Organisation]

    def organisation(self) -> Organisation:
        """Return an organisation that no test has used yet."""
        return self._unused.pop().prepare()

    @contextmanager
    def trial(self, held: Organisation) -> Iterator["Trial"]:
        """Measure a hold of an object of that organisation, and check all bounds at the end."""
        with Watch.watching(self.url) as watch:
            trial = Trial(self, held, watch)
            yield trial
            trial.check()


@pytest.fixture(scope="module")
def here(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Run one installation for all tests, which use different organisations."""
    failed = request.session.testsfailed
    tests = [item for item in request.session.items if item.path == request.path]
    with Installation.running(workforce=False) as installation:
        organisations = founded(installation, 1 + len(tests))
        try:
            url = embedded.database_url(installation.home)
            yield Scene(installation, url, organisations[0].prepare(), organisations[1:])
        finally:
            for one in organisations:
                one.client.close()
        if request.session.testsfailed > failed:
            say(f"--- the end of {installation.log}\n{installation.log_tail()}\n---")


# --- what is measured -----------------------------------------------------------------------------


@dataclass
class Trial:
    """Measure the effect of a hold on other work, and on the held work."""

    here: Scene
    held: Organisation
    watch: Watch
    clocks: list[str] = field(default_factory=list)
    few: list[str] = field(default_factory=list)
    stream: list[str] = field(default_factory=list)
    # Organisation -> task -> when its post returned.
    _offers: dict[str, dict[str, datetime]] = field(default_factory=dict)
    _calls: list[Call] = field(default_factory=list)
    _knocks: list[Call] = field(default_factory=list)
    _released_at: datetime | None = None
    _lines: list[str] = field(default_factory=list)
    _faults: int = 0

    # --- what is done

    def post_clocks(self) -> None:
        """Post tasks without eligible workers whose clocks run out during the hold.

        Half of them belong to each organisation.
        """
        for number in range(CLOCKS):
            organisation = (self.held, self.here.other)[number % 2]
            latency = LATENCIES[number // 2 % len(LATENCIES)]
            self.clocks.append(organisation.create(UNMATCHED, latency=latency))

    def post_few(self, changes: Changes) -> None:
        """Post tasks of the held organisation that cannot progress before the release."""
        calls = [timed(partial(self.held.post_task, changes)) for _ in range(FEW)]
        self._knocks += calls
        self.few += [call.task_id for call in calls if call.task_id is not None]

    @contextmanager
    def streaming(self, *, every: float) -> Iterator[None]:
        """Post a task of the held organisation every `every` seconds; its clock runs out soon."""
        is_over = threading.Event()

        def post() -> None:
            while not is_over.wait(every):
                self.stream.append(self.held.create(COMMON, latency=1))

        with ThreadPoolExecutor(1) as pool:
            posting = pool.submit(post)
            try:
                yield
            finally:
                is_over.set()
        posting.result()

    def hold(
        self,
        *,
        knock: Callable[[], httpx.Response] | None = None,
        with_held: bool = False,
        seconds: float = HOLD_SECONDS,
    ) -> None:
        """Let others call and get offers for `seconds`: the other organisation and, with
        `with_held`, the held one. Meanwhile some clients call `knock` repeatedly, which needs the
        held row.
        """
        ends = time.monotonic() + seconds
        offered = {"the other organisation": self.here.other}
        if with_held:
            offered["the same organisation"] = self.held
        with ThreadPoolExecutor(KNOCKERS + 3) as pool:
            work = [pool.submit(self._call, ends)]
            for name, organisation in offered.items():
                work.append(pool.submit(self._post_offered, name, organisation, ends))
            if knock is not None:
                # So that a response in time precedes the release.
                until = ends - KNOCK_SECONDS
                work += [pool.submit(self._knock, knock, until) for _ in range(KNOCKERS)]
            time.sleep(seconds)
        for one in work:
            one.result()

    def release(self) -> None:
        """Record the time of the release."""
        self._released_at = datetime.now(UTC)

    def _call(self, ends: float) -> None:
        known = list(zip((self.held, self.here.other), self.clocks, strict=False))
        while time.monotonic() < ends:
            for organisation, task_id in known:
                self._calls.append(timed(partial(organisation.client.get, f"/v1/tasks/{task_id}")))
                self._calls.append(timed(partial(organisation.post_task, UNMATCHED)))
            time.sleep(CALL_EVERY_SECONDS)

    def _post_offered(self, name: str, organisation: Organisation, ends: float) -> None:
        posted = self._offers.setdefault(name, {})
        while time.monotonic() < ends:
            call = timed(partial(organisation.post_task, COMMON))
            self._calls.append(call)
            if call.task_id is not None:
                posted[call.task_id] = datetime.now(UTC)
            time.sleep(OFFER_EVERY_SECONDS)

    def _knock(self, knock: Callable[[], httpx.Response], until: float) -> None:
        while time.monotonic() < until:
            self._knocks.append(timed(knock))
            time.sleep(KNOCK_EVERY_SECONDS)

    # --- what is seen

    def seen(self, task_id: str, *types: str) -> Seen | None:
        """Return the first event of the task of one of these types."""
        found = [self.watch.first(task_id, event_type) for event_type in types]
        return min(filter(None, found), key=attrgetter("seen_at"), default=None)

    def wait_for(self, task_ids: Iterable[str], *types: str, within: float) -> None:
        """Wait until such an event of each task was seen, or the time is over."""
        ends = time.monotonic() + within
        missing = list(task_ids)
        while missing and time.monotonic() < ends:
            missing = [task_id for task_id in missing if self.seen(task_id, *types) is None]
            time.sleep(0.05)

    def goes_on(
        self,
        what: str,
        task_ids: Sequence[str],
        *types: str,
        within: float = GOES_ON_SECONDS,
        maybe_before: bool = False,
    ) -> None:
        """Check that each task has such an event soon after the release, and none before it."""
        assert self._released_at is not None
        self.wait_for(task_ids, *types, within=within)
        seen = [self.seen(task_id, *types) for task_id in task_ids]
        after = [seconds(self._released_at, when(one)) for one in seen]
        self._bound(f"{what} went on after the release", after, within)
        before = sum(one < 0 for one in after)
        if before and not maybe_before:
            self._fault(f"{what}: {before} of {len(after)} went on while held: nothing was held")

    # --- what must hold

    def check(self) -> None:
        """Print all figures. Fail if one of them is out of its bounds."""
        self._check_clocks()
        for name, posted in self._offers.items():
            self._check_offers(name, posted)
        self._check_calls()
        if self._knocks:
            self._check_knocks()
        figures = "\n".join(self._lines)
        say(f"\n{figures}")
        if self._faults:
            # The figures are enough: a traceback adds nothing.
            pytest.fail(f"{self._faults} bounds do not hold\n{figures}", pytrace=False)

    def _check_clocks(self) -> None:
        self.wait_for(self.clocks, BREACHED, within=GOES_ON_SECONDS)
        breaches = [self.seen(task_id, BREACHED) for task_id in self.clocks]
        late = [math.inf if one is None else seconds(one.due_at, one.seen_at) for one in breaches]
        self._bound("clocks of others were reported late by", late, CLOCK_SECONDS)

    def _check_offers(self, name: str, posted: Mapping[str, datetime]) -> None:
        self.wait_for(posted, OFFERED, within=GOES_ON_SECONDS)
        if len(posted) < FEWEST_OFFERS:
            self._fault(f"no more than {len(posted)} tasks of {name} could be posted")
        after_post, after_queue = [], []
        for task_id, posted_at in posted.items():
            queued, offered = (self.seen(task_id, kind) for kind in (QUEUED, OFFERED))
            queued_at = None if queued is None else queued.occurred_at
            after_post.append(seconds(posted_at, when(offered)))
            after_queue.append(seconds(queued_at, when(offered)))
        self._bound(
            f"tasks of {name} were offered after they were queued", after_queue, OFFER_SECONDS
        )
        self._bound(f"tasks of {name} were offered after the post", after_post, POSTED_SECONDS)

    def _check_calls(self) -> None:
        times = [call.seconds for call in self._calls]
        self._bound("calls of others were answered", times, CALL_SECONDS, percent=99)
        self._answers("calls of others", self._calls, {"200", "201"})

    def _check_knocks(self) -> None:
        times = [call.seconds for call in self._knocks]
        self._bound("calls for what is held were answered", times, KNOCK_SECONDS)
        expected = {"200", "201", "503 with Retry-After"}
        self._answers("calls for what is held", self._knocks, expected)

    def _answers(self, what: str, calls: Sequence[Call], expected: AbstractSet[str]) -> None:
        counts = Counter(call.answer for call in calls)
        responses = ", ".join(f"{count} of {answer}" for answer, count in counts.most_common())
        self._lines.append(f"      {what}: {responses}")
        if unexpected := counts.keys() - expected:
            self._fault(f"{what}: unexpected {', '.join(sorted(unexpected))}")

    def _bound(
        self, what: str, values: Sequence[float], most: float, *, percent: int = 100
    ) -> None:
        """Record a figure, and whether it is within its bounds; without values it is not."""
        ordered = sorted(values)
        at = math.ceil(len(ordered) * percent / 100) - 1
        worst = ordered[at] if ordered else math.inf
        name = "worst" if percent == 100 else f"p{percent}"
        never = sum(value == math.inf for value in ordered)
        missing = f", {never} not at all" if never else ""
        figures = f"{what}: {name} {worst:.2f} s of {len(ordered)}{missing} (at most {most:g} s)"
        if worst <= most:
            self._lines.append(f"      {figures}")
        else:
            self._fault(figures)

    def _fault(self, line: str) -> None:
        self._lines.append(f"FAULT {line}")
        self._faults += 1


def when(seen: Seen | None) -> datetime | None:
    """Return when an event became readable; None if it did not."""
    return None if seen is None else seen.seen_at


def seconds(since: datetime | None, until: datetime | None) -> float:
    """Return the seconds between two times; infinite if one of them is missing."""
    return math.inf if since is None or until is None else (until - since).total_seconds()
