"""The JSON Schemas (2020-12) of the wire's models, for documents.

Without titles that only repeat a field's name, and without defaults that say nothing: null, the
empty text, and an object of nothing but defaults. Each field is described, and has an example: its own,
or that of its note (field_descriptions.py).
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from biolayer.field_descriptions import NONE, note_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Quiet(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        default = made.get("default")
        if default is None or default == "" or isinstance(default, dict):
            made.pop("default", None)
        return made


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of one model, complete in itself."""
    made = model.model_json_schema(schema_generator=_Quiet)
    for name, schema in [(model.__name__, made), *made.get("$defs", {}).items()]:
        _describe(name, schema)
    return {"$schema": DIALECT, **made}


def components(models: Iterable[type[BaseModel]]) -> dict[str, Any]:
    """Return the schemas of `models` and of what they are made of, for `#/components/schemas` of OpenAPI.

    A default is told in the description: generators of clients take a field that has one for required.
    """
    wanted = [(model, "validation") for model in models]
    _, made = models_json_schema(
        wanted,  # type: ignore[arg-type]
        schema_generator=_Quiet,
        ref_template="#/components/schemas/{model}",
    )
    for name, schema in made["$defs"].items():
        _describe(name, schema)
        for field in schema.get("properties", {}).values():
            if "default" in field:
                default = json.dumps(field.pop("default"))
                field["description"] += f" Unless given: `{default}`."
    return dict(sorted(made["$defs"].items()))


def _describe(model: str, schema: dict[str, Any]) -> None:
    for name, field in schema.get("properties", {}).items():
        note = note_of(model, name)
        if note is None:
            continue
        description, example = note
        field.setdefault("description", description)
        # A constant or a choice says enough by itself, and an object is shown by its parts.
        if example is not NONE and "$ref" not in field and "const" not in field:
            field.setdefault("examples", [_fitting(field, example)])


def _fitting(field: dict[str, Any], example: Any) -> Any:
    """Return an example that a choice of this field allows: the same name may have several."""
    choices = [choice for part in _parts(field) for choice in part.get("enum", ())]
    return example if not choices or example in choices else choices[0]


def _parts(field: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield field
    yield from field.get("anyOf", ())


def example_of(schema: dict[str, Any], known: dict[str, Any]) -> Any:
    """Return an example of a schema, made of those of its fields. `known`: those of `components`."""
    if "$ref" in schema:
        return example_of(known[schema["$ref"].rpartition("/")[2]], known)
    if "const" in schema:
        return schema["const"]
    given = [*schema.get("examples", ()), *schema.get("enum", ())]
    if given:
        return given[0]
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], known)
    if schema.get("type") == "array":
        return [example_of(schema["items"], known)]
    fields = schema.get("properties", {})
    return {name: example_of(part, known) for name, part in fields.items()}
