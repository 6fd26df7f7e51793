"""Prepare what a contract asks of its worker, as all pages show it."""

from typing import Any

from apps.ui.markdown import render_markdown
from apps.ui.schema_forms import answers_of

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
