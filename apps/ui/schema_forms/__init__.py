"""Make forms from JSON Schemas, without JavaScript from elsewhere. docs/forms.md describes it."""

from apps.ui.schema_forms.answers import Answer, answers_of
from apps.ui.schema_forms.forms import SchemaForm, parse_form, schema_form

__all__ = ["Answer", "SchemaForm", "answers_of", "parse_form", "schema_form"]
