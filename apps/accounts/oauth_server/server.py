"""Serve three grants of RFC 6749: authorisation code with PKCE, its refresh, client credentials.

The implicit, password and device grants are not there at all.
"""

import re
from typing import Any

from oauthlib.common import Request
from oauthlib.oauth2 import (
    AuthorizationCodeGrant,
    AuthorizationEndpoint,
    BearerToken,
    ClientCredentialsGrant,
    RefreshTokenGrant,
    RevocationEndpoint,
    TokenEndpoint,
)
from oauthlib.oauth2.rfc6749.errors import InvalidRequestError, UnsupportedResponseTypeError

# A SHA-256 in base64url without padding (RFC 7636, 4.2).
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


class Server(AuthorizationEndpoint, TokenEndpoint, RevocationEndpoint):
    """Route requests to the grants."""

    def __init__(
        self,
        request_validator: Any,
        *,
        token_generator: Any = None,
        token_expires_in: Any = None,
        refresh_token_generator: Any = None,
        **_: Any,
    ) -> None:
        bearer = BearerToken(
            request_validator, token_generator, token_expires_in, refresh_token_generator
        )
        code = AuthorizationCodeGrant(request_validator, pre_auth=[check_request])
        AuthorizationEndpoint.__init__(
            self,
            default_response_type="code",
            default_token_type=bearer,
            response_types={"code": code},
        )
        grants = {
            "authorization_code": code,
            "refresh_token": RefreshTokenGrant(request_validator),
            "client_credentials": ClientCredentialsGrant(request_validator),
        }
        TokenEndpoint.__init__(
            self,
            default_grant_type="authorization_code",
            grant_types=grants,
            default_token_type=bearer,
        )
        RevocationEndpoint.__init__(self, request_validator)


def check_request(request: Request) -> dict[str, Any]:
    """Raise an error unless a code is asked for, with a challenge of S256 (RFC 9700, 2.1.1).

    The library accepts the method `plain`, also where none is named.
    """
    if request.response_type not in (None, "code"):
        raise UnsupportedResponseTypeError(request=request)
    if request.code_challenge_method != "S256":
        text = "Send code_challenge, with code_challenge_method=S256."
        raise InvalidRequestError(description=text, request=request)
    if not CHALLENGE.fullmatch(request.code_challenge or ""):
        text = "code_challenge must be a SHA-256 in base64url: 43 characters."
        raise InvalidRequestError(description=text, request=request)
    if (request.response_mode or "query") != "query":
        text = "The only response_mode is query."
        raise InvalidRequestError(description=text, request=request)
    return {}
