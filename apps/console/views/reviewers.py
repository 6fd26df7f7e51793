"""Show managers what reviewers do, in figures."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import formats
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from apps.accounts.principal import Principal
from apps.console.access import console_page, read_at
from apps.reviews import selectors
from apps.reviews.selectors import ReviewerFigures
from apps.reviews.texts import reviewer_names

PAGE = 50
PERIODS = {"7": _("7 days"), "30": _("30 days"), "92": _("92 days")}


@require_safe
@console_page
def reviewers(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /admin/reviews/reviewers/`, by three statements beside those of the session."""
    days, after = request.GET.get("days", ""), request.GET.get("after", "").replace("\0", "")
    days = days if days in PERIODS else "7"
    until = read_at(request)
    found = selectors.reviewers(
        actor=actor,
        since=until - timedelta(days=int(days)),
        until=until,
        after=after or None,
        count=PAGE + 1,
    )
    shown = found[:PAGE]
    names = reviewer_names(actor=actor, texts={one.decided_by for one in shown})
    context = {
        "days": days,
        "periods": PERIODS.items(),
        "rows": [_row(one, names) for one in shown],
        "following": shown[-1].decided_by if len(found) > PAGE else "",
    }
    return render(request, "console/reviews/reviewers.html", context)


def _row(figures: ReviewerFigures, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "figures": figures,
        "name": names[figures.decided_by],
        "per_hour": formats.number_format(figures.approvals_per_hour, 1),
        "fast": _share_text(figures.fast_approval_share, figures.claimed_approvals),
        "agreement": _share_text(figures.agreement, figures.decided_again),
    }


def _share_text(share: float | None, of: int) -> str:
    """Return a share with what it is of; empty for a share of nothing."""
    if share is None:
        return ""
    return gettext("%(percent)s %% of %(count)s") % {"percent": round(share * 100), "count": of}
