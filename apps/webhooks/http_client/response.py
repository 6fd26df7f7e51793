"""Prepare a receiver's response for storage: bounded, storable, without the secrets we sent."""

import html
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import islice

MAX_BODY_BYTES = 64 * 1024
MAX_EXCERPT_BYTES = 16 * 1024
MAX_HEADERS = 20
MAX_HEADER_CHARACTERS = 200
MAX_ERROR_CHARACTERS = 500
MAX_RETRY_AFTER_SECONDS = 86_400.0
REDACTED = "[redacted]"
# The receiver's own secrets.
OMITTED_HEADERS = {"set-cookie", "set-cookie2"}
SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)

SCHEME = re.compile(r"(?:Basic|Bearer) +|whs(?:ec|k)_", re.IGNORECASE)
LONGEST_ESCAPE = len(r"\\\u0000")


class Redaction:
    """Replace secret values in text, however an echo of the request escapes their characters."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # Both with and without the scheme before the secret part: an echo may leave it out.
        forms = {
            form for secret in secrets for form in (secret, SCHEME.sub("", secret, count=1)) if form
        }
        # The longest first: one may be part of another.
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_escaped_pattern, ordered)))
        self._longest = max((len(form) for form in ordered), default=0) * LONGEST_ESCAPE
        # Letters and digits are never escaped. Searching for them costs a fraction of the pattern.
        self._marks = {max(re.findall(r"[0-9A-Za-z]+", form) or [""], key=len) for form in ordered}

    def may_match(self, text: str) -> bool:
        """Return whether a text may contain any of the values."""
        return any(mark in text for mark in self._marks)

    def __call__(self, text: str) -> str:
        """Return the text with every secret replaced."""
        return self._pattern.sub(REDACTED, text) if self.may_match(text) else text

    def of_truncated(self, text: str) -> str:
        """Return a truncated text redacted, without the end that may be the start of a secret."""
        redacted = self(text)
        return redacted[: len(redacted) - self._longest + 1] if self._longest else redacted


def _escaped_pattern(secret: str) -> str:
    return "".join(map(_character_pattern, secret))


@lru_cache(maxsize=4096)
def _character_pattern(character: str) -> str:
    """Return a pattern for the ways in which JSON, HTML, URLs and forms escape a character."""
    if character.isascii() and character.isalnum():
        return character
    code = ord(character)
    units = character.encode("utf-16-be")
    json_escapes = "".join(rf"\\+u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
    percent = "".join(f"%{byte:02x}" for byte in character.encode(errors="surrogatepass"))
    ways = [
        rf"\\*{re.escape(character)}",
        f"(?i:{json_escapes})",
        f"(?i:{percent})",
        rf"(?i:&#0*{code};|&#x0*{code:x};)",
    ]
    named = html.escape(character)
    # URL-safe base64 writes two characters in its own way.
    other = {"+": "-", "/": "_", " ": r"\+"}.get(character)
    ways += [re.escape(named)] if named != character else []
    ways += [other] if other else []
    return f"(?:{'|'.join(ways)})"


@lru_cache(maxsize=1024)
def redaction(secrets: tuple[str, ...]) -> Redaction:
    """Return one object for all attempts of a destination: making it costs as much as using it."""
    return Redaction(secrets)


def excerpt(body: bytes | bytearray, *, is_truncated: bool, redact: Redaction) -> str:
    """Return the beginning of a body as text of at most 16 KiB."""
    if not body:
        return ""
    text = storable(body.decode(errors="replace"))
    text = redact.of_truncated(text) if is_truncated else redact(text)
    return text.encode()[:MAX_EXCERPT_BYTES].decode(errors="ignore")


def stored_headers(headers: Mapping[str, str], redact: Redaction) -> dict[str, str]:
    """Return the first 20 headers, whose names are in lower case; values up to 200 characters."""
    stored = {
        storable(name): storable(value)
        for name, value in islice(headers.items(), MAX_HEADERS)
        if name not in OMITTED_HEADERS
    }
    if redact.may_match("\n".join((*stored, *stored.values()))):
        stored = {redact(name): redact(value) for name, value in stored.items()}
    return {name: value[:MAX_HEADER_CHARACTERS] for name, value in stored.items()}


def error_text(text: str, redact: Redaction) -> str:
    """Return an error's sentence, redacted, of at most 500 characters."""
    return redact(storable(text))[:MAX_ERROR_CHARACTERS]


def storable(text: str) -> str:
    """Return text that PostgreSQL accepts: no NUL, and no surrogate that stands for a byte."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.encode(errors="replace").decode().replace("\x00", "\ufffd")


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return how long `Retry-After` (RFC 9110, 10.2.3) requests us to wait, 0 to 24 hours.

    None when the header is missing or cannot be parsed. A date is compared with the response's own
    `Date`, since the receiver's clock may be wrong.
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if SECONDS.fullmatch(value):
        return min(float(value), MAX_RETRY_AFTER_SECONDS)
    until = _date(value)
    if until is None:
        return None
    sent_at = _date(headers.get("date", "")) or datetime.now(UTC)
    return min(max((until - sent_at).total_seconds(), 0.0), MAX_RETRY_AFTER_SECONDS)


def _date(text: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
