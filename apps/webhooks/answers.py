"""What is kept of a receiver's answer: bounded, storable, and without the secrets that we sent."""

import html
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import islice

READ_BYTES = 64 * 1024
KEPT_BYTES = 16 * 1024
KEPT_HEADERS = 20
KEPT_HEADER_CHARACTERS = 200
KEPT_ERROR_CHARACTERS = 500
LONGEST_RETRY_AFTER_SECONDS = 86_400.0
REDACTED = "[redacted]"
# The receiver's own secrets.
UNKEPT_HEADERS = {"set-cookie", "set-cookie2"}
SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)


class Redaction:
    """Blots values out of text, however an echo of the request spells their characters."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # With what stands before the secret part, and without: an echo may leave it out.
        plain = {form for one in secrets for form in (one, SCHEME.sub("", one, count=1)) if form}
        # The longest first: one may be part of another.
        ordered = sorted(plain, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_spelled, ordered)))
        self._longest = max((len(one) for one in ordered), default=0) * LONGEST_ESCAPE
        # Letters and digits are spelled as they are. A look for them costs a fraction of the pattern.
        self._marks = {max(re.findall(r"[0-9A-Za-z]+", one) or [""], key=len) for one in ordered}

    def concerns(self, text: str) -> bool:
        """Return whether a text may hold any of the values."""
        return any(mark in text for mark in self._marks)

    def __call__(self, text: str) -> str:
        return self._pattern.sub(REDACTED, text) if self.concerns(text) else text

    def of_beginning(self, text: str) -> str:
        """The same for text that was cut off, perhaps within a secret: less what might be one."""
        blotted = self(text)
        return blotted[: len(blotted) - self._longest + 1] if self._longest else blotted


SCHEME = re.compile(r"(?:Basic|Bearer) +|whs(?:ec|k)_", re.IGNORECASE)
LONGEST_ESCAPE = len(r"\\\u0000")


def _spelled(secret: str) -> str:
    return "".join(map(_spellings, secret))


@lru_cache(maxsize=4096)
def _spellings(character: str) -> str:
    """Return a pattern for the ways in which JSON, HTML, URLs and forms spell a character."""
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
    # A base64 for URLs spells two characters in its own way.
    other = {"+": "-", "/": "_", " ": r"\+"}.get(character)
    ways += [re.escape(named)] if named != character else []
    ways += [other] if other else []
    return f"(?:{'|'.join(ways)})"


@lru_cache(maxsize=1024)
def redaction(secrets: tuple[str, ...]) -> Redaction:
    """One for all attempts of a destination: making it costs as much as using it."""
    return Redaction(secrets)


def excerpt(received: bytes | bytearray, *, is_cut: bool, redact: Redaction) -> str:
    """The beginning of a body as text of at most 16 KiB."""
    if not received:
        return ""
    text = storable(received.decode(errors="replace"))
    text = redact.of_beginning(text) if is_cut else redact(text)
    return text.encode()[:KEPT_BYTES].decode(errors="ignore")


def kept_headers(headers: Mapping[str, str], redact: Redaction) -> dict[str, str]:
    """The first of them, whose names are in lower case."""
    kept = {
        storable(name): storable(value)
        for name, value in islice(headers.items(), KEPT_HEADERS)
        if name not in UNKEPT_HEADERS
    }
    if redact.concerns("\n".join((*kept, *kept.values()))):
        kept = {redact(name): redact(value) for name, value in kept.items()}
    return {name: value[:KEPT_HEADER_CHARACTERS] for name, value in kept.items()}


def sentence(text: str, redact: Redaction) -> str:
    return redact(storable(text))[:KEPT_ERROR_CHARACTERS]


def storable(text: str) -> str:
    """What PostgreSQL takes: no NUL, and none of the surrogates that stand for bytes not UTF-8."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.encode(errors="replace").decode().replace("\x00", "\ufffd")


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """How long the receiver asks us to wait (RFC 9110, 10.2.3), 0 to 24 hours; None: it does not,
    or not so that we understand.

    A date is measured against the answer's own `Date`, since the receiver's clock may be wrong.
    """
    asked = headers.get("retry-after", "").strip()
    if not asked:
        return None
    if SECONDS.fullmatch(asked):
        return min(float(asked), LONGEST_RETRY_AFTER_SECONDS)
    until = _date(asked)
    if until is None:
        return None
    answered = _date(headers.get("date", "")) or datetime.now(UTC)
    return min(max((until - answered).total_seconds(), 0.0), LONGEST_RETRY_AFTER_SECONDS)


def _date(text: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
