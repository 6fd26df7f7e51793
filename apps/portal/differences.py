"""Compare what two attempts answered, field by field, for a person who reviews the second."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any

from apps.ui.schema_forms import Answer

# Longer texts are shown whole, before and after: comparing takes the product of their lengths.
MAX_WORDS = 600
# The share of words that stayed, from which on a change is shown word by word.
LIKE = 0.4
# A word with the space before it.
WORD = re.compile(r"\s*\S+|\s+")


class Change(StrEnum):
    """Name what happened to a field since the attempt before."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Piece:
    """Hold a part of a text: in both attempts, only in this one, or only in the one before."""

    text: str
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """Hold a field of an output: its label, its text or lines, and what changed.

    `place` is the JSON Pointer to its value. `pieces` show a changed text word by word; without
    them, `before` is the text of the attempt before.
    """

    label: Any
    place: str
    text: str = ""
    lines: tuple["Line", ...] = ()
    change: Change | None = None
    before: str = ""
    pieces: tuple[Piece, ...] = ()


def lines_of(answers: Sequence[Answer], *, change: Change | None = None) -> tuple[Line, ...]:
    """Return answers as lines without a comparison; `change` is that of the outermost ones."""
    return tuple(
        Line(one.label, one.place, one.text, lines_of(one.answers), change) for one in answers
    )


def compared(answers: Sequence[Answer], before: Sequence[Answer]) -> tuple[Line, ...]:
    """Return the answers with what changed; those that are gone follow at the end of their group.

    Items of lists are compared by their position.
    """
    earlier = {one.place: one for one in before}
    found: list[Line] = []
    for one in answers:
        old = earlier.pop(one.place, None)
        found += lines_of([one], change=Change.ADDED) if old is None else [_compared(one, old)]
    return (*found, *lines_of([*earlier.values()], change=Change.REMOVED))


def _compared(one: Answer, old: Answer) -> Line:
    lines = compared(one.answers, old.answers) if one.answers and old.answers else None
    if lines is None and (one.answers or old.answers):
        before = old.text or text_of(old)
        return Line(one.label, one.place, one.text, lines_of(one.answers), Change.CHANGED, before)
    if one.text == old.text:
        return Line(one.label, one.place, one.text, lines or ())
    pieces = tuple(_pieces(old.text, one.text))
    return Line(one.label, one.place, one.text, lines or (), Change.CHANGED, old.text, pieces)


def text_of(answer: Answer) -> str:
    """Return an answer and all below it as one text."""
    inner = "; ".join(f"{one.label}: {text_of(one)}" for one in answer.answers)
    return " ".join(filter(None, (answer.text, inner)))


def _pieces(before: str, after: str) -> Iterator[Piece]:
    """Yield the pieces of a changed text; none where it is too long, or few of its words stayed."""
    old, new = WORD.findall(before), WORD.findall(after)
    if max(len(old), len(new)) > MAX_WORDS:
        return
    matcher = SequenceMatcher(None, [*map(str.strip, old)], [*map(str.strip, new)], autojunk=False)
    if matcher.ratio() < LIKE:
        return
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            yield Piece("".join(new[c:d]))
            continue
        if a < b:
            yield Piece("".join(old[a:b]), Change.REMOVED)
        if c < d:
            yield Piece("".join(new[c:d]), Change.ADDED)


def count_of(lines: Sequence[Line]) -> int:
    """Return how many fields were added, removed or changed."""
    return sum(count_of(one.lines) + (one.change is not None) for one in lines)


def places_of(answers: Sequence[Answer], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield the place of each answer, and its label with those of the groups that it is in."""
    for one in answers:
        label = f"{above}: {one.label}" if above else str(one.label)
        yield one.place, label
        yield from places_of(one.answers, label)
