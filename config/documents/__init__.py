"""Generate the pages of docs/ that describe the code."""

from collections.abc import Callable, Mapping

from config.documents import events, lifecycle, openapi

DOCUMENTS: Mapping[str, Callable[[], str]] = {
    "docs/lifecycle.md": lifecycle.page,
    "docs/openapi.json": openapi.page,
    "docs/team-workspace.json": openapi.team_workspace_page,
    "docs/openapi-operations.json": openapi.operations_page,
    **events.pages(),
}
"""The path of each page, and the function that returns its text."""
