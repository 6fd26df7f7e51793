"""Serve the page on which several reviews that are alike are decided with one reason."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from apps.accounts.principal import Principal
from apps.portal.access import read_at, reviewer_page
from apps.portal.differences import Line
from apps.portal.parameters import uuid_of
from apps.portal.review_forms import CONFIRMABLE, Place, Typed, done_text, refusal_text
from apps.portal.review_pages import is_cut, lines_alone
from apps.reviews import selectors, services
from apps.reviews.selectors import ReviewFilter
from biolayer.contract import parse
from biolayer.errors import BioLayerError, InvalidInput
from biolayer.requests.reviews import Verdicts

MAX_CHOSEN = 50


@dataclass(frozen=True, slots=True)
class Shown:
    """Hold one of several reviews as the page shows it."""

    review: Any
    lines: Sequence[Line]
    is_cut: bool
    files: int


@dataclass(frozen=True, slots=True)
class Result:
    """Hold what came of one of several verdicts."""

    review_id: UUID
    title: str
    text: str
    is_done: bool


@require_http_methods(["GET", "POST"])
@transaction.non_atomic_requests
@reviewer_page
def several(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `/portal/reviews/several/`: the chosen reviews to look at; POST decides them all."""
    fields = request.POST if request.method == "POST" else request.GET
    chosen = [one for one in map(uuid_of, fields.getlist("review")) if one][:MAX_CHOSEN]
    rows = _rows(actor, chosen, request)
    place, typed = Place.of(fields), Typed.of(request)
    context: dict[str, Any] = {
        "place": place,
        "at": read_at(request),
        "typed": typed,
        "confirmable": CONFIRMABLE,
        "shown": _shown(rows),
        "count": len(rows),
        "are_alike": are_alike(rows),
        "failing": services.count_failing(rows, "rework"),
    }
    if request.method != "POST" or not context["are_alike"]:
        return render(request, "portal/reviews/several.html", context)
    return _decided(request, actor, rows, context)


def _decided(
    request: HttpRequest, actor: Principal, rows: Sequence[Any], context: dict[str, Any]
) -> HttpResponse:
    typed = context["typed"]
    try:
        bodies = [
            {**typed.document(request.POST.get(f"version-{row.id}", "")), "review_id": str(row.id)}
            for row in rows
        ]
        given = parse(Verdicts, {"verdicts": bodies}).verdicts
    except InvalidInput as error:
        context["problem"] = _faults_of_all(error)
        return render(request, "portal/reviews/several.html", context)
    is_final = typed.verdict == "reject" or (typed.verdict == "rework" and context["failing"])
    if is_final and not typed.is_confirmed:
        context["confirm"] = typed.verdict
        return render(request, "portal/reviews/several.html", context)
    results = services.give_verdicts(actor=actor, verdicts=given, at=read_at(request))
    context["results"] = _results(rows, results, typed.verdict)
    context["done"] = sum(one.is_done for one in context["results"])
    return render(request, "portal/reviews/results.html", context)


def _rows(actor: Principal, ids: Iterable[UUID], request: HttpRequest) -> list[Any]:
    """Return the chosen reviews that are open, oldest first."""
    rows = selectors.reviews(actor=actor, filters=ReviewFilter(), at=read_at(request))
    rows = rows.open().filter(id__in=[*ids]).order_by("id")
    return list(rows.select_related("task", "run", "worker", "pool"))


def _shown(rows: Sequence[Any]) -> list[Shown]:
    files = selectors.count_evidence(rows)
    found = [(row, lines_alone(row)) for row in rows]
    return [Shown(row, lines, is_cut(lines), files[row.run_id]) for row, lines in found]


def are_alike(rows: Sequence[Any]) -> bool:
    """Return whether reviews are of one pool and one type of task; False for none."""
    return len({(row.pool_id, row.task.task_type) for row in rows}) == 1


def _results(rows: Sequence[Any], results: Mapping[UUID, Any], verdict: str) -> list[Result]:
    found = []
    for row in rows:
        outcome, title = results[row.id], row.task.title
        if isinstance(outcome, BioLayerError):
            found.append(Result(row.id, title, refusal_text(outcome), is_done=False))
        else:
            found.append(Result(row.id, title, done_text(verdict, title), is_done=True))
    return found


def _faults_of_all(error: InvalidInput) -> str:
    """Return what is wrong with one reason for all, once."""
    if any(fault.pointer.endswith("/reason") for fault in error.faults):
        return gettext("Write a reason, in at most 4,000 characters.")
    return gettext("Choose Approve, Send back or Reject.")
