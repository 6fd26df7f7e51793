"""The published contract of `/api`, and what an answer must be by it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PUBLISHED = Path(__file__).resolve().parents[1] / "data" / "agh-tasks.json"
CONTRACT: dict[str, Any] = json.loads(PUBLISHED.read_text())
OPERATIONS = {one["operation_id"]: one for one in CONTRACT["operations"]}
OF_AGENTS = {name: one for name, one in OPERATIONS.items() if one["path"].startswith("/api/agent/")}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
FREE = "property1"
"""A key of the example of an object that may have any."""
EMPTY = ("", None, 0, False, [])

SPREAD = "an average and a maximum do not show how long most runs wait"
ADDED_FIELDS: dict[str, str] = {
    f"dashboard.cards.latency.{measure}_latency_ms.{name}": SPREAD
    for measure in ("claim", "start")
    for name in ("p50_ms", "p95_ms", "p99_ms")
}
"""Fields of answers that the contract does not have, with the reason."""


def answer_faults(operation_id: str, body: Any) -> list[str]:
    """Return what an answer has that its contract does not, or lacks."""
    operation = OPERATIONS[operation_id]
    enums = {path: CONTRACT["enums"][name] for path, name in operation["response_enums"].items()}
    return list(
        _faults(body, operation["response_example"], "", operation["response_required"], enums)
    )


def error_faults(body: Any) -> list[str]:
    """Return what an error's body has that its contract does not, or lacks."""
    published = CONTRACT["error_body"]
    example = published["example"]
    example["diagnostic"]["evidence"] = None
    enums = {path: CONTRACT["enums"][name] for path, name in published["enums"].items()}
    lease_codes = [reason.lower() for reason in CONTRACT["enums"]["autonomy_reason"]]
    enums["diagnostic.code"] = [*enums["diagnostic.code"], *lease_codes]
    return list(_faults(body, example, "", published["required"], enums))


Enums = dict[str, list[str]]
Required = dict[str, bool]


def _faults(value: Any, example: Any, path: str, required: Required, enums: Enums) -> Iterator[str]:
    if example is None:
        return
    if path.endswith(".confidence") and isinstance(value, float):
        # Its example is a whole number.
        value = 1
    if type(value) is not type(example):
        yield f"{path} is no {type(example).__name__}"
    elif isinstance(example, dict) and FREE not in example:
        yield from _object_faults(value, example, path, required, enums)
    elif isinstance(example, list):
        for item in value:
            yield from _faults(item, example[0], f"{path}[]", required, enums)
    elif path in enums:
        if value not in enums[path]:
            yield f"{path} is {value}"
    elif isinstance(example, str) and TIME.fullmatch(example) and not TIME.fullmatch(value):
        yield f"{path} is no time"


def _object_faults(
    value: Any, example: Any, path: str, required: Required, enums: Enums
) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    added = {prefix + name for name in value.keys() - example.keys()} - ADDED_FIELDS.keys()
    yield from (f"{place} is not published" for place in added)
    for name, part in example.items():
        place = prefix + name
        if name not in value:
            if required[place]:
                yield f"{place} is missing"
            continue
        if value[name] in EMPTY and not required[place]:
            yield f"{place} is empty, and not left out"
        yield from _faults(value[name], part, place, required, enums)
