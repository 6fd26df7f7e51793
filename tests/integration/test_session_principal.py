"""Test that services take the principal of a browser's session like any other."""

from uuid import UUID

import pytest

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from apps.accounts.selectors import session_principal
from apps.accounts.services import invite
from apps.base import clock
from apps.base.addresses import Address
from apps.events.models import Event
from apps.matching import services as matching
from apps.pools import services as pools
from apps.pools.models import Worker
from apps.pools.selectors import worker_of_user
from apps.tasks import services as tasks
from apps.tasks.models import Task
from biolayer.errors import (
    AddressNotAllowed,
    NotFound,
    RoleTooLow,
    ScopeMissing,
    SecondFactorRequired,
)
from tests.factories import OUTPUT, House, contract, member_of, tasks_submission

MARA = "mara@northwind.example"


def principal(house: House, role: Role, *, is_worker: bool = False) -> Principal:
    """Return the principal of a new member's session; Bob's worker if it is one."""
    member = member_of(house.organisation, MARA, role=role)
    if is_worker:
        Worker.objects.filter(id=house.bobs_worker.id).update(user=member.user)
    worker_id = worker_of_user(user_id=member.user_id, organisation_id=house.organisation.id)
    return session_principal(
        user_id=member.user_id, organisation_id=house.organisation.id, worker_id=worker_id
    )


@pytest.mark.parametrize(
    ("role", "scopes"),
    [
        (
            Role.VIEWER,
            {
                "tasks:read",
                "tasks:review",
                "webhooks:read",
                "pools:read",
                "evidence:read",
                "organisation:read",
            },
        ),
        (Role.ADMIN, set(Scope.values) - {"work"}),
    ],
)
def test_scopes__are_those_of_the_role(house: House, role: Role, scopes: set[str]) -> None:
    actor = principal(house, role)
    assert actor.scopes == scopes
    assert (actor.kind, actor.id, actor.role) == ("member", str(actor.member_id), role.value)


def test_stranger__has_no_principal(house: House) -> None:
    member = member_of(house.organisation, MARA)
    with pytest.raises(NotFound):
        session_principal(
            user_id=member.user_id, organisation_id=house.strangers_pool.organisation_id
        )


def test_removed_or_inactive_person__has_no_principal(house: House) -> None:
    member = member_of(house.organisation, MARA)
    member.user.is_active = False
    member.user.save()
    with pytest.raises(NotFound):
        session_principal(user_id=member.user_id, organisation_id=house.organisation.id)


def test_requirements_of_the_organisation__hold(house: House) -> None:
    member = member_of(house.organisation, MARA)
    ids: dict[str, UUID] = {"user_id": member.user_id, "organisation_id": house.organisation.id}
    house.organisation.requires_second_factor = True
    house.organisation.save()
    with pytest.raises(SecondFactorRequired):
        session_principal(**ids)
    house.organisation.requires_second_factor = False
    house.organisation.allowed_networks = ["192.0.2.0/24"]
    house.organisation.save()
    inside, outside = (_address(text) for text in ("192.0.2.9", "198.51.100.1"))
    assert session_principal(**ids, address=inside).address == "192.0.2.9"
    for address in (outside, None):
        with pytest.raises(AddressNotAllowed):
            session_principal(**ids, address=address)


def _address(text: str) -> Address:
    from ipaddress import ip_address

    return ip_address(text)


def test_editor__posts_and_cancels_a_task(house: House) -> None:
    actor, at = principal(house, Role.EDITOR), clock.now()
    task = tasks.create_task(actor=actor, document=contract(), at=at).task
    tasks.cancel_task(actor=actor, task_id=task.id, reason="no need", at=at)
    assert Task.objects.get(id=task.id).status == "cancelled"
    recorded = set(Event.objects.filter(task_id=task.id).values_list("actor_kind", "actor_id"))
    assert ("member", str(actor.member_id)) in recorded


def test_viewer__posts_nothing(house: House) -> None:
    actor = principal(house, Role.VIEWER)
    with pytest.raises(ScopeMissing):
        tasks.create_task(actor=actor, document=contract(), at=clock.now())
    assert not Task.objects.exists()


def test_manager__invites_no_one(house: House) -> None:
    actor = principal(house, Role.MANAGER)
    with pytest.raises((ScopeMissing, RoleTooLow)):
        invite(actor=actor, email="jo@northwind.example", role=Role.VIEWER, at=clock.now())


def test_editor__creates_a_worker(house: House) -> None:
    actor = principal(house, Role.EDITOR)
    document = {"name": "Dora", "pool_ids": [str(house.pool.id)]}
    worker = pools.create_worker(actor=actor, document=document, at=clock.now())
    assert worker.organisation_id == house.organisation.id


def test_member_who_is_a_worker__works_as_the_worker(house: House) -> None:
    actor, at = principal(house, Role.ADMIN, is_worker=True), clock.now()
    assert actor.worker_id == house.bobs_worker.id
    pools.set_presence(actor=actor, presence="available", at=at)
    offer = house.offered()
    run = matching.accept_offer(actor=actor, offer_id=offer.id, at=clock.now())
    tasks.start_run(actor=actor, run_id=run.id, epoch=run.epoch, at=clock.now())
    submission = tasks_submission(run.epoch, OUTPUT)
    tasks.submit_run(actor=actor, run_id=run.id, submission=submission, at=clock.now())
    did = ("task.accepted", "task.started", "task.submitted")
    recorded = Event.objects.filter(task_id=run.task_id, type__in=did)
    # As they are for the worker's own key.
    assert set(recorded.values_list("actor_kind", "actor_id")) == {
        ("worker", str(house.bobs_worker.id))
    }
    assert recorded.count() == 3


def test_member_without_a_worker__does_not_work(house: House) -> None:
    actor = principal(house, Role.ADMIN)
    offer = house.offered()
    with pytest.raises(ScopeMissing):
        matching.accept_offer(actor=actor, offer_id=offer.id, at=clock.now())
