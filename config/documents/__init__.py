"""The pages of docs/ that are made from the code: they cannot say anything else than it does."""

from collections.abc import Callable, Mapping

from config.documents import events, lifecycle, openapi

DOCUMENTS: Mapping[str, Callable[[], str]] = {
    "docs/lifecycle.md": lifecycle.page,
    "docs/openapi.json": openapi.page,
    **events.pages(),
}
"""Each page's path and what makes it."""
