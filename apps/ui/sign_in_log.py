"""Record in the audit log what people do with their accounts, and end sessions that must end.

allauth and Django announce it by signals. Changes of a password or a second factor run in the
transaction of their request (`MemberMiddleware`), and these records with them.
"""

from typing import Any

from allauth.core import context
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models.signals import post_delete, post_save
from django.http import HttpRequest

from apps.accounts import services
from apps.accounts.audit import AuditAction
from apps.base import clock
from apps.base.addresses import client_address


def connect() -> None:
    """Listen to the signals."""
    user_logged_in.connect(on_signed_in)
    user_logged_out.connect(on_signed_out)
    authentication_failed.connect(on_factor_refused)
    post_save.connect(on_factor_saved, sender=Authenticator)
    post_delete.connect(on_factor_deleted, sender=Authenticator)


def record(request: HttpRequest | None, action: AuditAction, **facts: Any) -> None:
    """Record an action of a person, named by `user_id` or `email`."""
    address = client_address(request) if request else None
    services.record_for_person(action=action, address=str(address or ""), at=clock.now(), **facts)


def end_other_sessions(request: HttpRequest | None, user_id: Any) -> None:
    """End the person's sessions in other browsers."""
    session = getattr(request, "session", None)
    address = client_address(request) if request else None
    services.end_other_sessions(
        user_id=user_id,
        session_key=session.session_key if session else None,
        address=str(address or ""),
        at=clock.now(),
    )


def on_signed_in(request: HttpRequest, user: Any, **kwargs: Any) -> None:
    methods = request.session.get("account_authentication_methods", [])
    used = [str(entry.get("type") or entry.get("method")) for entry in methods]
    record(request, AuditAction.SIGNED_IN, user_id=user.pk, methods=used)


def on_signed_out(request: HttpRequest, user: Any, **kwargs: Any) -> None:
    if user is not None:
        record(request, AuditAction.SIGNED_OUT, user_id=user.pk)


def on_factor_refused(request: HttpRequest, user: Any, **kwargs: Any) -> None:
    record(request, AuditAction.SIGN_IN_REFUSED, user_id=user.pk, reason="second_factor")


def on_factor_saved(instance: Authenticator, created: bool, **kwargs: Any) -> None:  # noqa: FBT001
    if created:
        _factor_changed(AuditAction.SECOND_FACTOR_ADDED, instance)


def on_factor_deleted(instance: Authenticator, **kwargs: Any) -> None:
    _factor_changed(AuditAction.SECOND_FACTOR_REMOVED, instance)


def _factor_changed(action: AuditAction, factor: Authenticator) -> None:
    request = context.request
    record(request, action, user_id=factor.user_id, type=factor.type)
    end_other_sessions(request, factor.user_id)
