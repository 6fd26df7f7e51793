"""Generate `docs/events/`: a page about all events, and a schema and an example of each type."""

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

Generated from `biolayer/events/` by `python3 manage.py document`. Edit the models, not this page.

The body of every webhook is `{"type", "timestamp", "data"}`. This folder contains a JSON Schema
(`<type>.schema.json`) and an example (`<type>.example.json`) of each type. The schemas are also the
`webhooks` of [`docs/openapi.json`](../openapi.json), and the models of `biolayer.events` in Python.
[docs/webhooks.md](../webhooks.md) describes how webhooks are signed and sent.

New fields may be added at any time. All schemas allow unknown fields
(`"additionalProperties": true`), and receivers must ignore them. An optional field is omitted where
it does not apply; it is never null.

Endpoints subscribe to types by name, by group (`task.*`, `endpoint.*`, `delivery.*`) or by `*`,
which includes all events of tasks. Operational events are sent only to endpoints that name the type
or its group. Silent events ({silent}) are sent only to endpoints that name the type.

## Fields of all task events

"""

THIN = """\
## The thin payload

{description} [Schema](thin.schema.json). The thin body of an operational event contains
`endpoint_id` or `delivery_id` only.

"""


def pages() -> dict[str, Callable[[], str]]:
    """Return the path of each page in the folder, and the function that returns its text."""
    generated: dict[str, Callable[[], str]] = {f"{FOLDER}/README.md": page}
    for kind in CATALOGUE.values():
        generated |= _pair(kind.name, kind.model, EXAMPLES[kind.name])
    return generated | _pair("thin", ThinEnvelope, THIN_EXAMPLE)


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
    shared = TaskFacts.model_fields if issubclass(facts, TaskFacts) else {}
    table = _table(facts, leave_out=shared)
    parts = [f"## `{kind.name}`\n", f"{kind.description} [Schema]({kind.name}.schema.json).\n"]
    parts += [table] if table else []
    return "\n".join([*parts, _block(EXAMPLES[kind.name]), ""])


def _table(model: type[BaseModel], leave_out: Container[str] = ()) -> str:
    schema = schema_of(model)
    rows = list(_rows(schema, schema.get("$defs", {}), leave_out=leave_out))
    head = ["| field | type | description |", "|---|---|---|"]
    return "\n".join([*head, *rows, ""]) if rows else ""


def _rows(
    schema: Mapping[str, Any],
    known: Mapping[str, Any],
    *,
    leave_out: Container[str] = (),
    prefix: str = "",
) -> Iterator[str]:
    """Yield a row for each field; the fields of an object follow it."""
    for name, field in schema["properties"].items():
        if name not in leave_out:
            yield _row(f"{prefix}{name}", field, required=name in schema.get("required", []))
            inner = known.get(field.get("$ref", "").rpartition("/")[2])
            if inner is not None:
                yield from _rows(inner, known, prefix=f"{prefix}{name}.")


def _row(name: str, field: Mapping[str, Any], *, required: bool) -> str:
    types = list(_types(field))
    if not required:
        types = [name for name in types if name != "null"]
    text = " or ".join(types) + ("" if required else ", optional")
    return f"| `{name}` | {text} | {field.get('description', '')} |"


def _types(field: Mapping[str, Any]) -> Iterator[str]:
    """Yield the types or values that a field may have."""
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
            yield f"list of {' or '.join(_types(branch['items']))}"
        else:
            yield branch.get("format") or branch.get("type") or "any JSON"


def _block(example: Mapping[str, Any]) -> str:
    return f"```json\n{pretty(dict(example))}```\n"
