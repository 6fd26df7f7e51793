"""Make forms from JSON Schemas, without JavaScript from elsewhere. docs/forms.md describes it."""

from apps.ui.schema_forms.forms import SchemaForm, parse_form, schema_form

__all__ = ["SchemaForm", "parse_form", "schema_form"]
