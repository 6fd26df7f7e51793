"""Show a JSON value to people: as rows of a name and a text."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.utils import formats
from django.utils.translation import gettext

MAX_ROWS = 200
MAX_TEXT = 4000
SEPARATOR = " \u203a "


@dataclass(frozen=True, slots=True)
class Row:
    """Hold the path of a value in words, and its text."""

    name: str
    text: str


def rows_of(value: Any) -> list[Row]:
    """Return a row for each value within `value`, at most `MAX_ROWS`."""
    return list(islice(_rows(value, ()), MAX_ROWS))


def _rows(value: Any, path: tuple[str, ...]) -> Iterator[Row]:
    if isinstance(value, dict) and value:
        for name, child in value.items():
            yield from _rows(child, (*path, name.replace("_", " ")))
    elif isinstance(value, list) and value:
        for index, child in enumerate(value, start=1):
            yield from _rows(child, (*path, str(index)))
    else:
        yield Row(SEPARATOR.join(path), _text(value))


def _text(value: Any) -> str:
    match value:
        case True:
            return gettext("Yes")
        case False:
            return gettext("No")
        case None | "" | [] | {}:
            return "\u2013"
    text = str(formats.localize(value) if isinstance(value, float) else value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
