"""Answer the questions of oauthlib: about clients, authorisation codes and refresh tokens.

The token endpoint calls this inside one transaction. What a request depends on is locked in the
order of `apps.accounts.services.oauth_tokens`, so that of two requests with the same code, or the
same refresh token, the second one sees that it was used.
"""

from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from oauth2_provider.models import RefreshToken
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauthlib.common import Request
from oauthlib.oauth2.rfc6749.errors import InvalidGrantError

from apps.accounts.models import OAuthApplication, OAuthCode
from apps.accounts.selectors.tokens import checksum
from apps.accounts.services.oauth_tokens import (
    CODE_SECONDS,
    REFRESH_IDLE,
    REFRESH_LIFETIME,
    end_reused_family,
    lock_client,
    lock_consent,
)
from apps.base import clock

# Where the token endpoint puts the caller's address, for the audit log.
ADDRESS = "biolayer.address"


class Validator(OAuth2Validator):
    """Keep codes hashed, detect reuse, and let nothing outlive its client or its consent."""

    # --- clients

    def _load_application(self, client_id: str, request: Request) -> OAuthApplication | None:
        known = request.client
        client = cast("OAuthApplication | None", super()._load_application(client_id, request))
        if client is None or client is known:
            return client
        if not lock_client(application_id=client.pk):
            request.client = None
        return cast("OAuthApplication | None", request.client)

    def authenticate_client(self, request: Request, *args: Any, **kwargs: Any) -> bool:
        """Return whether a confidential client sent its secret; a public one has none."""
        is_authentic = super().authenticate_client(request, *args, **kwargs)
        return bool(is_authentic and request.client.is_confidential)

    # --- authorisation codes

    def _create_authorization_code(
        self, request: Request, code: dict[str, str], expires: datetime | None = None
    ) -> OAuthCode:
        return OAuthCode.objects.create(
            application=request.client,
            user=request.user,
            code=checksum(code["code"]),
            expires=expires or clock.now() + timedelta(seconds=CODE_SECONDS),
            # Empty: the request named none, and the client's own was taken.
            redirect_uri=request.redirect_uri if request.names_redirect_uri else "",
            scope=" ".join(request.scopes),
            code_challenge=request.code_challenge,
            code_challenge_method=request.code_challenge_method,
            resource=getattr(request, "resource", None) or [],
        )

    def validate_code(
        self, client_id: str, code: str, client: OAuthApplication, request: Request, *args: Any
    ) -> bool:
        """Return whether a code of this client is unused and in time; lock it.

        A used one ends its tokens.
        """
        # The library's other methods get the code from here: they find the row by its hash.
        request.code = checksum(code)
        found = OAuthCode.objects.filter(code=request.code, application=client)
        row = found.first()
        if row is None or not lock_consent(application_id=client.pk, user_id=row.user_id):
            return False
        row = found.select_for_update().first()
        if row is None:
            return False
        if row.token_family is not None:
            self._end_family(request, row.token_family, "code")
            return False
        if row.expires <= clock.now():
            return False
        return bool(super().validate_code(client_id, request.code, client, request, *args))

    def confirm_redirect_uri(
        self,
        client_id: str,
        code: str,
        redirect_uri: str,
        client: OAuthApplication,
        request: Request,
    ) -> bool:
        """Raise `InvalidGrantError` for another URI, or none where the code's request named one.

        The library would make it `invalid_request` (RFC 6749, 5.2), and would put the client's own
        URI in place of one that was left out (RFC 6749, 4.1.3).
        """
        codes = OAuthCode.objects.filter(code=code, application=client)
        # None: another exchange has used the code meanwhile.
        requested = codes.values_list("redirect_uri", flat=True).first()
        is_left_out = request.using_default_redirect_uri and requested
        expected = requested or client.default_redirect_uri
        if requested is None or is_left_out or redirect_uri != expected:
            raise InvalidGrantError(description="redirect_uri is not that of the code.")
        return True

    def invalidate_authorization_code(
        self, client_id: str, code: str, request: Request, *args: Any
    ) -> None:
        """Mark the code as used, with the family of its tokens."""
        OAuthCode.objects.filter(code=code, application=request.client).update(
            used_at=clock.now(), token_family=request.token_family
        )

    # --- refresh tokens

    def validate_refresh_token(
        self, refresh_token: str, client: OAuthApplication, request: Request, *args: Any
    ) -> bool:
        """Return whether a refresh token of this client is the newest one and in time; lock it.

        One that was used before ends its family. There is no time of grace: the tokens are stored
        hashed, so that the response to the first use cannot be repeated.
        """
        token = checksum(refresh_token)
        found = RefreshToken.objects.filter(token_checksum=token, application=client)
        row = found.first()
        if row is None or not lock_consent(application_id=client.pk, user_id=row.user_id):
            return False
        row = found.select_for_update().first()
        if row is None:
            return False
        if row.revoked is not None:
            if row.token_family is not None:
                self._end_family(request, row.token_family, "refresh_token")
            return False
        if row.access_token is None or self._is_too_old(row):
            return False
        request.user = row.user
        request.refresh_token = refresh_token
        request.refresh_token_instance = row
        return True

    def _is_too_old(self, row: Any) -> bool:
        at = clock.now()
        code = OAuthCode.objects.filter(
            token_family=row.token_family, used_at__gt=at - REFRESH_LIFETIME
        )
        return row.created + REFRESH_IDLE <= at or not code.exists()

    def _end_family(self, request: Request, family: UUID, what: str) -> None:
        end_reused_family(
            application=request.client,
            family=family,
            what=what,
            address=request.headers.get(ADDRESS, ""),
            at=clock.now(),
        )

    # --- new tokens

    def _create_access_token(
        self, expires: Any, request: Any, token: Any, source_refresh_token: Any = None
    ) -> Any:
        """Store an access token without the refresh token it came of, which only grace needs."""
        del source_refresh_token
        return super()._create_access_token(expires, request, token)

    def _create_refresh_token(self, request: Request, *args: Any) -> Any:
        row = super()._create_refresh_token(request, *args)
        request.token_family = row.token_family
        return row
