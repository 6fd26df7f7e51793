"""Invite a person who is a worker as soon as they join: `worker` in `POST /v1/invitations`."""

from typing import Any

import pytest

from apps.accounts.models import AuditEvent, Invitation, Member
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import accept_invitation, issue_key
from apps.base import clock
from apps.pools.models import Membership, Pool, Worker
from apps.pools.services import provision_pool
from biolayer.errors import AlreadyMember, NotFound
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.test_members import JO, PASSWORD, admin, link_token
from tests.factories import Caller, House, member_of
from tests.pages.steps import browser, submit

__all__ = ["admin"]


def invited(admin: Caller, *pools: Pool, **worker: Any) -> dict[str, Any]:
    body = {"email": JO, "worker": {"pool_ids": [str(pool.id) for pool in pools], **worker}}
    answer = admin.post("/v1/invitations", body)
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    return made


def joined() -> Member:
    return accept_invitation(
        token=link_token(), user=None, name="Jo", password=PASSWORD, at=clock.now()
    )


def second_pool(house: House) -> Pool:
    return provision_pool(organisation_id=house.organisation.id, name="Night desk")


def pools_of(worker: Worker) -> set[Any]:
    return set(Membership.objects.filter(worker=worker).values_list("pool_id", flat=True))


def test_invited_worker__works_at_once(house: House, admin: Caller) -> None:
    other = second_pool(house)
    shown = invited(
        admin, house.pool, other, skills=["negotiation"], skill_levels={"negotiation": 3}
    )
    assert shown["worker"] == {
        "pool_ids": [str(house.pool.id), str(other.id)],
        "name": None,
        "skills": ["negotiation"],
        "skill_levels": {"negotiation": 3},
        "languages": [],
        "trust_level": 0,
        "capacity": 1,
        "time_zone": "UTC",
        "skipped_pool_ids": [],
    }
    assert not Worker.objects.filter(name="Jo").exists()
    member = joined()
    worker = Worker.objects.get(user=member.user)
    assert (worker.name, worker.skills, worker.skill_levels) == (
        "Jo",
        ["negotiation"],
        {"negotiation": 3},
    )
    assert pools_of(worker) == {house.pool.id, other.id}
    (event,) = AuditEvent.objects.filter(action="worker.created", subject_id=str(worker.id))
    assert (event.actor_kind, event.actor_id) == ("member", str(member.id))
    assert event.data == {
        "member_id": str(member.id),
        "pool_ids": sorted([str(house.pool.id), str(other.id)]),
    }


def test_invited_worker__signs_in_to_the_portal(house: House, admin: Caller) -> None:
    invited(admin, house.pool, name="Jo of the desk")
    client = browser()
    path = f"/accounts/invitations/{link_token()}/"
    assert submit(client, path, name="Jo", password=PASSWORD).status_code == 302
    assert client.get("/portal/").status_code == 200
    assert Worker.objects.get(user__email=JO).name == "Jo of the desk"


def test_closed_pool__is_left_out_and_named(house: House, admin: Caller) -> None:
    other = second_pool(house)
    made = invited(admin, house.pool, other)
    assert house.alice.delete(f"/v1/pools/{other.id}").status_code == 204
    worker = Worker.objects.get(user=joined().user)
    assert pools_of(worker) == {house.pool.id}
    shown = admin.get("/v1/invitations").json()["data"][0]
    assert shown["invitation_id"] == made["invitation_id"]
    assert shown["worker"]["skipped_pool_ids"] == [str(other.id)]
    event = AuditEvent.objects.get(action="worker.created", subject_id=str(worker.id))
    assert event.data["skipped_pool_ids"] == [str(other.id)]


def test_worker_of_before__joins_the_pools_as_it_is(house: House, admin: Caller) -> None:
    other = second_pool(house)
    invited(admin, house.pool, other, name="Another name", trust_level=4)
    token = link_token()
    member = member_of(house.organisation, JO)
    Worker.objects.filter(id=house.bobs_worker.id).update(user=member.user)
    user = member.user
    member.delete()
    accept_invitation(token=token, user=user, at=clock.now())
    worker = Worker.objects.get(user=user)
    assert (worker.id, worker.name, worker.trust_level) == (
        house.bobs_worker.id,
        house.bobs_worker.name,
        house.bobs_worker.trust_level,
    )
    assert pools_of(worker) == {house.pool.id, other.id}
    event = AuditEvent.objects.get(action="worker.changed", subject_id=str(worker.id))
    assert event.data["member_id"] == str(Member.objects.get(user=user).id)


def test_refused_acceptance__makes_no_worker(house: House, admin: Caller) -> None:
    invited(admin, house.pool)
    token, user = link_token(), member_of(house.organisation, JO).user
    with expect_unchanged(), pytest.raises(AlreadyMember):
        accept_invitation(token=token, user=user, at=clock.now())
    Member.objects.filter(user=user).delete()
    invitation = Invitation.objects.get(email=JO)
    admin.delete(f"/v1/invitations/{invitation.id}")
    with expect_unchanged(), pytest.raises(NotFound):
        accept_invitation(token=token, user=user, at=clock.now())


def test_resent_invitation__keeps_the_worker(house: House, admin: Caller) -> None:
    made = invited(admin, house.pool)
    again = admin.post(f"/v1/invitations/{made['invitation_id']}/resend").json()
    assert again["worker"] == made["worker"]
    assert pools_of(Worker.objects.get(user=joined().user)) == {house.pool.id}


def test_pool__that_is_closed_or_anothers_is_refused(house: House, admin: Caller) -> None:
    closed = second_pool(house)
    house.alice.delete(f"/v1/pools/{closed.id}")
    ids = [str(house.pool.id), str(closed.id), str(house.strangers_pool.id)]
    worker = {"pool_ids": ids, "skill_levels": {"negotiation": 2}}
    with expect_unchanged():
        answer = admin.post("/v1/invitations", {"email": JO, "worker": worker})
        assert faults(answer) == {
            "/worker/pool_ids/1": "unknown_pool",
            "/worker/pool_ids/2": "unknown_pool",
            "/worker/skill_levels/negotiation": "unknown_skill",
        }
        answer = admin.post("/v1/invitations", {"email": JO, "worker": {"pool_ids": []}})
        assert list(faults(answer)) == ["/worker/pool_ids"]


def test_inviting_a_worker__needs_to_manage_pools(house: House) -> None:
    scopes = [Scope.ORGANISATION_READ, Scope.ORGANISATION_MANAGE]
    organisation_id = house.organisation.id
    body = {"email": JO, "worker": {"pool_ids": [str(house.pool.id)]}}

    def caller(**key: Any) -> Caller:
        made = {"role": Role.ADMIN, "scopes": scopes, **key}
        return Caller(issue_key(organisation_id=organisation_id, name="K", **made))

    with_pools = [*scopes, Scope.POOLS_MANAGE]
    some, editor = caller(scopes=with_pools, pool_ids=[house.pool.id]), caller(role=Role.EDITOR)
    without = caller()
    with expect_unchanged():
        answer = without.post("/v1/invitations", body)
        assert expect_problem(answer, 403, "scope_missing")["scope"] == "pools:manage"
        expect_problem(some.post("/v1/invitations", body), 403, "pool_not_granted")
        assert editor.post("/v1/invitations", body).status_code == 403
