"""`docs/events/`: a page on all events, and a schema and an example for each type."""

from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from biolayer.events import CATALOGUE, EXAMPLES, SILENT, THIN_EXAMPLE, Kind, ThinEnvelope
from biolayer.events.tasks import TaskFacts
from biolayer.schemas import schema_of
from config.documents.text import pretty

FOLDER = "docs/events"

HEAD = """\
# Events

Made from `biolayer/events/` by `python3 manage.py document`; edit the models, not this page.

Every webhook's body is `{"type", "timestamp", "data"}`. For each type there is a JSON Schema
(`<type>.schema.json`) and an example (`<type>.example.json`) in this folder; the same schemas are
the `webhooks` of [`docs/openapi.json`](../openapi.json), and in Python they are the models of
`biolayer.events`. How a body is signed and sent is told in [docs/webhooks.md](../webhooks.md).

Facts are only ever added: every schema lets through what it does not name
(`"additionalProperties": true`), and so must a receiver. A fact that may be left out is left out
where it does not apply; it is never null then.

An endpoint asks for types by name, by group (`task.*`, `endpoint.*`, `delivery.*`) or by `*`, which
means every event of a task. The operational ones come only to who names them or their group, silent
ones ({silent}) only to who names them.

## What every event of a task says

"""

THIN = """\
## The thin payload

{description} [Schema](thin.schema.json). Of an operational event it has `endpoint_id` or
`delivery_id` alone.

"""


def pages() -> dict[str, Callable[[], str]]:
    """Each page of the folder and what makes it."""
    made: dict[str, Callable[[], str]] = {f"{FOLDER}/README.md": page}
    for kind in CATALOGUE.values():
        made |= _pair(kind.name, kind.model, EXAMPLES[kind.name])
    return made | _pair("thin", ThinEnvelope, THIN_EXAMPLE)


def _pair(
    name: str, model: type[BaseModel], example: Mapping[str, Any]
) -> dict[str, Callable[[], str]]:
    return {
        f"{FOLDER}/{name}.schema.json": lambda: pretty(schema_of(model)),
        f"{FOLDER}/{name}.example.json": lambda: pretty(dict(example)),
    }


def page() -> str:
    silent = ", ".join(f"`{name}`" for name in sorted(SILENT))
    parts = [HEAD.replace("{silent}", silent), _table(TaskFacts), "\n"]
    parts += [_section(kind) for kind in CATALOGUE.values()]
    description = " ".join((ThinEnvelope.__doc__ or "").split())
    parts += [THIN.format(description=description), _block(THIN_EXAMPLE)]
    return "".join(parts)


def _section(kind: Kind) -> str:
    facts = kind.model.model_fields["data"].annotation
    assert isinstance(facts, type)
    assert issubclass(facts, BaseModel)
    told_above = TaskFacts.model_fields if issubclass(facts, TaskFacts) else {}
    own = _table(facts, leave_out=told_above)
    parts = [f"## `{kind.name}`\n", f"{kind.description} [Schema]({kind.name}.schema.json).\n"]
    parts += [own] if own else []
    return "\n".join([*parts, _block(EXAMPLES[kind.name]), ""])


def _table(model: type[BaseModel], leave_out: Container[str] = ()) -> str:
    schema = schema_of(model)
    rows = list(_rows(schema, schema.get("$defs", {}), leave_out=leave_out))
    head = ["| fact | is | |", "|---|---|---|"]
    return "\n".join([*head, *rows, ""]) if rows else ""


def _rows(
    schema: Mapping[str, Any],
    known: Mapping[str, Any],
    *,
    leave_out: Container[str] = (),
    prefix: str = "",
) -> Iterator[str]:
    """A row for each fact; those of an object follow it."""
    for name, field in schema["properties"].items():
        if name not in leave_out:
            yield _row(f"{prefix}{name}", field, required=name in schema.get("required", []))
            inner = known.get(field.get("$ref", "").rpartition("/")[2])
            if inner is not None:
                yield from _rows(inner, known, prefix=f"{prefix}{name}.")


def _row(name: str, field: Mapping[str, Any], *, required: bool) -> str:
    words = list(_words(field))
    if not required:
        words = [*(word for word in words if word != "null"), "may be left out"]
    kind = " or ".join(words).replace(" or may be", ", may be")
    return f"| `{name}` | {kind} | {field.get('description', '')} |"


def _words(field: Mapping[str, Any]) -> Iterator[str]:
    """What may stand there, in words."""
    for branch in field.get("anyOf", [field]):
        if "$ref" in branch:
            yield "object"
        elif "const" in branch:
            yield f"`{branch['const']}`"
        elif branch.get("title") == "status":
            yield "a [status](../lifecycle.md)"
        elif "enum" in branch:
            yield from (f"`{value}`" for value in branch["enum"])
        elif branch.get("type") == "array":
            yield f"list of {' or '.join(_words(branch['items']))}"
        else:
            yield branch.get("format") or branch.get("type") or "any JSON"


def _block(example: Mapping[str, Any]) -> str:
    return f"```json\n{pretty(dict(example))}```\n"
