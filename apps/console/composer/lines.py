"""Find the line of a JSON text at which the value of a JSON Pointer (RFC 6901) begins."""

import re
from bisect import bisect_right

import orjson

from biolayer.errors import pointer as pointer_of

# A text, a number or word, or a sign of the notation.
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s,:\[\]{}"]+|[,:\[\]{}]', re.DOTALL)


def lines_of(text: str) -> dict[str, int]:
    """Return the line, from 1 on, of each value in a valid JSON text, by its pointer.

    A member of an object is on the line of its name. Where a name occurs twice, the last counts, as
    it does for the parser.
    """
    breaks = [match.start() for match in re.finditer("\n", text)]
    lines = {"": 1}
    # The path to the present value, with a part for each array or object around it.
    path: list[str | int] = []
    arrays: list[bool] = []
    is_name = False
    for match in TOKEN.finditer(text):
        sign, line = match[0], bisect_right(breaks, match.start()) + 1
        if sign in ("]", "}"):
            arrays.pop()
            path.pop()
            is_name = False
        elif sign == ",":
            is_name = not arrays[-1]
            if arrays[-1]:
                path[-1] = int(path[-1]) + 1
        elif is_name:
            path[-1] = orjson.loads(sign)
            lines[pointer_of(*path)] = line
            is_name = False
        elif sign != ":":
            lines.setdefault(pointer_of(*path), line)
            if sign in ("[", "{"):
                arrays.append(sign == "[")
                path.append(0)
                is_name = sign == "{"
    return lines


def line_of(pointer: str, lines: dict[str, int]) -> int:
    """Return the line of a value, or of the nearest one around it that is there."""
    while pointer and pointer not in lines:
        pointer = pointer.rpartition("/")[0]
    return lines.get(pointer, 1)
