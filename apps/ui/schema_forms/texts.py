"""Convert values to the texts of fields and back, without loss."""

import json
import re
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.formats import get_format
from django.utils.translation import gettext as _

from apps.ui.schema_forms.names import MISSING, UNSHOWABLE

# What the API accepts in bodies, and the validator can check.
INTEGERS = range(-(2**63), 2**64)
MAX_DIGITS = 400

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,4})?")
# With three digits it could be a separator of thousands, unless it is the language's decimal mark.
_DECIMAL_COMMA = re.compile(r"[+-]?([0-9]*,([0-9]{1,2}|[0-9]{4,})|0,[0-9]+)")
_THOUSANDS_POINT = re.compile(r"[+-]?[1-9][0-9]*[.][0-9]{3}")
LOCAL_TIME = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_LOCAL = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{LOCAL_TIME}")
_TIME = re.compile(LOCAL_TIME)


# Half of a surrogate pair, as JSON escapes it, and as Python has it where the other is missing.
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_HALF = re.compile("[\ud800-\udfff]")


class Unreadable(ValueError):
    """Raised for a text that is no value of its field, with a sentence for the worker."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Repeated(Unreadable):
    """Raised for a local time that occurs twice, until one of the two is chosen."""


def plain_text(text: str) -> str:
    """Return a text with the line ends of JSON: a browser sends CR and LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def json_text(value: Any, *, indent: int | None = None) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return json.dumps(value, indent=indent) if UNSHOWABLE.search(text) else text


def json_value(text: str) -> Any:
    """Return the value of a JSON text.

    Raise `Unreadable` for others, for long numbers and for halves of surrogate pairs, which cannot
    be stored.
    """
    try:
        value = json.loads(
            text, parse_int=_exact_integer, parse_float=_exact_float, parse_constant=_refuse
        )
    except json.JSONDecodeError as error:
        sentence = _("This is not JSON: line %(line)d, column %(column)d.")
        place = {"line": error.lineno, "column": error.colno}
        raise Unreadable("malformed_json", sentence % place) from error
    except RecursionError as error:
        raise Unreadable("too_deep", _("This nests too deep.")) from error
    if _has_half_pair(text, value):
        raise Unreadable("malformed_json", _("This has half of a character: \\ud800 to \\udfff."))
    return value


def _has_half_pair(text: str, value: Any) -> bool:
    """Return whether a string or a name in the value of a JSON text is no Unicode text."""
    if not _ESCAPED_HALF.search(text):
        return False
    return bool(_HALF.search(json.dumps(value, ensure_ascii=False)))


def _refuse(name: str) -> Any:
    raise Unreadable("malformed_json", _("JSON has no number %(name)s.") % {"name": name})


def number_value(text: str, *, is_integer: bool) -> int | float:
    """Return the number that a text means. Raise `Unreadable`, also where digits would be lost."""
    text = text.strip().replace("\N{MINUS SIGN}", "-")
    if _INTEGER.fullmatch(text):
        return _exact_integer(text)
    if is_integer:
        raise Unreadable("wrong_type", _("Enter a whole number, in digits only."))
    text = _with_point(text)
    if not _NUMBER.fullmatch(text):
        raise Unreadable(
            "wrong_type", _("Enter a number, without separators of thousands: for example 1250.5")
        )
    return _exact_float(text)


def _with_point(text: str) -> str:
    """Return a number with a decimal point; "" where the mark could separate thousands."""
    if not _has_decimal_comma():
        return text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text
    if "," in text:
        return "" if "." in text else text.replace(",", ".")
    return "" if _THOUSANDS_POINT.fullmatch(text) else text


def _has_decimal_comma() -> bool:
    """Return whether the language of the page writes 1250,5."""
    return bool(get_format("DECIMAL_SEPARATOR") == ",")


def _exact_integer(text: str) -> int:
    if len(text) > MAX_DIGITS or int(text) not in INTEGERS:
        raise _too_long()
    return int(text)


def _exact_float(text: str) -> float:
    if len(text) > MAX_DIGITS:
        raise _too_long()
    value = float(text)
    try:
        is_exact = Decimal(repr(value)) == Decimal(text)
    except InvalidOperation:
        is_exact = False
    if not is_exact:
        raise _too_long()
    return value


def _too_long() -> Unreadable:
    return Unreadable("too_long", _("This number has more digits than can be stored."))


def moment_value(text: str, *, kind: str, zone: tzinfo, occurrence: str) -> str:
    """Return the date or time of JSON Schema that a text means. Raise `Unreadable`.

    Times with an offset are returned as they are. `occurrence` is `first` or `second`.
    """
    text = text.strip()
    if kind == "date":
        return text
    if kind == "time":
        return _with_offset(time.fromisoformat(text), zone) if _TIME.fullmatch(text) else text
    return _moment(text, zone, occurrence) if _LOCAL.fullmatch(text) else text


def _with_offset(local: time, zone: tzinfo) -> str:
    """Return a time of day with the zone's offset of today: RFC 3339 knows none without."""
    offset = datetime.now(zone).utcoffset() or timedelta(0)
    return local.replace(tzinfo=timezone(offset)).isoformat()


def _moment(text: str, zone: tzinfo, occurrence: str) -> str:
    local = datetime.fromisoformat(text)
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return _formatted(first)
    is_skipped = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local
    names = {"time": local.strftime("%H:%M"), "date": local.strftime("%Y-%m-%d")}
    if is_skipped:
        sentence = _(
            "%(time)s does not exist on %(date)s: the clocks are set forward. Enter another time."
        )
        raise Unreadable("skipped_time", sentence % names)
    if occurrence not in ("first", "second"):
        sentence = _(
            "%(time)s comes twice on %(date)s: the clocks are set back. Say which one it is."
        )
        raise Repeated("repeated_time", sentence % names)
    return _formatted(first if occurrence == "first" else second)


def _formatted(moment: datetime) -> str:
    """Return an RFC 3339 time. It knows no offsets with seconds, as they were before 1900."""
    offset = moment.utcoffset()
    has_seconds = offset is not None and offset.total_seconds() % 60
    return (moment.astimezone(UTC) if has_seconds else moment).isoformat()


def moment_text(value: str, *, kind: str, zone: tzinfo) -> str:
    """Return a date or time as a browser's field has it, in the zone; others as they are."""
    try:
        if kind == "time":
            today = datetime.now(UTC).date()
            moment = datetime.combine(today, time.fromisoformat(value))
        elif kind == "date-time":
            moment = datetime.fromisoformat(value)
        else:
            return value
        if moment.tzinfo is None:
            return value
        local = moment.astimezone(zone).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return value
    is_whole = not local.second and not local.microsecond
    text = local.isoformat(timespec="minutes" if is_whole else "auto")
    return text.partition("T")[2] if kind == "time" else text


def scalar_text(value: Any) -> str:
    """Return the text of a value that is no list and no object; "" for null and none."""
    if value is MISSING or value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, str):
        return value
    text = json_text(value)
    return text.replace(".", ",") if isinstance(value, float) and _has_decimal_comma() else text


def is_zone(name: str) -> bool:
    """Return whether a text is the name of a time zone."""
    try:
        return bool(name) and ZoneInfo(name).key == name
    except (KeyError, OSError, TypeError, ValueError):
        return False


def zone_of(name: str) -> tzinfo:
    """Return the time zone of a name; UTC for an unknown one."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, TypeError, ValueError):
        return UTC
