"""Read the parameters of pages."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from apps.base.ids import id_of

MAX_DIGITS = 9
MAX_CHOSEN = 100
"""Rows that one call of a page changes."""


def ids_of(texts: Sequence[str]) -> list[UUID]:
    """Return the ids among the texts, each once, at most `MAX_CHOSEN`, in the order of locks."""
    found = {chosen for text in texts[:MAX_CHOSEN] if (chosen := id_of(text)) is not None}
    return sorted(found)


def number_of(text: str) -> int | None:
    """Return the number that at most nine digits are; None for another text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else None


def as_text(document: Mapping[str, Any]) -> str:
    """Return a document for a hidden field."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode()


def document_of(text: str) -> dict[str, Any]:
    """Return the document of a hidden field; an empty one for another text."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
