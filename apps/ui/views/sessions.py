"""List a person's sessions, and end them."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts import services
from apps.accounts.selectors import sessions_of
from apps.accounts.sessions import stored_key
from apps.base import clock
from apps.base.addresses import client_address
from apps.ui.devices import device_name
from apps.ui.sessions import user_id_of
from biolayer.errors import NotFound


@require_GET
@login_required
@never_cache
def sessions(request: HttpRequest) -> HttpResponse:
    """Serve `GET /accounts/sessions/`."""
    own_key = stored_key(str(request.session.session_key))
    rows = [
        {
            "id": row.id,
            "device": device_name(row.user_agent),
            "address": row.address,
            "created_at": row.created_at,
            "last_seen_at": row.last_seen_at,
            "is_own": row.session_key == own_key,
        }
        for row in sessions_of(user_id_of(request))
    ]
    return render(request, "ui/sessions.html", {"sessions": rows})


@require_POST
@login_required
def end(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Serve `POST /accounts/sessions/{id}/end/`."""
    try:
        services.end_session(
            user_id=user_id_of(request),
            session_id=session_id,
            address=str(client_address(request) or ""),
            at=clock.now(),
        )
    except NotFound:
        raise Http404 from None
    messages.success(request, gettext("The session has ended."))
    return redirect("account_sessions")


@require_POST
@login_required
def end_others(request: HttpRequest) -> HttpResponse:
    """Serve `POST /accounts/sessions/end-others/`."""
    services.end_other_sessions(
        user_id=user_id_of(request),
        session_key=request.session.session_key,
        address=str(client_address(request) or ""),
        at=clock.now(),
    )
    messages.success(request, gettext("All other sessions have ended."))
    return redirect("account_sessions")
