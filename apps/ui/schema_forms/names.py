"""Name the fields of a form, and the elements of a page, by JSON Pointers (RFC 6901).

The field for `/output/items/0/sku` is named `output/items/0/sku`. What is not a value of its own
has a last part that no pointer can contain, since a `~` is followed by 0 or 1 there.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ROOT = "output"

# The value as JSON, in place of the fields of its parts.
AS_JSON = "/~json"
# The number of the chosen alternative.
CHOICE = "/~choice"
# What the unchanged text stands for, as JSON; an empty text stands for no value.
WAS = "/~was"
# Marks a row of a list, which may have no field with a text.
ROW = "/~row"
# Which of two moments a local time means when clocks are set back.
OCCURRENCE = "/~occurrence"
# With the number of an alternative: what was entered there before another one was chosen.
LEFT = "/~left"
# Of the whole form: the zone in which its times were entered. The worker may have another one now.
ZONE = "/~zone"

# The place of the row in the template of new rows.
NEW_ROW = "-"

_LEFT_NAME = re.compile(
    r"(?P<choice>.*?)/~left/(?P<number>0|[1-9][0-9]{0,3})(?P<rest>/.*)?", re.DOTALL
)
_ROW_NAME = re.compile(r"(?P<list>.*)/(?P<row>0|[1-9][0-9]{0,5})/~row", re.DOTALL)

# HTML has no character 0, and UTF-8 no halves of pairs.
UNSHOWABLE = re.compile("[\x00\ud800-\udfff]")

# Of a name; forms are less deep (MAX_DEPTH in building.py).
MAX_PARTS = 64

Texts = Mapping[str, Sequence[str]]


class _Missing:
    """Mark a value that is absent, which null is not."""

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()


def child(name: str, part: str | int) -> str:
    """Return the name of the field for a property or an item."""
    return f"{name}/{str(part).replace('~', '~0').replace('/', '~1')}"


def pointer_of(name: str) -> str:
    return f"/{name}"


def element_id(name: str) -> str:
    """Return the id of a field's element: unique, and usable in a selector as it is.

    Parts are separated by `-`; other characters than letters and digits become `_`, their code and
    `_`, and a `_` is doubled. So no part contains `-`, and suffixes begin with `--`.
    """
    return "-".join(_id_part(part) for part in name.split("/"))


def _id_part(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", lambda found: _escaped(found[0]), part) or "_"


def _escaped(character: str) -> str:
    return "__" if character == "_" else f"_{ord(character):x}_"


def first(texts: Texts, name: str) -> str:
    """Return the first text of a field; "" without one."""
    found = texts.get(name)
    return found[0] if found else ""


def collected(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the texts by name, in order. Fields of other names are left out."""
    texts: dict[str, list[str]] = {}
    for name, text in pairs:
        if re.match(r"output(/|$)", name):
            # A browser sends line ends of names as CR and LF, too.
            texts.setdefault(name.replace("\r\n", "\n"), []).append(UNSHOWABLE.sub("", text))
    return texts


def rows_of(texts: Texts) -> dict[str, list[int]]:
    """Return the numbers of the rows of each list, in order."""
    rows: dict[str, list[int]] = {}
    for name in texts:
        if found := _ROW_NAME.fullmatch(name):
            rows.setdefault(found["list"], []).append(int(found["row"]))
    return {name: sorted(numbers) for name, numbers in rows.items()}


def left_texts(texts: Texts) -> dict[str, dict[int, dict[str, list[str]]]]:
    """Return the texts of alternatives that were left, by choice and number, by their own names.

    They are in the order of the page. What concerns the choice itself is left out.
    """
    left: dict[str, dict[int, dict[str, list[str]]]] = {}
    for name, found in texts.items():
        parts = _LEFT_NAME.fullmatch(name) if LEFT in name else None
        if parts is None or parts["rest"] in (AS_JSON, CHOICE):
            continue
        alternatives = left.setdefault(parts["choice"], {})
        own = alternatives.setdefault(int(parts["number"]), {})
        own[parts["choice"] + (parts["rest"] or "")] = [*found]
    return left


def without_left(texts: Texts) -> Texts:
    """Return the texts without those of alternatives that were left."""
    return {name: found for name, found in texts.items() if LEFT + "/" not in name}


def renumbered(texts: Texts) -> dict[str, list[str]]:
    """Return the texts with rows that are numbered from 0 on without gaps.

    A page without scripts, or one that failed, may leave rows out.
    """
    places = {
        name: {str(number): place for place, number in enumerate(numbers)}
        for name, numbers in rows_of(texts).items()
    }
    return {_moved(name, places): [*found] for name, found in texts.items()}


def _moved(name: str, places: Mapping[str, Mapping[str, int]]) -> str:
    parts = name.split("/", MAX_PARTS)
    prefix, moved = parts[0], [parts[0]]
    for part in parts[1:]:
        place = places.get(prefix, {}).get(part)
        moved.append(part if place is None else str(place))
        prefix = f"{prefix}/{part}"
    return "/".join(moved)
