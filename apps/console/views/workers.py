"""Show a worker with its day, change it, and create one."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import may
from apps.accounts.scopes import Role, Scope
from apps.accounts.selectors import visible_keys
from apps.console.access import console_page, read_at
from apps.console.forms import workers as forms
from apps.console.forms.rows import Rows
from apps.console.views.parameters import as_text, document_of
from apps.console.views.worker_day import RUN_TEXTS, drawn_day
from apps.console.views.worker_people import person_of
from apps.matching.worker_days import worker_history
from apps.pools import selectors, services
from apps.pools.availability import WEEKDAYS, availability
from apps.pools.selectors import ClaimFilter
from apps.pools.texts import KIND_TEXTS, PRESENCE_REASONS, PRESENCE_TEXTS, presence_state
from apps.pools.worker_search import last_seen
from biolayer.errors import InvalidInput, Refused
from biolayer.requests.pools import WorkerCreation

HISTORY = 10
MAX_POOLS = 200
# What the key of an agent may do: get offers and work.
KEY_SCOPES = ["work"]


@require_GET
@console_page
def worker(request: HttpRequest, actor: Principal, worker_id: UUID) -> HttpResponse:
    """Serve `GET /admin/pools/worker/<id>/`."""
    row = selectors.worker(actor=actor, worker_id=worker_id)
    at = read_at(request)
    shape, state = presence_state(row)
    open_pools = _open_pools(actor)
    inside = {str(one.pool_id) for one in row.memberships.all()}
    context = {
        "worker": row,
        "kind": KIND_TEXTS[row.kind],
        "shape": shape,
        "state": state,
        "presences": PRESENCE_TEXTS.items(),
        "reason": PRESENCE_REASONS.get(row.presence_reason, row.presence_reason),
        "changes_at": availability(
            hours=row.hours, time_zone=row.time_zone, snoozed_until=row.snoozed_until, at=at
        ).changes_at,
        "seen_at": last_seen(organisation_id=actor.organisation_id, worker_ids=[row.id]).get(
            row.id
        ),
        "skills": [(skill, row.skill_levels.get(skill, 1)) for skill in row.skills],
        "pools": [(one, name) for one, name in _pool_names(actor).items() if one in inside],
        "other_pools": [(one, name) for one, name in open_pools.items() if one not in inside],
        "claims": _claims(actor, row.id),
        "keys": _keys(actor, row.id),
        "week": [
            (WEEKDAYS_ABBR[number], _spans_text(row.hours[day]))
            for number, day in enumerate(WEEKDAYS)
            if row.hours.get(day)
        ],
        "day": drawn_day(request, actor, row),
        "run_texts": RUN_TEXTS,
        "history": worker_history(actor=actor, worker_id=row.id, count=HISTORY),
        "at": at,
        "may_manage": may(actor, Scope.POOLS_MANAGE),
        "may_have_key": _may_give_key(actor),
        **person_of(actor, row),
    }
    return render(request, "console/workers/worker.html", context)


def _spans_text(spans: Iterable[Sequence[str]]) -> str:
    return ", ".join("\N{EN DASH}".join(span) for span in spans)


def _claims(actor: Principal, worker_id: UUID) -> list[Any]:
    """Return the claims that wait for a check; none for an actor who may not decide them."""
    if not may(actor, Scope.POOLS_MANAGE):
        return []
    filters = ClaimFilter(statuses=["pending"], worker_ids=[worker_id])
    return list(selectors.certification_claims(actor=actor, filters=filters))


def _keys(actor: Principal, worker_id: UUID) -> list[Any]:
    if not may(actor, Scope.CREDENTIALS_READ):
        return []
    rows = visible_keys(actor).filter(worker_id=worker_id, revoked_at=None)
    return list(rows.order_by("-created_at")[:HISTORY])


def _pool_names(actor: Principal) -> dict[str, str]:
    rows = selectors.visible_pools(actor).order_by("-id").values_list("id", "name")
    return {str(pool_id): name for pool_id, name in rows[:MAX_POOLS]}


def _open_pools(actor: Principal) -> dict[str, str]:
    """Return the newest open pools, by id."""
    rows = selectors.visible_pools(actor).filter(status="active").order_by("-id")
    return {str(pool_id): name for pool_id, name in rows.values_list("id", "name")[:MAX_POOLS]}


def _may_give_key(actor: Principal) -> bool:
    """Return whether the actor may create keys that act for other workers."""
    return actor.has_role(Role.ADMIN) and may(actor, Scope.CREDENTIALS_MANAGE)


# --- create ---------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@console_page
def worker_new(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `/admin/pools/worker/new/`."""
    actor.require(Scope.POOLS_MANAGE)
    options: dict[str, Any] = {
        "pools": _open_pools(actor).items(),
        "may_have_key": _may_give_key(actor),
    }
    if request.method != "POST":
        usual = forms.shown(WorkerCreation.model_construct(name=""))
        usual |= {"presence": "offline", "pools": request.GET.getlist("pool")}
        return _creation_page(request, forms.CreationForm(initial=usual, **options))
    form = forms.CreationForm(request.POST, **options)
    if not form.is_valid():
        return _creation_page(request, form)
    try:
        with transaction.atomic():
            made = services.create_worker(
                actor=actor, document=form.document(), at=read_at(request)
            )
    except InvalidInput as error:
        forms.add_worker_faults(form, None, error)
        return _creation_page(request, form)
    if form.cleaned_data.get("with_key"):
        return new_key_page(request, actor, made)
    messages.success(request, gettext("The worker is created."))
    return redirect("admin:worker", made.id)


def _creation_page(request: HttpRequest, form: forms.CreationForm) -> HttpResponse:
    context = {"form": form, "forms": [form], "zones": forms.zone_names()}
    return render(request, "console/workers/form.html", context)


def new_key_page(request: HttpRequest, actor: Principal, row: Any) -> HttpResponse:
    """Create a key for a worker, and return the page that shows its secret, once."""
    document = {
        "name": row.name,
        "scopes": KEY_SCOPES,
        "role": Role.WORKER.value,
        "worker_id": str(row.id),
    }
    try:
        with transaction.atomic():
            issued = services.create_api_key(actor=actor, document=document, at=read_at(request))
    except Refused as error:
        messages.error(request, gettext("The worker has no key: %(why)s") % {"why": error})
        return redirect("admin:worker", row.id)
    context = {"worker": row, "secret": issued.text, "key_id": issued.key.first.id}
    return render(request, "console/workers/key.html", context)


# --- change ---------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@console_page
def worker_edit(request: HttpRequest, actor: Principal, worker_id: UUID) -> HttpResponse:
    """Serve `/admin/pools/worker/<id>/edit/`.

    Only what the operator changed on the page is sent to the service.
    """
    row = selectors.worker(actor=actor, worker_id=worker_id, scope=Scope.POOLS_MANAGE)
    rows = forms.certificate_rows()
    stored = forms.stored_document(row)
    held = list(row.certifications.all())
    stored["certifications"] = [forms.stored_certificate(one) for one in held]
    context: dict[str, Any] = {"worker": row, "seen": as_text(stored)}
    if request.method != "POST":
        rows.show([forms.shown_certificate(one, row.time_zone) for one in held])
        return _edit_page(request, forms.TraitsForm(initial=forms.shown(row)), rows, **context)
    context["seen"] = request.POST.get("seen", context["seen"])
    form = forms.TraitsForm(request.POST)
    if rows.edit(request.POST):
        typed = {field.name: field.data for field in form}
        return _edit_page(request, forms.TraitsForm(initial=typed), rows, **context)
    rows.read(request.POST)
    if all([form.is_valid(), rows.is_valid()]):
        time_zone = form.cleaned_data["time_zone"]
        document = form.document()
        document["certifications"] = [one.document(time_zone) for one in rows.forms]
        changes = forms.changes(document, document_of(context["seen"]))
        try:
            with transaction.atomic():
                services.update_worker(
                    actor=actor, worker_id=row.id, document=changes, at=read_at(request)
                )
        except InvalidInput as error:
            forms.add_worker_faults(form, rows, error)
        else:
            messages.success(request, gettext("The worker is changed."))
            return redirect("admin:worker", row.id)
    return _edit_page(request, form, rows, **context)


def _edit_page(
    request: HttpRequest, form: forms.TraitsForm, rows: Rows, **context: Any
) -> HttpResponse:
    context |= {
        "form": form,
        "certifications": rows,
        "forms": [form, *rows.forms],
        "zones": forms.zone_names(),
    }
    return render(request, "console/workers/form.html", context)
