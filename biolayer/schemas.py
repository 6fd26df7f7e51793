"""The JSON Schemas (2020-12) of the wire's models, for documents.

Without titles that only repeat a field's name, and without defaults that say nothing: null, the
empty text, and an object of nothing but defaults.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

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
    """The schema of one model, complete in itself."""
    return {"$schema": DIALECT, **model.model_json_schema(schema_generator=_Quiet)}


def components(models: Iterable[type[BaseModel]]) -> dict[str, Any]:
    """The schemas of `models` and of what they are made of, for `#/components/schemas` of OpenAPI."""
    wanted = [(model, "validation") for model in models]
    _, made = models_json_schema(
        wanted,  # type: ignore[arg-type]
        schema_generator=_Quiet,
        ref_template="#/components/schemas/{model}",
    )
    return dict(sorted(made["$defs"].items()))
