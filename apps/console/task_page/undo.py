"""Let an operator take a change back: for some minutes, and unless it was changed again."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.core import signing

from apps.accounts.principal import Principal
from apps.console.task_page.timeline import Entry
from apps.events import selectors as events
from biolayer.errors import VersionChanged
from biolayer.lifecycle import EventType

SECONDS = 600
SALT = "console.undo"


def token_of(actor: Principal, task: Any, reverse: dict[str, Any]) -> str:
    """Return what proves that the actor changed the task to its present version.

    `reverse` has the `boost_seconds`, or the `changes`, that take it back.
    """
    facts = {"task": str(task.id), "who": actor.text, "since": task.version, **reverse}
    return signing.dumps(facts, salt=SALT, compress=True)


def read(token: str, *, actor: Principal, task_id: UUID) -> dict[str, Any] | None:
    """Return the facts of a token; None where it is another's, of another task, or too old."""
    try:
        facts: dict[str, Any] = signing.loads(token, salt=SALT, max_age=SECONDS)
    except signing.BadSignature:
        return None
    is_own = facts["task"] == str(task_id) and facts["who"] == actor.text
    return facts if is_own else None


def is_last(since: int, events: Iterable[Entry]) -> bool:
    """Return whether the events shown have no change by an operator after a version."""
    return not any(one.kind == EventType.UPDATED.value and one.sequence > since for one in events)


def check_unchanged(task_id: UUID, since: int, version: int) -> None:
    """Raise `VersionChanged` if an operator changed the task after the version `since`."""
    later = events.task_events(task_id=task_id).filter(sequence__gt=since)
    if later.filter(type=EventType.UPDATED.value).exists():
        raise VersionChanged(version)
