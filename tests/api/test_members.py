"""Test `/v1/organisation`, `/v1/members` and `/v1/invitations`."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail

from apps.accounts.mail import wait_for_mails
from apps.accounts.models import AuditEvent, Invitation, Member
from apps.accounts.scopes import Role
from apps.accounts.services import accept_invitation, issue_key
from apps.base import clock
from biolayer.errors import NotFound, WrongAddress
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.factories import MANAGE, PASSWORD, Caller, House, admin_key, member_of, person, worker_in

MARA, JO = "mara@northwind.example", "jo@northwind.example"


@pytest.fixture
def admin(house: House) -> Caller:
    """Provide a key that manages Alice's organisation."""
    return admin_key(house.organisation)


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("id").values_list("action", flat=True))


def link_token() -> str:
    """Return the token of the latest mail's link."""
    wait_for_mails()
    found = re.search(r"/accounts/invitations/([\w-]+)/", str(mail.outbox[-1].body))
    assert found is not None
    return found[1]


# --- the organisation -----------------------------------------------------------------------------


def test_organisation__is_changed(admin: Caller) -> None:
    body = {"name": "Northwind", "retain_days": 30, "requires_second_factor": True}
    answer = admin.patch("/v1/organisation", {**body, "allowed_networks": ["127.0.0.0/8"]})
    assert answer.status_code == 200, answer.content
    assert admin.get("/v1/organisation").json() == answer.json()
    assert answer.json().items() >= {**body, "allowed_networks": ["127.0.0.0/8"]}.items()
    assert actions() == ["organisation.changed"]
    assert AuditEvent.objects.get().data == {
        "fields": ["allowed_networks", "name", "requires_second_factor", "retain_days"]
    }


def test_organisation__is_not_changed_by_the_same_values(admin: Caller) -> None:
    with expect_unchanged():
        assert admin.patch("/v1/organisation", {"retain_days": 365}).status_code == 200


def test_networks__that_lock_the_caller_out_are_refused(admin: Caller) -> None:
    with expect_unchanged():
        answer = admin.patch("/v1/organisation", {"allowed_networks": ["192.0.2.0/24"]})
    assert faults(answer) == {"/allowed_networks": "locks_out_caller"}


@pytest.mark.parametrize("network", ["192.0.2.0/33", "everywhere", "2001:db8::/129"])
def test_network__must_be_an_address_or_a_block(admin: Caller, network: str) -> None:
    with expect_unchanged():
        answer = admin.patch("/v1/organisation", {"allowed_networks": [network]})
    assert faults(answer) == {"/allowed_networks/0": "invalid_network"}


def test_networks__are_stored_in_their_usual_form(admin: Caller) -> None:
    sent = ["127.0.0.1", "192.0.2.9/24", "192.0.2.0/24", "2001:DB8::1"]
    answer = admin.patch("/v1/organisation", {"allowed_networks": sent})
    stored = ["127.0.0.1/32", "192.0.2.0/24", "2001:db8::1/128"]
    assert answer.json()["allowed_networks"] == stored


# --- members --------------------------------------------------------------------------------------


def test_members__are_listed_newest_first(house: House, admin: Caller) -> None:
    member_of(house.organisation, MARA, role=Role.ADMIN)
    member_of(house.organisation, JO)
    listed = admin.get("/v1/members").json()["data"]
    assert [(row["email"], row["role"]) for row in listed] == [(JO, "viewer"), (MARA, "admin")]
    assert listed[0]["has_second_factor"] is False
    first = admin.get("/v1/members?limit=1").json()
    rest = admin.get(f"/v1/members?limit=1&cursor={first['next_cursor']}").json()
    assert [*first["data"], *rest["data"]] == listed


def test_role__is_changed(house: House, admin: Caller) -> None:
    member = member_of(house.organisation, JO)
    answer = admin.patch(f"/v1/members/{member.id}", {"role": "manager"})
    assert answer.json()["role"] == "manager"
    assert AuditEvent.objects.get().data == {"role": "manager", "previous_role": "viewer"}


def test_last_admin__is_neither_demoted_nor_removed(house: House, admin: Caller) -> None:
    only = member_of(house.organisation, MARA, role=Role.ADMIN)
    member_of(house.organisation, JO, role=Role.MANAGER)
    with expect_unchanged():
        answer = admin.patch(f"/v1/members/{only.id}", {"role": "manager"})
        expect_problem(answer, 409, "last_admin")
        expect_problem(admin.delete(f"/v1/members/{only.id}"), 409, "last_admin")


def test_member__is_removed(house: House, admin: Caller) -> None:
    member = member_of(house.organisation, JO)
    assert admin.delete(f"/v1/members/{member.id}").status_code == 204
    expect_problem(admin.get(f"/v1/members/{member.id}"), 404, "not_found")
    assert actions() == ["member.removed"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR, Role.MANAGER])
def test_lower_roles__manage_no_members(house: House, role: Role) -> None:
    key = issue_key(
        organisation_id=house.organisation.id, name="Lesser", role=role, scopes=list(MANAGE)
    )
    lesser, member = Caller(key), member_of(house.organisation, JO)
    with expect_unchanged():
        for answer in (
            lesser.patch(f"/v1/members/{member.id}", {"role": "viewer"}),
            lesser.delete(f"/v1/members/{member.id}"),
            lesser.post("/v1/invitations", {"email": MARA}),
            lesser.patch("/v1/organisation", {"name": "Ours"}),
        ):
            assert expect_problem(answer, 403, "role_too_low")["role"] == "admin"
    assert lesser.get("/v1/members").status_code == 200


def test_member__is_a_worker(house: House, admin: Caller) -> None:
    member = member_of(house.organisation, JO)
    path, body = f"/v1/members/{member.id}/worker", {"worker_id": str(house.bobs_worker.id)}
    assert admin.put(path, body).json()["worker_id"] == str(house.bobs_worker.id)
    assert admin.put(path, body).status_code == 200
    other = member_of(house.organisation, MARA)
    answer = admin.put(f"/v1/members/{other.id}/worker", body)
    expect_problem(answer, 409, "worker_is_linked")
    # Another worker replaces the first.
    second, _ = worker_in(house.pool)
    assert admin.put(path, {"worker_id": str(second.id)}).json()["worker_id"] == str(second.id)
    assert admin.put(f"/v1/members/{other.id}/worker", body).status_code == 200
    assert admin.delete(path).status_code == 204
    assert admin.get(f"/v1/members/{member.id}").json()["worker_id"] is None
    unknown = admin.put(path, {"worker_id": str(uuid4())})
    expect_problem(unknown, 404, "not_found")


def test_agent__is_no_member(house: House, admin: Caller) -> None:
    agent, _ = worker_in(house.pool, kind="agent")
    member = member_of(house.organisation, JO)
    answer = admin.put(f"/v1/members/{member.id}/worker", {"worker_id": str(agent.id)})
    expect_problem(answer, 409, "worker_is_linked")


# --- invitations ----------------------------------------------------------------------------------


def test_invitation__is_sent_and_accepted_by_a_new_person(house: House, admin: Caller) -> None:
    answer = admin.post("/v1/invitations", {"email": "Jo@Northwind.Example", "role": "editor"})
    assert answer.status_code == 201, answer.content
    assert answer.json()["status"] == "open"
    token = link_token()
    assert mail.outbox[-1].to == [JO]
    assert token not in answer.content.decode()
    shown = admin.get("/v1/invitations").json()["data"][0]
    assert shown["sent_at"] is not None
    member = accept_invitation(token=token, user=None, name="Jo", password=PASSWORD, at=clock.now())
    assert (member.role, member.user.email, member.user.name) == ("editor", JO, "Jo")
    assert member.user.check_password(PASSWORD)
    assert member.user.password.startswith("argon2$")
    assert admin.get("/v1/invitations").json()["data"][0]["status"] == "accepted"
    assert actions() == ["invitation.created", "member.added"]
    assert AuditEvent.objects.last().actor_id == str(member.id)  # type: ignore[union-attr]


def test_token__is_stored_as_a_hash(admin: Caller) -> None:
    admin.post("/v1/invitations", {"email": JO})
    token = link_token()
    row = Invitation.objects.get()
    assert token.encode() not in bytes(row.token_hash)
    assert len(bytes(row.token_hash)) == 32


def test_invitation__works_once(admin: Caller) -> None:
    admin.post("/v1/invitations", {"email": JO})
    token = link_token()
    accept_invitation(token=token, user=None, name="Jo", password=PASSWORD, at=clock.now())
    with expect_unchanged(), pytest.raises(NotFound):
        accept_invitation(token=token, user=None, name="Jo", password=PASSWORD, at=clock.now())


def test_invitation__expires_after_seven_days(admin: Caller) -> None:
    admin.post("/v1/invitations", {"email": JO})
    token, late = link_token(), clock.now() + timedelta(days=7, seconds=1)
    with expect_unchanged(), pytest.raises(NotFound):
        accept_invitation(token=token, user=None, name="Jo", password=PASSWORD, at=late)


def test_invitation__is_for_its_address_only(admin: Caller) -> None:
    stranger = person("stranger@contoso.example")
    admin.post("/v1/invitations", {"email": JO})
    token = link_token()
    with expect_unchanged(), pytest.raises(WrongAddress):
        accept_invitation(token=token, user=stranger, at=clock.now())


def test_invitation__of_a_person_with_an_account_needs_their_sign_in(admin: Caller) -> None:
    jo = person(JO)
    admin.post("/v1/invitations", {"email": JO})
    token = link_token()
    with expect_unchanged(), pytest.raises(WrongAddress):
        accept_invitation(token=token, user=None, name="Jo", password="x" * 20, at=clock.now())
    assert accept_invitation(token=token, user=jo, at=clock.now()).user == jo


def test_second_invitation__of_an_address_is_refused(admin: Caller) -> None:
    first = admin.post("/v1/invitations", {"email": JO}).json()
    wait_for_mails()
    with expect_unchanged():
        answer = admin.post("/v1/invitations", {"email": JO, "role": "admin"})
    problem = expect_problem(answer, 409, "invitation_open")
    assert problem["invitation_id"] == first["invitation_id"]


def test_expired_invitation__does_not_block_a_new_one(admin: Caller) -> None:
    admin.post("/v1/invitations", {"email": JO})
    Invitation.objects.update(expires_at=clock.now() - timedelta(seconds=1))
    assert admin.get("/v1/invitations").json()["data"][0]["status"] == "expired"
    assert admin.post("/v1/invitations", {"email": JO}).status_code == 201


def test_member__is_not_invited_again(house: House, admin: Caller) -> None:
    member_of(house.organisation, JO)
    with expect_unchanged():
        answer = admin.post("/v1/invitations", {"email": JO})
    expect_problem(answer, 409, "already_member")


def test_invitation__is_sent_again_with_another_link(admin: Caller) -> None:
    made = admin.post("/v1/invitations", {"email": JO}).json()
    first = link_token()
    answer = admin.post(f"/v1/invitations/{made['invitation_id']}/resend")
    assert answer.status_code == 200, answer.content
    second = link_token()
    assert len(mail.outbox) == 2
    with pytest.raises(NotFound):
        accept_invitation(token=first, user=None, name="Jo", password=PASSWORD, at=clock.now())
    accept_invitation(token=second, user=None, name="Jo", password=PASSWORD, at=clock.now())


def test_invitation__is_revoked(admin: Caller) -> None:
    made = admin.post("/v1/invitations", {"email": JO}).json()
    token, path = link_token(), f"/v1/invitations/{made['invitation_id']}"
    assert admin.delete(path).status_code == 204
    with expect_unchanged(), pytest.raises(NotFound):
        accept_invitation(token=token, user=None, name="Jo", password=PASSWORD, at=clock.now())
    with expect_unchanged():
        expect_problem(admin.delete(path), 409, "invitation_closed")
        expect_problem(admin.post(f"{path}/resend"), 409, "invitation_closed")


def test_mail__that_fails_is_visible_and_fails_nothing(admin: Caller, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    answer = admin.post("/v1/invitations", {"email": JO})
    assert answer.status_code == 201
    wait_for_mails()
    shown = admin.get("/v1/invitations").json()["data"][0]
    assert shown["sent_at"] is None
    assert shown["mail_error"].startswith("ConnectionRefusedError")


@pytest.mark.parametrize(
    "email", ["jo", "jo@", "@x.example", "jo@x", "a b@x.example", "jo@x..example"]
)
def test_address__must_be_one(admin: Caller, email: str) -> None:
    with expect_unchanged():
        answer = admin.post("/v1/invitations", {"email": email})
    assert list(faults(answer)) == ["/email"]


def test_invitation__is_made_once_by_one_key(admin: Caller) -> None:
    answers = [
        admin.post("/v1/invitations", {"email": JO}, **{"Idempotency-Key": "one"}) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert Invitation.objects.count() == 1
    assert Member.objects.count() == 0
