"""Show the clients of OAuth 2.0, create and delete them, give them new secrets."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import selectors, services
from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import may
from apps.accounts.scopes import Role, Scope
from apps.accounts.texts import SCOPE_TEXTS
from apps.console.access import console_page, read_at
from apps.console.forms.access import OAuthForm, add_missing
from apps.console.forms.faults import add_faults
from apps.console.views.api_keys import pool_choices
from apps.pools.services import create_oauth_application
from biolayer.errors import (
    GrantExceeded,
    InvalidInput,
    NotFound,
    SecretNotUsed,
    TooManyOAuthApplications,
)

FORM = ["GET", "HEAD", "POST"]
MAX_ID = 100


@require_GET
@console_page
def application(request: HttpRequest, actor: Principal, client_id: str) -> HttpResponse:
    """Serve `GET /admin/accounts/oauthapplication/<id>/`."""
    row = _row(actor, client_id)
    names = dict(pool_choices(actor))
    context = {
        "row": row,
        "role": Role(row.role).label,
        "scopes": [SCOPE_TEXTS.get(one, one) for one in row.scopes],
        "pools": [names.get(str(one), str(one)) for one in row.pool_ids or ()],
        "redirect_uris": row.redirect_uris.split(),
        "may_manage": may(actor, Scope.CREDENTIALS_MANAGE),
    }
    return render(request, "console/access/oauth_application.html", context)


@transaction.non_atomic_requests
@require_http_methods(FORM)
@console_page
def create(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `/admin/accounts/oauthapplication/create/`. The response has the secret."""
    actor.require(Scope.CREDENTIALS_MANAGE)
    form = OAuthForm(request.POST or None, actor=actor, pools=pool_choices(actor))
    if request.method == "POST" and form.is_valid():
        try:
            issued = create_oauth_application(
                actor=actor, document=form.document(), at=read_at(request)
            )
        except InvalidInput as error:
            add_faults(form, error, {})
        except GrantExceeded as error:
            add_missing(form, error)
        except TooManyOAuthApplications as error:
            form.add_error(None, str(error))
        else:
            return _secret_page(request, issued, gettext("The OAuth application was created."))
    return render(request, "console/access/oauth_create.html", {"form": form})


@transaction.non_atomic_requests
@require_POST
@console_page
def rotate(request: HttpRequest, actor: Principal, client_id: str) -> HttpResponse:
    """Serve `POST /admin/accounts/oauthapplication/<id>/rotate/`. The response has the secret."""
    _row(actor, client_id)
    try:
        issued = services.rotate_oauth_secret(actor=actor, client_id=client_id, at=read_at(request))
    except SecretNotUsed:
        messages.error(request, gettext("A public application has no secret."))
    except GrantExceeded:
        text = gettext("It may do more than you: you cannot get its secret.")
        messages.error(request, text)
    else:
        return _secret_page(request, issued, gettext("The OAuth application has a new secret."))
    return redirect("admin:oauth_application", client_id)


@transaction.non_atomic_requests
@require_http_methods(FORM)
@console_page
def delete(request: HttpRequest, actor: Principal, client_id: str) -> HttpResponse:
    """Serve `/admin/accounts/oauthapplication/<id>/delete/`: ask, then delete."""
    actor.require(Scope.CREDENTIALS_MANAGE)
    row = _row(actor, client_id)
    if request.method == "POST":
        services.delete_oauth_application(actor=actor, client_id=client_id, at=read_at(request))
        messages.success(request, gettext("The OAuth application was deleted, with its tokens."))
        return redirect("admin:accounts_oauthapplication_changelist")
    return render(request, "console/access/oauth_delete.html", {"row": row})


def _row(actor: Principal, client_id: str) -> Any:
    """Return the application. Raise `NotFound`, also for a text that cannot be an id."""
    if "\0" in client_id or len(client_id) > MAX_ID:
        raise NotFound("OAuth application")
    return selectors.oauth_application(actor=actor, client_id=client_id)


def _secret_page(request: HttpRequest, issued: Any, title: str) -> HttpResponse:
    context = {"row": issued.application, "secret": issued.secret, "title": title}
    return render(request, "console/access/oauth_secret.html", context)
