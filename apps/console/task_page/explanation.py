"""Say in words why no worker takes a task, what happens next, and what would change it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps.base.wording import humanised
from apps.matching.explain import RULES, RULES_OF_STATE, Explanation, explain_task
from apps.matching.lowering import Lack, Lowering, lowerings
from biolayer.lifecycle import Status

Text = str | Promise

NEXT: dict[Status, Text] = {
    Status.DRAFT: _("The task has to be published."),
    Status.CREATED: _("It is queued within moments."),
    Status.MATCHED: _("It is offered within moments."),
    Status.OFFERED: _("A worker has to accept before the offers expire."),
    Status.ACCEPTED: _("Its worker has to start before the lease ends."),
    Status.STARTED: _("Its worker has to submit before the lease ends."),
    Status.SUBMITTED: _("The submission has to be verified."),
    Status.VERIFIED: _("It is completed within moments."),
    Status.COMPLETED: _("It is done: nothing more happens."),
    Status.FAILED: _("It has failed: only an admin can reopen it."),
    Status.CANCELLED: _("It was cancelled: nothing more happens."),
}
RULE_TEXTS: dict[str, Text] = {
    "skills": _("lacks a skill"),
    "skill_levels": _("has a skill at too low a level"),
    "languages": _("does not speak a language"),
    "certifications": _("lacks a certification"),
    "trust_level": _("has too low a trust level"),
    "rating": _("has too low a rating"),
    "cannot_do": _("said that it cannot do the task"),
    "presence": _("is not available"),
    "working_hours": _("is outside its working hours"),
    "snoozed": _("is snoozed"),
    "capacity": _("has no free capacity"),
    "offer_limit": _("is at its pool's limit of offers"),
    "asked_already": _("was offered it before"),
}
assert {*RULE_TEXTS} == {*RULES}, "a rule without a text"


class Change(NamedTuple):
    """Hold what to lower in words, what that gives, and the parameters of the form for it."""

    text: str
    effect: str
    lacks: Sequence[str]


class Why(NamedTuple):
    """Hold why a task waits: a sentence, the workers under each rule, and what would help."""

    explanation: Explanation
    sentence: str
    excluded: Sequence[tuple[Text, int]]
    changes: Sequence[Change]


def explain(task: Any, offers: Sequence[Any], at: datetime) -> Why:
    """Return why a queued or offered task has no worker yet."""
    found = explain_task(task=task, offers=offers, at=at)
    workers = found.workers
    excluded = [
        (RULE_TEXTS[rule], workers.excluded[rule]) for rule in RULES if workers.excluded.get(rule)
    ]
    is_unfit = any(workers.excluded.get(rule) for rule in RULES if rule not in RULES_OF_STATE)
    helpful: Sequence[Lowering] = ()
    if is_unfit and not workers.eligible and not found.open_offers:
        helpful = lowerings(task=task, refusing_worker_ids=found.refusing_worker_ids, at=at)
    return Why(found, _sentence(found), excluded, [_change(one) for one in helpful])


def next_step(task: Any, why: Why | None) -> Text:
    """Return what has to happen for the task to continue."""
    if task.status == Status.CREATED and task.is_claim_only:
        return _("An agent or an operator has to claim it: it is never offered.")
    if task.status == Status.CREATED and task.gate_count:
        return _("The tasks that it depends on have to be completed.")
    if task.status in (Status.QUEUED, Status.OFFERED) and why is not None:
        return why.sentence
    if task.review_id is not None:
        return _("A reviewer has to decide on the output.")
    return NEXT[Status(task.status)]


def words_of(lack: Lack) -> str:
    """Return what to lower in words."""
    if lack.kind == "level":
        return gettext("the level of %(skill)s to %(level)d") % {
            "skill": humanised(lack.name),
            "level": int(lack.value or 1),
        }
    if lack.kind == "trust":
        return gettext("the trust level to %(level)d") % {"level": int(lack.value or 0)}
    if lack.kind == "rating":
        return gettext("the lowest rating to %(rating)s") % {"rating": f"{lack.value:g}"}
    name = lack.name if lack.kind == "language" else humanised(lack.name)
    texts = {
        "skill": gettext("the skill %(name)s"),
        "language": gettext("the language %(name)s"),
        "certification": gettext("the certification %(name)s"),
    }
    return texts[lack.kind] % {"name": name}


def _change(lowering: Lowering) -> Change:
    parts = []
    for lack in lowering.lacks:
        text = gettext("drop %(what)s") if lack.value is None else gettext("lower %(what)s")
        parts.append(text % {"what": words_of(lack)})
    text = ", ".join(parts)
    return Change(
        text[:1].upper() + text[1:],
        _effect(lowering.free, lowering.workers),
        [lack.text for lack in lowering.lacks],
    )


def _effect(free: int, workers: int) -> str:
    if not free:
        fits = ngettext(
            "%(count)d worker more would fit, but is not free now.",
            "%(count)d workers more would fit, but none is free now.",
            workers,
        )
        return fits % {"count": workers}
    now = ngettext(
        "%(count)d worker more could be offered it now.",
        "%(count)d workers more could be offered it now.",
        free,
    )
    return now % {"count": free}


def _sentence(found: Explanation) -> str:
    if found.task.status == Status.OFFERED:
        count = len(found.open_offers)
        offered = ngettext(
            "It is offered to %(count)d worker, who has not answered yet.",
            "It is offered to %(count)d workers, who have not answered yet.",
            count,
        )
        return offered % {"count": count}
    workers = found.workers
    if workers.eligible:
        return _of_eligible(found)
    if not workers.in_pools:
        return gettext("No open pool that it may be offered to has a worker.")
    return _of_excluded(found)


def _of_eligible(found: Explanation) -> str:
    ahead = found.place.tasks_ahead if found.place else 0
    if not ahead:
        return gettext("It is first in the queue: it is offered within moments.")
    text = ngettext(
        "It is offered after the task ahead of it.",
        "It is offered after the %(count)d tasks ahead of it.",
        ahead,
    )
    return text % {"count": ahead}


def _of_excluded(found: Explanation) -> str:
    excluded = found.workers.excluded
    busy = sum(excluded.get(rule, 0) for rule in RULES_OF_STATE)
    if busy:
        text = ngettext(
            "%(count)d worker meets the requirements, but cannot be offered the task now.",
            "%(count)d workers meet the requirements, but none can be offered the task now.",
            busy,
        )
        return text % {"count": busy}
    if excluded.get("cannot_do"):
        return gettext("The workers who meet the requirements said that they cannot do the task.")
    text = ngettext(
        "The one worker of its pools does not meet the requirements.",
        "None of the %(count)d workers of its pools meets the requirements.",
        found.workers.in_pools,
    )
    return text % {"count": found.workers.in_pools}
