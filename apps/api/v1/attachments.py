"""Serve attachments: files that tasks give to their workers."""

from typing import Annotated, Any

from django.http import HttpResponseBase
from pydantic import BaseModel, Field
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.downloads import download
from apps.api.http.idempotency import CallResult
from apps.api.http.links import ACCESS, LinkAuthentication, has_link
from apps.api.http.operations import BINARY, OCTETS, operation
from apps.api.http.parsing import BoundedMultiPartParser
from apps.api.http.uploads import idempotent_upload, one_file
from apps.api.http.views import View, parse_id
from apps.api.v1.representations import files as representations
from apps.tasks import files, services
from biolayer.errors import InvalidInput
from biolayer.responses.files import Attachment, AttachmentInFull


class AttachmentForm(BaseModel):
    """A form of one part: the file."""

    file: Annotated[Any, Field(json_schema_extra=BINARY)]


class Attachments(View):
    parser_classes = [BoundedMultiPartParser]

    @operation(
        "create_attachment",
        scope=Scope.TASKS_CREATE,
        summary="Send a file, at most 10 MiB, for tasks to name in `context.attachments`; it is"
        " deleted after a day unless a task names it",
        returns={201: Attachment},
        body=AttachmentForm,
        body_type="multipart/form-data",
    )
    def post(self, request: Request) -> Response:
        actor, at = self.actor(request), self.at(request)
        file, faults = one_file(request)
        if faults:
            raise InvalidInput(faults)

        def add(received: services.ReceivedFile) -> CallResult:
            attachment = services.add_attachment(actor=actor, received=received, at=at)
            headers = {"Location": f"/v1/attachments/{attachment.id}"}
            return CallResult(representations.attachment(attachment), 201, headers)

        def receive() -> services.ReceivedFile:
            return services.receive_attachment(actor=actor, file=file, at=at)

        return idempotent_upload(request, file, {}, receive=receive, use=add)


class AttachmentFile(View):
    @operation(
        "get_attachment",
        scope=Scope.TASKS_READ,
        summary="Describe an attachment",
        returns={200: AttachmentInFull},
    )
    def get(self, request: Request, attachment_id: str) -> Response:
        row = files.attachment(
            actor=self.actor(request), attachment_id=parse_id("attachment", attachment_id)
        )
        return Response(representations.attachment_in_full(row, self.links(request)))


class AttachmentContent(View):
    authentication_classes = [LinkAuthentication]

    @operation(
        "get_attachment_content",
        scope=Scope.TASKS_READ,
        summary="Get the bytes of an attachment, or a range of them; with the URL in"
        " `content_url` no credential is needed",
        returns={200: None, 206: None},
        query=(ACCESS,),
        media_type=OCTETS,
        file_types=services.ACCEPTED_TYPES,
        refused=(416,),
    )
    def get(self, request: Request, attachment_id: str) -> HttpResponseBase:
        content = services.open_attachment(
            actor=self.actor(request),
            attachment_id=parse_id("attachment", attachment_id),
            has_link=has_link(request),
            at=self.at(request),
        )
        return download(request, content)
