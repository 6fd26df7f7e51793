"""Authenticate by API keys, looked up by their digest."""

import hashlib

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from bench.usual_way.models import ApiKey, Organisation


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class ApiKeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Organisation, ApiKey] | None:
        parts = get_authorization_header(request).decode("latin-1").split()
        if len(parts) != 2 or parts[0].lower() != "bearer":
            return None
        try:
            key = ApiKey.objects.select_related("organisation").get(digest=digest_of(parts[1]))
        except ApiKey.DoesNotExist:
            raise AuthenticationFailed("Invalid API key.") from None
        return key.organisation, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
