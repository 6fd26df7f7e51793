"""`/v1/pools`: groups of workers, their policies and their members."""

from collections.abc import Sequence
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.http.idempotency import Answer, idempotent
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import no_filters
from apps.api.v1.representations import pools as representations
from apps.matching import demand
from apps.matching.services import dry_run
from apps.pools import selectors, services
from biolayer.responses import pools as responses

NEWEST_FIRST = Keyset(("id",), descending=True)
BY_WORKER = Keyset(("worker_id",))


def _represented(pools: Sequence[Any]) -> list[responses.Pool]:
    counts = demand.of_pools(pool_ids=[pool.id for pool in pools])
    return [representations.pool(pool, counts[pool.id]) for pool in pools]


class Pools(View):
    takes_query = True

    def post(self, request: Request) -> Response:
        def create() -> Answer:
            pool = services.create_pool(
                actor=self.actor(request), document=request.data, at=self.at(request)
            )
            location = {"Location": f"/v1/pools/{pool.id}"}
            return Answer(_represented([pool])[0], 201, location)

        return idempotent(request, request.data, create)

    def get(self, request: Request) -> Response:
        no_filters(request)
        mine = selectors.pools(actor=self.actor(request))
        found = page(request, mine, NEWEST_FIRST)
        shown = _represented(found.rows)
        return Response(responses.PoolPage(data=shown, next_cursor=found.next_cursor))


class Pool(View):
    def get(self, request: Request, pool_id: str) -> Response:
        pool = selectors.pool(actor=self.actor(request), pool_id=parse_id("pool", pool_id))
        return Response(_represented([pool])[0])

    def patch(self, request: Request, pool_id: str) -> Response:
        pool = services.update_pool(
            actor=self.actor(request),
            pool_id=parse_id("pool", pool_id),
            document=request.data,
            at=self.at(request),
        )
        return Response(_represented([pool])[0])

    def delete(self, request: Request, pool_id: str) -> Response:
        services.close_pool(
            actor=self.actor(request), pool_id=parse_id("pool", pool_id), at=self.at(request)
        )
        return Response(status=204)


class PoolDryRun(View):
    def post(self, request: Request, pool_id: str) -> Response:
        def look() -> Answer:
            outlook = dry_run(
                actor=self.actor(request),
                pool_id=parse_id("pool", pool_id),
                document=request.data,
                at=self.at(request),
            )
            return Answer(outlook)

        return idempotent(request, request.data, look)


class PoolMembers(View):
    takes_query = True

    def post(self, request: Request, pool_id: str) -> Response:
        def add() -> Answer:
            seat, is_new = services.add_member(
                actor=self.actor(request),
                pool_id=parse_id("pool", pool_id),
                document=request.data,
            )
            return Answer(representations.member(seat), 201 if is_new else 200)

        return idempotent(request, request.data, add)

    def get(self, request: Request, pool_id: str) -> Response:
        no_filters(request)
        seats = selectors.members(actor=self.actor(request), pool_id=parse_id("pool", pool_id))
        found = page(request, seats, BY_WORKER)
        shown = [representations.member(seat) for seat in found.rows]
        return Response(responses.MemberPage(data=shown, next_cursor=found.next_cursor))


class PoolMember(View):
    def delete(self, request: Request, pool_id: str, worker_id: str) -> Response:
        services.remove_member(
            actor=self.actor(request),
            pool_id=parse_id("pool", pool_id),
            worker_id=parse_id("member", worker_id),
        )
        return Response(status=204)
