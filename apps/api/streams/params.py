"""Parse the parameters of the calls that read the feed."""

from collections.abc import Collection
from dataclasses import dataclass, field

from django.http import HttpRequest, QueryDict

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.api.http.operations import Query
from apps.api.http.parameters import first_fault_of_each, parameter_faults
from apps.api.streams.cursors import cursor_position
from apps.api.streams.payload_extensions import PAYLOAD_EXTENSIONS, PayloadExtension
from apps.events import selectors as events
from apps.events.selectors import BEGINNING, Position
from biolayer.errors import Fault, InvalidInput
from biolayer.events import TASK_PATTERNS, expression_of

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
STREAM_LIMIT = 500
# Less than the minute after which most proxies close an idle connection.
MAX_WAIT_SECONDS = 55

AFTER = Query("after", {"type": "string"}, "`beginning`, `latest`, or a cursor.", "latest")
TYPE = expression_of(TASK_PATTERNS)
TYPES = Query(
    "types",
    {"type": "string", "pattern": f"^{TYPE}(,{TYPE})*$"},
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
    """Hold who reads the feed, after which position, which types, how many events, and the wait."""

    actor: Principal
    after: Position
    types: tuple[str, ...]
    limit: int = DEFAULT_LIMIT
    wait_seconds: int = 0
    # Adds fields to each item.
    extension: PayloadExtension | None = None
    # The generation that `after` was read in.
    generation: int = 0


def feed_query(actor: Principal, query: QueryDict) -> FeedQuery:
    """Return the query of `GET /v1/events`.

    Raise `ScopeMissing`, and `InvalidInput` with every fault of the parameters.
    """
    actor.require(Scope.TASKS_READ)
    # Before any position is read: the position must not be of an earlier generation than this one.
    generation = events.current_generation()
    parameters = _FeedParameters(actor, query)
    parameters.check_names("after", "types", "limit", "wait")
    result = FeedQuery(
        actor,
        after=parameters.position(query.get("after", "beginning"), "/after"),
        types=parameters.types(),
        limit=parameters.number("limit", DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT),
        wait_seconds=parameters.number("wait", 0, minimum=0, maximum=MAX_WAIT_SECONDS),
        extension=parameters.extension(),
        generation=generation,
    )
    parameters.raise_faults()
    return result


def stream_query(actor: Principal, request: HttpRequest) -> FeedQuery:
    """Return the query of `GET /v1/events/stream`, from now by default. Raise as `feed_query`."""
    actor.require(Scope.TASKS_READ)
    query = request.GET
    # Before any position is read: the position must not be of an earlier generation than this one.
    generation = events.current_generation()
    parameters = _FeedParameters(actor, query)
    parameters.check_names("after", "types")
    last_id = request.headers.get(LAST_EVENT_ID)
    # A client that reconnects repeats its first `after`; its last event is more recent.
    after = (
        parameters.position(query.get("after", "latest"), "/after")
        if last_id is None
        else parameters.position(last_id, "")
    )
    result = FeedQuery(
        actor,
        after,
        parameters.types(),
        STREAM_LIMIT,
        extension=parameters.extension(),
        generation=generation,
    )
    parameters.raise_faults()
    return result


def consumer_query(
    actor: Principal,
    query: QueryDict,
    *,
    after: Position,
    generation: int,
    types: Collection[str] | None,
) -> FeedQuery:
    """Return the query of `GET /v1/event-consumers/{name}/events`. Raise `InvalidInput`.

    Position and types are those of the consumer.
    """
    parameters = _FeedParameters(actor, query)
    parameters.check_names("limit", "wait")
    result = FeedQuery(
        actor,
        after=after,
        types=tuple(events.types_for(types)),
        limit=parameters.number("limit", DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT),
        wait_seconds=parameters.number("wait", 0, minimum=0, maximum=MAX_WAIT_SECONDS),
        extension=parameters.extension(),
        generation=generation,
    )
    parameters.raise_faults()
    return result


def parse_position(actor: Principal, text: str) -> Position | None:
    """Return the position of `beginning`, `latest` or a cursor; None for any other text."""
    if text == "beginning":
        return BEGINNING
    if text == "latest":
        return Position(events.horizon(), 0)
    return cursor_position(text, actor.organisation_id)


def position_fault(pointer: str) -> Fault:
    """Return the fault of a text for which `parse_position` returns None."""
    text = "must be beginning, latest, or a cursor of this organisation's events"
    return Fault(pointer, "invalid_cursor", text)


@dataclass(frozen=True, slots=True)
class _FeedParameters:
    """Parse parameters and collect their faults, so that all are reported at once."""

    actor: Principal
    query: QueryDict
    faults: list[Fault] = field(default_factory=list)

    def check_names(self, *names: str) -> None:
        known = (*names, "payload") if PAYLOAD_EXTENSIONS else names
        self.faults.extend(parameter_faults(self.query, known, repeatable=("types",)))

    def number(self, name: str, default: int, *, minimum: int, maximum: int) -> int:
        text = self.query.get(name, str(default))
        if text.isascii() and text.isdigit() and len(text) < 5 and minimum <= int(text) <= maximum:
            return int(text)
        self.faults.append(Fault(f"/{name}", "out_of_range", f"must be {minimum} to {maximum}"))
        return default

    def position(self, text: str, pointer: str) -> Position:
        position = parse_position(self.actor, text)
        if position is None:
            self.faults.append(position_fault(pointer))
        return position or BEGINNING

    def types(self) -> tuple[str, ...]:
        if "types" not in self.query:
            return tuple(events.types_for(None))
        patterns = ",".join(self.query.getlist("types")).split(",")
        problems = ((pattern, events.type_problem(pattern)) for pattern in patterns)
        texts = [f"{pattern[:40]!r} {problem}" for pattern, problem in problems if problem]
        # One fault for each parameter: the first one says which types are allowed.
        self.faults.extend(Fault("/types", "unknown_event_type", text) for text in texts[:1])
        return tuple(events.types_for(patterns))

    def extension(self) -> PayloadExtension | None:
        name = self.query.get("payload")
        if name is None or not PAYLOAD_EXTENSIONS:
            return None
        if name not in PAYLOAD_EXTENSIONS:
            text = f"must be one of {', '.join(PAYLOAD_EXTENSIONS)}"
            self.faults.append(Fault("/payload", "not_one_of", text))
        return PAYLOAD_EXTENSIONS.get(name)

    def raise_faults(self) -> None:
        if self.faults:
            raise InvalidInput(first_fault_of_each(self.faults))
