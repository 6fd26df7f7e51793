"""Generate JSON Schemas (2020-12) of the API's models, for documents.

Titles that only repeat a field's name are left out, and so are the defaults null, "" and an object
of defaults. Each field gets a description and an example: its own, or those of
`biolayer.field_descriptions`.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from biolayer.field_descriptions import FROM_PARTS, description_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _PlainSchema(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        generated = super().default_schema(schema)
        default = generated.get("default")
        if default is None or default == "" or isinstance(default, dict):
            generated.pop("default", None)
        return generated

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Return the schema of a map. Other keys than those of its pattern are refused."""
        generated = super().dict_schema(schema)
        patterns = generated.pop("patternProperties", None)
        if patterns is not None:
            ((pattern, values),) = patterns.items()
            generated |= {"propertyNames": {"pattern": pattern}, "additionalProperties": values}
        return generated


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of one model, including the definitions that it refers to."""
    generated = model.model_json_schema(schema_generator=_PlainSchema)
    for name, schema in [(model.__name__, generated), *generated.get("$defs", {}).items()]:
        _describe(name, schema)
    return {"$schema": DIALECT, **generated}


def components(models: Iterable[type[BaseModel]]) -> dict[str, Any]:
    """Return the schemas of `models` and of their parts, for `#/components/schemas` of OpenAPI.

    A default is written into the description: client generators treat a field with a default as
    required.
    """
    inputs = [(model, "validation") for model in models]
    _, generated = models_json_schema(
        inputs,  # type: ignore[arg-type]
        schema_generator=_PlainSchema,
        ref_template="#/components/schemas/{model}",
    )
    for name, schema in generated["$defs"].items():
        _describe(name, schema)
        for field in schema.get("properties", {}).values():
            if "default" in field:
                default = json.dumps(field.pop("default"))
                field["description"] += f" Default: `{default}`."
    return dict(sorted(generated["$defs"].items()))


def _describe(model: str, schema: dict[str, Any]) -> None:
    for name, field in schema.get("properties", {}).items():
        entry = description_of(model, name)
        if entry is None:
            continue
        description, example = entry
        field.setdefault("description", description)
        # A constant needs no example, and an object has those of its fields.
        if example is not FROM_PARTS and "$ref" not in field and "const" not in field:
            field.setdefault("examples", [_allowed_example(field, example)])


def _allowed_example(field: dict[str, Any], example: Any) -> Any:
    """Return `example`, or the first choice where the field does not allow it.

    Several models may have a field of the same name with different choices.
    """
    choices = [choice for branch in _branches(field) for choice in branch.get("enum", ())]
    return example if not choices or example in choices else choices[0]


def _branches(field: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield field
    yield from field.get("anyOf", ())


def example_of(schema: dict[str, Any], known: dict[str, Any]) -> Any:
    """Return an example of a schema, built from those of its fields.

    `known` are the schemas that references lead to, as `components` returns them.
    """
    if "$ref" in schema:
        return example_of(known[schema["$ref"].rpartition("/")[2]], known)
    if "const" in schema:
        return schema["const"]
    examples = [*schema.get("examples", ()), *schema.get("enum", ())]
    if examples:
        return examples[0]
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], known)
    if schema.get("type") == "array":
        return [example_of(schema["items"], known)]
    fields = schema.get("properties", {})
    return {name: example_of(part, known) for name, part in fields.items()}
