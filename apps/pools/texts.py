"""Name what pools and workers have as pages show it."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils import formats, timezone
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.utils.translation import gettext_lazy as _

from apps.base.wording import humanised
from apps.pools.models import OfferMode, Pool, PoolStatus, Presence, Worker, WorkerKind
from apps.pools.selectors import OFFER_SECONDS

Text = str | Promise

POOL_STATUS_TEXTS: dict[str, Text] = {
    PoolStatus.ACTIVE.value: _("Open"),
    PoolStatus.CLOSED.value: _("Closed"),
}
KIND_TEXTS: dict[str, Text] = {
    WorkerKind.HUMAN.value: _("Person"),
    WorkerKind.AGENT.value: _("Agent"),
}
PRESENCE_TEXTS: dict[str, Text] = {
    Presence.AVAILABLE.value: _("Available"),
    Presence.BUSY.value: _("Busy"),
    Presence.AWAY.value: _("Away"),
    Presence.OFFLINE.value: _("Offline"),
}
PRESENCE_REASONS: dict[str, Text] = {
    "operator": _("set by an operator"),
    "missed_offers": _("missed several offers in a row"),
}
OFFER_MODE_TEXTS: dict[str, Text] = {
    OfferMode.SEQUENTIAL.value: _("One worker at a time"),
    OfferMode.BROADCAST.value: _("Several workers at once; the first to accept gets it"),
}
AT_END_TEXTS: dict[str, Text] = {
    "wait": _("The task keeps waiting"),
    "fail": _("The task fails"),
    "notify": _("An event is sent, and the task keeps waiting"),
}
UNITS = ((86_400, gettext_lazy("d")), (3600, gettext_lazy("h")), (60, gettext_lazy("min")))


def duration_text(seconds: int) -> str:
    """Return a duration in the largest unit that gives a whole number: 90 s, 2 min, 1 h."""
    for size, unit in UNITS:
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} {gettext('s')}"


def presence_state(worker: Worker) -> tuple[str, str]:
    """Return a state's shape and text: the presence, or why an available worker gets no offers."""
    if worker.presence != Presence.AVAILABLE:
        return "off", str(PRESENCE_TEXTS[worker.presence])
    if worker.snoozed_until is not None:
        until = timezone.localtime(worker.snoozed_until)
        return "soon", gettext("Paused until %(time)s") % {"time": formats.time_format(until)}
    if not worker.is_on_shift:
        return "off", gettext("Outside working hours")
    return "good", str(PRESENCE_TEXTS[worker.presence])


def ability_text(word: str) -> str:
    """Return a word that matching compares, as people say it: `phone:3` is Phone, level 3."""
    if word.startswith("@"):
        return gettext("Language %(tag)s") % {"tag": word[1:]}
    skill, _colon, level = word.partition(":")
    if not level:
        return humanised(skill)
    return gettext("%(skill)s, level %(level)s") % {"skill": humanised(skill), "level": level}


def policy_text(pool: Pool) -> str:
    """Return a pool's policy of offers in one line."""
    parts = [_mode(pool.offer_mode, pool.broadcast_to)]
    times = {pool.offer_seconds.get(urgency, seconds) for urgency, seconds in OFFER_SECONDS.items()}
    least, most = duration_text(min(times)), duration_text(max(times))
    span = least if least == most else f"{least} \N{EN DASH} {most}"
    parts.append(gettext("%(span)s to answer") % {"span": span})
    steps = len(pool.escalation.get("steps", ()))
    if steps:
        parts.append(ngettext("%(count)d step", "%(count)d steps", steps) % {"count": steps})
    return "; ".join(parts)


def _mode(mode: str, broadcast_to: int) -> str:
    if mode == OfferMode.BROADCAST:
        return gettext("Up to %(count)d at once") % {"count": broadcast_to}
    return gettext("One at a time")


def step_texts(step: Mapping[str, Any], pool_names: Mapping[str, str]) -> Iterator[str]:
    """Yield what a step of an escalation policy changes."""
    if step.get("drop_preferred_skills"):
        yield gettext("preferred skills no longer count")
    if step.get("lower_min_rating_by"):
        yield gettext("the least rating is lowered by %(by)s") % {"by": step["lower_min_rating_by"]}
    if step.get("widen_to_pools"):
        names = [
            pool_names.get(str(one), gettext("another pool")) for one in step["widen_to_pools"]
        ]
        yield gettext("it is offered in %(pools)s, too") % {"pools": ", ".join(names)}
    if step.get("mode") or step.get("broadcast_to"):
        yield _offers_text(step)
    if step.get("boost_seconds"):
        span = duration_text(step["boost_seconds"])
        yield gettext("it is treated as if it had waited %(span)s longer") % {"span": span}
    if step.get("notify"):
        yield gettext("an event is sent")


def _offers_text(step: Mapping[str, Any]) -> str:
    if step.get("mode") == OfferMode.SEQUENTIAL:
        return gettext("it is offered to one worker at a time")
    if not step.get("broadcast_to"):
        return gettext("it is offered to several workers at once")
    return gettext("it is offered to %(count)s workers at once") % {"count": step["broadcast_to"]}
