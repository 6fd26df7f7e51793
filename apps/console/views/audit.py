"""Show the audit log: a list with a search, the state of its chain, and exports."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from apps.accounts import selectors, services
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.texts import ACTION_TEXTS, ACTOR_KINDS, FACT_NAMES, SUBJECT_KINDS
from apps.base.exports import harmless
from apps.base.wording import humanised
from apps.console.access import console_page, read_at
from apps.console.forms.audit import AuditForm
from biolayer.times import format_time

PAGE = 50
MAX_DIGITS = 18
# The columns of the file; `data` is JSON.
COLUMNS = (
    "position",
    "occurred_at",
    "action",
    "actor_kind",
    "actor_id",
    "address",
    "subject_kind",
    "subject_id",
    "data",
    "hash",
)
# The page of what an entry concerns, by its kind.
PAGES = {
    "task": "admin:task",
    "pool": "admin:pool",
    "worker": "admin:worker",
    "member": "admin:member",
    "invitation": "admin:invitation",
    "api_key": "admin:api_key",
    "webhook_endpoint": "admin:endpoint",
}


@require_GET
@console_page
def audit(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /admin/accounts/auditevent/`."""
    actor.require(Scope.AUDIT_READ)
    form = AuditForm(request.GET)
    form.is_valid()
    rows = selectors.audit_events(actor=actor, filter_=form.filter())
    found = list(_after(rows, request.GET.get("after", ""))[: PAGE + 1])
    shown = found[:PAGE]
    names = selectors.names_of(
        actor=actor, actors={(one.actor_kind, one.actor_id) for one in shown}
    )
    context = {
        "form": form,
        "entries": [_entry(row, names) for row in shown],
        "is_searched": any(form.cleaned_data.values()),
        "is_narrowed": any(form[name].value() for name in form.fields if name != "action"),
        "following": _cursor(shown[-1]) if len(found) > PAGE else "",
        "query": _query(request),
    }
    return render(request, "console/audit/list.html", context)


@require_GET
@console_page
def chain(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /admin/accounts/auditevent/chain/`."""
    context = {"state": selectors.audit_state(actor=actor)}
    return render(request, "console/audit/chain.html", context)


@require_GET
@console_page
def export(request: HttpRequest, actor: Principal, kind: str) -> HttpResponse:
    """Serve `GET /admin/accounts/auditevent/export.<kind>`: all of the chain, by position."""
    rows = services.export_audit_events(actor=actor, after=0, at=read_at(request))
    lines, media_type = EXPORTS[kind]
    response: HttpResponseBase = StreamingHttpResponse(lines(rows), content_type=media_type)
    response["Content-Disposition"] = f'attachment; filename="audit.{kind}"'
    return response  # type: ignore[return-value]


# --- the list -------------------------------------------------------------------------------------


def _entry(row: Any, names: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """Return an entry in words, with the ids that a search takes."""
    # An action of a later version has no text here.
    text = ACTION_TEXTS.get(row.action, humanised(row.action.replace(".", " ")))
    return {
        "row": row,
        "action": text,
        "actor": names.get((row.actor_kind, row.actor_id), row.actor_id),
        "actor_kind": ACTOR_KINDS.get(row.actor_kind, row.actor_kind),
        "subject_kind": SUBJECT_KINDS.get(row.subject_kind, humanised(row.subject_kind)),
        "page": _page_of(row.subject_kind, row.subject_id),
        "facts": [
            (FACT_NAMES.get(name, humanised(name)), _words(value))
            for name, value in row.data.items()
            if value not in (None, [], "")
        ],
    }


def _page_of(kind: str, subject_id: str) -> str:
    """Return the address of what an entry concerns; empty without a page."""
    try:
        return reverse(PAGES[kind], args=[subject_id]) if kind in PAGES else ""
    except NoReverseMatch:
        return ""


def _words(value: Any) -> str:
    """Return a fact in words: a list by commas."""
    if isinstance(value, bool):
        return gettext("Yes") if value else gettext("No")
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _cursor(row: Any) -> str:
    return f"{row.occurred_at.isoformat()}_{row.id}"


def _after(rows: Any, cursor: str) -> Any:
    """Return the rows that follow a cursor; all of them without a readable one."""
    moment, _, number = cursor.partition("_")
    if not (number.isdecimal() and len(number) <= MAX_DIGITS):
        return rows
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return rows
    if at.tzinfo is None:
        return rows
    earlier = Q(occurred_at__lt=at) | Q(occurred_at=at, id__lt=int(number))
    return rows.filter(earlier, occurred_at__lte=at)


def _query(request: HttpRequest) -> str:
    """Return the search as a query, without the place in the list."""
    query = request.GET.copy()
    query.pop("after", None)
    return query.urlencode()


# --- the files ------------------------------------------------------------------------------------


def _ndjson(rows: Iterable[Any]) -> Iterator[str]:
    """Yield entries as `GET /v1/audit-events/export` does: `biolayer.audit_log` verifies them."""
    for row in rows:
        facts = {
            "organisation_id": str(row.organisation_id),
            "audit_event_id": row.id,
            "position": row.position,
            "action": row.action,
            "actor": {"kind": row.actor_kind, "id": row.actor_id},
            "address": row.address,
            "subject": {"kind": row.subject_kind, "id": row.subject_id},
            "data": row.data,
            "occurred_at": format_time(row.occurred_at),
            "prev_hash": bytes(row.prev_hash).hex(),
            "hash": bytes(row.hash).hex(),
        }
        yield json.dumps(facts, ensure_ascii=False, separators=(",", ":")) + "\n"


class _Line:
    """Return the line that the writer of CSV writes."""

    def write(self, text: str) -> str:
        return text


def _csv(rows: Iterable[Any]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    for row in rows:
        yield writer.writerow(_cells(row))


def _cells(row: Any) -> Sequence[Any]:
    special = {
        "occurred_at": format_time(row.occurred_at),
        "data": json.dumps(row.data, ensure_ascii=False),
        "hash": bytes(row.hash).hex(),
    }
    return [_safe(special.get(name, getattr(row, name))) for name in COLUMNS]


def _safe(value: Any) -> Any:
    return harmless(value) if isinstance(value, str) else value


EXPORTS = {"ndjson": (_ndjson, "application/x-ndjson"), "csv": (_csv, "text/csv; charset=utf-8")}
