"""What an endpoint, a feed or a consumer asks for: event types by name or by `task.*`."""

from collections.abc import Collection, Iterable

from biolayer.events.catalogue import EVENT_TYPES, SILENT

EVERY_TASK_EVENT = "*"
GROUPS = tuple(dict.fromkeys(event_type.partition(".")[0] for event_type in EVENT_TYPES))
_KNOWN = frozenset(EVENT_TYPES)


def patterns_for(event_type: str) -> tuple[str, ...]:
    """The patterns that ask for an event type: what a query compares its lists with.

    `*` alone means every event of a task. Operational events come only to who names them or their
    group, silent ones only to who names them. An internal type, such as `task.drafted`, is asked for
    by no pattern.
    """
    if event_type not in _KNOWN:
        return ()
    if event_type in SILENT:
        return (event_type,)
    group = event_type.partition(".")[0]
    named = (event_type, f"{group}.*")
    return (*named, EVERY_TASK_EVENT) if group == "task" else named


def matches(patterns: Collection[str], event_type: str) -> bool:
    """Whether one of `patterns` asks for the event type."""
    return any(pattern in patterns for pattern in patterns_for(event_type))


def pattern_problem(pattern: str) -> str | None:
    """What is wrong with a pattern, as a sentence without its subject; None when it is good."""
    if pattern in _known_patterns():
        return None
    if pattern.endswith(".*"):
        return f"must be one of {', '.join(f'{group}.*' for group in GROUPS)}"
    if "*" in pattern:
        return "may have a star only alone or after a group, as in task.*"
    return f"must be *, a group such as task.*, or one of {', '.join(EVENT_TYPES)}"


def _known_patterns() -> Iterable[str]:
    yield from EVENT_TYPES
    yield from (f"{group}.*" for group in GROUPS)
    yield EVERY_TASK_EVENT
