"""Convert columns into fields of responses."""

from typing import Any


def choice(text: str) -> Any:
    """Return a column's text for a field with few values, which the response model checks."""
    return text
