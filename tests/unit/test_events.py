"""The catalogue of events is complete, matches the transition table, and allows new fields."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest
from pydantic import ValidationError

from biolayer import events
from biolayer.events import CATALOGUE, EVENT_TYPES, EXAMPLES, THIN_EXAMPLE, Kind, ThinEnvelope
from biolayer.lifecycle import TRANSITIONS, EventType
from biolayer.schemas import schema_of
from biolayer.times import format_time
from config.documents import DOCUMENTS

ANNOUNCED = [event.value for event in EventType if event is not EventType.DRAFTED]
OPERATIONAL = [
    "endpoint.failing",
    "endpoint.disabled",
    "delivery.exhausted",
    "delivery.recovered",
]
WILDCARDS = ["task.*", "endpoint.*", "delivery.*"]
KINDS = list(CATALOGUE.values())
OF_TASKS = [kind for kind in KINDS if kind.name.startswith("task.")]
ROOT = Path(__file__).resolve().parents[2]
AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def named(kind: Kind) -> str:
    return kind.name


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema of an object with named properties inside a schema."""
    if isinstance(schema, dict):
        if "properties" in schema and "type" in schema:
            yield schema
        for child in schema.values():
            yield from objects(child)
    elif isinstance(schema, list):
        for child in schema:
            yield from objects(child)


def test_catalogue__has_all_public_and_operational_events() -> None:
    assert list(EVENT_TYPES) == [*ANNOUNCED, *OPERATIONAL], (
        "A new event type needs its model and its row in biolayer/events/catalogue.py."
    )
    assert list(EXAMPLES) == list(EVENT_TYPES)


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_an_example__has_the_fields_of_the_model_only(kind: Kind) -> None:
    body = json.dumps(EXAMPLES[kind.name])
    read = kind.model.model_validate_json(body, extra="forbid")
    assert read.type == kind.name
    jsonschema_rs.validate(schema_of(kind.model), json.loads(body), validate_formats=True)


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_example__is_dated_by_its_caller(kind: Kind) -> None:
    made = events.example(kind.name, at=AT)
    read = kind.model.model_validate(made, extra="forbid")
    assert (made["timestamp"], read.timestamp) == (format_time(AT), AT)
    assert {**made, "timestamp": "", "data": set(made["data"])} == {
        **EXAMPLES[kind.name],
        "timestamp": "",
        "data": set(EXAMPLES[kind.name]["data"]),
    }


def test_example__of_an_unknown_type_is_an_error() -> None:
    with pytest.raises(KeyError):
        events.example("task.drafted", at=AT)


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_a_model__accepts_unknown_fields(kind: Kind) -> None:
    made = events.example(kind.name, at=AT)
    later = {**made, "new": 1, "data": {**made["data"], "new": 2}}
    assert kind.model.model_validate(later).model_dump()["data"]["new"] == 2
    jsonschema_rs.validate(schema_of(kind.model), later)
    assert all(schema["additionalProperties"] is True for schema in objects(schema_of(kind.model)))


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_a_model__refuses_a_body_without_a_required_field(kind: Kind) -> None:
    made = events.example(kind.name, at=AT)
    facts = kind.model.model_fields["data"].annotation
    assert facts is not None
    needed = [name for name, field in facts.model_fields.items() if field.is_required()]
    assert needed
    for name in needed:
        data = {key: value for key, value in made["data"].items() if key != name}
        with pytest.raises(ValidationError, match=f"data.{name}"):
            kind.model.model_validate({**made, "data": data})
        assert not jsonschema_rs.is_valid(schema_of(kind.model), {**made, "data": data})


def test_a_model__refuses_the_body_of_another_type() -> None:
    with pytest.raises(ValidationError, match="type"):
        events.TaskStarted.model_validate(EXAMPLES["task.matched"])


@pytest.mark.parametrize("kind", OF_TASKS, ids=named)
def test_a_tasks_event__agrees_with_the_transition_table(kind: Kind) -> None:
    data = EXAMPLES[kind.name]["data"]
    rows = [row for row in TRANSITIONS if row.event == kind.name]
    assert (data["previous_status"], data["status"]) in {(row.source, row.target) for row in rows}
    remarks = (
        EventType.SLA_BREACHED,
        EventType.SLA_AT_RISK,
        EventType.ESCALATED,
        EventType.MESSAGE,
        EventType.UPDATED,
    )
    if kind.name not in remarks:
        facts = kind.model.model_fields["data"].annotation
        assert facts is not None
        assert set(get_args(facts.model_fields["status"].annotation)) == {
            row.target.value for row in rows
        }


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_a_description__is_one_paragraph(kind: Kind) -> None:
    assert kind.description.endswith(".")
    assert "\n" not in kind.description
    assert "  " not in kind.description


def test_the_thin_payload__is_the_ids_of_an_event() -> None:
    ThinEnvelope.model_validate_json(json.dumps(dict(THIN_EXAMPLE)), extra="forbid")
    assert set(THIN_EXAMPLE["data"]) == {"task_id", "sequence"}


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_the_thin_payload__is_a_part_of_the_full_one(kind: Kind) -> None:
    full = EXAMPLES[kind.name]
    facts = kind.thin_model.model_fields["data"].annotation
    assert facts is not None
    required = [name for name, field in facts.model_fields.items() if field.is_required()]
    thin = {**full, "data": {name: full["data"][name] for name in required}}
    kind.thin_model.model_validate(thin, extra="forbid")


@pytest.mark.parametrize(
    ("patterns", "event_type", "is_wanted"),
    [
        (["task.offered"], "task.offered", True),
        (["task.offered"], "task.completed", False),
        (["task.*"], "task.completed", True),
        (["task.*"], "delivery.exhausted", False),
        (["*"], "task.sla_breached", True),
        (["*"], "endpoint.failing", False),
        (["*", "task.*", "task.sla_breached"], "task.sla_at_risk", False),
        (["task.sla_at_risk"], "task.sla_at_risk", True),
        (["*"], "delivery.recovered", False),
        (["endpoint.*"], "endpoint.disabled", True),
        (["endpoint.*"], "delivery.exhausted", False),
        (["delivery.exhausted"], "delivery.exhausted", True),
        (["task.failed", "delivery.*"], "delivery.recovered", True),
        ([], "task.created", False),
        (["*", "task.*", "task.drafted"], "task.drafted", False),
        (["*", "nothing.*", "nothing.such"], "nothing.such", False),
        (["task"], "task.created", False),
    ],
)
def test_matches(patterns: list[str], event_type: str, *, is_wanted: bool) -> None:
    assert events.matches(patterns, event_type) is is_wanted


def test_patterns_for__agrees_with_matches() -> None:
    assert set(events.patterns_for("task.offered")) == {"task.offered", "task.*", "*"}
    assert set(events.patterns_for("endpoint.failing")) == {"endpoint.failing", "endpoint.*"}
    assert events.patterns_for("task.drafted") == ()
    assert events.patterns_for("task.sla_at_risk") == ("task.sla_at_risk",)


def test_silent__is_what_no_wildcard_includes() -> None:
    unmatched = {name for name in EVENT_TYPES if not events.matches(["*", *WILDCARDS], name)}
    assert (
        unmatched
        == events.SILENT
        == {
            "task.sla_at_risk",
            "task.escalated",
            "task.message",
            "task.updated",
            "task.held",
            "review.requested",
            "review.decided",
            "review.overdue",
            "appeal.opened",
            "appeal.decided",
        }
    )


@pytest.mark.parametrize("pattern", [*EVENT_TYPES, "*", *WILDCARDS])
def test_pattern_problem__accepts_known_patterns(pattern: str) -> None:
    assert events.pattern_problem(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("task.drafted", "task.created"),
        ("task.offer", "task.offered"),
        ("", "one of"),
        ("Task.Offered", "one of"),
        ("task.offered ", "one of"),
        ("run.*", "task.*, endpoint.*, delivery.*"),
        ("task.sla*", "only alone or after a group"),
        ("*.failed", "only alone or after a group"),
        ("**", "only alone or after a group"),
        ("task.*.*", "task.*, endpoint.*, delivery.*"),
    ],
)
def test_pattern_problem__says_what_is_wrong(pattern: str, words: str) -> None:
    problem = events.pattern_problem(pattern)
    assert problem is not None
    assert words in problem


def test_the_folder_of_events__has_no_page_of_an_unknown_type() -> None:
    made = {ROOT / name for name in DOCUMENTS}
    left = [path.name for path in (ROOT / "docs" / "events").iterdir() if path not in made]
    assert left == [], f"no longer made: {left}. Mend: delete them."
