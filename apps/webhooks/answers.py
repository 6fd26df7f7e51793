"""What is kept of a receiver's answer: bounded, storable, and without the secrets that we sent."""

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import islice
from urllib.parse import quote, quote_plus

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
    """Blots values out of text, however an echo of the request spells them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        spellings = {spelling for one in secrets if one for spelling in _spellings(one)}
        # The longest first: one may be part of another.
        ordered = sorted(spellings, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered)))
        self._longest = len(ordered[0]) if ordered else 0
        # Those that no other is part of: a look for them costs a fraction of the pattern.
        self._shortest = [
            one for one in ordered if not any(other in one for other in ordered if other != one)
        ]

    def concerns(self, text: str) -> bool:
        """Return whether a text holds any of the values."""
        return any(spelling in text for spelling in self._shortest)

    def __call__(self, text: str) -> str:
        return self._pattern.sub(REDACTED, text) if self.concerns(text) else text

    def of_beginning(self, text: str) -> str:
        """The same for text that was cut off, perhaps within a secret: less what might be one."""
        blotted = self(text)
        return blotted[: len(blotted) - self._longest + 1] if self._longest else blotted


SCHEME = re.compile(r"(?:Basic|Bearer) +|whs[eck]{1,2}_", re.IGNORECASE)
"""What stands before the secret part: an echo may leave it out."""


def _spellings(secret: str) -> Iterator[str]:
    """Yield how an echo may spell a secret: plain, in JSON, in a form or URL, in HTML."""
    for plain in {secret, SCHEME.sub("", secret, count=1)} - {""}:
        yield plain
        for is_ascii in True, False:
            spelled = json.dumps(plain, ensure_ascii=is_ascii)[1:-1]
            yield from (spelled, spelled.replace("/", r"\/"))
        for spelled in quote(plain, safe=""), quote(plain), quote_plus(plain):
            yield from (spelled, re.sub("%..", lambda found: found[0].lower(), spelled))
        yield html.escape(plain)


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
