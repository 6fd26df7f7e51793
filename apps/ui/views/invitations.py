"""Let the owner of an invited address join: as a new person, or with their account."""

from typing import Any

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from apps.accounts import services
from apps.accounts.selectors import invitation_by_hash, person_by_email
from apps.base import clock
from apps.base.addresses import client_address
from apps.ui.forms import JoinForm
from apps.ui.sessions import choose_organisation
from biolayer.errors import AlreadyMember, NotFound, WrongAddress


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Serve `/accounts/invitations/{token}/`."""
    found = invitation_by_hash(services.token_hash(token))
    if found is None or not services.is_open(found, clock.now()):
        return render(request, "ui/invitation_closed.html", status=404)
    context: dict[str, Any] = {"invitation": found, "path": request.path}
    if request.user.is_authenticated:
        is_theirs = request.user.email == found.email
        if is_theirs and request.method == "POST":
            return _join(request, token, context)
        return render(request, "ui/invitation.html", {**context, "is_theirs": is_theirs})
    if person_by_email(found.email) is not None:
        return render(request, "ui/invitation.html", {**context, "must_sign_in": True})
    form = JoinForm(request.POST or None, user=get_user_model()(email=found.email))
    if request.method == "POST" and form.is_valid():
        return _join(request, token, context, **form.cleaned_data)
    return render(request, "ui/invitation.html", {**context, "form": form})


def _join(request: HttpRequest, token: str, context: dict[str, Any], **person: Any) -> HttpResponse:
    """Accept the invitation; a new person is then signed in."""
    try:
        member = services.accept_invitation(
            token=token,
            user=request.user if request.user.is_authenticated else None,
            address=str(client_address(request) or ""),
            at=clock.now(),
            **person,
        )
    except (NotFound, WrongAddress, AlreadyMember) as error:
        # Another request was faster, or the address has an account since.
        return render(request, "ui/invitation_closed.html", {"problem": str(error)}, status=409)
    response: HttpResponse = redirect("account_home")
    if not request.user.is_authenticated:
        login = Login(user=member.user, email=member.user.email)
        response = perform_password_login(request, {"email": member.user.email}, login)
    if request.user.is_authenticated:
        choose_organisation(request, member.organisation_id)
    return response
