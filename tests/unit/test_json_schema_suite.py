"""Test `output.schema` with the JSON-Schema-Test-Suite: schemas accepted, instances judged."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.tasks.schemas.checks import schema_faults, schema_violations

SUITE = Path(__file__).resolve().parents[1] / "data" / "json-schema-test-suite"

ASSERTED = "formats are asserted here; in the suite's main part they are annotations"
REMOTE = "refers to a document that would have to be fetched"
METASCHEMA = "refers to the schema of schemas, which is outside of the document"
DIALECT = "is of another dialect than JSON Schema 2020-12"

WHOLE_FILES = {"format.json": ASSERTED, "refRemote.json": REMOTE}
REFUSED = {
    ("defs.json", "validate definition against metaschema"): METASCHEMA,
    ("ref.json", "remote ref, containing refs itself"): METASCHEMA,
    (
        "vocabulary.json",
        "schema that uses custom metaschema with with no validation vocabulary",
    ): DIALECT,
    ("vocabulary.json", "ignore unrecognized optional vocabulary"): DIALECT,
    ("dynamicRef.json", "strict-tree schema, guards against misspelled properties"): REMOTE,
    ("dynamicRef.json", "tests for implementation dynamic anchor and reference link"): REMOTE,
    ("dynamicRef.json", "$ref and $dynamicAnchor are independent of order - $defs first"): REMOTE,
    ("dynamicRef.json", "$ref and $dynamicAnchor are independent of order - $ref first"): REMOTE,
    ("dynamicRef.json", "$ref to $dynamicRef finds detached $dynamicAnchor"): REMOTE,
}
"""File and description of each group whose schema is refused: why. Boolean schemas are not tried:
`output.schema` is an object."""


def groups() -> Iterator[Any]:
    for path in sorted(SUITE.rglob("*.json")):
        name = str(path.relative_to(SUITE))
        if name in WHOLE_FILES:
            continue
        for group in json.loads(path.read_text()):
            if isinstance(group["schema"], dict):
                yield pytest.param(name, group, id=f"{name}: {group['description']}")


@pytest.mark.parametrize(("name", "group"), [*groups()])
def test_suite(name: str, group: dict[str, Any]) -> None:
    schema = group["schema"]
    found = [*schema_faults({"output": {"schema": schema}})]
    if (name, group["description"]) in REFUSED:
        assert found
        return
    assert found == []
    for test in group["tests"]:
        is_valid = schema_violations(schema, test["data"]) == []
        assert is_valid == test["valid"], test["description"]
