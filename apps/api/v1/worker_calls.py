"""`/v1/offers`, `/v1/runs`, `/v1/workers/me`: for workers, by app, portal or agent."""

import hashlib
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.http.idempotency import Answer, idempotent
from apps.api.http.pagination import Keyset, page
from apps.api.http.parsing import BoundedMultiPartParser
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import no_filters
from apps.api.v1.representations import pools as pool_representations
from apps.api.v1.representations import tasks as representations
from apps.api.v1.representations.offers import offer
from apps.matching import selectors as offers
from apps.matching import services as matching
from apps.pools import selectors as pools
from apps.pools import services as pool_services
from apps.tasks import selectors, services
from biolayer.contract import (
    Decline,
    Heartbeat,
    Release,
    RunCall,
    Submission,
    parse,
)
from biolayer.errors import Fault, InvalidInput
from biolayer.requests.pools import WorkerUpdate
from biolayer.responses.tasks import DeclinedOffer, OfferPage, RunChanged, RunPage

OLDEST_OFFER_FIRST = Keyset(("offered_at", "id"))
OLDEST_RUN_FIRST = Keyset(("id",))


class Offers(View):
    takes_query = True

    def get(self, request: Request) -> Response:
        no_filters(request)
        found = offers.open_offers(actor=self.actor(request), at=self.at(request))
        open_offers = page(request, found, OLDEST_OFFER_FIRST)
        shown = [offer(row) for row in open_offers.rows]
        return Response(OfferPage(data=shown, next_cursor=open_offers.next_cursor))


class OfferAccept(View):
    def post(self, request: Request, offer_id: str) -> Response:
        def accept() -> Answer:
            run = matching.accept_offer(
                actor=self.actor(request),
                offer_id=parse_id("offer", offer_id),
                at=self.at(request),
            )
            return Answer(representations.run_with_task(run))

        return idempotent(request, request.data, accept)


class OfferDecline(View):
    def post(self, request: Request, offer_id: str) -> Response:
        wanted = parse(Decline, request.data)

        def decline() -> Answer:
            declined = parse_id("offer", offer_id)
            matching.decline_offer(
                actor=self.actor(request),
                offer_id=declined,
                reason=wanted.reason,
                at=self.at(request),
            )
            return Answer(DeclinedOffer(offer_id=declined, status="declined"))

        return idempotent(request, request.data, decline)


class Runs(View):
    takes_query = True

    def get(self, request: Request) -> Response:
        no_filters(request)
        held = selectors.runs_held(actor=self.actor(request))
        runs = page(request, held, OLDEST_RUN_FIRST)
        shown = [representations.held_run(run) for run in runs.rows]
        return Response(RunPage(data=shown, next_cursor=runs.next_cursor))


class Run(View):
    def get(self, request: Request, run_id: str) -> Response:
        run = selectors.run(actor=self.actor(request), run_id=parse_id("run", run_id))
        return Response(representations.held_run(run))


class RunStart(View):
    def post(self, request: Request, run_id: str) -> Response:
        call = parse(RunCall, request.data)

        def start() -> Answer:
            run = services.start_run(
                actor=self.actor(request),
                run_id=parse_id("run", run_id),
                epoch=call.epoch,
                at=self.at(request),
            )
            return Answer(representations.run_with_task(run))

        return idempotent(request, request.data, start)


class RunHeartbeat(View):
    def post(self, request: Request, run_id: str) -> Response:
        call = parse(Heartbeat, request.data)

        def heartbeat() -> Answer:
            run = services.heartbeat_run(
                actor=self.actor(request),
                run_id=parse_id("run", run_id),
                epoch=call.epoch,
                lease_seconds=call.lease_seconds,
                at=self.at(request),
            )
            return Answer(RunChanged(run=representations.run(run)))

        return idempotent(request, request.data, heartbeat)


class RunSubmit(View):
    def post(self, request: Request, run_id: str) -> Response:
        submission = parse(Submission, request.data)

        def submit() -> Answer:
            run = services.submit_run(
                actor=self.actor(request),
                run_id=parse_id("run", run_id),
                submission=submission,
                at=self.at(request),
            )
            return Answer(representations.run_with_task(run))

        return idempotent(request, request.data, submit)


class RunRelease(View):
    def post(self, request: Request, run_id: str) -> Response:
        call = parse(Release, request.data)

        def release() -> Answer:
            run = services.release_run(
                actor=self.actor(request),
                run_id=parse_id("run", run_id),
                epoch=call.epoch,
                reason=call.reason,
                at=self.at(request),
            )
            return Answer(RunChanged(run=representations.run(run)))

        return idempotent(request, request.data, release)


class RunEvidence(View):
    parser_classes = [BoundedMultiPartParser]

    def post(self, request: Request, run_id: str) -> Response:
        file, epoch = _upload(request)

        def add() -> Answer:
            evidence = services.add_evidence(
                actor=self.actor(request),
                run_id=parse_id("run", run_id),
                epoch=epoch,
                file=file,
                at=self.at(request),
            )
            return Answer(representations.evidence(evidence), 201)

        return idempotent(request, _upload_document(file, epoch), add)


def _upload(request: Request) -> tuple[Any, int]:
    """The form's file and epoch. Raises `InvalidInput` naming what is missing."""
    faults = []
    files = request.FILES.getlist("file")
    if len(files) != 1:
        faults.append(Fault("/file", "required", "send exactly one file in the part `file`"))
    text = request.POST.get("epoch", "")
    is_epoch = text.isascii() and text.isdigit() and len(text) < 10
    if not is_epoch:
        faults.append(Fault("/epoch", "required", "send the run's epoch in the part `epoch`"))
    if faults:
        raise InvalidInput(faults)
    return files[0], int(text)


def _upload_document(file: Any, epoch: int) -> dict[str, Any]:
    """What stands for the upload in an idempotency key's fingerprint."""
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return {"epoch": epoch, "name": file.name, "sha256": digest.hexdigest()}


class Me(View):
    def get(self, request: Request) -> Response:
        worker = pools.worker_behind(self.actor(request))
        return Response(pool_representations.worker(worker, at=self.at(request)))

    def patch(self, request: Request) -> Response:
        update, at = parse(WorkerUpdate, request.data), self.at(request)
        worker = pool_services.set_presence(
            actor=self.actor(request),
            presence=update.presence,
            snooze_seconds=update.snooze_seconds,
            at=at,
        )
        return Response(pool_representations.worker(worker, at=at))
