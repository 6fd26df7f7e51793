"""Show API keys, create, rotate and revoke them. A secret is shown once, in the response."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import selectors, services
from apps.accounts.keys import key_start
from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import may
from apps.accounts.sandbox_ids import is_of_sandbox
from apps.accounts.scopes import Role, Scope
from apps.accounts.texts import KEY_STATES, SCOPE_TEXTS, SHAPES
from apps.console.access import console_page, read_at
from apps.console.forms.access import ApiKeyForm, RotationForm, add_missing
from apps.console.forms.faults import add_faults
from apps.pools.selectors import pools
from apps.pools.services import create_api_key
from biolayer.errors import GrantExceeded, InvalidInput, KeyEnded, KeyRotating

FORM = ["GET", "HEAD", "POST"]
# The form shows at most so many pools.
MAX_POOLS = 200
FIELDS = {"/expires_at": "expires_in", "/allowed_networks": "allowed_networks"}


@require_GET
@console_page
def api_key(request: HttpRequest, actor: Principal, key_id: str) -> HttpResponse:
    """Serve `GET /admin/accounts/apikey/<id>/`."""
    return _page(request, actor, key_id)


@transaction.non_atomic_requests
@require_http_methods(FORM)
@console_page
def create(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `/admin/accounts/apikey/create/`. The response to the form has the secret."""
    actor.require(Scope.CREDENTIALS_MANAGE)
    form = ApiKeyForm(request.POST or None, actor=actor, pools=pool_choices(actor))
    if request.method == "POST" and form.is_valid():
        at = read_at(request)
        try:
            issued = create_api_key(actor=actor, document=form.document(at), at=at)
        except InvalidInput as error:
            add_faults(form, error, {**FIELDS, "/pool_ids": "pool_ids", "/scopes": "scopes"})
        except GrantExceeded as error:
            add_missing(form, error)
        else:
            return _secret_page(request, issued, gettext("The API key was created."))
    return render(request, "console/access/api_key_create.html", {"form": form})


@transaction.non_atomic_requests
@require_POST
@console_page
def rotate(request: HttpRequest, actor: Principal, key_id: str) -> HttpResponse:
    """Serve `POST /admin/accounts/apikey/<id>/rotate/`. The response has the new secret."""
    actor.require(Scope.CREDENTIALS_MANAGE)
    selectors.api_key(actor=actor, key_id=key_id)
    form = RotationForm(request.POST)
    if form.is_valid():
        try:
            issued = services.rotate_api_key(
                actor=actor, key_id=key_id, at=read_at(request), **form.cleaned_data
            )
        except KeyRotating:
            text = gettext("Two secrets are valid: wait until the earlier one ends, or end both.")
            form.add_error("overlap_seconds", text)
        except KeyEnded:
            form.add_error(None, gettext("The key has ended."))
        except GrantExceeded as error:
            add_missing(form, error)
        else:
            return _secret_page(request, issued, gettext("The API key has a new secret."))
    return _page(request, actor, key_id, form)


@transaction.non_atomic_requests
@require_http_methods(FORM)
@console_page
def revoke(request: HttpRequest, actor: Principal, key_id: str) -> HttpResponse:
    """Serve `/admin/accounts/apikey/<id>/revoke/`: ask, then revoke."""
    actor.require(Scope.CREDENTIALS_MANAGE)
    key = selectors.api_key(actor=actor, key_id=key_id)
    if request.method == "POST":
        services.revoke_api_key(actor=actor, key_id=key_id, at=read_at(request))
        messages.success(request, gettext("The key was revoked: it is refused from now on."))
        return redirect("admin:api_key", key_id)
    return render(request, "console/access/api_key_revoke.html", {"key": key})


def pool_choices(actor: Principal) -> list[tuple[str, str]]:
    """Return the open pools that the actor may give, by name."""
    if Scope.POOLS_READ.value not in actor.scopes:
        return []
    rows = pools(actor=actor).exclude(status="closed").order_by("name", "id")
    return [(str(row.id), row.name) for row in rows[:MAX_POOLS]]


def _secret_page(request: HttpRequest, issued: Any, title: str) -> HttpResponse:
    context = {"key": issued.key.first, "secret": issued.text, "title": title}
    return render(request, "console/access/api_key_secret.html", context)


def _page(
    request: HttpRequest, actor: Principal, key_id: str, form: RotationForm | None = None
) -> HttpResponse:
    key, at = selectors.api_key(actor=actor, key_id=key_id), read_at(request)
    state = key.status(at=at)
    names = dict(pool_choices(actor))
    kind, _, creator = key.first.created_by.partition(":")
    context = {
        "key": key,
        "form": form or RotationForm(),
        "state": KEY_STATES[state],
        "shape": SHAPES.get(state, "off"),
        "is_active": state == "active",
        "is_test": is_of_sandbox(key.first.organisation_id),
        "role": Role(key.first.role).label,
        "scopes": [SCOPE_TEXTS.get(one, one) for one in key.first.scopes],
        "pools": [names.get(str(one), str(one)) for one in key.first.pool_ids or ()],
        "secrets": [
            (key_start(row.id, is_test=is_of_sandbox(row.organisation_id)), row)
            for row in key.active_secrets(at=at)
        ],
        "created_by": selectors.names_of(actor=actor, actors=[(kind, creator)]).get(
            (kind, creator), key.first.created_by
        ),
        "may_manage": may(actor, Scope.CREDENTIALS_MANAGE),
    }
    return render(request, "console/access/api_key.html", context)
