"""Parse `EMAIL_URL`: where mails are sent, or that they are printed."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

BACKENDS = "django.core.mail.backends."
# Scheme: backend, default port, STARTTLS, TLS from the first byte.
SCHEMES = {
    "console": ("console.EmailBackend", 0, False, False),
    "smtp": ("smtp.EmailBackend", 587, True, False),
    "smtps": ("smtp.EmailBackend", 465, False, True),
    # For a relay on the same machine or network.
    "smtp+plain": ("smtp.EmailBackend", 25, False, False),
}


@dataclass(frozen=True, slots=True)
class Email:
    """Hold Django's settings of e-mail."""

    backend: str
    host: str
    port: int
    user: str
    password: str
    use_tls: bool
    use_ssl: bool


def parse_email_url(url: str) -> Email:
    """Return the settings of a URL. Raise `ValueError`."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ValueError(f"begins with one of {', '.join(f'{name}://' for name in SCHEMES)}")
    backend, port, use_tls, use_ssl = SCHEMES[parts.scheme]
    if port and not parts.hostname:
        raise ValueError("names no host")
    return Email(
        backend=BACKENDS + backend,
        host=parts.hostname or "",
        port=parts.port or port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        use_tls=use_tls,
        use_ssl=use_ssl,
    )
