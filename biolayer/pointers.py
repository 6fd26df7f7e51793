"""Follow JSON Pointers (RFC 6901) into documents."""

import re
from typing import Any

SYNTAX = re.compile(r"(/([^~/]|~[01])*)*", re.DOTALL)
# RFC 6901, 4: no leading zeros.
INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


def is_pointer(text: str) -> bool:
    """Return whether a text is a JSON Pointer."""
    return SYNTAX.fullmatch(text) is not None


def points_into(text: str, document: Any) -> bool:
    """Return whether a JSON Pointer leads to a value of the document.

    The empty one leads to the whole document.
    """
    for part in text.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict) and name in document:
            document = document[name]
        elif isinstance(document, list) and INDEX.fullmatch(name) and int(name) < len(document):
            document = document[int(name)]
        else:
            return False
    return True
