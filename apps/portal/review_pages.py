"""Show a review: what was asked beside what was answered, and what changed since the last attempt.

The page of one review takes at most 12 statements, with those of the session.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import may
from apps.accounts.scopes import Role, Scope
from apps.portal.access import read_at
from apps.portal.differences import Line, compared, count_of, lines_of, places_of
from apps.portal.review_forms import (
    CONFIRMABLE,
    DECIDED,
    RATINGS,
    Place,
    Typed,
    consequence,
    refusal_text,
)
from apps.reviews import selectors, services
from apps.reviews.selectors import ReviewDetail
from apps.tasks import files
from apps.tasks.selectors import names_of
from apps.ui.schema_forms import Answer
from apps.ui.schema_forms.answers import CUT
from apps.ui.schema_forms.texts import json_text
from apps.ui.task_brief import brief_of, output_answers
from biolayer.errors import BioLayerError, Conflict, Refused, RoleTooLow

# The statuses of a review that a person decided.
BY_PERSON = ("approved", "rework", "rejected")
IMAGES = ("image/jpeg", "image/png", "image/webp", "image/gif")


def show_review(
    request: HttpRequest,
    actor: Principal,
    review_id: UUID,
    *,
    place: Place,
    typed: Typed | None = None,
    problem: str = "",
    confirm: str = "",
) -> HttpResponse:
    """Claim a review, and return its page; read-only where it cannot be claimed.

    `typed` has a verdict that was not accepted, `problem` says why. `confirm` is a verdict that
    must be confirmed first.
    """
    at = read_at(request)
    refusal: BioLayerError | None = None
    try:
        services.claim_review(actor=actor, review_id=review_id, at=at)
    except (Refused, Conflict) as error:
        refusal = error
    detail = selectors.review(actor=actor, review_id=review_id)
    context = {
        "at": at,
        "place": place,
        "typed": typed or Typed(),
        "problem": problem,
        "confirm": confirm,
        "ratings": RATINGS,
        "confirmable": CONFIRMABLE,
        **page_of(actor, detail, refusal, at),
    }
    return render(request, "portal/reviews/review.html", context)


def page_of(
    actor: Principal, detail: ReviewDetail, refusal: BioLayerError | None, at: datetime
) -> dict[str, Any]:
    """Return the context of the page of a review that is there."""
    review, previous = detail.review, detail.previous
    names = _names(actor, detail, at)
    lines = lines_for(detail)
    sees_files = may(actor, Scope.EVIDENCE_UNVERIFIED)
    return {
        "review": review,
        "task": review.task,
        "may_decide": refusal is None,
        "why_not": "" if refusal is None else _why_not(refusal, review, names, at),
        "is_claimed_by_other": review.holder(at) not in ("", actor.text),
        "lines": lines,
        "is_cut": is_cut(lines),
        "output_json": json_text(detail.output, indent=2) if is_cut(lines) else "",
        "previous": previous,
        "previous_by": names.get(previous.decided_by, "") if previous else "",
        "previous_places": _named_places(previous),
        "changes": count_of(lines) if previous else 0,
        "images": _images(detail) if sees_files else (),
        "other_files": [one for one in detail.evidence if one.content_type not in IMAGES]
        if sees_files
        else (),
        "hidden_files": 0 if sees_files else len(detail.evidence),
        "places": _named_places(review) if not review.is_open else (),
        "consequences": consequences(review) if refusal is None else {},
        **_contract(review.task),
    }


def lines_for(detail: ReviewDetail) -> tuple[Line, ...]:
    """Return the output field by field, compared with the attempt before where there is one."""
    answers = _answers(detail.review, detail.output)
    if detail.previous is None:
        return lines_of(answers)
    return compared(answers, _answers(detail.previous, detail.previous.run.output))


def lines_alone(review: Any) -> tuple[Line, ...]:
    """Return the output field by field."""
    return lines_of(_answers(review, review.run.output))


def _answers(review: Any, output: Any) -> Sequence[Answer]:
    zone = timezone.get_current_timezone_name()
    return output_answers(review.task, output, time_zone=zone)


def is_cut(lines: Sequence[Line]) -> bool:
    """Return whether something is not shown whole: the reviewer must be able to see all of it."""
    return any(
        one.label == CUT or one.text.endswith(CUT) or one.before.endswith(CUT) or is_cut(one.lines)
        for one in lines
    )


def _named_places(review: Any | None) -> list[str]:
    """Return the places that a verdict points to, by the labels of their fields."""
    if review is None or not review.pointers:
        return []
    task_places = dict(places_of(_answers(review, review.run.output)))
    return [task_places.get(one) or one or gettext("The whole output") for one in review.pointers]


def consequences(review: Any) -> dict[str, dict[str, Any]]:
    """Return what the verdicts do that do not approve, and whether each must be confirmed."""
    found = {}
    for verdict in CONFIRMABLE:
        why = services.why_it_fails(review, verdict)
        text = consequence(verdict, why, review)
        found[verdict] = {"text": text, "is_final": bool(why) or verdict == "reject"}
    return found


def _images(detail: ReviewDetail) -> list[Any]:
    return [one for one in detail.evidence if one.content_type in IMAGES]


def _names(actor: Principal, detail: ReviewDetail, at: datetime) -> dict[str, str]:
    """Return the names of who has the review, and of who decided it and the one before."""
    review, previous = detail.review, detail.previous
    texts = {review.holder(at), review.decided_by, previous.decided_by if previous else ""}
    asked = {one for one in texts if one and one != actor.text}
    keys = {one: tuple(one.split(":", 1)) for one in asked}
    found = names_of(actor=actor, ids={(kind, id_) for kind, id_ in keys.values()})
    names = {text: found.get((kind, id_), "") for text, (kind, id_) in keys.items()}
    return names | {actor.text: actor.name}


def _why_not(error: BioLayerError, review: Any, names: Mapping[str, str], at: datetime) -> str:
    """Return why the page is read-only."""
    if not review.is_open:
        text, name = str(DECIDED.get(review.status, "")), names.get(review.decided_by, "")
        by_person = review.status in BY_PERSON
        who = gettext("By %(name)s.") % {"name": name} if name and by_person else ""
        return f"{text} {who}".strip()
    holder = names.get(review.holder(at), "")
    if holder:
        return gettext("%(name)s has this review now.") % {"name": holder}
    if isinstance(error, RoleTooLow):
        return gettext("A reviewer of this task needs the role %(role)s or a higher one.") % {
            "role": Role(error.role).label
        }
    return refusal_text(error)


def _contract(task: Any) -> dict[str, Any]:
    return {
        **brief_of(task),
        "attachments": files.task_attachments(task),
        "requirements": _requirements(task),
    }


def _requirements(task: Any) -> list[tuple[str, str]]:
    """Return what the task asks of its worker, as labels and texts."""
    levels = task.skill_levels
    skills = [f"{one} ({levels[one]})" if levels.get(one, 1) > 1 else one for one in task.skills]
    rows = [
        (gettext("Skills"), ", ".join(skills)),
        (gettext("Languages"), ", ".join(task.languages)),
        (gettext("Certifications"), ", ".join(task.certifications)),
        (gettext("Trust level"), str(task.trust_level or "")),
        (gettext("Rating"), str(task.min_rating or "")),
        (gettext("Evidence"), gettext("required") if task.needs_file else ""),
    ]
    return [(label, text) for label, text in rows if text]
