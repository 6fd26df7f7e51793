"""The document of `/api`: whole, with a description and an example of each field."""

import jsonschema_rs

from apps.api.operations.document import openapi
from biolayer.schemas import example_of


def test_every_property__is_described_and_has_an_example() -> None:
    schemas = openapi()["components"]["schemas"]
    fields = {
        f"{model}.{name}": field
        for model, schema in schemas.items()
        for name, field in schema.get("properties", {}).items()
        if model not in ("OpenApiDocument",)
    }
    assert [name for name, field in fields.items() if not field.get("description")] == []
    shown = ("examples", "const", "$ref")
    assert [
        name
        for name, field in fields.items()
        if not any(word in field for word in shown) and "#/components/schemas" not in str(field)
    ] == []


def test_every_schema__allows_its_example() -> None:
    schemas = openapi()["components"]["schemas"]
    for name, schema in schemas.items():
        whole = {**schema, "components": {"schemas": schemas}}
        found = jsonschema_rs.Draft202012Validator(whole, validate_formats=True).iter_errors(
            example_of(schema, schemas)
        )
        assert [(name, error.instance_path, error.message) for error in found] == []


def test_no_call__has_a_parameter_that_is_not_described() -> None:
    document = openapi()
    parameters = document["components"]["parameters"]
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for parameter in operation.get("parameters", []):
                if "$ref" in parameter:
                    assert parameter["$ref"].rpartition("/")[2] in parameters, path
                else:
                    assert parameter["description"], path
            assert "Idempotency-Key" not in operation["description"]
