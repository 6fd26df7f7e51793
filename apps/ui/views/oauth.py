"""Ask a member whether a client of OAuth 2.0 may act for them, and list those that may.

The form is sent to the same URL, whose query is the client's request: it is validated again, and no
field of the form can change it.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from oauth2_provider.exceptions import FatalClientError, OAuthToolkitError
from oauth2_provider.http import OAuth2ResponseRedirect
from oauth2_provider.scopes import get_scopes_backend
from oauth2_provider.views.mixins import OAuthLibMixin
from oauthlib.common import add_params_to_uri, urldecode
from oauthlib.oauth2.rfc6749.errors import AccessDeniedError, CustomOAuth2Error, OAuth2Error

from apps.accounts import selectors, services
from apps.accounts.oauth_server.issuer import is_within, issuer
from apps.accounts.principal import Principal
from apps.accounts.scopes import Role
from apps.base import clock
from apps.base.addresses import client_address
from apps.base.transactions import atomic
from apps.ui.csp import override_csp
from apps.ui.views.errors import address_not_allowed, error_page
from biolayer.errors import AddressNotAllowed, NotFound, Refused


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold a valid request of a client, and the member who is asked."""

    application: Any
    scopes: list[str]
    credentials: dict[str, Any]
    member: Principal

    @property
    def redirect_uri(self) -> str:
        return str(self.credentials["redirect_uri"])


class Unreadable(Exception):
    """Raised for a request that no client sends."""


@method_decorator(never_cache, name="dispatch")
class Authorize(LoginRequiredMixin, OAuthLibMixin, View):
    """Serve `/oauth/authorize` (RFC 6749, 4.1.1)."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().dispatch(request, *args, **kwargs)
        except (FatalClientError, Unreadable) as error:
            # The redirect URI is not known to be the client's: the person is told, not the client.
            text = _("The application sent a request that is not valid: %(reason)s")
            text %= {"reason": _reason(error)}
            return error_page(request, 400, _("This link does not work"), text)
        except OAuthToolkitError as error:
            return self._refuse(error.oauthlib_error)
        except NotFound:
            text = _("Your account is not a member of the organisation that it belongs to.")
            return error_page(request, 403, _("You cannot use this application"), text)
        except AddressNotAllowed as error:
            return address_not_allowed(request, error.address)
        except Refused as error:
            return error_page(request, 403, _("You cannot use this application"), str(error))

    def get(self, request: HttpRequest) -> HttpResponse:
        asked = self._asked()
        consent = selectors.covering_consent(
            actor=asked.member, application_id=asked.application.pk, scopes=asked.scopes
        )
        # Any program can listen on a loopback address, so there each request is shown (RFC 8252,
        # 8.6).
        if consent is not None and asked.redirect_uri.startswith("https://"):
            return self._allow(asked)
        return _consent_page(request, asked)

    def post(self, request: HttpRequest) -> HttpResponse:
        asked = self._asked()
        if request.POST.get("decision") != "allow":
            state = asked.credentials.get("state")
            return self._refuse(AccessDeniedError(state=state), asked.redirect_uri)
        with atomic():
            services.give_consent(
                actor=asked.member,
                application=asked.application,
                scopes=asked.scopes,
                at=clock.now(),
            )
            return self._allow(asked)

    def _asked(self) -> Asked:
        """Return the request. Raise what `dispatch` turns into a response."""
        request = self.request
        _check_query(request)
        scopes, credentials = self.validate_authorization_request(request)
        application = credentials["request"].client
        resources = request.GET.getlist("resource")
        if not all(is_within(resource, issuer(request)) for resource in resources):
            text = "resource must be a URL of this server."
            raise OAuthToolkitError(
                error=CustomOAuth2Error(
                    "invalid_target", description=text, request=credentials["request"]
                )
            )
        member = selectors.session_principal(
            user_id=request.user.pk,  # type: ignore[arg-type]
            organisation_id=application.organisation_id,
            address=client_address(request),
        )
        # The library gives both to the validator as attributes of its request.
        more = {"resource": resources, "names_redirect_uri": "redirect_uri" in request.GET}
        return Asked(application, scopes, {**credentials, **more}, member)

    def _allow(self, asked: Asked) -> HttpResponse:
        """Return to the client with a code."""
        url, *_ = self.create_authorization_response(
            request=self.request,
            scopes=" ".join(asked.scopes),
            credentials=asked.credentials,
            allow=True,
        )
        return OAuth2ResponseRedirect(url, asked.application.get_allowed_schemes())

    def _refuse(self, error: OAuth2Error, redirect_uri: str = "") -> HttpResponse:
        """Return to the client with an error, and with `iss` as every response (RFC 9207, 2)."""
        facts = [*error.twotuples, ("iss", issuer(self.request))]
        url = add_params_to_uri(redirect_uri or error.redirect_uri, facts)
        return OAuth2ResponseRedirect(url, ["https", "http"])


def _check_query(request: HttpRequest) -> None:
    """Raise `Unreadable` for a query that is not encoded, or has a NUL."""
    query = request.META.get("QUERY_STRING", "")
    try:
        pairs = urldecode(query) if query else []
    except ValueError:
        raise Unreadable(_("The address cannot be read.")) from None
    if any("\x00" in text for pair in pairs for text in pair):
        raise Unreadable(_("The address cannot be read."))


def _reason(error: Exception) -> str:
    known = getattr(error, "oauthlib_error", None)
    return str(error) if known is None else str(known.description or known.error)


def _consent_page(request: HttpRequest, asked: Asked) -> HttpResponse:
    words = get_scopes_backend().get_all_scopes()
    effective = asked.member.scopes
    context = {
        "application": asked.application,
        "organisation": asked.application.organisation,
        "role": Role(asked.member.role).label,
        "granted": [words[name] for name in asked.scopes if name in effective],
        "beyond_role": [words[name] for name in asked.scopes if name not in effective],
        "destination": urlsplit(asked.redirect_uri).netloc,
    }
    response = render(request, "ui/consent.html", context)
    # Browsers apply `form-action` to the redirect that answers the form, too.
    return override_csp(response, form_action=["'self'", _source(asked.redirect_uri)])


def _source(uri: str) -> str:
    """Return the source expression of a URI's origin; a policy cannot name an IPv6 address."""
    parts = urlsplit(uri)
    return f"{parts.scheme}:" if "[" in parts.netloc else f"{parts.scheme}://{parts.netloc}"


@login_required
def applications(request: HttpRequest) -> HttpResponse:
    """Serve `GET /accounts/applications/`: the clients that may act for the person."""
    words = get_scopes_backend().get_all_scopes()
    rows = selectors.consents_of(user_id=request.user.pk)  # type: ignore[arg-type]
    listed = [
        {"consent": row, "scopes": [words.get(name, name) for name in row.scopes]} for row in rows
    ]
    return render(request, "ui/applications.html", {"listed": listed})


@login_required
@require_POST
def revoke_application(request: HttpRequest, consent_id: UUID) -> HttpResponse:
    """Serve `POST /accounts/applications/{id}/revoke/`."""
    rows = selectors.consents_of(user_id=request.user.pk)  # type: ignore[arg-type]
    consent = rows.filter(id=consent_id).first()
    if consent is not None:
        address = str(client_address(request) or "")
        actor = selectors.principal_of_member(consent.member, address=address)
        services.revoke_consent(actor=actor, consent_id=consent_id, at=clock.now())
    return HttpResponseRedirect("/accounts/applications/")
