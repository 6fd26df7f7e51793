"""Test the value types: RFC 3339 times, BCP 47 tags, integers as JSON Schema defines them."""

from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from biolayer.values import INTEGRAL, Language, Moment

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)
LANGUAGE: TypeAdapter[str] = TypeAdapter(Language)
INTEGER: TypeAdapter[int] = TypeAdapter(Annotated[int, INTEGRAL])

NOON = datetime(2026, 2, 4, 12, 0, 0, tzinfo=UTC)


# RFC 3339, 5.6 to 5.8. Stored with six digits; a leap second is the next minute's first.
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-02-04T12:00:00Z", NOON),
        ("2026-02-04t12:00:00z", NOON),
        ("2026-02-04 12:00:00Z", NOON),
        ("2026-02-04T13:30:00+01:30", NOON),
        ("2026-02-04T12:00:00-00:00", NOON),
        ("2026-02-03T12:01:00-23:59", NOON),
        ("2026-02-04T12:00:00.1Z", NOON.replace(microsecond=100_000)),
        ("2026-02-04T12:00:00.1234567890Z", NOON.replace(microsecond=123_456)),
        ("2026-02-04T12:00:00.99999999999999999999Z", NOON.replace(microsecond=999_999)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31T15:59:60.25-08:00", datetime(2017, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_moment(text: str, moment: datetime) -> None:
    assert MOMENT.validate_python(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-04T12:00:00",
        "2026-02-04T12:00:00+00:60",
        "2026-02-04T12:00:00+24:00",
        "2026-02-04T12:00:00+0100",
        "2026-02-04T12:00:00.Z",
        "2026-02-04T24:00:00Z",
        "2026-02-04T12:60:00Z",
        "2026-02-04T12:00:61Z",
        "2026-02-04T12:00:60Z",
        "2016-12-31T23:59:60+01:00",
        "2026-02-30T12:00:00Z",
        "2026-2-4T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "\u0662026-02-04T12:00:00Z",
        "20260204T120000Z",
        1_770_206_400,
        None,
    ],
)
def test_moment__that_is_none(text: Any) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(text)


# RFC 5646: 2.1 (the grammar), 2.2.8 (tags from before it), Appendix A (examples).
@pytest.mark.parametrize(
    "tag",
    [
        *["de", "fr", "ja", "haw", "zh-Hant", "zh-cmn-Hans-CN", "cmn-Hans-CN", "yue-HK",
        "sr-Latn-RS"],
        *["sl-rozaj-biske", "sl-nedis", "de-CH-1901", "sl-IT-nedis", "hy-Latn-IT-arevela",
        "es-419"],
        *["de-CH-x-phonebk", "az-Arab-x-AZE-derbend", "x-whatever", "x-internal",
        "qaa-Qaaa-QM-x-a"],
        *["en-US-u-islamcal", "zh-CN-a-myext-x-private", "en-a-myext-b-another",
        "de-DE-u-co-phonebk"],
        *["i-klingon", "en-GB-oed", "sgn-BE-FR", "art-lojban", "zh-min-nan", "i-default"],
    ],
)  # fmt: skip
def test_language(tag: str) -> None:
    assert LANGUAGE.validate_python(tag) == tag.lower()


@pytest.mark.parametrize(
    "tag",
    [
        *["", "e", "en_US", "en-", "-en", "en--us", "de-419-DE", "a-DE", "ar-a-aaa-b-bbb-a-ccc",
        "en-\u0131s"],
        *["de-DE-1901-1901", "x", "x-", "en-x", "en-u", "i-unknown", "en us", "e1", "123",
            "x-toolongsubtag"],
    ],
)  # fmt: skip
def test_language__that_is_none(tag: str) -> None:
    with pytest.raises(ValidationError):
        LANGUAGE.validate_python(tag)


# JSON Schema Validation 2020-12, 6.1.1: any number with a zero fractional part is an integer.
@pytest.mark.parametrize(("number", "integer"), [(600, 600), (600.0, 600), (-0.0, 0)])
def test_integer(number: float, integer: int) -> None:
    found = INTEGER.validate_python(number, strict=True)
    assert (found, type(found)) == (integer, int)


@pytest.mark.parametrize("value", [600.5, "600", True, None, float("nan"), float("inf")])
def test_integer__that_is_none(value: Any) -> None:
    with pytest.raises(ValidationError):
        INTEGER.validate_python(value, strict=True)
