"""Test links to the content of files: without a credential, and ending with the one of theirs."""

import secrets
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from django.test import Client
from oauth2_provider.models import AccessToken

from apps.accounts.models import (
    ApiKey,
    Member,
    OAuthApplication,
    OAuthConsent,
    Organisation,
    User,
)
from apps.accounts.principal import Principal
from apps.accounts.scopes import Role
from apps.accounts.selectors.tokens import checksum
from apps.api.http.links import Links
from apps.base import clock
from tests.api.expect import expect_problem, expect_unchanged
from tests.api.steps import PDF
from tests.api.test_evidence_reading import TEXT, body, got, link_to, uploaded, verified
from tests.factories import Caller, House


def expect_no_content(url: str) -> None:
    with expect_unchanged():
        expect_problem(Client().get(url), 401, "unauthenticated")


def test_link__needs_no_credential(house: House) -> None:
    answer = Client().get(link_to(house.alice, verified(house)))
    assert (answer.status_code, body(answer)) == (200, TEXT)


def test_link__ends_after_five_minutes(house: House) -> None:
    evidence_id = verified(house)
    path, actor = f"/v1/evidence/{evidence_id}/content", house.alice.principal
    shown = Links(actor, clock.now()).to(path)
    assert shown.expires_at <= clock.now() + timedelta(minutes=5)
    fresh = Links(actor, clock.now() - timedelta(minutes=4, seconds=50)).to(path)
    assert got(Client().get(fresh.url)).status_code == 200
    expect_no_content(Links(actor, clock.now() - timedelta(minutes=5)).to(path).url)


def test_link__altered(house: House) -> None:
    url = link_to(house.alice, verified(house))
    path, _, text = url.partition("?access=")
    for place in range(0, len(text), 7):
        other = "A" if text[place] != "A" else "B"
        expect_no_content(f"{path}?access={text[:place]}{other}{text[place + 1 :]}")
    for changed in ("", "=", "AAAA", text[:-8], text + "AAAA", "\u0661", text[40:], "%00"):
        expect_no_content(f"{path}?access={changed}")


def test_link__of_another_file(house: House) -> None:
    one, other = verified(house), verified(house, PDF)
    access = urlsplit(link_to(house.alice, one)).query
    expect_no_content(f"/v1/evidence/{other}/content?{access}")
    expect_no_content(f"/v1/attachments/{one}/content?{access}")


def test_link__of_another_organisation(house: House) -> None:
    """A link that another organisation's caller is given leads to nothing of this one."""
    evidence_id = verified(house)
    stranger = Links(house.charlie.principal, clock.now()).to(f"/v1/evidence/{evidence_id}/content")
    unknown = Links(house.charlie.principal, clock.now()).to(f"/v1/evidence/{UUID(int=7)}/content")
    with expect_unchanged():
        answers = [Client().get(link.url) for link in (stranger, unknown)]
    bodies = [expect_problem(answer, 404, "not_found") for answer in answers]
    assert {**bodies[0], "request_id": ""} == {**bodies[1], "request_id": ""}


def test_link__of_a_revoked_key(house: House) -> None:
    url = link_to(house.alice, verified(house))
    ApiKey.objects.filter(id=house.alice.principal.id).update(revoked_at=clock.now())
    expect_no_content(url)


def test_link__of_an_expired_key(house: House) -> None:
    url = link_to(house.alice, verified(house))
    ApiKey.objects.filter(id=house.alice.principal.id).update(expires_at=clock.now())
    expect_no_content(url)


def test_link__of_a_worker_without_a_key(house: House) -> None:
    run = house.started()
    uploaded(house, run)
    (shown,) = house.bob.get(f"/v1/runs/{run.id}/evidence").json()["data"]
    ApiKey.objects.filter(worker_id=house.bobs_worker.id).update(revoked_at=clock.now())
    expect_no_content(shown["content_url"])


def principal(house: House, kind: str, name: str, member_id: UUID | None = None) -> Principal:
    return Principal(
        kind=kind,
        id=name,
        name="",
        organisation_id=house.organisation.id,
        role=Role.VIEWER,
        scopes=frozenset(),
        member_id=member_id,
    )


def a_client(house: House) -> OAuthApplication:
    return OAuthApplication.objects.create(
        name="Ledger",
        organisation=house.organisation,
        client_type="confidential",
        authorization_grant_type="client-credentials",
        scopes=["evidence:read", "tasks:read"],
        role=Role.EDITOR,
    )


def a_member(house: House) -> Member:
    user = User.objects.create_user("mara@example.com")
    return Member.objects.create(organisation=house.organisation, user=user, role=Role.EDITOR)


def a_token(client: OAuthApplication, member: Member | None = None) -> str:
    """Return an access token of the client, or of the member who lets it act."""
    text = secrets.token_urlsafe()
    AccessToken.objects.create(
        token=text,
        token_checksum=checksum(text),
        application=client,
        user=None if member is None else member.user,
        scope="evidence:read tasks:read",
        expires=clock.now() + timedelta(hours=1),
    )
    return text


def expect_links_to_end(house: House, text: str, end: Callable[[], object]) -> None:
    """Let two links work, end their credential, and expect that neither works."""
    evidence_id = verified(house)
    urls = [link_to(Caller(text), evidence_id), link_to(Caller(text), evidence_id)]
    assert got(Client().get(urls[0])).status_code == 200
    end()
    for url in urls:
        expect_no_content(url)


TOKEN_ENDS: dict[str, Callable[[OAuthApplication], object]] = {
    "revoked": lambda client: AccessToken.objects.all().delete(),
    "expired": lambda client: AccessToken.objects.update(expires=clock.now()),
    "without a client": lambda client: client.delete(),
    "without its scope": lambda client: OAuthApplication.objects.update(scopes=["tasks:read"]),
    "of other pools": lambda client: OAuthApplication.objects.update(pool_ids=[]),
}


@pytest.mark.parametrize("what", TOKEN_ENDS)
def test_link__of_a_client_ends_with_its_token(house: House, what: str) -> None:
    client = a_client(house)
    text = a_token(client)
    a_token(client)
    expect_links_to_end(house, text, lambda: TOKEN_ENDS[what](client))


def test_link__of_a_token_does_not_end_with_another(house: House) -> None:
    client = a_client(house)
    text, other = a_token(client), a_token(client)
    url = link_to(Caller(text), verified(house))
    AccessToken.objects.get(token_checksum=checksum(other)).delete()
    assert got(Client().get(url)).status_code == 200


@pytest.mark.parametrize("what", ["revoked", "member", "consent", "scope", "second factor"])
def test_link__of_a_client_that_acts_for_a_member(house: House, what: str) -> None:
    client, member = a_client(house), a_member(house)
    consent = OAuthConsent.objects.create(
        organisation=house.organisation,
        application=client,
        member=member,
        scopes=["evidence:read", "tasks:read"],
    )
    ends: dict[str, Callable[[], object]] = {
        "revoked": lambda: AccessToken.objects.all().delete(),
        "member": member.delete,
        "consent": consent.delete,
        "scope": lambda: OAuthConsent.objects.update(scopes=["tasks:read"]),
        "second factor": lambda: Organisation.objects.update(requires_second_factor=True),
    }
    text = a_token(client, member)
    if what != "second factor":
        return expect_links_to_end(house, text, ends[what])
    url = link_to(Caller(text), verified(house))
    ends[what]()
    with expect_unchanged():
        expect_problem(Client().get(url), 403, "second_factor_required")
    return None


@pytest.mark.parametrize("kind", ["member", "worker"])
def test_link__of_a_browser_session(house: House, kind: str) -> None:
    """Accept none: it would not end with the session. No call makes one."""
    member = a_member(house)
    actor = principal(house, kind, str(member.id), member.id)
    expect_no_content(Links(actor, clock.now()).to(f"/v1/evidence/{verified(house)}/content").url)


@pytest.mark.parametrize("kind", ["system", "unknown"])
def test_link__of_no_credential(house: House, kind: str) -> None:
    path = f"/v1/evidence/{verified(house)}/content"
    expect_no_content(Links(principal(house, kind, "x"), clock.now()).to(path).url)


def test_link__only_from_the_organisations_networks(house: House) -> None:
    url = link_to(house.alice, verified(house))
    Organisation.objects.filter(id=house.organisation.id).update(allowed_networks=["10.0.0.0/8"])
    with expect_unchanged():
        expect_problem(Client().get(url), 403, "address_not_allowed")


def test_link__takes_no_other_parameter(house: House) -> None:
    url = link_to(house.alice, verified(house))
    with expect_unchanged():
        expect_problem(Client().get(url + "&x=1"), 422, "invalid_input")
