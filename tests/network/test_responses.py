"""Test what is stored of a response: bounded, storable, without secrets; and `Retry-After`."""

import datetime as dt
import json
from email.utils import format_datetime

import pytest

from apps.webhooks.http_client import Outcome, Sender
from apps.webhooks.http_client.response import (
    MAX_BODY_BYTES,
    MAX_EXCERPT_BYTES,
    MAX_HEADERS,
    Redaction,
    excerpt,
    retry_after_seconds,
    stored_headers,
)
from tests.network import lab
from tests.network.lab import HEAD, serving
from tests.network.sending import send

NOTHING = Redaction(())
SECRET = 's3cret"töken'
DATE = "Wed, 25 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 120 "}, 120),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "86400"}, 86_400),
        ({"retry-after": "86401"}, 86_400),
        ({"retry-after": "9" * 400}, 86_400),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "\u0665"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Wed, 25 Nov 2026 12:02:00 GMT", "date": DATE}, 120),
        ({"retry-after": "Wednesday, 25-Nov-26 12:02:00 GMT", "date": DATE}, 120),
        ({"retry-after": "Wed, 25 Nov 2026 11:00:00 GMT", "date": DATE}, 0),
        ({"retry-after": "Wed, 25 Nov 2026 12:02:00 -0000", "date": DATE}, 120),
        ({"retry-after": "Wed, 25 Nov 9999 12:02:00 GMT", "date": DATE}, 86_400),
        ({"retry-after": "Wed, 99 Nov 2026 12:02:00 GMT", "date": DATE}, None),
        ({"retry-after": "Wed, 25 Nov 99999999 12:02:00 GMT", "date": DATE}, None),
        ({"retry-after": "Wed, 25 Nov 2026 12:02:00 +9999", "date": DATE}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT", "date": "yesterday"}, 0),
        ({"retry-after": "Fri, 31 Dec 9999 00:00:00 GMT"}, 86_400),
    ],
)
def test_retry_after_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers) == seconds


def test_excerpt__is_bounded_in_bytes_and_storable() -> None:
    assert excerpt(b"", is_truncated=False, redact=NOTHING) == ""
    assert excerpt(b"a\x00b\xff", is_truncated=False, redact=NOTHING) == "a\ufffdb\ufffd"
    stored = excerpt("é".encode() * MAX_BODY_BYTES, is_truncated=True, redact=NOTHING)
    assert len(stored.encode()) == MAX_EXCERPT_BYTES
    assert (
        len(excerpt(b"\xff" * MAX_BODY_BYTES, is_truncated=False, redact=NOTHING).encode())
        <= MAX_EXCERPT_BYTES
    )


def test_redaction__replaces_every_spelling() -> None:
    redact = Redaction((SECRET, "s3cret", "", "other"))
    assert redact(f"a {SECRET} b") == "a [redacted] b"
    assert redact(json.dumps({"token": SECRET})) == '{"token": "[redacted]"}'
    assert redact("s3cret and other") == "[redacted] and [redacted]"
    assert redact("harmless") == "harmless"


@pytest.mark.parametrize(
    "spelled",
    [
        "whsec_MfKQ9r8/Gk+w==",
        "MfKQ9r8/Gk+w==",
        r"MfKQ9r8\/Gk+w==",
        "MfKQ9r8%2FGk%2Bw%3D%3D",
        "MfKQ9r8%2fGk%2bw%3d%3d",
        "MfKQ9r8/Gk%2Bw%3D%3D",
        r"MfKQ9r8/Gk\u002Bw\u003d\u003d",
        r"MfKQ9r8\\/Gk\\u002bw\\u003D\\u003D",
        "MfKQ9r8/Gk&#43;w&#x3D;&#x3d;",
        "MfKQ9r8_Gk-w==",
    ],
)
def test_redaction__of_a_signing_secret_as_an_echo_may_spell_it(spelled: str) -> None:
    redact = Redaction(("whsec_MfKQ9r8/Gk+w==",))
    stored = redact(f"before {spelled} after")
    assert "Mf" not in stored
    assert stored.startswith("before ")
    assert stored.endswith(" after")


@pytest.mark.parametrize(
    ("secret", "spelled"),
    [
        ("Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("Bearer t0ken&more", "t0ken&amp;more"),
        ("caf\u00e9-9", r"caf\u00e9-9"),
        ('quo"ted', r"quo\"ted"),
        ("two words", "two+words"),
        ("a&b<c'd", r"a\u0026b\u003cc\u0027d"),
        ("a&b<c'd", "a&amp;b&lt;c&#39;d"),
    ],
)
def test_redaction__of_credentials_as_an_echo_may_spell_them(secret: str, spelled: str) -> None:
    assert Redaction((secret,))(f"<{spelled}>") == "<[redacted]>"


def test_redaction__leaves_no_beginning_of_a_secret_where_the_text_was_cut() -> None:
    redact = Redaction(("0123456789",))
    for length in range(1, 10):
        assert "0" not in redact.of_truncated("x" * 50 + "0123456789"[:length])
    # Redaction shortens: text far behind the bound may come before it.
    body = (b"0123456789" * MAX_BODY_BYTES)[: MAX_BODY_BYTES - 4] + b"0123"
    assert "0123" not in excerpt(body, is_truncated=True, redact=redact)


def test_stored_headers__are_few_and_short() -> None:
    many = {f"x-{number}": "v" * 1_000 for number in range(100)}
    stored = stored_headers(many, NOTHING)
    assert len(stored) == MAX_HEADERS
    assert {len(value) for value in stored.values()} == {200}
    assert stored_headers({"set-cookie": "session=1", "x-a": "1"}, NOTHING) == {"x-a": "1"}


def test_echo_of_a_request__has_no_secret(sender: Sender) -> None:
    secrets = ("whsec_abcdef", "Bearer t0ken")
    echo = " and ".join(secrets).encode()
    raw = b"HTTP/1.1 500 X\r\nX-Echo: %s\r\nContent-Length: %d\r\n\r\n%s" % (echo, len(echo), echo)
    with serving(lab.responds(raw)) as server:
        result = send(sender, f"http://127.0.0.1:{server.port}/", secrets=secrets).result
    assert result.outcome is Outcome.STATUS
    assert result.response_excerpt == "[redacted] and [redacted]"
    assert result.response_headers["x-echo"] == "[redacted] and [redacted]"
    assert not any(secret in repr(result) for secret in secrets)


def test_error__has_no_secret(sender: Sender) -> None:
    result = send(sender, "http://s3cr3t.test:99999/", secrets=("s3cr3t",)).result
    assert result.outcome is Outcome.INVALID
    assert "s3cr3t" not in result.error
    assert len(result.error) <= 500


def test_response__is_stored_as_received(sender: Sender) -> None:
    raw = (
        HEAD
        + b"X-Odd: \xff\xfe caf\xc3\xa9\r\nRetry-After: 7\r\nContent-Length: 3\r\n\r\n\x00\xffa"
    )
    with serving(lab.responds(raw)) as server:
        result = send(sender, f"http://127.0.0.1:{server.port}/").result
    assert result.response_excerpt == "\ufffd\ufffda"
    assert result.response_headers["x-odd"].endswith("café")
    assert result.retry_after_seconds == 7
    # Nothing that PostgreSQL refuses.
    assert "\x00" not in repr(result)
    repr(result).encode()


def test_retry_after__compares_a_date_with_the_receivers_own_clock(sender: Sender) -> None:
    then = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    lines = [
        "HTTP/1.1 503 Busy",
        f"Date: {format_datetime(then, usegmt=True)}",
        f"Retry-After: {format_datetime(then + dt.timedelta(minutes=5), usegmt=True)}",
        "Content-Length: 0",
    ]
    with serving(lab.responds("\r\n".join([*lines, "", ""]).encode())) as server:
        result = send(sender, f"http://127.0.0.1:{server.port}/").result
    assert result.retry_after_seconds == 300
