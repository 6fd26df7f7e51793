"""Create, show and change webhook endpoints, and show the hosts that are sent to."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import may
from apps.accounts.scopes import Scope
from apps.base.transactions import Raced
from apps.console.access import console_page, read_at
from apps.console.forms.endpoints import FIELDS, EndpointForm, TestForm, initial_of
from apps.console.forms.faults import add_faults
from apps.console.webhook_states import delivery_state, endpoint_state, origin_state
from apps.pools import selectors as pools
from apps.webhooks import selectors, services, texts
from biolayer.errors import Conflict, InvalidInput, NotFound, PoolNotGranted

MAX_POOLS = 50


@require_GET
@console_page
def endpoint(request: HttpRequest, actor: Principal, endpoint_id: UUID) -> HttpResponse:
    """Serve `GET /admin/webhooks/endpoint/<id>/`."""
    context = _endpoint_context(request, actor, endpoint_id)
    form = TestForm(initial={"event_type": request.GET.get("type", "task.completed")})
    return render(request, "console/webhooks/endpoint.html", {**context, "test_form": form})


@require_GET
@console_page
def fragment(request: HttpRequest, actor: Principal, endpoint_id: UUID) -> HttpResponse:
    """Serve the part of an endpoint's page that changes."""
    context = _endpoint_context(request, actor, endpoint_id)
    return render(request, "console/webhooks/endpoint_fragment.html", context)


def _endpoint_context(request: HttpRequest, actor: Principal, endpoint_id: UUID) -> dict[str, Any]:
    at = read_at(request)
    row = selectors.endpoint(actor=actor, endpoint_id=endpoint_id)
    records = selectors.endpoint_records(
        endpoint_ids=[row.id], at=at, sample=selectors.DETAILED_SAMPLE
    )
    return {
        "endpoint": row,
        "state": endpoint_state(row, at=at),
        "record": records.get(row.id),
        "figures": selectors.attempt_figures(actor=actor, endpoint_id=row.id, at=at),
        "outcome_texts": texts.OUTCOME_TEXTS,
        "test": _test(request, actor, row),
        "pools": _pool_names(actor, row.pool_ids or []),
        "may_manage": may(actor, Scope.WEBHOOKS_MANAGE),
    }


def _test(request: HttpRequest, actor: Principal, row: Any) -> Any:
    """Return the state of the test delivery that the address names; None without one."""
    try:
        test = selectors.delivery(actor=actor, delivery_id=UUID(request.GET.get("test", "")))
    except (NotFound, ValueError):
        return None
    if test.destination_id != row.id:
        return None
    return delivery_state(test, at=read_at(request))


def _pool_names(actor: Principal, pool_ids: list[UUID]) -> list[str]:
    """Return the names of pools; the id of one that the actor does not see."""
    if not pool_ids:
        return []
    seen = pools.pools(actor=actor).filter(id__in=pool_ids).values_list("id", "name")
    names = dict(seen)
    return [names.get(pool_id, str(pool_id)) for pool_id in pool_ids]


# --- settings -------------------------------------------------------------------------------------


@transaction.non_atomic_requests
@require_http_methods(["GET", "POST"])
@console_page
def new(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `/admin/webhooks/endpoint/new`."""
    actor.require(Scope.WEBHOOKS_MANAGE)
    initial = {"event_types": ["task.*"], "auth_type": "none", "timeout_seconds": 10}
    form = EndpointForm(request.POST or None, pools=_pool_choices(actor), initial=initial)

    def create(document: Any) -> HttpResponse:
        made = services.create_endpoint(actor=actor, document=document, at=read_at(request))
        messages.success(request, _("The endpoint was created. Send it a test now."))
        return redirect("admin:endpoint", made.id)

    return _settings(request, form, create)


@transaction.non_atomic_requests
@require_http_methods(["GET", "POST"])
@console_page
def settings(request: HttpRequest, actor: Principal, endpoint_id: UUID) -> HttpResponse:
    """Serve `/admin/webhooks/endpoint/<id>/settings`."""
    row = _managed(actor, endpoint_id)
    choices = _pool_choices(actor, also=row.pool_ids or [])
    initial = initial_of(row)
    form = EndpointForm(request.POST or None, pools=choices, endpoint=row, initial=initial)

    def update(document: Any) -> HttpResponse:
        services.update_endpoint(
            actor=actor, endpoint_id=endpoint_id, document=document, at=read_at(request)
        )
        messages.success(request, _("The settings were saved."))
        return redirect("admin:endpoint", endpoint_id)

    return _settings(request, form, update)


def _settings(request: HttpRequest, form: EndpointForm, save: Any) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        try:
            response: HttpResponse = save(form.document())
        except InvalidInput as error:
            add_faults(form, error, FIELDS)
        except PoolNotGranted as error:
            form.add_error("rate_limit_per_minute", str(error))
        except (Conflict, Raced) as error:
            form.add_error(None, str(error))
        else:
            return response
    context = {"form": form, "endpoint": form.endpoint}
    return render(request, "console/webhooks/endpoint_form.html", context)


def _pool_choices(actor: Principal, also: list[UUID] | None = None) -> list[tuple[str, str]]:
    """Return the open pools that the actor may choose, and those of `also` by their ids."""
    rows = pools.pools(actor=actor).filter(status="active").order_by("name", "id")
    choices = {str(row.id): row.name for row in rows.only("id", "name")[:MAX_POOLS]}
    choices |= {str(one): str(one) for one in also or [] if str(one) not in choices}
    return list(choices.items())


def _managed(actor: Principal, endpoint_id: UUID) -> Any:
    scope = Scope.WEBHOOKS_MANAGE
    return selectors.endpoint(actor=actor, endpoint_id=endpoint_id, scope=scope)


# --- actions --------------------------------------------------------------------------------------


@transaction.non_atomic_requests
@require_POST
@console_page
def send_test(request: HttpRequest, actor: Principal, endpoint_id: UUID) -> HttpResponse:
    """Serve `POST /admin/webhooks/endpoint/<id>/test`: its page shows the result."""
    form = TestForm(request.POST)
    address = redirect("admin:endpoint", endpoint_id)
    if not form.is_valid():
        _managed(actor, endpoint_id)
        messages.error(request, _("Choose one of the events."))
        return address
    event_type = form.cleaned_data["event_type"]
    try:
        delivery = services.send_test_event(
            actor=actor, endpoint_id=endpoint_id, event_type=event_type, at=read_at(request)
        )
    except Conflict as error:
        messages.error(request, str(error))
        return address
    address["Location"] += f"?test={delivery.id}&type={event_type}#test"
    return address


@transaction.non_atomic_requests
@require_POST
@console_page
def set_enabled(request: HttpRequest, actor: Principal, endpoint_id: UUID) -> HttpResponse:
    """Serve `POST /admin/webhooks/endpoint/<id>/enabled`: `enabled` is 1, or 0 to pause it."""
    is_enabled = request.POST.get("enabled") == "1"
    try:
        services.update_endpoint(
            actor=actor,
            endpoint_id=endpoint_id,
            document={"enabled": is_enabled},
            at=read_at(request),
        )
    except Raced as error:
        messages.error(request, str(error))
    else:
        done = _("It is enabled. What was held for it is sent now, in order.")
        paused = _("It is paused. Its events are held for 30 days.")
        messages.success(request, done if is_enabled else paused)
    return redirect("admin:endpoint", endpoint_id)


@transaction.non_atomic_requests
@require_http_methods(["GET", "POST"])
@console_page
def delete(request: HttpRequest, actor: Principal, endpoint_id: UUID) -> HttpResponse:
    """Serve `/admin/webhooks/endpoint/<id>/delete`: it asks first."""
    row = _managed(actor, endpoint_id)
    if request.method == "GET":
        return render(request, "console/webhooks/endpoint_delete.html", {"endpoint": row})
    services.delete_endpoint(actor=actor, endpoint_id=endpoint_id, at=read_at(request))
    messages.success(request, _("The endpoint was deleted, with its deliveries."))
    return redirect("admin:webhooks_destination_changelist")


# --- hosts ----------------------------------------------------------------------------------------


@require_GET
@console_page
def origin(request: HttpRequest, actor: Principal, origin_id: UUID) -> HttpResponse:
    """Serve `GET /admin/webhooks/origin/<id>/`."""
    at = read_at(request)
    row = selectors.origins(actor=actor).filter(id=origin_id).first()
    if row is None:
        raise NotFound("origin")
    context = {
        "state": origin_state(row, at=at),
        "origin": row,
        "endpoints": selectors.visible_endpoints(actor).filter(origin_id=row.id).order_by("url"),
    }
    return render(request, "console/webhooks/origin.html", context)
