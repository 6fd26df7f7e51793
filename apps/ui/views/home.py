"""Show the account, and change to another organisation."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe

from apps.accounts.selectors import has_second_factor, memberships_of
from apps.ui.sessions import choose_organisation, start_of, user_id_of
from biolayer.errors import NotFound


@require_safe
@never_cache
def start(request: HttpRequest) -> HttpResponse:
    """Serve `GET /`: lead a person to what they may see, or to the page that `next` names."""
    wanted = request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) or wanted == "/":
        wanted = ""
    if request.user.is_authenticated:
        return redirect(wanted or start_of(request))
    return redirect_to_login(wanted) if wanted else redirect("account_login")


@require_GET
@login_required
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """Serve `GET /accounts/`."""
    context = {
        "memberships": memberships_of(user_id_of(request)),
        "has_second_factor": has_second_factor(user_id_of(request)),
    }
    return render(request, "ui/home.html", context)


@require_GET
@login_required
@never_cache
def organisations(request: HttpRequest) -> HttpResponse:
    """Serve `GET /accounts/organisations/`: where a session must go that may not go further."""
    context = {"memberships": memberships_of(user_id_of(request))}
    return render(request, "ui/organisations.html", context)


@require_POST
@login_required
def switch(request: HttpRequest) -> HttpResponse:
    """Serve `POST /accounts/organisations/switch/`."""
    try:
        choose_organisation(request, UUID(request.POST.get("organisation_id", "")))
    except (ValueError, NotFound):
        raise Http404 from None
    messages.success(request, gettext("You have changed the organisation."))
    return redirect("account_home")
