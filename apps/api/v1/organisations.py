"""Serve `/v1/organisation`, `/v1/members` and `/v1/invitations`."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import selectors, services
from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import check_no_filters
from apps.api.v1.representations import organisations as representations
from apps.base.addresses import client_address
from apps.pools import services as pool_services
from apps.pools.selectors import workers_of_users
from biolayer.contract import parse
from biolayer.requests import organisations as requests
from biolayer.responses import organisations as responses

NEWEST_FIRST = Keyset(("created_at", "id"), descending=True)


class Organisation(View):
    @operation(
        "get_organisation",
        scope=Scope.ORGANISATION_READ,
        summary="Get the organisation of the credential",
        returns={200: responses.Organisation},
    )
    def get(self, request: Request) -> Response:
        row = selectors.organisation_of(actor=self.actor(request))
        return Response(representations.organisation(row))

    @operation(
        "change_organisation",
        scope=Scope.ORGANISATION_MANAGE,
        summary="Change settings of the organisation",
        returns={200: responses.Organisation},
        body=requests.OrganisationChange,
    )
    def patch(self, request: Request) -> Response:
        row = services.change_organisation(
            actor=self.actor(request),
            changes=parse(requests.OrganisationChange, request.data).sent_fields(),
            address=client_address(request),
            at=self.at(request),
        )
        return Response(representations.organisation(row))


class Members(View):
    @operation(
        "list_organisation_members",
        scope=Scope.ORGANISATION_READ,
        summary="List the members of the organisation, newest first",
        returns={200: responses.OrganisationMemberPage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)
        actor = self.actor(request)
        rows = page(request, selectors.members(actor=actor), NEWEST_FIRST)
        data = _represent(actor, rows.rows)
        return Response(responses.OrganisationMemberPage(data=data, next_cursor=rows.next_cursor))


class Member(View):
    @operation(
        "get_organisation_member",
        scope=Scope.ORGANISATION_READ,
        summary="Get a member",
        returns={200: responses.OrganisationMember},
    )
    def get(self, request: Request, member_id: str) -> Response:
        return Response(_member(self.actor(request), parse_id("member", member_id)))

    @operation(
        "change_organisation_member",
        scope=Scope.ORGANISATION_MANAGE,
        summary="Change a member's role, at most to that of the credential",
        returns={200: responses.OrganisationMember},
        body=requests.MemberChange,
        refused=(409,),
    )
    def patch(self, request: Request, member_id: str) -> Response:
        actor, known_id = self.actor(request), parse_id("member", member_id)
        change = parse(requests.MemberChange, request.data)
        services.change_role(
            actor=actor, member_id=known_id, role=Role(change.role), at=self.at(request)
        )
        return Response(_member(actor, known_id))

    @operation(
        "remove_organisation_member",
        scope=Scope.ORGANISATION_MANAGE,
        summary="Remove a member, whose sessions lose the organisation at once",
        returns={204: None},
        refused=(409,),
    )
    def delete(self, request: Request, member_id: str) -> Response:
        services.remove_member(
            actor=self.actor(request),
            member_id=parse_id("member", member_id),
            at=self.at(request),
        )
        return Response(status=204)


class MemberWorker(View):
    @operation(
        "link_member_worker",
        scope=Scope.ORGANISATION_MANAGE,
        summary="Let a member be a worker: one person, both hats",
        returns={200: responses.OrganisationMember},
        body=requests.WorkerLink,
        refused=(409,),
    )
    def put(self, request: Request, member_id: str) -> Response:
        actor, known_id = self.actor(request), parse_id("member", member_id)
        link = parse(requests.WorkerLink, request.data)
        pool_services.link_worker(
            actor=actor, member_id=known_id, worker_id=link.worker_id, at=self.at(request)
        )
        return Response(_member(actor, known_id))

    @operation(
        "unlink_member_worker",
        scope=Scope.ORGANISATION_MANAGE,
        summary="Let a member be no worker",
        returns={204: None},
    )
    def delete(self, request: Request, member_id: str) -> Response:
        pool_services.unlink_worker(
            actor=self.actor(request),
            member_id=parse_id("member", member_id),
            at=self.at(request),
        )
        return Response(status=204)


class Invitations(View):
    @operation(
        "list_invitations",
        scope=Scope.ORGANISATION_READ,
        summary="List the invitations of the organisation, newest first",
        returns={200: responses.InvitationPage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)
        rows = page(request, selectors.invitations(actor=self.actor(request)), NEWEST_FIRST)
        data = [representations.invitation(row, at=self.at(request)) for row in rows.rows]
        return Response(responses.InvitationPage(data=data, next_cursor=rows.next_cursor))

    @operation(
        "create_invitation",
        scope=Scope.ORGANISATION_MANAGE,
        summary="Invite a person by e-mail, with a role at most that of the credential",
        returns={201: responses.Invitation},
        body=requests.InvitationCreation,
    )
    def post(self, request: Request) -> Response:
        wanted = parse(requests.InvitationCreation, request.data)

        def create() -> CallResult:
            at = self.at(request)
            row = pool_services.invite_person(actor=self.actor(request), wanted=wanted, at=at)
            return CallResult(representations.invitation(row, at=at), 201)

        return idempotent(request, request.data, create)


class Invitation(View):
    @operation(
        "revoke_invitation",
        scope=Scope.ORGANISATION_MANAGE,
        summary="Revoke an open invitation: its link no longer works",
        returns={204: None},
        refused=(409,),
    )
    def delete(self, request: Request, invitation_id: str) -> Response:
        services.revoke_invitation(
            actor=self.actor(request),
            invitation_id=parse_id("invitation", invitation_id),
            at=self.at(request),
        )
        return Response(status=204)


class InvitationResend(View):
    @operation(
        "resend_invitation",
        scope=Scope.ORGANISATION_MANAGE,
        summary="Send an open invitation again, with a new link; the previous one ends",
        returns={200: responses.Invitation},
    )
    def post(self, request: Request, invitation_id: str) -> Response:
        known_id = parse_id("invitation", invitation_id)

        def resend() -> CallResult:
            at = self.at(request)
            row = services.resend_invitation(
                actor=self.actor(request), invitation_id=known_id, at=at
            )
            return CallResult(representations.invitation(row, at=at))

        return idempotent(request, request.data, resend)


def _member(actor: Principal, member_id: UUID) -> responses.OrganisationMember:
    (shown,) = _represent(actor, [selectors.member(actor=actor, member_id=member_id)])
    return shown


def _represent(actor: Principal, rows: Sequence[Any]) -> list[responses.OrganisationMember]:
    """Return the members, each with the worker that they are."""
    user_ids = [row.user_id for row in rows]
    workers = workers_of_users(organisation_id=actor.organisation_id, user_ids=user_ids)
    return [representations.member(row, worker_id=workers.get(row.user_id)) for row in rows]
