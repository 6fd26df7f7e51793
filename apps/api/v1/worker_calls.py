"""Serve `/v1/offers`, `/v1/runs` and `/v1/workers/me`, for workers and agents.

evidence.py serves the files of a run.
"""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import check_no_filters
from apps.api.v1.representations import pools as pool_representations
from apps.api.v1.representations import tasks as representations
from apps.api.v1.representations.offers import offer
from apps.matching import selectors as offers
from apps.matching import services as matching
from apps.pools import selectors as pool_selectors
from apps.pools import services as pool_services
from apps.tasks import files, selectors, services
from apps.tasks.selectors import closed_ids
from biolayer.contract import parse
from biolayer.requests.offers import Decline
from biolayer.requests.pools import WorkerUpdate
from biolayer.requests.runs import Heartbeat, Release, RunCall, Submission
from biolayer.responses.offers import DeclinedOffer, OfferPage
from biolayer.responses.pools import Worker
from biolayer.responses.runs import HeldRun, RunChanged, RunPage, RunWithTask

OLDEST_OFFER_FIRST = Keyset(("offered_at", "id"))
OLDEST_RUN_FIRST = Keyset(("id",))


class Offers(View):
    @operation(
        "list_offers",
        scope=Scope.WORK,
        summary="List the worker's open offers, oldest first",
        returns={200: OfferPage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)
        visible = offers.open_offers(actor=self.actor(request), at=self.at(request))
        open_offers = page(request, visible, OLDEST_OFFER_FIRST)
        files.load_attachments(row.task for row in open_offers.rows)
        links = self.links(request)
        data = [offer(row, links) for row in open_offers.rows]
        return Response(OfferPage(data=data, next_cursor=open_offers.next_cursor))


class OfferAccept(View):
    @operation(
        "accept_offer",
        scope=Scope.WORK,
        summary="Accept an offer: the worker gets a run with a lease",
        returns={200: RunWithTask},
    )
    def post(self, request: Request, offer_id: str) -> Response:
        def accept() -> CallResult:
            run = matching.accept_offer(
                actor=self.actor(request),
                offer_id=parse_id("offer", offer_id),
                at=self.at(request),
            )
            return CallResult(representations.run_with_task(run, self.links(request)))

        return idempotent(request, request.data, accept)


class OfferDecline(View):
    @operation(
        "decline_offer",
        scope=Scope.WORK,
        summary="Decline an offer; the task is offered to another worker",
        returns={200: DeclinedOffer},
        body=Decline,
    )
    def post(self, request: Request, offer_id: str) -> Response:
        decline_request = parse(Decline, request.data)

        def decline() -> CallResult:
            parsed_id, code = parse_id("offer", offer_id), decline_request.code
            matching.decline_offer(
                actor=self.actor(request),
                offer_id=parsed_id,
                reason=decline_request.reason,
                code=code,
                at=self.at(request),
            )
            return CallResult(DeclinedOffer(offer_id=parsed_id, status="declined", code=code))

        return idempotent(request, request.data, decline)


class Runs(View):
    @operation(
        "list_runs",
        scope=Scope.WORK,
        summary="List the runs that the worker holds, with their tasks",
        returns={200: RunPage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)
        visible = selectors.held_runs(actor=self.actor(request))
        runs = page(request, visible, OLDEST_RUN_FIRST)
        files.load_attachments(row.task for row in runs.rows)
        links = self.links(request)
        data = [representations.held_run(row, links) for row in runs.rows]
        return Response(RunPage(data=data, next_cursor=runs.next_cursor))


class Run(View):
    @operation(
        "get_run",
        scope=Scope.WORK,
        summary="Get a run of the worker",
        returns={200: HeldRun},
    )
    def get(self, request: Request, run_id: str) -> Response:
        run = selectors.run(actor=self.actor(request), run_id=parse_id("run", run_id))
        return Response(representations.held_run(run, self.links(request)))


class RunStart(View):
    @operation(
        "start_run",
        scope=Scope.WORK,
        summary="Start a run",
        returns={200: RunWithTask},
        body=RunCall,
    )
    def post(self, request: Request, run_id: str) -> Response:
        call = parse(RunCall, request.data)

        def start() -> CallResult:
            run = services.start_run(
                actor=self.actor(request),
                run_id=parse_id("run", run_id),
                epoch=call.epoch,
                at=self.at(request),
            )
            return CallResult(representations.run_with_task(run, self.links(request)))

        return idempotent(request, request.data, start)


class RunHeartbeat(View):
    @operation(
        "heartbeat_run",
        scope=Scope.WORK,
        summary="Renew the lease of a run",
        returns={200: RunChanged},
        body=Heartbeat,
    )
    def post(self, request: Request, run_id: str) -> Response:
        call = parse(Heartbeat, request.data)

        def heartbeat() -> CallResult:
            run = services.heartbeat_run(
                actor=self.actor(request),
                run_id=parse_id("run", run_id),
                epoch=call.epoch,
                lease_seconds=call.lease_seconds,
                at=self.at(request),
            )
            return CallResult(RunChanged(run=representations.run(run)))

        return idempotent(request, request.data, heartbeat)


class RunSubmit(View):
    @operation(
        "submit_run",
        scope=Scope.WORK,
        summary="Submit the output of a run",
        returns={200: RunWithTask},
        body=Submission,
    )
    def post(self, request: Request, run_id: str) -> Response:
        submission = parse(Submission, request.data)

        def submit() -> CallResult:
            run = services.submit_run(
                actor=self.actor(request),
                run_id=parse_id("run", run_id),
                submission=submission,
                at=self.at(request),
            )
            body = representations.run_with_task(run, self.links(request))
            return CallResult(body, closed_tasks=closed_ids([run.task]))

        return idempotent(request, request.data, submit)


class RunRelease(View):
    @operation(
        "release_run",
        scope=Scope.WORK,
        summary="Release a run; no attempt is used",
        returns={200: RunChanged},
        body=Release,
    )
    def post(self, request: Request, run_id: str) -> Response:
        call = parse(Release, request.data)

        def release() -> CallResult:
            run = services.release_run(
                actor=self.actor(request),
                run_id=parse_id("run", run_id),
                epoch=call.epoch,
                reason=call.reason,
                code=call.code,
                at=self.at(request),
            )
            return CallResult(RunChanged(run=representations.run(run)))

        return idempotent(request, request.data, release)


class Me(View):
    @operation(
        "get_me",
        scope=Scope.WORK,
        summary="Get the calling worker",
        returns={200: Worker},
    )
    def get(self, request: Request) -> Response:
        worker = pool_selectors.own_worker(self.actor(request))
        return Response(pool_representations.worker(worker, at=self.at(request)))

    @operation(
        "update_me",
        scope=Scope.WORK,
        summary="Set the calling worker's presence, hours and time zone, or snooze offers",
        returns={200: Worker},
        body=WorkerUpdate,
    )
    def patch(self, request: Request) -> Response:
        at = self.at(request)
        worker = pool_services.update_own_worker(
            actor=self.actor(request), document=request.data, at=at
        )
        return Response(pool_representations.worker(worker, at=at))
