"""Serve what the calling worker did."""

from datetime import timedelta

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View
from apps.api.v1.filters import SINCE, check_no_filters, since_parameter
from apps.api.v1.representations import tasks as representations
from apps.reviews.selectors import own_verdicts
from apps.tasks import selectors
from biolayer.responses.history import HistoryPage, Statistics

NEWEST_FIRST = Keyset(("ended_at", "id"), descending=True)
DEFAULT_SPAN = timedelta(days=30)


class MyHistory(View):
    @operation(
        "list_my_history",
        scope=Scope.WORK,
        summary="List the runs that ended with the calling worker, newest first",
        returns={200: HistoryPage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)
        actor = self.actor(request)
        runs = page(request, selectors.own_history(actor=actor), NEWEST_FIRST)
        verdicts = own_verdicts(actor=actor, runs=runs.rows)
        data = [representations.ended_run(row, verdicts.get(row.id)) for row in runs.rows]
        return Response(HistoryPage(data=data, next_cursor=runs.next_cursor))


class MyStatistics(View):
    @operation(
        "get_my_statistics",
        scope=Scope.WORK,
        summary="Get what the calling worker did, of the last 30 days or since a time",
        returns={200: Statistics},
        query=(SINCE,),
    )
    def get(self, request: Request) -> Response:
        since = since_parameter(request) or self.at(request) - DEFAULT_SPAN
        found = selectors.own_statistics(actor=self.actor(request), since=since)
        return Response(
            Statistics(
                since=since,
                completed=found.completed,
                returned=found.returned,
                missed_lease=found.missed_lease,
                on_time_share=found.on_time_share,
                median_seconds=found.median_seconds,
            )
        )
