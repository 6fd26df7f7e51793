"""Show a pool, and change its policy once it is seen what that would do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms as django_forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import may
from apps.accounts.scopes import Scope
from apps.base.ids import id_of
from apps.console.access import console_page, read_at
from apps.console.forms import pools as forms
from apps.console.forms.review_policy import ReviewPolicyForm, policy_lines
from apps.console.forms.rows import Rows
from apps.console.views.notes import latest_notes
from apps.console.views.parameters import as_text, document_of
from apps.matching import queue_stats
from apps.matching.services import dry_run
from apps.pools import selectors, services
from apps.pools.selectors import OFFER_SECONDS
from apps.pools.texts import (
    AT_END_TEXTS,
    OFFER_MODE_TEXTS,
    POOL_STATUS_TEXTS,
    ability_text,
    duration_text,
    presence_state,
    step_texts,
)
from apps.pools.worker_search import members_page
from apps.tasks import selectors as tasks
from apps.tasks.texts import URGENCY_TEXTS
from biolayer.errors import InvalidInput
from biolayer.requests.pools import PoolCreation

CLOSED = "closed"
# Changes of these concern no task that waits for a worker.
UNMATCHED = frozenset({"name", "description", "review_policy"})
MEMBERS = 50
MAX_CHOICES = 200
MAX_LISTED = 10


@require_GET
@console_page
def pool(request: HttpRequest, actor: Principal, pool_id: UUID) -> HttpResponse:
    """Serve `GET /admin/pools/pool/<id>/`."""
    row = selectors.pool(actor=actor, pool_id=pool_id)
    names = _pool_names(actor, row)
    context = {
        "pool": row,
        "review_lines": list(policy_lines(row.review_policy, names)),
        "status": POOL_STATUS_TEXTS[row.status],
        "counts": queue_stats.pool_counts(pool_ids=[row.id])[row.id],
        "needs": _needs(actor, row.id, read_at(request)),
        "offer_times": _offer_times(row),
        "mode": OFFER_MODE_TEXTS[row.offer_mode],
        "costs": sorted(row.costs.items()),
        "steps": list(_steps(row, names)),
        "at_end": AT_END_TEXTS[row.escalation.get("at_end", "wait")],
        "notes": latest_notes(actor, row.id),
        "may_manage": may(actor, Scope.POOLS_MANAGE) and row.status != CLOSED,
        **_members(request, actor, row.id),
    }
    return render(request, "console/pools/pool.html", context)


def _needs(actor: Principal, pool_id: UUID, at: datetime) -> list[tuple[str, Any]]:
    needs = queue_stats.pool_needs(actor=actor, pool_id=pool_id, at=at)
    return [(_need_text(need), need) for need in needs]


def _need_text(need: queue_stats.PoolNeed) -> str:
    if need.kind == "ability":
        return ability_text(need.word)
    return gettext("Certification %(code)s") % {"code": need.word}


def _offer_times(row: Any) -> list[tuple[Any, str]]:
    return [
        (URGENCY_TEXTS[urgency], duration_text(row.offer_seconds.get(urgency, usual)))
        for urgency, usual in OFFER_SECONDS.items()
    ]


def _steps(row: Any, names: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    for step in row.escalation.get("steps", ()):
        yield duration_text(step["after_seconds"]), list(step_texts(step, names))


def _members(request: HttpRequest, actor: Principal, pool_id: UUID) -> dict[str, Any]:
    text = request.GET.get("q", "")[:200]
    rows = members_page(
        actor=actor,
        pool_id=pool_id,
        text=text,
        after=id_of(request.GET.get("after", "")),
        count=MEMBERS + 1,
    )
    shown = rows[:MEMBERS]
    next_ = QueryDict(mutable=True)
    if len(rows) > MEMBERS:
        next_.update({"q": text, "after": str(shown[-1].worker_id)})
    return {
        "q": text,
        "members": [(row.worker, *presence_state(row.worker)) for row in shown],
        "next_members": next_.urlencode(),
    }


def _pool_names(actor: Principal, row: Any) -> dict[str, str]:
    """Return the names of the pools that the policy of the pool `row` names, by id."""
    steps = row.escalation.get("steps", ())
    named = {pool_id for step in steps for pool_id in step.get("widen_to_pools", ())}
    named |= {(row.review_policy or {}).get("reviewer_pool_id")} - {None}
    rows = selectors.visible_pools(actor).filter(id__in=named).values_list("id", "name")
    return {str(pool_id): name for pool_id, name in rows} if named else {}


def _choices(actor: Principal, row: Any = None) -> dict[str, str]:
    """Return the open pools that a policy may name, by id: the newest.

    And those that the policy of the pool `row` names: without its box a form would drop one.
    """
    rows = selectors.visible_pools(actor).exclude(status=CLOSED).order_by("-id")
    named: Mapping[str, str] = {}
    if row is not None:
        rows = rows.exclude(id=row.id)
        named = _pool_names(actor, row)
    newest = {str(id_): name for id_, name in rows.values_list("id", "name")[:MAX_CHOICES]}
    return {**newest, **named}


# --- create ---------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@console_page
def pool_new(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `/admin/pools/pool/new/`."""
    actor.require(Scope.POOLS_MANAGE)
    page = _Forms.of(_choices(actor))
    if request.method != "POST":
        usual = PoolCreation.model_construct(name="")
        page.form = forms.PoolForm(initial=forms.shown(usual))
        return page.render(request)
    if page.edit(request.POST):
        return page.render(request)
    if page.read(request.POST):
        try:
            with transaction.atomic():
                made = services.create_pool(
                    actor=actor, document=page.document(), at=read_at(request)
                )
        except InvalidInput as error:
            page.add_faults(error)
        else:
            messages.success(request, gettext("The pool is open. Now add workers to it."))
            return redirect("admin:pool", made.id)
    return page.render(request)


@dataclass
class _Forms:
    """Hold the forms of a pool's page: its policy, the steps, and the review policy."""

    form: forms.PoolForm
    steps: Rows
    review: ReviewPolicyForm
    review_options: Mapping[str, Any]

    @classmethod
    def of(cls, choices: Mapping[str, str], row: Any = None) -> "_Forms":
        """Return the forms of the pool `row`, or of a new one."""
        stored = row.review_policy if row else None
        options: dict[str, Any] = {"pools": choices.items(), "stored": stored}
        form = forms.PoolForm(initial=forms.shown(row) if row else {})
        return cls(form, forms.step_rows(choices.items()), ReviewPolicyForm(**options), options)

    def edit(self, sent: QueryDict) -> bool:
        """Edit the steps, where a button says so, and keep all else as it was typed, unchecked."""
        if not self.steps.edit(sent):
            return False
        self.form = forms.PoolForm(initial=_typed(forms.PoolForm(sent)))
        typed = _typed(ReviewPolicyForm(sent, **self.review_options))
        self.review = ReviewPolicyForm(initial=typed, **self.review_options)
        return True

    def read(self, sent: QueryDict) -> bool:
        """Take what was sent. Return whether it is valid; all have their errors."""
        self.form = forms.PoolForm(sent)
        self.steps.read(sent)
        self.review = ReviewPolicyForm(sent, **self.review_options)
        return all([self.form.is_valid(), self.steps.is_valid(), self.review.is_valid()])

    def document(self) -> dict[str, Any]:
        """Return the valid forms as the API takes them."""
        return {
            **self.form.document(),
            "escalation": forms.escalation_of(self.form, self.steps),
            "review_policy": self.review.document(),
        }

    def add_faults(self, error: InvalidInput) -> None:
        """Show each fault at its field."""
        of_reviews = [one for one in error.faults if one.pointer.startswith("/review_policy")]
        others = [one for one in error.faults if one not in of_reviews]
        if of_reviews:
            self.review.add_policy_faults(InvalidInput(of_reviews))
        if others:
            forms.add_pool_faults(self.form, self.steps, InvalidInput(others))

    def render(self, request: HttpRequest, **context: Any) -> HttpResponse:
        context |= {"form": self.form, "steps": self.steps, "review": self.review}
        context["forms"] = [self.form, *self.steps.forms, self.review]
        return render(request, "console/pools/form.html", context)


def _typed(form: django_forms.Form) -> dict[str, Any]:
    return {field.name: field.data for field in form}


# --- change ---------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@console_page
def pool_edit(request: HttpRequest, actor: Principal, pool_id: UUID) -> HttpResponse:
    """Serve `/admin/pools/pool/<id>/edit/`.

    Only what the operator changed on the page is sent to the service, so that what another one has
    changed meanwhile stays. What concerns tasks is saved once its effect has been shown.
    """
    row = selectors.pool(actor=actor, pool_id=pool_id, scope=Scope.POOLS_MANAGE)
    if row.status == CLOSED:
        messages.warning(request, gettext("The pool is closed, and is kept as it is."))
        return redirect("admin:pool", row.id)
    page = _Forms.of(_choices(actor, row), row)
    context: dict[str, Any] = {"pool": row, "seen": as_text(forms.stored_document(row))}
    if request.method != "POST":
        page.steps.show([forms.shown_step(step) for step in row.escalation.get("steps", ())])
        return page.render(request, **context)
    context["seen"] = request.POST.get("seen", context["seen"])
    if page.edit(request.POST):
        return page.render(request, **context)
    if page.read(request.POST):
        changes = _changes(page.document(), context["seen"])
        try:
            return _change(request, actor, row.id, changes) or page.render(
                request, **context, **_effect(actor, row.id, changes, read_at(request))
            )
        except InvalidInput as error:
            page.add_faults(error)
    return page.render(request, **context)


def _change(
    request: HttpRequest, actor: Principal, pool_id: UUID, changes: dict[str, Any]
) -> HttpResponse | None:
    """Save changes whose effect was shown, or that have none. Return None where it has to be."""
    if not changes:
        messages.info(request, gettext("Nothing was changed."))
        return redirect("admin:pool", pool_id)
    if not changes.keys() <= UNMATCHED and request.POST.get("shown") != as_text(changes):
        return None
    with transaction.atomic():
        services.update_pool(actor=actor, pool_id=pool_id, document=changes, at=read_at(request))
    messages.success(request, gettext("The pool is changed."))
    return redirect("admin:pool", pool_id)


def _effect(
    actor: Principal, pool_id: UUID, changes: dict[str, Any], at: datetime
) -> dict[str, Any]:
    """Return what the changes would do to the tasks that wait."""
    result = dry_run(actor=actor, pool_id=pool_id, document=changes, at=at)
    first = tasks.tasks_by_id(actor=actor, ids=list(result.changed)[:MAX_LISTED])
    before, after = result.before, result.after
    return {
        "effect": result,
        "looked_at": len(after.fates),
        "outlook": [
            (gettext("offered at once"), before.count("offered"), after.count("offered")),
            (gettext("keep waiting"), before.count("waits"), after.count("waits")),
            (gettext("fail"), before.count("fails"), after.count("fails")),
        ],
        "changed": [(task, before.fates[task.id], after.fates[task.id]) for task in first],
        "shown": as_text(changes),
    }


def _changes(document: Mapping[str, Any], seen: str) -> dict[str, Any]:
    """Return what differs from the document that the page was made from."""
    before = document_of(seen)
    return {name: value for name, value in document.items() if before.get(name, ...) != value}


# --- close ----------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@console_page
def pool_close(request: HttpRequest, actor: Principal, pool_id: UUID) -> HttpResponse:
    """Serve `/admin/pools/pool/<id>/close/`, which asks first."""
    row = selectors.pool(actor=actor, pool_id=pool_id, scope=Scope.POOLS_MANAGE)
    if request.method != "POST":
        counts = queue_stats.pool_counts(pool_ids=[row.id])[row.id]
        context = {"pool": row, "counts": counts}
        return render(request, "console/pools/close.html", context)
    services.close_pool(actor=actor, pool_id=row.id, at=read_at(request))
    messages.success(request, gettext("The pool is closed."))
    return redirect("admin:pool", row.id)
