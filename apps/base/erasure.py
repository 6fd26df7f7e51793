"""Describe what was found of a person, and what happened to it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Count rows in one place. `kept_because` is empty for what is erased."""

    place: str
    count: int
    kept_because: str = ""
