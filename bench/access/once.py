"""Authenticate each credential once, so that its cost can be measured by its absence."""

from dataclasses import replace
from datetime import UTC, datetime

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from apps.accounts.principal import Principal
from apps.accounts.selectors import Authenticated, authenticate_key


class AuthenticatedOnce(BaseAuthentication):
    """Authenticate the first call of each credential only, and take the time of this machine."""

    known: dict[str, Authenticated] = {}

    def authenticate(self, request: Request) -> tuple[Principal, Authenticated]:
        credential = request.META["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
        if credential not in self.known:
            authenticated = authenticate_key(credential)
            assert authenticated is not None
            self.known[credential] = authenticated
        authenticated = replace(self.known[credential], at=datetime.now(UTC))
        return authenticated.principal, authenticated
