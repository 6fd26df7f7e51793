"""Tell the library which scopes a client may have."""

from typing import Any

from oauth2_provider.scopes import SettingsScopes

from apps.accounts.models import OAuthApplication
from apps.accounts.scopes import OAUTH_SCOPES


class ClientScopes(SettingsScopes):
    """Allow a client its own scopes; they are also what it gets when it names none."""

    def get_available_scopes(
        self, application: OAuthApplication | None = None, *_: Any, **__: Any
    ) -> list[str]:
        own = OAUTH_SCOPES if application is None else OAUTH_SCOPES.intersection(application.scopes)
        return sorted(own)

    def get_default_scopes(
        self, application: OAuthApplication | None = None, *_: Any, **__: Any
    ) -> list[str]:
        return self.get_available_scopes(application)
