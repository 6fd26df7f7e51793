"""Prepare what a contract asks of its worker, and what was answered, as all pages show it."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext

from apps.tasks.schemas.notation import as_json_schema
from apps.ui.markdown import render_markdown
from apps.ui.schema_forms import Answer, answers_of

# Members of a contract's context that pages show in places of their own.
NAMED = ("background", "constraints", "risk_notes", "attachments")


def brief_of(task: Any) -> dict[str, Any]:
    """Return a task's instructions and its context for a template; `more` has all other members."""
    context = task.context
    more = {key: context[key] for key in context if key not in NAMED}
    return {
        "instructions": render_markdown(task.instructions),
        "background": context.get("background", ""),
        "constraints": context.get("constraints", []),
        "risk_notes": context.get("risk_notes", []),
        "more": answers_of(None, more) if more else (),
    }


def output_answers(task: Any, output: Any, *, time_zone: str) -> Sequence[Answer]:
    """Return an output as answers in the order of the task's schema; nothing without an output."""
    if output is None:
        return ()
    return answers_of(_schema_of(task), output, time_zone=time_zone)


def _schema_of(task: Any) -> Mapping[str, Any] | None:
    if task.expected_format == "text":
        return {"type": "string", "title": gettext("Answer")}
    schema = task.ordered_output_schema
    return None if schema is None else as_json_schema(schema)
