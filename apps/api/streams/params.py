"""What a reader of the feed asks for."""

from collections.abc import Collection
from dataclasses import dataclass, field

from django.http import HttpRequest, QueryDict

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.api.http.operations import Query
from apps.api.http.parameters import first_of_each, parameter_faults
from apps.api.streams.cursors import opened
from apps.api.streams.payload_extensions import PAYLOAD_EXTENSIONS, PayloadExtension
from apps.events import selectors as events
from apps.events.selectors import BEGINNING, Position
from biolayer.errors import Fault, InvalidInput

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
STREAM_LIMIT = 500
MAX_WAIT_SECONDS = 55
"""Under the minute after which most proxies cut a silent connection."""

AFTER = Query("after", {"type": "string"}, "`beginning`, `latest`, or a cursor.", "latest")
TYPES = Query(
    "types",
    {"type": "string"},
    "Event types or patterns such as `task.*`, separated by commas.",
    "task.*",
)
WAITING = (
    Query(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        "The most items of a page.",
        DEFAULT_LIMIT,
    ),
    Query(
        "wait",
        {"type": "integer", "minimum": 0, "maximum": MAX_WAIT_SECONDS, "default": 0},
        "Seconds to wait for the first event.",
        30,
    ),
)
PAYLOAD = Query(
    "payload",
    {"type": "string", "enum": ["webhook"]},
    "`webhook`: each item also has the body that webhooks send for it.",
    "webhook",
)

LAST_EVENT_ID = "Last-Event-ID"


@dataclass(frozen=True, slots=True)
class FeedQuery:
    """Events for whom, from where, which, how many, and how long to wait for the first."""

    actor: Principal
    after: Position
    types: tuple[str, ...]
    limit: int = DEFAULT_LIMIT
    wait_seconds: int = 0
    # What each item says beside the event.
    addition: PayloadExtension | None = None
    # The life of the cluster that `after` is a place of.
    generation: int = 0


def asked_of_feed(actor: Principal, query: QueryDict) -> FeedQuery:
    """`GET /v1/events`. Raises `ScopeMissing`, and `InvalidInput` naming every bad parameter."""
    actor.require(Scope.TASKS_READ)
    # Before any place is read, which must not be of an earlier one.
    generation = events.current_generation()
    reading = _Reading(actor, query)
    reading.refuse_unknown("after", "types", "limit", "wait")
    asked = FeedQuery(
        actor,
        after=reading.place(query.get("after", "beginning"), "/after"),
        types=reading.types(),
        limit=reading.number("limit", DEFAULT_LIMIT, least=1, most=MAX_LIMIT),
        wait_seconds=reading.number("wait", 0, least=0, most=MAX_WAIT_SECONDS),
        addition=reading.addition(),
        generation=generation,
    )
    reading.refuse_faults()
    return asked


def asked_of_stream(actor: Principal, request: HttpRequest) -> FeedQuery:
    """`GET /v1/events/stream`: from now on, unless the caller says from where."""
    actor.require(Scope.TASKS_READ)
    query = request.GET
    # Before any place is read, which must not be of an earlier one.
    generation = events.current_generation()
    reading = _Reading(actor, query)
    reading.refuse_unknown("after", "types")
    last_id = request.headers.get(LAST_EVENT_ID)
    # Who comes back sends `after` as at first; what it has seen since then counts.
    after = (
        reading.place(query.get("after", "latest"), "/after")
        if last_id is None
        else reading.place(last_id, "")
    )
    asked = FeedQuery(
        actor,
        after,
        reading.types(),
        STREAM_LIMIT,
        addition=reading.addition(),
        generation=generation,
    )
    reading.refuse_faults()
    return asked


def asked_of_consumer(
    actor: Principal,
    query: QueryDict,
    *,
    after: Position,
    generation: int,
    types: Collection[str] | None,
) -> FeedQuery:
    """`GET /v1/event-consumers/{name}/events`: from where, and what, is remembered."""
    reading = _Reading(actor, query)
    reading.refuse_unknown("limit", "wait")
    asked = FeedQuery(
        actor,
        after=after,
        types=tuple(events.types_for(types)),
        limit=reading.number("limit", DEFAULT_LIMIT, least=1, most=MAX_LIMIT),
        wait_seconds=reading.number("wait", 0, least=0, most=MAX_WAIT_SECONDS),
        addition=reading.addition(),
        generation=generation,
    )
    reading.refuse_faults()
    return asked


def place_named(actor: Principal, text: str) -> Position | None:
    """The place that `beginning`, `latest` or a cursor names; None where it is none of them."""
    if text == "beginning":
        return BEGINNING
    if text == "latest":
        return Position(events.horizon(), 0)
    return opened(text, actor.organisation_id)


def place_fault(pointer: str) -> Fault:
    text = "is no cursor of this organisation's events, nor beginning or latest"
    return Fault(pointer, "invalid_cursor", text)


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads parameters, and remembers what is wrong with them: all is told at once."""

    actor: Principal
    query: QueryDict
    faults: list[Fault] = field(default_factory=list)

    def refuse_unknown(self, *names: str) -> None:
        known = (*names, "payload") if PAYLOAD_EXTENSIONS else names
        self.faults.extend(parameter_faults(self.query, known, several=("types",)))

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        text = self.query.get(name, str(default))
        if text.isascii() and text.isdigit() and len(text) < 5 and least <= int(text) <= most:
            return int(text)
        self.faults.append(Fault(f"/{name}", "out_of_range", f"must be {least} to {most}"))
        return default

    def place(self, text: str, pointer: str) -> Position:
        position = place_named(self.actor, text)
        if position is None:
            self.faults.append(place_fault(pointer))
        return position or BEGINNING

    def types(self) -> tuple[str, ...]:
        if "types" not in self.query:
            return tuple(events.types_for(None))
        patterns = ",".join(self.query.getlist("types")).split(",")
        problems = ((pattern, events.type_problem(pattern)) for pattern in patterns)
        wrong = [f"{pattern[:40]!r} {problem}" for pattern, problem in problems if problem]
        # One parameter, one fault: the first tells what may stand there.
        self.faults.extend(Fault("/types", "unknown_event_type", text) for text in wrong[:1])
        return tuple(events.types_for(patterns))

    def addition(self) -> PayloadExtension | None:
        name = self.query.get("payload")
        if name is None or not PAYLOAD_EXTENSIONS:
            return None
        if name not in PAYLOAD_EXTENSIONS:
            text = f"must be one of {', '.join(PAYLOAD_EXTENSIONS)}"
            self.faults.append(Fault("/payload", "not_one_of", text))
        return PAYLOAD_EXTENSIONS.get(name)

    def refuse_faults(self) -> None:
        if self.faults:
            raise InvalidInput(first_of_each(self.faults))
