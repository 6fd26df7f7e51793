"""Test where `/` and the sign-in lead, and how errors are answered: people by a page."""

from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import TOTP

from apps.accounts.models import Member
from apps.accounts.scopes import Role
from apps.accounts.services import make_superuser
from apps.pools.models import Worker
from tests.factories import PASSWORD, House, member_of
from tests.pages.steps import browser, sign_in, submit

JO = "jo@northwind.example"


def work(house: House, member: Member) -> None:
    Worker.objects.filter(id=house.bobs_worker.id).update(user=member.user)


@pytest.mark.parametrize(
    ("role", "is_worker", "start"),
    [
        (Role.WORKER, True, "/portal/"),
        (Role.WORKER, False, "/accounts/"),
        (Role.VIEWER, True, "/portal/"),
        (Role.VIEWER, False, "/admin/"),
        (Role.EDITOR, True, "/admin/"),
        (Role.ADMIN, False, "/admin/"),
    ],
)
def test_start__is_what_the_member_does(
    house: House, role: Role, is_worker: bool, start: str
) -> None:
    member = member_of(house.organisation, JO, role=role)
    if is_worker:
        work(house, member)
    client = browser()
    assert sign_in(client, JO)["Location"] == start
    assert client.get("/")["Location"] == start
    assert client.get(start).status_code == 200
    assert client.get("/accounts/").status_code == 200


def test_start__of_others(house: House) -> None:
    assert browser().get("/")["Location"] == "/accounts/login/"
    user = make_superuser(email=JO, password=PASSWORD)
    client = browser()
    client.force_login(user)
    assert client.get("/")["Location"] == "/admin/organisations/"
    assert client.get("/admin/organisations/")["Location"] == "/accounts/two-factor/"
    TOTP.activate(user, "JBSWY3DPEHPK3PXP")
    # A new factor ends the other sessions.
    client.force_login(user)
    assert client.get("/admin/organisations/").status_code == 200


def test_start__keeps_the_page_that_was_asked_for(house: House) -> None:
    member_of(house.organisation, JO)
    client = browser()
    wanted = client.get("/", {"next": "/admin/tasks/task/"})["Location"]
    assert wanted == "/accounts/login/?next=/admin/tasks/task/"
    fields = {"login": JO, "password": PASSWORD, "next": "/admin/tasks/task/"}
    assert submit(client, wanted, **fields)["Location"] == "/admin/tasks/task/"
    assert client.get("/", {"next": "/admin/tasks/task/"})["Location"] == "/admin/tasks/task/"
    for foreign in ("https://evil.example/", "//evil.example", "/"):
        assert client.get("/", {"next": foreign})["Location"] == "/admin/"


def test_start__answers_get_only(house: House) -> None:
    assert browser().head("/").status_code == 302
    assert browser().put("/").status_code in (403, 405)


def test_worker__is_led_from_the_console_to_the_portal(house: House) -> None:
    member = member_of(house.organisation, JO, role=Role.WORKER)
    work(house, member)
    client = browser()
    client.force_login(member.user)
    answer = client.get("/admin/")
    text = answer.content.decode()
    assert answer.status_code == 403
    assert "Your role in Northwind Verification is Worker." in text
    assert 'href="/portal/"' in text
    assert 'href="/admin/"' not in client.get("/accounts/").content.decode()


def test_member__finds_the_console_from_the_account(house: House) -> None:
    client = browser()
    client.force_login(member_of(house.organisation, JO).user)
    assert 'href="/admin/"' in client.get("/accounts/").content.decode()


# --- errors ---------------------------------------------------------------------------------------

HTML = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.mark.parametrize(
    ("path", "accepted", "media_type"),
    [
        ("/admin/nothing/", HTML, "text/html"),
        ("/admin/nothing/", "*/*", "text/html"),
        ("/admin/nothing/", "application/json", "application/problem+json"),
        ("/portal/nothing/", "application/problem+json", "application/problem+json"),
        ("/nothing", HTML, "text/html"),
        ("/nothing", "*/*", "application/problem+json"),
        ("/v1/nothing", HTML, "application/problem+json"),
        ("/oauth/nothing", HTML, "application/problem+json"),
    ],
)
def test_404__is_a_page_for_people_and_a_problem_for_programs(
    database: None, path: str, accepted: str, media_type: str
) -> None:
    answer = browser(Accept=accepted).get(path)
    assert answer.status_code == 404
    assert answer["Content-Type"].partition(";")[0] == media_type
    if media_type == "text/html":
        assert "default-src" in answer["Content-Security-Policy"]
        assert "There is no page at this address." in answer.content.decode()
    else:
        assert answer.json()["code"] == "not_found"
        assert answer.json()["type"] == "urn:biolayer:problem:not_found"


def test_404_of_the_console__leads_back_to_the_board(database: None) -> None:
    text = browser().get("/admin/nothing/").content.decode()
    assert 'href="/admin/"' in text
    assert "To the board" in text


def test_503__is_a_page_for_people_and_a_problem_for_programs(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    from apps.console.views import board

    client = browser()
    client.force_login(member_of(house.organisation, JO).user)

    def away(*args: Any, **kwargs: Any) -> Any:
        raise OperationalError("the connection was closed")

    monkeypatch.setattr(board, "render", away)
    answer = client.get("/admin/", headers={"Accept": HTML})
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "The service is not available at the moment" in answer.content.decode()
    problem = client.get("/admin/", headers={"Accept": "application/json"})
    assert (problem.status_code, problem.json()["code"]) == (503, "unavailable")
