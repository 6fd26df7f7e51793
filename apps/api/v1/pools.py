"""Serve `/v1/pools`: groups of workers, their policies and their members."""

from collections.abc import Sequence
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import check_no_filters
from apps.api.v1.representations import matching as match_representations
from apps.api.v1.representations import pools as representations
from apps.matching import queue_stats
from apps.matching.services import dry_run
from apps.pools import selectors, services
from biolayer.requests.pools import NewMember, PoolChange, PoolCreation
from biolayer.responses import pools as responses
from biolayer.responses.matching import PoolDryRun as DryRun

NEWEST_FIRST = Keyset(("id",), descending=True)
BY_WORKER = Keyset(("worker_id",))


def _represented(pools: Sequence[Any]) -> list[responses.Pool]:
    counts = queue_stats.pool_counts(pool_ids=[pool.id for pool in pools])
    return [representations.pool(pool, counts[pool.id]) for pool in pools]


class Pools(View):
    @operation(
        "create_pool",
        scope=Scope.POOLS_MANAGE,
        summary="Create a pool",
        returns={201: responses.Pool},
        body=PoolCreation,
    )
    def post(self, request: Request) -> Response:
        def create() -> CallResult:
            pool = services.create_pool(
                actor=self.actor(request), document=request.data, at=self.at(request)
            )
            location = {"Location": f"/v1/pools/{pool.id}"}
            return CallResult(_represented([pool])[0], 201, location)

        return idempotent(request, request.data, create)

    @operation(
        "list_pools",
        scope=Scope.POOLS_READ,
        summary="List pools with their counts, newest first",
        returns={200: responses.PoolPage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)
        pools = page(request, selectors.pools(actor=self.actor(request)), NEWEST_FIRST)
        data = _represented(pools.rows)
        return Response(responses.PoolPage(data=data, next_cursor=pools.next_cursor))


class Pool(View):
    @operation(
        "get_pool",
        scope=Scope.POOLS_READ,
        summary="Get a pool with its counts",
        returns={200: responses.Pool},
    )
    def get(self, request: Request, pool_id: str) -> Response:
        pool = selectors.pool(actor=self.actor(request), pool_id=parse_id("pool", pool_id))
        return Response(_represented([pool])[0])

    @operation(
        "update_pool",
        scope=Scope.POOLS_MANAGE,
        summary="Change the given fields of a pool",
        returns={200: responses.Pool},
        body=PoolChange,
        refused=(409,),
    )
    def patch(self, request: Request, pool_id: str) -> Response:
        pool = services.update_pool(
            actor=self.actor(request),
            pool_id=parse_id("pool", pool_id),
            document=request.data,
            at=self.at(request),
        )
        return Response(_represented([pool])[0])

    @operation(
        "close_pool",
        scope=Scope.POOLS_MANAGE,
        summary="Close a pool: it can still be read, and makes no more offers",
        returns={204: None},
    )
    def delete(self, request: Request, pool_id: str) -> Response:
        services.close_pool(
            actor=self.actor(request), pool_id=parse_id("pool", pool_id), at=self.at(request)
        )
        return Response(status=204)


class PoolDryRun(View):
    @operation(
        "dry_run_pool",
        scope=Scope.POOLS_MANAGE,
        summary="Report what a change would do to the waiting tasks; nothing is changed",
        returns={200: DryRun},
        body=PoolChange,
        refused=(409,),
    )
    def post(self, request: Request, pool_id: str) -> Response:
        def predict() -> CallResult:
            result = dry_run(
                actor=self.actor(request),
                pool_id=parse_id("pool", pool_id),
                document=request.data,
                at=self.at(request),
            )
            return CallResult(match_representations.dry_run(result))

        return idempotent(request, request.data, predict)


class PoolMembers(View):
    @operation(
        "add_member",
        scope=Scope.POOLS_MANAGE,
        summary="Add a worker to a pool (200: it was a member already)",
        returns={201: responses.Member, 200: responses.Member},
        body=NewMember,
    )
    def post(self, request: Request, pool_id: str) -> Response:
        def add() -> CallResult:
            membership, is_new = services.add_member(
                actor=self.actor(request),
                pool_id=parse_id("pool", pool_id),
                document=request.data,
                at=self.at(request),
            )
            return CallResult(representations.member(membership), 201 if is_new else 200)

        return idempotent(request, request.data, add)

    @operation(
        "list_members",
        scope=Scope.POOLS_READ,
        summary="List a pool's members and their free capacity, oldest member first",
        returns={200: responses.MemberPage},
        query=PAGED,
    )
    def get(self, request: Request, pool_id: str) -> Response:
        check_no_filters(request)
        members = selectors.members(actor=self.actor(request), pool_id=parse_id("pool", pool_id))
        memberships = page(request, members, BY_WORKER)
        data = [representations.member(row) for row in memberships.rows]
        return Response(responses.MemberPage(data=data, next_cursor=memberships.next_cursor))


class PoolMember(View):
    @operation(
        "remove_member",
        scope=Scope.POOLS_MANAGE,
        summary="Remove a worker from a pool; it may finish the runs that it holds",
        returns={204: None},
    )
    def delete(self, request: Request, pool_id: str, worker_id: str) -> Response:
        services.remove_member(
            actor=self.actor(request),
            pool_id=parse_id("pool", pool_id),
            worker_id=parse_id("member", worker_id),
            at=self.at(request),
        )
        return Response(status=204)
