"""Serve evidence: to the worker that uploads it, and to product backends."""

from typing import Annotated, Any

from django.http import HttpResponseBase
from pydantic import BaseModel, Field
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.downloads import download
from apps.api.http.idempotency import CallResult
from apps.api.http.links import ACCESS, LinkAuthentication, has_link
from apps.api.http.operations import BINARY, OCTETS, PAGED, Query, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.parameters import parameter_faults
from apps.api.http.parsing import BoundedMultiPartParser
from apps.api.http.uploads import idempotent_upload, one_file
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import check_no_filters
from apps.api.v1.representations import files as representations
from apps.tasks import files, services
from biolayer.errors import Fault, InvalidInput
from biolayer.requests.runs import MAX_EPOCH
from biolayer.responses.files import Evidence, EvidenceInFull, EvidencePage

OLDEST_FIRST = Keyset(("id",))
EPOCH = Query(
    "epoch",
    {"type": "integer", "minimum": 1, "maximum": MAX_EPOCH},
    "The run's epoch: the fencing token of its lease.",
    1,
    is_required=True,
)


class EvidenceForm(BaseModel):
    """A form of two parts: the run's epoch and one file."""

    epoch: Annotated[int, Field(ge=1, le=MAX_EPOCH)]
    file: Annotated[Any, Field(json_schema_extra=BINARY)]


class RunEvidence(View):
    parser_classes = [BoundedMultiPartParser]

    @operation(
        "list_run_evidence",
        scope=Scope.WORK,
        summary="List what the worker uploaded to a run of its own, oldest first",
        returns={200: EvidencePage},
        query=PAGED,
    )
    def get(self, request: Request, run_id: str) -> Response:
        check_no_filters(request)
        rows = files.run_evidence(actor=self.actor(request), run_id=parse_id("run", run_id))
        return _listed(self, request, rows)

    @operation(
        "add_evidence",
        scope=Scope.WORK,
        summary="Upload a file as evidence for a run, at most 10 MiB",
        returns={201: Evidence},
        body=EvidenceForm,
        body_type="multipart/form-data",
    )
    def post(self, request: Request, run_id: str) -> Response:
        file, epoch = _upload(request)
        run: dict[str, Any] = {
            "actor": self.actor(request),
            "run_id": parse_id("run", run_id),
            "epoch": epoch,
            "at": self.at(request),
        }

        def add(received: services.ReceivedFile) -> CallResult:
            evidence = services.add_evidence(received=received, **run)
            return CallResult(representations.evidence(evidence), 201)

        def receive() -> services.ReceivedFile:
            return services.receive_evidence(file=file, **run)

        return idempotent_upload(request, file, {"epoch": epoch}, receive=receive, use=add)


def _upload(request: Request) -> tuple[Any, int]:
    """Return the form's file and epoch. Raise `InvalidInput` with a fault for each missing part."""
    file, faults = one_file(request)
    epoch = _epoch(request.POST.get("epoch", ""))
    if epoch is None:
        faults.append(Fault("/epoch", "required", "send the run's epoch in the part `epoch`"))
    if faults or epoch is None:
        raise InvalidInput(faults)
    return file, epoch


def _epoch(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= 10
    return int(text) if is_number and 1 <= int(text) <= MAX_EPOCH else None


class RunEvidenceFile(View):
    @operation(
        "remove_evidence",
        scope=Scope.WORK,
        summary="Remove a file from a run that the worker holds, before it is submitted",
        returns={204: None},
        query=(EPOCH,),
        refused=(409,),
    )
    def delete(self, request: Request, run_id: str, evidence_id: str) -> Response:
        services.remove_evidence(
            actor=self.actor(request),
            run_id=parse_id("run", run_id),
            epoch=_epoch_in_query(request),
            evidence_id=parse_id("evidence", evidence_id),
            at=self.at(request),
        )
        return Response(status=204)


def _epoch_in_query(request: Request) -> int:
    """Return the parameter `epoch`. Raise `InvalidInput`."""
    faults = parameter_faults(request.query_params, (EPOCH.name,))
    epoch = _epoch(request.query_params.get(EPOCH.name, ""))
    if epoch is None and not faults:
        faults = [Fault("/epoch", "required", "send the run's epoch in the parameter `epoch`")]
    if faults or epoch is None:
        raise InvalidInput(faults)
    return epoch


class TaskEvidence(View):
    @operation(
        "list_task_evidence",
        scope=Scope.EVIDENCE_READ,
        summary="List the evidence of a task's verified output, oldest first; all of the task's"
        " evidence with the scope `evidence:unverified`",
        returns={200: EvidencePage},
        query=PAGED,
    )
    def get(self, request: Request, task_id: str) -> Response:
        check_no_filters(request)
        rows = files.task_evidence(actor=self.actor(request), task_id=parse_id("task", task_id))
        return _listed(self, request, rows)


def _listed(view: View, request: Request, rows: Any) -> Response:
    evidence = page(request, rows, OLDEST_FIRST)
    links = view.links(request)
    data = [representations.evidence_in_full(row, links) for row in evidence.rows]
    return Response(EvidencePage(data=data, next_cursor=evidence.next_cursor))


class EvidenceFile(View):
    @operation(
        "get_evidence",
        scope=Scope.EVIDENCE_READ,
        summary="Describe a file of evidence; before its output is verified only with the scope"
        " `evidence:unverified`",
        returns={200: EvidenceInFull},
    )
    def get(self, request: Request, evidence_id: str) -> Response:
        row = files.evidence(
            actor=self.actor(request), evidence_id=parse_id("evidence", evidence_id)
        )
        return Response(representations.evidence_in_full(row, self.links(request)))


class EvidenceContent(View):
    authentication_classes = [LinkAuthentication]

    @operation(
        "get_evidence_content",
        scope=Scope.EVIDENCE_READ,
        summary="Get the bytes of a file of evidence, or a range of them; with the URL in"
        " `content_url` no credential is needed",
        returns={200: None, 206: None},
        query=(ACCESS,),
        media_type=OCTETS,
        file_types=services.ACCEPTED_TYPES,
        refused=(410, 416),
    )
    def get(self, request: Request, evidence_id: str) -> HttpResponseBase:
        content = services.open_evidence(
            actor=self.actor(request),
            evidence_id=parse_id("evidence", evidence_id),
            has_link=has_link(request),
            at=self.at(request),
        )
        return download(request, content)
