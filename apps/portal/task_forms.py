"""Make the form of a task from its contract, from what is posted, and from what is stored."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.utils.translation import gettext

from apps.tasks.outputs import output_faults
from apps.tasks.schemas.notation import as_json_schema
from apps.tasks.selectors import Work
from apps.ui.schema_forms import SchemaForm, parse_form, schema_form
from biolayer.errors import Fault, MalformedJSON, TooLarge

PREFIX = "output"


def asks_for_output(work: Work) -> bool:
    """Return whether there is anything to fill in: a file may be all that is asked for."""
    task = work.task
    return task.expected_format != "file" or task.output_schema is not None


def schema_of(work: Work) -> Mapping[str, Any] | None:
    """Return the JSON Schema of the form."""
    task = work.task
    if task.expected_format == "text":
        return {"type": "string", "minLength": 1, "title": gettext("Your answer")}
    schema = task.ordered_output_schema
    return None if schema is None else as_json_schema(schema)


def stored_form(work: Work, *, faults: Sequence[Fault] = ()) -> SchemaForm | None:
    """Return the form with what its worker has saved; None where nothing is asked for."""
    if not asks_for_output(work):
        return None
    draft = work.draft
    saved = {} if draft is None else {"output": draft.output, "form": draft.form}
    return schema_form(schema_of(work), **saved, faults=faults, time_zone=zone_of(work))


def posted_form(work: Work, pairs: Iterable[tuple[str, str]]) -> SchemaForm | None:
    """Return the form with the fields that a page sent, in the order of the page."""
    if not asks_for_output(work):
        return None
    own = [(name, text) for name, text in pairs if is_field(name)]
    return parse_form(schema_of(work), own, time_zone=zone_of(work))


def with_faults(work: Work, form: SchemaForm, faults: Sequence[Fault]) -> SchemaForm:
    """Return the same form, which shows these faults at its fields."""
    return schema_form(schema_of(work), form=form.raw, faults=faults, time_zone=zone_of(work))


def faults_of(work: Work, form: SchemaForm | None) -> list[Fault]:
    """Return what the contract's validator finds, as it will find it in the submission."""
    if form is None:
        return []
    task = work.task
    return output_faults(form.output, task.output_schema, task.expected_format)


def is_field(name: str) -> bool:
    """Return whether a posted field belongs to the output."""
    return name == PREFIX or name.startswith(f"{PREFIX}/")


def pairs_of(form: Any) -> list[tuple[str, str]]:
    """Return the pairs of a form that a script sent. Raise `MalformedJSON`, `TooLarge`."""
    if not isinstance(form, dict):
        raise MalformedJSON("`form` must be an object.")
    pairs = []
    for name, texts in form.items():
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise MalformedJSON("`form` must have a list of texts for each name.")
        pairs += [(name, text) for text in texts]
    # Each costs time, and Django refuses more of them in a posted form as well.
    limit = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
    if max(len(pairs), len(form)) > limit:
        raise TooLarge(f"`form` must have at most {limit} texts.")
    return pairs


def zone_of(work: Work) -> str:
    """Return the time zone of the worker."""
    worker = work.run.worker
    return "UTC" if worker is None else worker.time_zone
