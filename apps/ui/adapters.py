"""Adapt allauth: accounts by invitation only, our addresses, secrets encrypted, mails that wait."""

from typing import Any
from uuid import UUID

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.audit import AuditAction
from apps.accounts.mail import send_after_commit
from apps.base import crypto
from apps.base.addresses import client_address
from apps.ui import sign_in_log
from apps.ui.sessions import start_of

SECOND_FACTORS = crypto.Place(UUID(int=0), "mfa_authenticator", "data")


class AccountAdapter(DefaultAccountAdapter):
    """Decide how people sign in."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": _("The e-mail address or the password is wrong."),
        "enter_current_password": _("Enter your current password."),
        "too_many_login_attempts": _(
            "Too many wrong passwords. Wait five minutes, then try again."
        ),
        "rate_limited": _("Too many attempts. Wait five minutes, then try again."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        address = client_address(request)
        if address is None:
            raise PermissionDenied("The address of this request is unreadable.")
        return str(address)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: str) -> str:
        # allauth's key has the host, which the caller chooses where any is allowed.
        return credentials.get("email", "").lower()

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        email = credentials.get("email", "")
        sign_in_log.record(request, AuditAction.SIGN_IN_REFUSED, email=email, reason="password")

    def set_password(self, user: Any, password: str) -> None:
        """Store a password, and end the person's sessions in other browsers."""
        with transaction.atomic():
            super().set_password(user, password)
            sign_in_log.record(self.request, AuditAction.PASSWORD_CHANGED, user_id=user.pk)
            sign_in_log.end_other_sessions(self.request, user.pk)

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Return where a person goes who asked for no page."""
        return reverse(start_of(request))

    def get_reset_password_from_key_url(self, key: str) -> str:
        path: str = reverse(
            "account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"}
        )
        return settings.BASE_URL + path.replace("UID-KEY", key)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, object]) -> None:
        """Send a mail once the transaction has committed: it neither delays nor fails it."""
        request = self.request
        values = {"request": request, "email": email, "base_url": settings.BASE_URL, **context}
        send_after_commit(self.render_mail(template_prefix, email, values))


class MFAAdapter(DefaultMFAAdapter):
    """Encrypt the secrets of second factors."""

    def generate_authenticator_name(self, user: Any, type: str) -> str:  # noqa: A002
        count = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        name = gettext("Passkey")
        return f"{name} {count + 1}" if count else name

    def encrypt(self, text: str) -> str:
        return crypto.seal(text, SECOND_FACTORS).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Return the secret; one that no key opens matches no code."""
        try:
            return crypto.unseal(encrypted_text.encode(), SECOND_FACTORS)
        except (InvalidToken, crypto.SealBroken):
            return ""
