"""Convert columns into fields of responses."""

from typing import Any


def choice(text: str) -> Any:
    """Return a column's text for a field that has a few values: the model checks that it is one."""
    return text
