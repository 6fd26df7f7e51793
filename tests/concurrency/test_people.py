"""Test people's changes at the same time."""

import re
from functools import partial
from typing import Any

from django.core import mail

from apps.accounts.mail import wait_for_mails
from apps.accounts.models import Invitation, Member, User
from apps.accounts.scopes import Role
from apps.accounts.services import accept_invitation, change_role, invite, remove_member
from apps.base import clock
from biolayer.errors import BioLayerError
from tests.concurrency.together import together
from tests.factories import PASSWORD, House, admin_key, member_of

JO = "jo@northwind.example"


def outcome(service: Any, **arguments: Any) -> str:
    """Return "done", or the code of the refusal."""
    try:
        service(**arguments, at=clock.now())
    except BioLayerError as error:
        return error.code
    return "done"


def test_two_admins__who_leave_at_once_leave_one(house: House) -> None:
    actor = admin_key(house.organisation).principal
    for number in range(5):
        Member.objects.all().delete()
        one, two = (
            member_of(house.organisation, f"{number}-{name}@a.example", role=Role.ADMIN).id
            for name in ("one", "two")
        )
        results = together(
            partial(outcome, remove_member, actor=actor, member_id=one),
            partial(outcome, change_role, actor=actor, member_id=two, role=Role.VIEWER),
        )
        assert sorted(results) == ["done", "last_admin"]
        assert Member.objects.filter(role=Role.ADMIN).count() == 1


def test_invitations__at_once_are_one(house: House) -> None:
    actor = admin_key(house.organisation).principal
    call = partial(outcome, invite, actor=actor, email=JO, role=Role.VIEWER)
    assert sorted(together(*[call] * 4)) == ["done", *["invitation_open"] * 3]
    assert Invitation.objects.count() == 1


def test_link__is_accepted_once(house: House) -> None:
    actor = admin_key(house.organisation).principal
    invite(actor=actor, email=JO, role=Role.VIEWER, at=clock.now())
    wait_for_mails()
    found = re.search(r"/accounts/invitations/([\w-]+)/", str(mail.outbox[-1].body))
    assert found is not None
    person = {"name": "Jo", "password": PASSWORD}
    call = partial(outcome, accept_invitation, token=found[1], user=None, **person)
    assert sorted(together(*[call] * 3)) == ["done", "not_found", "not_found"]
    assert (Member.objects.count(), User.objects.count()) == (1, 1)
