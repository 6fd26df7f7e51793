"""Measure the cost of hostile schemas, each with its most expensive output.

Each is checked as a posted task's `output.schema` is, and, unless it is refused, as a submission:
the wall-clock time and the memory of both are measured. Exit code 1 when one takes more than 0.5 s
or 100 MB.
"""

import gc
import itertools
import json
import os
import string
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from apps.tasks.outputs import output_faults  # noqa: E402 - the path must be set first
from apps.tasks.schemas.checks import schema_faults  # noqa: E402
from biolayer.contract import MAX_SCHEMA_BYTES  # noqa: E402

SECONDS = 0.5
BYTES = 100 * 1024 * 1024
MAX_OUTPUT_BYTES = 64 * 1024

Case = tuple[str, dict[str, Any], Any]
ZEROS = [0] * 32_000
NAMES = {f"{number:x}": 0 for number in range(6_500)}
OBJECTS = [{}] * 20_000
TEXT = "a" * 64_000


def cases() -> Iterator[Case]:
    """Yield a name, a schema of at most 32 KiB, and an output of at most 64 KiB."""
    yield from _references()
    yield from _wide()
    yield from _patterns()
    yield from _recursive()


def _fan_out(reference: str, spelled: str, steps: int = 24) -> dict[str, Any]:
    """Build references that double at each step, by each keyword that holds a schema."""
    definitions: dict[str, Any] = {}
    for step in range(steps):
        definitions[f"a{step}"] = {"allOf": [{reference: spelled.format(step + 1)}] * 2}
    definitions[f"a{steps}"] = {"type": "string"}
    return {reference: spelled.format(0), "$defs": definitions}


def _named(schema: dict[str, Any], **keywords: str) -> dict[str, Any]:
    for name, part in schema["$defs"].items():
        part |= {keyword: text.format(name[1:]) for keyword, text in keywords.items()}
    return schema


def _references() -> Iterator[Case]:
    yield "pointers", _fan_out("$ref", "#/$defs/a{}"), "x"
    yield "encoded pointers", _fan_out("$ref", "#/%24defs/%61{}"), "x"
    yield "anchors", _named(_fan_out("$ref", "#b{}"), **{"$anchor": "b{}"}), "x"
    dynamic = _fan_out("$dynamicRef", "#b{}")
    yield "dynamic anchors", _named(dynamic, **{"$dynamicAnchor": "b{}"}), "x"
    yield "ids", _named(_fan_out("$ref", "http://x/{}"), **{"$id": "http://x/{}"}), "x"
    yield "anyOf", {"items": {"anyOf": [{"type": "string"}] * 1_400}}, ZEROS
    loop: dict[str, Any] = {"allOf": [{"properties": {"a": {"$ref": "#"}}}] * 2}
    deep: Any = 0
    for _ in range(60):
        deep = {"a": deep}
    yield "two ways down", loop, deep
    yield "itself", {"$ref": "#"}, 0
    yield (
        "a circle",
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        0,
    )


def _wide() -> Iterator[Case]:
    many = 1_800
    yield "allOf", {"items": {"allOf": [{"type": "integer"}] * 1_500}}, ZEROS
    yield "oneOf", {"items": {"oneOf": [{"minimum": 1}] * many}}, ZEROS
    yield "not", {"items": {"allOf": [{"not": {"type": "integer"}}] * 900}}, ZEROS
    yield "if", {"items": {"allOf": [{"if": {"type": "integer"}, "then": False}] * 700}}, ZEROS
    yield "enum of numbers", {"items": {"enum": list(range(1, 6_000))}}, ZEROS
    yield "enum of texts", {"items": {"enum": [f"{n:x}" for n in range(4_500)]}}, ["zz"] * 13_000
    yield (
        "enum of objects",
        {"items": {"enum": [{"a": n} for n in range(3_000)]}},
        [{"a": -1}] * 8_000,
    )
    yield "const", {"items": {"const": list(range(6_000))}}, [list(range(6_000))] * 2
    yield "required", {"items": {"required": [f"{n:x}" for n in range(4_500)]}}, OBJECTS
    dependent = {"dependentRequired": {f"{n:x}": ["zz"] for n in range(2_000)}}
    yield "dependentRequired", dependent, NAMES
    yield "properties", {"properties": {f"{n:x}": {"type": "string"} for n in range(1_300)}}, NAMES
    yield "additionalProperties", {"additionalProperties": False}, NAMES
    inner: dict[str, Any] = {"properties": {"zz": True}}
    for _ in range(30):
        inner = {"unevaluatedProperties": False, "allOf": [inner]}
    yield "unevaluatedProperties", inner, NAMES
    branches = [{"properties": {f"{n:x}": True}} for n in range(900)]
    yield (
        "unevaluatedProperties of anyOf",
        {"anyOf": branches, "unevaluatedProperties": False},
        NAMES,
    )
    items = [{"prefixItems": [True] * n} for n in range(1, 60)]
    yield "unevaluatedItems", {"anyOf": items, "unevaluatedItems": False}, ZEROS
    yield "uniqueItems", {"uniqueItems": True}, [[n] for n in range(9_000)]
    yield "uniqueItems of texts", {"uniqueItems": True}, [f"{n:x}" for n in range(9_000)]
    yield "contains", {"allOf": [{"contains": {"const": n}} for n in range(1, 900)]}, ZEROS
    yield "multipleOf", {"items": {"allOf": [{"multipleOf": 1e-300}] * 1_200}}, [1e300] * 9_000
    yield (
        "formats",
        {"items": {"allOf": [{"format": "idn-hostname"}] * 1_000}},
        ["a.example"] * 5_000,
    )
    yield (
        "embedded JSON",
        {"contentMediaType": "application/json", "contentSchema": {}},
        "[" * 60_000,
    )


def _patterns() -> Iterator[Case]:
    yield "a large repetition", {"type": "string", "pattern": "(a{1,500}){1,500}$"}, TEXT + "b"
    yield "nested repetition", {"type": "string", "pattern": "((((a{9}){9}){9}){9}){9}"}, TEXT
    yield (
        "many letters",
        {"allOf": [{"pattern": r"\w{200}" + letter} for letter in string.ascii_letters]},
        TEXT,
    )
    yield "thousands of patterns", {"allOf": [{"pattern": rf"\w\d{n}"} for n in range(1_100)]}, TEXT
    yield "one long pattern", {"type": "string", "pattern": r"\w" * 10_000}, TEXT
    yield "many states", {"type": "string", "pattern": "[ab]*a[ab]{300}c"}, "ab" * 32_000
    yield "backtracking", {"type": "string", "pattern": r"^(?=(a+)+$)b"}, TEXT + "c"
    yield "back references", {"type": "string", "pattern": r"^(a*)*\1$"}, TEXT + "c"
    yield (
        "look behind",
        {"items": {"type": "string", "pattern": r"(?<=a)(a|aa)+$"}},
        ["a" * 60 + "b"] * 900,
    )
    several = {"patternProperties": {f"[a-f]*{n:x}$": {"type": "string"} for n in range(900)}}
    yield "patternProperties", several, NAMES
    yield (
        "propertyNames",
        {"propertyNames": {"allOf": [{"pattern": f"[a-f]*{n}$"} for n in range(900)]}},
        NAMES,
    )
    yield "additional by patterns", several | {"additionalProperties": False}, NAMES


def _recursive() -> Iterator[Case]:
    chain = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(800)}
    chain["a800"] = {"items": {"$ref": "#/$defs/a0"}}  # type: ignore[dict-item]
    deep: Any = 0
    for _ in range(63):
        deep = [deep]
    yield "a long chain", {"$ref": "#/$defs/a0", "$defs": chain}, deep
    tree = {
        "anyOf": [
            {"type": "integer"},
            {"items": {"$ref": "#"}},
            {"properties": {"a": {"$ref": "#"}}},
        ]
    }
    yield "a tree of integers", tree, ["x"] * 15_000
    grammar = {
        "oneOf": [
            {"type": "integer"},
            *({"properties": {key: {"$ref": "#"}}, "required": [key]} for key in "abcdef"),
        ]
    }
    nested: Any = "x"
    for letter in itertools.islice(itertools.cycle("abcdef"), 60):
        nested = dict.fromkeys("abcdef", 0) | {letter: nested}
    yield "a grammar", grammar, nested
    one: dict[str, Any] = {"type": "object"}
    for _ in range(60):
        one = {"properties": {"a": one}, "additionalProperties": {"allOf": [{"type": "object"}]}}
    yield "deep", one, NAMES


def main() -> None:
    """Check all, print a line for each, and exit with 1 if one is over its bounds."""
    over_bounds = 0
    # The process for expensive schemas is started once, before the first measurement.
    _measured(next(_patterns()))
    for case in cases():
        name, schema, output = case
        assert len(json.dumps(schema, separators=(",", ":"))) <= MAX_SCHEMA_BYTES, name
        assert len(json.dumps(output, separators=(",", ":"))) <= MAX_OUTPUT_BYTES + 8_000, name
        verdict, seconds, grown = _measured(case)
        is_over = seconds > SECONDS or grown > BYTES
        over_bounds += is_over
        mark = "  !" if is_over else ""
        print(f"{name:<32} {verdict:<42} {seconds:6.3f} s {grown / 1024**2:6.1f} MB{mark}")
    if over_bounds:
        sys.exit(f"{over_bounds} are over their bounds")


def _measured(case: Case) -> tuple[str, float, int]:
    """Return the verdict, the time of the slowest step, and the growth of this process."""
    _, schema, output = case
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, began = _memory("VmRSS"), time.perf_counter()
    faults = [*schema_faults({"output": {"schema": schema}})]
    created = time.perf_counter()
    if faults:
        return f"refused: {faults[0].code}", created - began, _memory("VmHWM") - before
    output_problems = output_faults(output, schema, "structured_json")
    submitted = time.perf_counter()
    code = f" ({output_problems[0].code})" if output_problems else ""
    verdict = f"accepted, {len(output_problems)} faults{code}"
    return verdict, max(created - began, submitted - created), _memory("VmHWM") - before


def _memory(name: str) -> int:
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    return next(
        int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(name)
    )


if __name__ == "__main__":
    main()
