"""Define the filters that the tags of several apps register."""

from collections.abc import Mapping
from typing import Any


def get_item(values: Mapping[Any, Any] | None, key: Any) -> Any:
    """Return the value of a key that another variable names; None for one that is missing."""
    return (values or {}).get(key)
