"""Ask for what matching trusts of a worker: traits, certifications, working hours."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _

from apps.console.forms.faults import add_faults
from apps.console.forms.fields import words_of
from apps.console.forms.rows import Rows
from apps.pools.availability import WEEKDAYS as DAYS
from apps.pools.texts import KIND_TEXTS, PRESENCE_TEXTS
from biolayer.errors import Fault, InvalidInput
from biolayer.times import format_time

MAX_CERTIFICATIONS = 100
SPAN = re.compile(r"(\d{1,2}):(\d{2})\s*[-\N{EN DASH}]\s*(\d{1,2}):(\d{2})", re.ASCII)
DAY = timedelta(days=1)


@lru_cache(maxsize=1)
def zone_names() -> Sequence[str]:
    """Return the time zones that are named by a place, and UTC."""
    return ("UTC", *sorted(zone for zone in available_timezones() if "/" in zone))


class TraitsForm(forms.Form):
    """Ask for all that `PATCH /v1/workers/{id}` changes, but presence and certifications."""

    name = forms.CharField(label=_("Name"), max_length=200)
    kind = forms.ChoiceField(
        label=_("Kind"),
        choices=[*KIND_TEXTS.items()],
        help_text=_("A person works in the portal. An agent is a program with an API key."),
    )
    skills = forms.CharField(
        label=_("Skills"),
        required=False,
        help_text=_(
            "One on each line, with its level from 1 to 5: phone_verification 3. Without a level it"
            " is 1. Lower-case letters, digits and . _ - only."
        ),
        widget=forms.Textarea(attrs={"rows": 4, "autocapitalize": "none", "spellcheck": "false"}),
    )
    languages = forms.CharField(
        label=_("Languages"),
        required=False,
        help_text=_("Language tags, such as en, de, pt-br."),
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )
    trust_level = forms.IntegerField(
        label=_("Trust level"),
        min_value=0,
        max_value=5,
        help_text=_("0 to 5. Tasks may require a level."),
    )
    capacity = forms.IntegerField(
        label=_("Capacity"),
        min_value=1,
        max_value=100,
        help_text=_("Tasks at once, 1 to 100. Some types of tasks may take more than 1 unit."),
    )
    time_zone = forms.CharField(
        label=_("Time zone"),
        max_length=64,
        help_text=_("Such as Europe/Berlin. Working hours are in it."),
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for number, day in enumerate(DAYS):
            widget = forms.TextInput(attrs={"inputmode": "text", "autocomplete": "off"})
            self.fields[day] = forms.CharField(
                label=WEEKDAYS[number], required=False, max_length=400, widget=widget
            )

    @property
    def day_fields(self) -> list[forms.BoundField]:
        """Return the fields of the working hours."""
        return [self[day] for day in DAYS]

    def clean_skills(self) -> dict[str, int]:
        skills: dict[str, int] = {}
        for line in str(self.cleaned_data["skills"]).replace(",", "\n").splitlines():
            words = words_of(line.replace("=", " ").replace(":", " "))
            if not words:
                continue
            level = words[1] if len(words) == 2 else "1"
            if len(words) > 2 or level not in "12345":
                raise forms.ValidationError(
                    _("“%(line)s” is no skill with a level from 1 to 5.") % {"line": line.strip()}
                )
            skills[words[0]] = int(level)
        return skills

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        for day in DAYS:
            spans = _spans(values.get(day, ""))
            if spans is None:
                self.add_error(day, _("Enter spans such as 09:00-12:00, 13:00-17:00."))
            else:
                values[day] = spans
        return values

    def document(self) -> dict[str, Any]:
        """Return the valid form as the API takes it."""
        values = self.cleaned_data
        levels = values["skills"]
        return {
            "name": values["name"],
            "kind": values["kind"],
            "skills": list(levels),
            "skill_levels": {skill: level for skill, level in levels.items() if level > 1},
            "languages": [word.lower() for word in words_of(values["languages"])],
            "trust_level": values["trust_level"],
            "capacity": values["capacity"],
            "time_zone": values["time_zone"],
            "hours": {day: values[day] for day in DAYS if values[day]},
        }


class CreationForm(TraitsForm):
    """Ask for a new worker: its traits, its pools, and whether it gets a key."""

    presence = forms.ChoiceField(
        label=_("Presence"),
        choices=[*PRESENCE_TEXTS.items()],
        help_text=_("Only an available worker gets offers. Workers change it themselves."),
    )
    pools = forms.MultipleChoiceField(
        label=_("Pools"), required=False, widget=forms.CheckboxSelectMultiple
    )
    with_key = forms.BooleanField(
        label=_("Create an API key for it"),
        required=False,
        help_text=_("An agent calls with it. The secret is shown once, on the next page."),
    )

    def __init__(
        self, *args: Any, pools: Iterable[tuple[str, str]], may_have_key: bool, **kwargs: Any
    ) -> None:
        """Take the pools to choose from, and whether the operator may create keys."""
        super().__init__(*args, **kwargs)
        self.fields["pools"].choices = list(pools)  # type: ignore[attr-defined]
        if not may_have_key:
            del self.fields["with_key"]

    def document(self) -> dict[str, Any]:
        values = self.cleaned_data
        return {
            **super().document(),
            "presence": values["presence"],
            "pool_ids": values["pools"],
        }


class CertificateForm(forms.Form):
    """Ask for a certification that the worker has."""

    code = forms.CharField(
        label=_("Certification"), max_length=64, help_text=_("As tasks name it: first-aid.")
    )
    issuer = forms.CharField(label=_("Issued by"), max_length=200, required=False)
    expires_on = forms.DateField(
        label=_("Valid until"),
        required=False,
        help_text=_("The last day, where the worker is. Empty: it does not expire."),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    document_url = forms.CharField(
        label=_("Link to the document"),
        max_length=2048,
        required=False,
        help_text=_("An address that begins with https://."),
    )
    # The exact end as it is stored, which a date alone would move.
    expires_at = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)

    def document(self, time_zone: str) -> dict[str, Any]:
        """Return the valid row as the API takes it."""
        values = self.cleaned_data
        document = {"code": values["code"], "issuer": values["issuer"]}
        if values["document_url"]:
            document["document_url"] = values["document_url"]
        if (day := values["expires_on"]) is not None:
            stored = _moment(values["expires_at"])
            is_same = stored is not None and last_day(stored, time_zone) == day
            ends_at = stored if is_same and stored else _end_of(day, time_zone)
            document["expires_at"] = format_time(ends_at)
        return document


def certificate_rows() -> Rows:
    """Return an empty list of certifications."""
    return Rows(CertificateForm, "certifications", most=MAX_CERTIFICATIONS)


def shown_certificate(row: Any, time_zone: str) -> dict[str, Any]:
    """Return a stored certification as its form shows it."""
    ends_at = row.expires_at
    return {
        "code": row.code,
        "issuer": row.issuer,
        "document_url": row.document_url,
        "expires_on": None if ends_at is None else last_day(ends_at, time_zone),
        "expires_at": "" if ends_at is None else format_time(ends_at),
    }


def stored_certificate(row: Any) -> dict[str, Any]:
    """Return a stored certification as `CertificateForm.document` returns an unchanged row."""
    document = {"code": row.code, "issuer": row.issuer.strip()}
    if row.document_url:
        document["document_url"] = row.document_url
    if row.expires_at is not None:
        document["expires_at"] = format_time(row.expires_at)
    return document


def shown(worker: Any) -> dict[str, Any]:
    """Return a stored worker as its form shows it."""
    levels = worker.skill_levels
    return {
        "name": worker.name,
        "kind": worker.kind,
        "skills": "\n".join(f"{skill} {levels.get(skill, 1)}" for skill in worker.skills),
        "languages": ", ".join(worker.languages),
        "trust_level": worker.trust_level,
        "capacity": worker.capacity,
        "time_zone": worker.time_zone,
        **{day: _span_text(worker.hours.get(day, ())) for day in DAYS},
    }


def stored_document(worker: Any) -> dict[str, Any]:
    """Return a stored worker as `TraitsForm.document` returns an unchanged form."""
    levels = worker.skill_levels
    return {
        "name": worker.name,
        "kind": worker.kind,
        "skills": list(worker.skills),
        "skill_levels": {
            skill: levels[skill] for skill in worker.skills if levels.get(skill, 1) > 1
        },
        "languages": list(worker.languages),
        "trust_level": worker.trust_level,
        "capacity": worker.capacity,
        "time_zone": worker.time_zone,
        "hours": {day: [list(span) for span in worker.hours[day]] for day in worker.hours},
    }


def add_worker_faults(form: TraitsForm, rows: Rows | None, error: InvalidInput) -> None:
    """Show each fault at its field, or at its certification."""
    others = []
    for fault in error.faults:
        parts = fault.pointer.split("/")
        if rows and len(parts) > 2 and parts[1] == "certifications" and parts[2].isdecimal():
            below = "".join(f"/{part}" for part in parts[3:])
            of_row = InvalidInput([Fault(below, fault.code, fault.detail)])
            add_faults(rows.forms[int(parts[2])], of_row, {"/expires_at": "expires_on", "": "code"})
        else:
            others.append(fault)
    if others:
        fields = {f"/hours/{day}": day for day in DAYS}
        fields |= {"/skill_levels": "skills", "/pool_ids": "pools", "/hours": DAYS[0]}
        add_faults(form, InvalidInput(others), fields)


# --- times ----------------------------------------------------------------------------------------


def _spans(text: Any) -> list[list[str]] | None:
    """Return the spans of a day's text, which is empty on a free day; None where it has others."""
    spans = []
    for part in filter(None, (part.strip() for part in str(text).split(","))):
        match = SPAN.fullmatch(part)
        if match is None:
            return None
        spans.append([f"{int(match[1]):02}:{match[2]}", f"{int(match[3]):02}:{match[4]}"])
    return spans


def _span_text(spans: Iterable[Sequence[str]]) -> str:
    return ", ".join(f"{begins}-{ends}" for begins, ends in spans)


def last_day(ends_at: datetime, time_zone: str) -> date:
    """Return the last day before an end, where the worker is."""
    return (ends_at - timedelta(seconds=1)).astimezone(ZoneInfo(time_zone)).date()


def _end_of(day: date, time_zone: str) -> datetime:
    """Return when a day ends; in UTC where the time zone is unknown, which has its own fault."""
    try:
        zone = ZoneInfo(time_zone)
    except (ValueError, OSError, KeyError):
        zone = ZoneInfo("UTC")
    try:
        return datetime.combine(day + DAY, time(), zone)
    except OverflowError:
        return datetime.combine(day, time(), UTC)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def changes(document: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs from the document that the page was made from.

    Levels belong to skills: they are sent together.
    """
    changed = {name: value for name, value in document.items() if seen.get(name, ...) != value}
    if changed.keys() & {"skills", "skill_levels"}:
        changed |= {name: document[name] for name in ("skills", "skill_levels")}
    return changed
