"""Generate load during an upgrade: callers and workers that use an installation steadily.

`Load` runs them on threads, and knows which version's processes get their calls. `Backend` is the
customer's product that posts tasks and follows their events, `Group` some workers. A call that goes
wrong is noted and ends no thread: the tests read the notes.
"""

import itertools
import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from biolayer import chain
from biolayer.events import SILENT
from tests.faults.installation import eventually, say
from tests.faults.receiver import Receiver
from tests.upgrades.previous import Balancer, Caller, Notes, Refused, Service, Trouble

PHASE_SECONDS = 3.0
PATIENCE_SECONDS = 60.0
GROUPS = 3
POST_EVERY, LOOK_EVERY, FOLLOW_EVERY, CANCEL_EVERY, WORK_EVERY = 0.25, 0.2, 0.3, 0.5, 0.5
TOKEN = "a-token-of-the-test"
SKILLS = ("phone_verification", "incident_response")
UNKNOWN_SKILL = "deep_sea_diving"
DOMAINS = ("security", "retail", "finance")
URGENCIES = ("critical", "high", "normal", "low")
CLOSED = ("completed", "cancelled")
BUSY = ("created", "queued", "matched", "offered", "accepted", "started", "submitted", "verified")
ALL = {"limit": "100"}
LISTS = ("/v1/pools", "/v1/workers", "/v1/skills", "/v1/webhook-endpoints", "/v1/webhook-keys")

Document = dict[str, Any]
Logs = Mapping[str, list[Document]]
Key = tuple[str, int]


def happened(
    logs: Logs, *, hidden: Collection[str] = (), types: Collection[str] | None = None
) -> dict[Key, Document]:
    """Return the events of all logs except the hidden types, or those of `types` only."""
    return {
        key_of(event): event
        for event in itertools.chain.from_iterable(logs.values())
        if (event["type"] not in hidden if types is None else event["type"] in types)
    }


def key_of(event: Document) -> Key:
    """Return the key that identifies an event in all logs."""
    return event["task_id"], event["sequence"]


class Load:
    """Run all callers and workers of one organisation, on threads, at a steady pace."""

    def __init__(self, access: Document, *, callbacks: Receiver, endpoint: Receiver) -> None:
        self.access, self.callbacks, self.endpoint = access, callbacks, endpoint
        self.notes = Notes()
        # The number of tasks of each phase that got all callbacks.
        self.done: dict[str, int] = {}
        self._webs, self._streams = Balancer(), Balancer()
        self._web = self._caller(access["api_key"])
        self.backend = Backend(
            web=self._web,
            stream=Caller(self._streams, self.notes, access["api_key"]),
            pool_id=access["pool_id"],
            handoff=callbacks.handoff(),
            types=",".join(["task.*", *access["silent"]]),
        )
        self._is_over = threading.Event()
        self._threads: list[threading.Thread] = []

    def _caller(self, key: str) -> Caller:
        return Caller(self._webs, self.notes, key)

    @staticmethod
    @contextmanager
    def listening(access: Document) -> "Iterator[Load]":
        """Yield a load whose receivers listen, and stop it at the end of the block."""
        secret = access["webhook_secret"]
        with (
            Receiver.listening(secret=secret, token=TOKEN) as callbacks,
            Receiver.listening(secret=secret, token=TOKEN) as endpoint,
        ):
            load = Load(access, callbacks=callbacks, endpoint=endpoint)
            try:
                yield load
            finally:
                load.stop()

    def use(self, service: Service) -> None:
        """Send calls to this version, too."""
        self._webs.add(service.url("web"))
        self._streams.add(service.url("stream"))

    def leave(self, service: Service) -> None:
        """Stop sending calls to this version. Return when all of its calls have returned."""
        self._webs.withdraw(service.url("web"))
        self._streams.withdraw(service.url("stream"))

    def start(self, service: Service) -> None:
        """Create an endpoint and a second pool, post a task, and start all threads."""
        self.use(service)
        handoff = self.endpoint.handoff()
        body = {"url": handoff["callback_url"], "auth": handoff["callback_auth"]}
        body |= {"retry_policy": handoff["retry_policy"], "event_types": ["task.completed"]}
        self._web.call("POST", "/v1/webhook-endpoints", expects=201, json=body)
        pool = self._web.call("POST", "/v1/pools", expects=201, json={"name": "Second desk"})
        self.backend.other_pool_id = pool["pool_id"]
        # `look` chooses among the posted tasks.
        self.backend.post()
        backend, is_ending = self.backend, self.backend.is_ending
        self._repeat(backend.post, every=POST_EVERY, until=is_ending)
        self._repeat(backend.look, every=LOOK_EVERY, until=is_ending)
        self._repeat(backend.follow, every=FOLLOW_EVERY, until=self._is_over)
        self._repeat(backend.consume, every=FOLLOW_EVERY, until=self._is_over)
        self._repeat(backend.cancel, every=CANCEL_EVERY, until=self._is_over)
        workers = [self._caller(key) for key in self.access["workers"]]
        for number in range(GROUPS):
            group = Group(workers[number::GROUPS], backend.called_off, random.Random(number))
            self._repeat(group.work, every=WORK_EVERY, until=self._is_over)

    def _repeat(self, step: Callable[[], None], *, every: float, until: threading.Event) -> None:
        def run() -> None:
            while not until.is_set():
                began = time.monotonic()
                try:
                    step()
                except Trouble:
                    pass
                except Exception:
                    self.notes.trouble(traceback.format_exc())
                until.wait(max(0.0, every - (time.monotonic() - began)))

        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()

    def go_on(self, phase: str) -> None:
        """Continue for `PHASE_SECONDS`, and until a task posted meanwhile is completed."""
        self.say(phase)
        posted = len(self.backend.created)
        time.sleep(PHASE_SECONDS)
        wait_for(lambda: self._done_since(posted) > 0)
        self.done[phase] = self._done_since(posted)

    def _done_since(self, posted: int) -> int:
        events = [callback.envelope for callback in self.callbacks.callbacks]
        done = {e["data"]["task_id"] for e in events if e["type"] == "task.completed"}
        return len(done.intersection(self.backend.created[posted:]))

    def say(self, phase: str) -> None:
        """Start a phase, and print the figures of the previous one."""
        seconds, call = self.notes.slowest.get(self.notes.phase, (0.0, "none"))
        count = self.notes.counted[self.notes.phase]
        say(f"  {count} calls, the slowest took {seconds:.2f} s: {call}")
        say(f"{datetime.now(UTC):%H:%M:%S} {phase}")
        self.notes.phase = phase

    def settle(self) -> Logs:
        """Stop posting, wait until all tasks are closed and all events received; return the logs.

        Return the log of each task. Each wait ends after `PATIENCE_SECONDS`.
        """
        self.backend.is_ending.set()
        wait_for(self.backend.is_settled)
        logs = {task_id: self.backend.log_of(task_id) for task_id in self.backend.created}
        wait_for(lambda: self._is_told(logs))
        return logs

    def _is_told(self, logs: Logs) -> bool:
        wanted = happened(logs, hidden=SILENT).keys()
        followers = self.backend.fed, self.backend.consumed
        return (
            wanted <= self.callbacks.by_event().keys()
            and happened(logs, types={"task.completed"}).keys() <= self.endpoint.by_event().keys()
            and all(wanted <= {key_of(event) for event in list(seen)} for seen in followers)
        )

    def stop(self) -> None:
        """End all threads that have not ended yet."""
        self.backend.is_ending.set()
        self._is_over.set()
        for thread in self._threads:
            thread.join(timeout=PATIENCE_SECONDS)
        self._webs.close()
        self._streams.close()


def wait_for(look: Callable[[], bool]) -> None:
    """Wait until `look` returns true, for `PATIENCE_SECONDS` at most: then a test fails."""
    with suppress(AssertionError):
        eventually(look, seconds=PATIENCE_SECONDS, what="it", every=0.3)


@dataclass
class Backend:
    """Act as a customer's product: post tasks of all kinds, read them, follow their events."""

    web: Caller
    stream: Caller
    pool_id: str
    handoff: Document
    types: str
    # A pool without members, to which tasks without an eligible worker are widened.
    other_pool_id: str = ""
    is_ending: threading.Event = field(default_factory=threading.Event)
    created: list[str] = field(default_factory=list)
    # Tasks that no worker can do; all that were cancelled; those that may be cancelled during their
    # run.
    unworkable: list[str] = field(default_factory=list)
    called_off: set[str] = field(default_factory=set)
    perhaps: list[str] = field(default_factory=list)
    # Events as the feed returned them, and as the consumer received them.
    fed: list[Document] = field(default_factory=list)
    consumed: list[Document] = field(default_factory=list)
    _cursor: str = "beginning"
    _ordinary: list[str] = field(default_factory=list)
    _turns: Counter[str] = field(default_factory=Counter)
    _chance: random.Random = field(default_factory=lambda: random.Random(1))

    def _turn(self, name: str) -> int:
        self._turns[name] += 1
        return self._turns[name] - 1

    # --- posts ----------------------------------------------------------------------------------

    def post(self) -> None:
        """Post a task; repeat some, as a client does that got no response."""
        number = self._turn("post")
        body, key = self._contract(number), f"key-{number}"
        task_id = self._posted(body, expects=201, key=key)
        self.created.append(task_id)
        match number % 10:
            case 0:
                self._ordinary.append(task_id)
            case 1:
                self.perhaps.append(task_id)
            case 3:
                self.unworkable.append(task_id)
            case 2:
                self._expect(self._posted(body, expects=200) == task_id, "another task", body)
            case 5:
                same = self._posted(body, expects=201, key=key)
                self._expect(same == task_id, "another task", body)

    def _posted(self, body: Document, *, expects: int, key: str = "") -> str:
        answer = self.web.call("POST", "/v1/tasks", expects=expects, key=key, json=body)
        return str(answer["task_id"])

    def _contract(self, number: int) -> Document:
        body: Document = {
            "origin": {"product": "upgrade", "request_id": f"IR-{number}"},
            "task_type": "verification",
            "domain": DOMAINS[number % len(DOMAINS)],
            "title": f"Verify endpoint owner activity {number}",
            "instructions": "Call the endpoint owner and confirm the 03:42 UTC session.",
            "sla": {"urgency": URGENCIES[number % len(URGENCIES)]},
            "requirements": {"skills": [SKILLS[number % 2]]},
            "output": {"schema": {"reached_user": "boolean", "notes": "string"}},
            "handoff": self.handoff,
        }
        if number % 2:
            body["requirements"]["worker_pool_id"] = self.pool_id
        match number % 10:
            case 3:
                step = {"after_seconds": 1, "notify": True, "widen_to_pools": [self.other_pool_id]}
                body["requirements"] |= {"skills": [UNKNOWN_SKILL], "escalation": {"steps": [step]}}
                body["sla"]["target_latency_seconds"] = 2
            case 7:
                body["sla"]["deadline"] = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
            case 8:
                body["output"]["evidence_required"] = True
            case 9:
                body["depends_on"] = self._ordinary[-1:]
        return body

    def cancel(self) -> None:
        """Cancel tasks without an eligible worker, and some that workers may have started."""
        while self.perhaps:
            with suppress(Refused):
                self._cancel(self.perhaps.pop(0), bears=409)
        # The latest tasks wait until their latency target and escalation have passed.
        ripe = self.unworkable if self.is_ending.is_set() else self.unworkable[:-4]
        for task_id in [task_id for task_id in ripe if task_id not in self.called_off]:
            self._cancel(task_id)

    def _cancel(self, task_id: str, *, bears: int | None = None) -> None:
        self.called_off.add(task_id)
        path = f"/v1/tasks/{task_id}/cancel"
        self.web.call("POST", path, bears=bears, json={"reason": "no need"})

    # --- looks ----------------------------------------------------------------------------------

    def look(self) -> None:
        """Read a task, its log, its deliveries, or a list, alternately."""
        task_id = self._chance.choice(self.created)
        match self._turn("look") % 5:
            case 0:
                task = self.web.call("GET", f"/v1/tasks/{task_id}")
                self._expect(task["task_id"] == task_id, f"not {task_id}", task)
            case 1:
                log = self.log_of(task_id)
                self._expect(chain.first_broken(log) is None, "a broken log", log)
            case 2:
                self.web.call("GET", f"/v1/tasks/{task_id}/match")
                self.web.call("GET", "/v1/deliveries", params={"task_id": task_id})
            case 3:
                self.web.call("GET", LISTS[self._turn("list") % len(LISTS)])
            case 4:
                self._look_at_list()

    def _look_at_list(self) -> None:
        """Read two pages, possibly from different versions."""
        name, value = self._chance.choice(
            [
                ("status", self._chance.choice(CLOSED)),
                ("domain", self._chance.choice(DOMAINS)),
                ("urgency", self._chance.choice(URGENCIES)),
                ("pool", self.pool_id),
            ]
        )
        query = {name: value, "limit": "5"}
        page = self.web.call("GET", "/v1/tasks", params=query)
        rows = page["data"]
        if page["next_cursor"] is not None:
            query["cursor"] = page["next_cursor"]
            rows = rows + self.web.call("GET", "/v1/tasks", params=query)["data"]
        is_right = all(filtered_by(row)[name] == value for row in rows)
        ids = [row["task_id"] for row in rows]
        self._expect(is_right and len(set(ids)) == len(ids), f"not by {name}={value}", rows)

    def log_of(self, task_id: str) -> list[Document]:
        """Return the events of a task."""
        page: Document = self.web.call("GET", f"/v1/tasks/{task_id}/events", params=ALL)
        return list(page["data"])

    def is_settled(self) -> bool:
        """Return whether no task is open."""
        queries = ({"status": status, "limit": "1"} for status in BUSY)
        return not any(self.web.call("GET", "/v1/tasks", params=q)["data"] for q in queries)

    def _expect(self, is_right: bool, fault: str, answer: object) -> None:
        if not is_right:
            self.web.notes.trouble(f"{fault}: {answer}")

    # --- follows --------------------------------------------------------------------------------

    def follow(self) -> None:
        """Continue the feed from the last cursor, by web and stream processes alternately."""
        caller = self.stream if self._turn("follow") % 2 else self.web
        query = {"after": self._cursor, "types": self.types, "limit": "50", "wait": "1"}
        page = caller.call("GET", "/v1/events", params=query)
        self._cursor = page["next_cursor"]
        self.fed += page["data"]

    def consume(self) -> None:
        """Read from the place that the service stores, and acknowledge."""
        path, turn = "/v1/event-consumers/ledger", self._turn("consume")
        if turn % 10 == 0:
            self.web.call("PUT", path, expects=200 if turn else 201, json={})
        page = self.web.call("GET", f"{path}/events", params={"limit": "50"})
        if page["data"]:
            self.consumed += page["data"]
            self.web.call("POST", f"{path}/ack", json={"cursor": page["next_cursor"]})


def filtered_by(task: Document) -> dict[str, str]:
    """Return the values of a task by which lists can be filtered."""
    return {
        "status": task["status"],
        "domain": task["domain"],
        "urgency": task["sla"]["urgency"],
        "pool": task["requirements"]["worker_pool_id"],
    }


@dataclass
class Group:
    """Act as workers that complete most tasks, and release a task at most once."""

    workers: list[Caller]
    called_off: set[str]
    chance: random.Random
    _returned: set[str] = field(default_factory=set)
    _turns: Iterator[int] = field(default_factory=itertools.count)

    def work(self) -> None:
        """Accept or decline all open offers, and complete accepted tasks."""
        is_tenth_turn = next(self._turns) % 10 == 0
        for worker in self.workers:
            if is_tenth_turn:
                worker.call("PATCH", "/v1/workers/me", json={"presence": "available"})
                worker.call("GET", "/v1/runs")
            for offer in worker.call("GET", "/v1/offers")["data"]:
                task_id = offer["task"]["task_id"]
                try:
                    self._take(worker, offer["offer_id"], task_id)
                except Refused as refused:
                    # A worker may lose only a cancelled task.
                    if task_id not in self.called_off:
                        worker.notes.trouble(str(refused))

    def _take(self, worker: Caller, offer_id: str, task_id: str) -> None:
        def post(path: str, **content: Any) -> Any:
            return worker.call("POST", path, bears=409, **content)

        choice = self._choice(task_id)
        if choice == "decline":
            post(f"/v1/offers/{offer_id}/decline", json={"reason": "not now"})
            return
        accepted = post(f"/v1/offers/{offer_id}/accept", json={})
        run, task = accepted["run"], accepted["task"]
        path, epoch = f"/v1/runs/{run['run_id']}", {"epoch": run["epoch"]}
        post(f"{path}/start", json=epoch)
        post(f"{path}/heartbeat", json=epoch)
        if choice == "release":
            post(f"{path}/release", json={**epoch, "reason": "not today"})
            return
        evidence = []
        if task["output"]["evidence_required"]:
            file = ("note.txt", b"Owner ran a patch script.", "text/plain")
            given = post(f"{path}/evidence", expects=201, files={"file": file}, data=epoch)
            evidence.append(given["evidence_id"])
        output = {"reached_user": True, "notes": "Owner ran a patch script."}
        post(f"{path}/submit", json={**epoch, "output": output, "evidence": evidence})

    def _choice(self, task_id: str) -> str:
        choice = self.chance.choices(["decline", "release", "do"], [1, 1, 14])[0]
        if choice == "do" or task_id in self._returned:
            return "do"
        self._returned.add(task_id)
        return choice
