"""Serve `/v1/pools/{pool_id}/notes`: what the members of a pool are told."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import check_no_filters
from apps.api.v1.representations import pools as representations
from apps.pools import selectors, services
from biolayer.requests.pools import NoteCreation
from biolayer.responses import pools as responses

NEWEST_FIRST = Keyset(("id",), descending=True)


class PoolNotes(View):
    @operation(
        "create_pool_note",
        scope=Scope.POOLS_MANAGE,
        summary="Tell the members of a pool something, in their portal and by notices",
        returns={201: responses.PoolNote},
        body=NoteCreation,
    )
    def post(self, request: Request, pool_id: str) -> Response:
        def create() -> CallResult:
            note = services.post_note(
                actor=self.actor(request),
                pool_id=parse_id("pool", pool_id),
                document=request.data,
                at=self.at(request),
            )
            return CallResult(representations.note(note), 201)

        return idempotent(request, request.data, create)

    @operation(
        "list_pool_notes",
        scope=Scope.POOLS_READ,
        summary="List a pool's notes, expired ones too, newest first",
        returns={200: responses.PoolNotePage},
        query=PAGED,
    )
    def get(self, request: Request, pool_id: str) -> Response:
        check_no_filters(request)
        rows = selectors.pool_notes(actor=self.actor(request), pool_id=parse_id("pool", pool_id))
        notes = page(request, rows, NEWEST_FIRST)
        data = [representations.note(row) for row in notes.rows]
        return Response(responses.PoolNotePage(data=data, next_cursor=notes.next_cursor))


class PoolNote(View):
    @operation(
        "delete_pool_note",
        scope=Scope.POOLS_MANAGE,
        summary="Delete a note: it is shown no more",
        returns={204: None},
    )
    def delete(self, request: Request, pool_id: str, note_id: str) -> Response:
        services.delete_note(
            actor=self.actor(request),
            pool_id=parse_id("pool", pool_id),
            note_id=parse_id("note", note_id),
            at=self.at(request),
        )
        return Response(status=204)
