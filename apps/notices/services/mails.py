"""Mail a digest, with a link that stops such mails."""

from smtplib import SMTPRecipientsRefused
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils import translation

from apps.notices.models import Digest, Preference
from apps.notices.selectors import stop_token
from apps.notices.services.content import Words, shortened


class MailRefused(Exception):
    """Raised where a later attempt would fail as well. It does not name the recipient."""


def send_mail(digest: Digest, words: Words, server: Any) -> None:
    """Send a digest by an open connection. Raise `MailRefused`, or the server's error."""
    user = digest.worker.user
    if user is None or not user.is_active:
        raise MailRefused("the worker has no account")
    stop_url = f"{settings.BASE_URL}/portal/notices/stop/{stop_token(digest.worker_id)}/"
    preference = Preference.objects.filter(worker_id=digest.worker_id).first()
    language = preference.language if preference is not None else "en"
    context = {"words": words, "stop_url": stop_url, "base_url": settings.BASE_URL}
    with translation.override(language):
        body = render_to_string("notices/digest.txt", context)
    subject = words.title
    if len(words.lines) == 1 and not words.more:
        subject = f"{words.title}: {words.lines[0][0]}"
    message = EmailMessage(
        shortened(subject),
        body,
        to=[user.email],
        connection=server,
        headers={
            "Auto-Submitted": "auto-generated",
            # Mail programs show a button for it (RFC 8058).
            "List-Unsubscribe": f"<{stop_url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    )
    try:
        message.send()
    except SMTPRecipientsRefused as error:
        codes = {code for code, _ in error.recipients.values()}
        if all(500 <= code < 600 for code in codes):
            raise MailRefused(f"the server refused the address: {sorted(codes)}") from error
        raise
