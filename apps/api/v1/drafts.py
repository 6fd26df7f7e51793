"""Serve the draft of a run's output to its worker."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.operations import operation
from apps.api.http.parsing import DraftParser
from apps.api.http.views import View, parse_id
from apps.api.v1.representations import tasks as representations
from apps.tasks import selectors, services
from biolayer.contract import parse
from biolayer.errors import DraftChanged, NotFound
from biolayer.requests.runs import DraftSave
from biolayer.responses.drafts import Draft


class RunDraft(View):
    parser_classes = [DraftParser]

    @operation(
        "get_draft",
        scope=Scope.WORK,
        summary="Get the worker's draft for the task of a run that it holds or held",
        returns={200: Draft},
    )
    def get(self, request: Request, run_id: str) -> Response:
        row = selectors.draft(actor=self.actor(request), run_id=parse_id("run", run_id))
        if row is None:
            raise NotFound("draft")
        return Response(representations.draft(row))

    @operation(
        "save_draft",
        scope=Scope.WORK,
        summary="Save a draft of the output, in place of the revision that the caller has seen",
        returns={200: Draft},
        body=DraftSave,
        refused=(409,),
    )
    def put(self, request: Request, run_id: str) -> Response:
        call = parse(DraftSave, request.data)
        try:
            row = services.save_draft(
                actor=self.actor(request),
                run_id=parse_id("run", run_id),
                epoch=call.epoch,
                revision=call.revision,
                output=call.output,
                form=call.form,
                at=self.at(request),
            )
        except DraftChanged as error:
            if error.draft is not None:
                error.shown = representations.draft(error.draft).model_dump(mode="json")
            raise
        return Response(representations.draft(row))
