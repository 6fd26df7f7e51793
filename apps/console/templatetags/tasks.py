"""Show states of tasks, offers, runs and deliveries in words."""

from datetime import datetime
from typing import Any

from django import template
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.base.stamps import stamp
from apps.base.wording import humanised
from apps.console.task_page.timeline import REASONS
from apps.tasks.texts import STATUS_TEXTS, URGENCY_TEXTS
from biolayer.lifecycle import Status
from biolayer.values import CannotDo

Text = str | Promise
register = template.Library()

OFFERS: dict[str, tuple[str, Text]] = {
    "open": ("offered", _("Open")),
    "accepted": ("good", _("Accepted")),
    "declined": ("bad", _("Declined")),
    "expired": ("off", _("Expired")),
    "withdrawn": ("off", _("Withdrawn")),
    "rescinded": ("off", _("Another worker accepted")),
}
RUNS: dict[str, Text] = {
    "queued": _("waits for a worker"),
    "claimed": _("accepted, not started"),
    "starting": _("starting"),
    "running": _("running"),
    "completed": _("submitted"),
    "failed": _("failed"),
    "canceled": _("cancelled"),
    "needs_attention": _("needs attention"),
}
WAYS: dict[str, Text] = {
    "released": _("gave it back"),
    "lapsed": _("lost it when the lease ended"),
    "recalled": _("lost it: an operator took it back"),
}
DELIVERIES: dict[str, tuple[str, Text]] = {
    "pending": ("offered", _("Pending")),
    "held": ("off", _("Held")),
    "succeeded": ("good", _("Delivered")),
    "exhausted": ("bad", _("Given up")),
    "expired": ("bad", _("Expired")),
}
CODES: dict[str, Text] = {
    CannotDo.NO_TIME.value: _("has no time for it"),
    CannotDo.MISSING_SKILL.value: _("lacks a skill that it takes"),
    CannotDo.NO_ACCESS.value: _("has no access to what it needs"),
    CannotDo.WRONG_PLACE.value: _("is not where it has to be done"),
    CannotDo.UNCLEAR.value: _("does not understand what to do"),
    CannotDo.UNSAFE.value: _("says that it is not safe"),
    CannotDo.CONFLICT_OF_INTEREST.value: _("has a conflict of interest"),
    CannotDo.OTHER.value: _("has another reason"),
}


@register.simple_tag
def status_of(status: str) -> SafeString:
    """Return a task's status as a word with its shape."""
    return _state(status, status_word(status))


@register.simple_tag
def status_word(status: str) -> str:
    """Return a task's status as a word."""
    return str(STATUS_TEXTS[Status(status)])


@register.simple_tag
def offer_state(offer: Any, at: datetime) -> SafeString:
    """Return how an offer stands."""
    return _state(*OFFERS[offer.status])


@register.simple_tag
def delivery_state(row: Any) -> SafeString:
    """Return how a delivery stands, and what it waits for."""
    state = _state(*DELIVERIES[row.delivery.status])
    if row.wait.reason is None:
        return state
    waits = format_html('{}<br><span class="small muted">{}', state, humanised(row.wait.reason))
    until = format_html(" {}", stamp(row.wait.until)) if row.wait.until else ""
    return format_html("{}{}</span>", waits, until)


@register.simple_tag
def run_state(run: Any) -> str:
    """Return the status of a run in words."""
    return str(RUNS.get(run.status, run.status))


@register.simple_tag
def why_worker(offer: Any) -> list[tuple[Text, str]]:
    """Return the figures by which the worker of an offer was ranked, in their order."""
    why = offer.why
    shown: list[tuple[Text, str]] = []
    if share := why.get("preferred_share"):
        shown.append((_("preferred skills"), f"{share:.0%}"))
    if "free_units" in why:
        free = gettext("%(free)s of %(capacity)s") % {
            "free": why["free_units"],
            "capacity": why.get("capacity", "?"),
        }
        shown.append((_("free capacity"), free))
    if since := why.get("waiting_since"):
        shown.append((_("waits since"), stamp(datetime.fromisoformat(since))))
    if "rating" in why:
        shown.append((_("rating"), f"{why['rating']:g}"))
    if "score" in why:
        shown.append((_("score"), f"{why['score']:g}"))
    return shown


@register.filter
def way_text(way: str) -> Text:
    """Return how a worker's hold on a run ended."""
    return WAYS.get(way, way)


@register.filter
def code_text(code: str) -> Text:
    """Return why a worker cannot do a task."""
    return CODES.get(code, code)


@register.filter
def reason_text(reason: str) -> Text:
    """Return why a task closed: our words for our codes, else the person's own."""
    return REASONS.get(reason, reason)


@register.filter
def urgency_text(urgency: str) -> Text:
    """Return an urgency in words."""
    return URGENCY_TEXTS.get(urgency, urgency)


register.filter("words", humanised)


@register.filter
def code_words(code: str) -> str:
    """Return a code in words, inside a line."""
    return humanised(code).lower()


def _state(kind: str, text: Text) -> SafeString:
    return format_html('<span class="status status-{}">{}</span>', kind, text)
