"""Say what a worker's state means: whether it gets offers, until when, and if not, why not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, ngettext

from apps.base.wording import humanised
from apps.matching.own_queue import OwnQueue
from apps.pools.availability import shift_at
from apps.portal.templatetags.portal import moment

Text = str | Promise

# What a person chooses from, and what it means.
PRESENCES: dict[str, tuple[Text, Text]] = {
    "available": (gettext_lazy("Available"), gettext_lazy("You get offers.")),
    "busy": (
        gettext_lazy("Busy"),
        gettext_lazy("You get no new offers. What you hold is still yours."),
    ),
    "away": (
        gettext_lazy("Away"),
        gettext_lazy("You get no new offers while you are away from your desk."),
    ),
    "offline": (
        gettext_lazy("Offline"),
        gettext_lazy("You get no offers. Switch to Available when you want to work."),
    ),
}
REASONS: dict[str, Text] = {
    "missed_offers": gettext_lazy(
        "You were set to Away, since you let several offers in a row pass."
    ),
    "operator": gettext_lazy("An administrator has set this."),
}
QUARTER, HOUR = 900, 3600
MAX_SNOOZE = 86_400


@dataclass(frozen=True, slots=True)
class OwnState:
    """Hold what the page says of a worker's state."""

    # `available`, `busy`, `away`, `offline`; `snoozed` or `off_shift` while available.
    kind: str
    title: str
    text: str
    gets_offers: bool
    # When the state changes by itself; None: it does not.
    until: datetime | None = None


def own_state(worker: Any, at: datetime) -> OwnState:
    """Return the state of a worker as of its presence, its snooze and its hours."""
    title, meaning = (str(text) for text in PRESENCES[worker.presence])
    if worker.presence != "available":
        reason = str(REASONS.get(worker.presence_reason, ""))
        return OwnState(worker.presence, title, f"{reason} {meaning}".strip(), gets_offers=False)
    shift = shift_at(hours=worker.hours, time_zone=worker.time_zone, at=at)
    if worker.snoozed_until is not None and worker.snoozed_until > at:
        return OwnState(
            "snoozed",
            gettext("Offers are paused"),
            _again(worker.snoozed_until, at),
            gets_offers=False,
            until=worker.snoozed_until,
        )
    if not shift.is_on:
        return _off_shift(shift.changes_at, at)
    if shift.changes_at is None:
        return OwnState("available", title, meaning, gets_offers=True)
    until = gettext("You get offers until %(time)s, when your working hours end.") % {
        "time": moment(shift.changes_at, at)
    }
    return OwnState("available", title, until, gets_offers=True, until=shift.changes_at)


def _off_shift(begins_at: datetime | None, at: datetime) -> OwnState:
    text = gettext("You get no offers outside of your working hours.")
    if begins_at is not None:
        text += " " + _again(begins_at, at)
    title = gettext("Outside of your working hours")
    return OwnState("off_shift", title, text, gets_offers=False, until=begins_at)


def _again(begins_at: datetime, at: datetime) -> str:
    return gettext("You get offers again from %(time)s.") % {"time": moment(begins_at, at)}


def snoozes(worker: Any, at: datetime) -> Sequence[tuple[str, int, str]]:
    """Return the pauses that the page offers: name, seconds, text."""
    local = at.astimezone(ZoneInfo(worker.time_zone))
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    until_tomorrow = min(MAX_SNOOZE, int((midnight - at).total_seconds()) + 1)
    return [
        ("quarter", QUARTER, gettext("15 minutes")),
        ("hour", HOUR, gettext("1 hour")),
        ("tomorrow", until_tomorrow, gettext("Until tomorrow")),
    ]


# --- why nothing is offered -----------------------------------------------------------------------


def why_nothing(worker: Any, state: OwnState, queue: OwnQueue) -> list[str]:
    """Return why a worker has no offer, in sentences: its own state first, then what waits."""
    return list(_sentences(worker, state, queue))


def _sentences(worker: Any, state: OwnState, queue: OwnQueue) -> Iterator[str]:
    if not queue.pools:
        yield gettext("You are in no pool yet. Ask an administrator to add you to one.")
        return
    if state.gets_offers and worker.load >= worker.capacity:
        yield gettext("You have as much work as you can take. Finish a task to get the next one.")
    fitting = queue.tasks.get("fits", 0)
    if fitting:
        yield _fitting(state, fitting)
    for rule, count in sorted(queue.tasks.items()):
        if rule == "skills" and queue.missing_skills:
            names = ", ".join(map(humanised, queue.missing_skills))
            text = _counted(rule, count)
            yield gettext("%(sentence)s: %(names)s.") % {"sentence": text, "names": names}
        elif rule != "fits":
            yield _counted(rule, count) + "."
    if not queue.tasks:
        yield gettext("No task waits in your pools.")


def _fitting(state: OwnState, count: int) -> str:
    if not state.gets_offers:
        text = ngettext(
            "%(count)d task that fits you waits.", "%(count)d tasks that fit you wait.", count
        )
    else:
        text = ngettext(
            "%(count)d task that fits you waits for its turn, or was offered to you before.",
            "%(count)d tasks that fit you wait for their turn, or were offered to you before.",
            count,
        )
    return text % {"count": count}


def _counted(rule: str, count: int) -> str:
    match rule:
        case "skills":
            text = ngettext(
                "%(count)d task waits for skills that you lack",
                "%(count)d tasks wait for skills that you lack",
                count,
            )
        case "skill_levels":
            text = ngettext(
                "%(count)d task waits for a higher level of a skill that you have",
                "%(count)d tasks wait for a higher level of a skill that you have",
                count,
            )
        case "languages":
            text = ngettext(
                "%(count)d task waits for another language",
                "%(count)d tasks wait for another language",
                count,
            )
        case "certifications":
            text = ngettext(
                "%(count)d task waits for a certification that you lack, or that has expired",
                "%(count)d tasks wait for a certification that you lack, or that has expired",
                count,
            )
        case "trust_level":
            text = ngettext(
                "%(count)d task waits for a higher trust level",
                "%(count)d tasks wait for a higher trust level",
                count,
            )
        case "rating":
            text = ngettext(
                "%(count)d task waits for a better rating",
                "%(count)d tasks wait for a better rating",
                count,
            )
        case _:
            text = ngettext(
                "%(count)d task waits until your pool may make you another offer",
                "%(count)d tasks wait until your pool may make you another offer",
                count,
            )
    return text % {"count": count}
