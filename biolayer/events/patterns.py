"""Match event types with the patterns of endpoints, feeds and consumers, such as `task.*`."""

import re
from collections.abc import Collection, Iterable

from biolayer.events.catalogue import EVENT_TYPES, SILENT

EVERY_TASK_EVENT = "*"
GROUPS = tuple(dict.fromkeys(name.partition(".")[0] for name in EVENT_TYPES if name not in SILENT))
"""The groups that a pattern with a star may name: those with a type that is not silent."""
_KNOWN = frozenset(EVENT_TYPES)

TASK_PATTERNS = (
    EVERY_TASK_EVENT,
    "task.*",
    *(name for name in EVENT_TYPES if name.startswith(("task.", "review.", "appeal."))),
)
"""The patterns of feeds and consumers, which have the events of tasks only."""


def patterns_for(event_type: str) -> tuple[str, ...]:
    """Return the patterns that include an event type, for queries to compare their lists with.

    `*` includes every event of a task. Operational events are included by their name or group only,
    silent ones by their name only. No pattern includes an internal type, such as `task.drafted`.
    """
    if event_type not in _KNOWN:
        return ()
    if event_type in SILENT:
        return (event_type,)
    group = event_type.partition(".")[0]
    patterns = (event_type, f"{group}.*")
    return (*patterns, EVERY_TASK_EVENT) if group == "task" else patterns


def matches(patterns: Collection[str], event_type: str) -> bool:
    """Return whether one of `patterns` includes the event type."""
    return any(pattern in patterns for pattern in patterns_for(event_type))


def pattern_problem(pattern: str) -> str | None:
    """Return what is wrong with a pattern, as a sentence without a subject; None if it is valid."""
    if pattern in KNOWN_PATTERNS:
        return None
    if pattern.endswith(".*"):
        return f"must be one of {', '.join(f'{group}.*' for group in GROUPS)}"
    if "*" in pattern:
        return "may contain a star only alone or after a group, as in task.*"
    return f"must be *, a group such as task.*, or one of {', '.join(EVENT_TYPES)}"


def expression_of(patterns: Iterable[str]) -> str:
    """Return a regular expression for JSON Schemas that any of `patterns` matches."""
    return f"({'|'.join(map(re.escape, patterns))})"


def _known_patterns() -> Iterable[str]:
    yield from EVENT_TYPES
    yield from (f"{group}.*" for group in GROUPS)
    yield EVERY_TASK_EVENT


KNOWN_PATTERNS = tuple(_known_patterns())
