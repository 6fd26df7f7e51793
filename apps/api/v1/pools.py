"""`/v1/pools`: groups of workers, their policies and their members."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.http.idempotency import Answer, once
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View, identified
from apps.api.v1.filters import no_filters
from apps.matching import demand
from apps.matching.services import dry_run
from apps.pools import selectors, services

NEWEST_FIRST = Keyset(("id",), descending=True)
BY_WORKER = Keyset(("worker_id",))


def _shown(pools: Sequence[Any]) -> list[dict[str, Any]]:
    counts = demand.of_pools(pool_ids=[pool.id for pool in pools])
    return [selectors.shown_pool(pool) | {"counts": asdict(counts[pool.id])} for pool in pools]


class Pools(View):
    takes_query = True

    def post(self, request: Request) -> Response:
        def create() -> Answer:
            pool = services.create_pool(
                actor=self.actor(request), document=request.data, at=self.at(request)
            )
            location = {"Location": f"/v1/pools/{pool.id}"}
            return Answer(_shown([pool])[0], 201, location)

        return once(request, request.data, create)

    def get(self, request: Request) -> Response:
        no_filters(request)
        mine = selectors.pools(actor=self.actor(request))
        listed = page(request, mine, NEWEST_FIRST, lambda pool: pool)
        return Response({**listed, "data": _shown(listed["data"])})


class Pool(View):
    def get(self, request: Request, pool_id: str) -> Response:
        pool = selectors.pool(actor=self.actor(request), pool_id=identified("pool", pool_id))
        return Response(_shown([pool])[0])

    def patch(self, request: Request, pool_id: str) -> Response:
        pool = services.update_pool(
            actor=self.actor(request),
            pool_id=identified("pool", pool_id),
            document=request.data,
            at=self.at(request),
        )
        return Response(_shown([pool])[0])

    def delete(self, request: Request, pool_id: str) -> Response:
        services.close_pool(
            actor=self.actor(request), pool_id=identified("pool", pool_id), at=self.at(request)
        )
        return Response(status=204)


class PoolDryRun(View):
    def post(self, request: Request, pool_id: str) -> Response:
        def look() -> Answer:
            outlook = dry_run(
                actor=self.actor(request),
                pool_id=identified("pool", pool_id),
                document=request.data,
                at=self.at(request),
            )
            return Answer(outlook)

        return once(request, request.data, look)


class PoolMembers(View):
    takes_query = True

    def post(self, request: Request, pool_id: str) -> Response:
        def add() -> Answer:
            seat, is_new = services.add_member(
                actor=self.actor(request),
                pool_id=identified("pool", pool_id),
                document=request.data,
            )
            return Answer(selectors.shown_member(seat), 201 if is_new else 200)

        return once(request, request.data, add)

    def get(self, request: Request, pool_id: str) -> Response:
        no_filters(request)
        seats = selectors.members(actor=self.actor(request), pool_id=identified("pool", pool_id))
        return Response(page(request, seats, BY_WORKER, selectors.shown_member))


class PoolMember(View):
    def delete(self, request: Request, pool_id: str, worker_id: str) -> Response:
        services.remove_member(
            actor=self.actor(request),
            pool_id=identified("pool", pool_id),
            worker_id=identified("member", worker_id),
        )
        return Response(status=204)
