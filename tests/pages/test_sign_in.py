"""Test signing in by password: sessions, cookies, CSRF, limits."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import BrowserSession, SignInCounter
from tests.factories import House
from tests.pages.steps import PASSWORD, browser, person, sign_in, submit


def test_sign_in__opens_a_session(database: None) -> None:
    user = person()
    client = browser(**{"User-Agent": "Firefox on Linux"})
    answer = sign_in(client)
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/")
    session = BrowserSession.objects.get(user=user)
    assert (session.address, session.user_agent) == ("127.0.0.1", "Firefox on Linux")
    assert "mara@northwind.example" in client.get("/accounts/").content.decode()


def test_session__is_stored_as_a_hash_and_encrypted(database: None) -> None:
    user = person()
    client = browser()
    sign_in(client)
    (cookie,) = [c.value for name, c in client.cookies.items() if name.startswith("session")]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_jsonb(s)::text FROM accounts_browsersession s WHERE user_id = %s", [user.id]
        )
        (stored,) = cursor.fetchone()
    assert cookie not in stored
    assert "account_authentication_methods" not in stored


def test_session__ends_at_once_when_its_row_is_deleted(database: None) -> None:
    user = person()
    client = browser()
    sign_in(client)
    assert client.get("/accounts/").status_code == 200
    BrowserSession.objects.filter(user=user).delete()
    assert client.get("/accounts/").status_code == 302


def test_sign_in__is_refused_alike_for_unknown_address_and_wrong_password(database: None) -> None:
    person()
    bodies = []
    for email in ("mara@northwind.example", "stranger@northwind.example"):
        answer = sign_in(browser(), email, "not the password at all")
        assert answer.status_code == 200
        text = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", answer.content.decode())
        bodies.append(text.replace(email, ""))
    assert bodies[0] == bodies[1]
    assert "There is a problem" in bodies[0]
    assert not BrowserSession.objects.filter(user__isnull=False).exists()


def test_sign_in__needs_the_forms_token(database: None) -> None:
    person()
    answer = browser().post(
        "/accounts/login/", {"login": "mara@northwind.example", "password": PASSWORD}
    )
    assert answer.status_code == 403
    assert "This form has expired" in answer.content.decode()


def test_sixth_attempt__is_refused_even_with_the_password(database: None) -> None:
    person()
    for _ in range(5):
        sign_in(browser(), password="not the password at all")
    answer = sign_in(browser())
    assert "Too many wrong passwords" in answer.content.decode()
    assert not BrowserSession.objects.filter(user__isnull=False).exists()


def test_attempts__are_counted_without_the_host(database: None) -> None:
    person()
    for number in range(5):
        sign_in(browser(Host=f"host-{number}.example"), password="not the password at all")
    assert "Too many wrong passwords" in sign_in(browser(Host="another.example")).content.decode()


def test_sign_in__fails_closed_when_attempts_cannot_be_counted(database: None) -> None:
    person()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_signincounter RENAME TO elsewhere")
    try:
        answer = sign_in(browser())
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO accounts_signincounter")
    assert answer.status_code == 500
    assert not BrowserSession.objects.filter(user__isnull=False).exists()
    assert not SignInCounter.objects.exists()


def test_attempts_of_an_address__are_limited(database: None, settings: Any) -> None:
    person()
    settings.ACCOUNT_RATE_LIMITS = {"login": "2/5m/ip"}
    answers = [sign_in(browser(), password="not the password at all") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert "Too many attempts" in answers[-1].content.decode()
    assert answers[-1]["Retry-After"] == "300"


def test_sign_up__is_closed(database: None) -> None:
    answer = browser().get("/accounts/signup/")
    assert "made by invitation" in answer.content.decode()
    sent = submit(browser(), "/accounts/signup/", email="new@northwind.example", password1=PASSWORD)
    assert "made by invitation" in sent.content.decode()


def test_sign_out__ends_the_session(database: None) -> None:
    user = person()
    client = browser()
    sign_in(client)
    answer = submit(client, "/accounts/logout/")
    assert answer.status_code == 302
    assert not BrowserSession.objects.filter(user=user).exists()


# --- what every page sends ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/accounts/login/", "/accounts/unknown/", "/accounts/password/reset/"]
)
def test_page__has_the_browsers_rules(path: str, database: None) -> None:
    answer = browser().get(path)
    policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    body = answer.content.decode()
    assert not re.search(r"<script(?![^>]*(src=|application/json))|<style|\sstyle=|\son\w+=", body)


def test_static_files__are_served(database: None) -> None:
    answer: Any = browser().get("/static/ui/ui.css")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/css")
    answer.close()
    assert browser().get("/static/ui/missing.css").status_code == 404


# --- the API has no cookies -----------------------------------------------------------------------


def test_api__ignores_a_session(house: House) -> None:
    person()
    client = browser()
    sign_in(client)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = client.get("/v1/tasks")
    assert answer.status_code == 401
    assert not answer.cookies
    assert [q for q in queries.captured_queries if "session" in q["sql"]] == []
    with CaptureQueriesContext(connection) as queries:
        answer = house.alice.get("/v1/tasks")
    assert answer.status_code == 200
    assert "Content-Security-Policy" not in answer
    assert not answer.cookies


@pytest.mark.parametrize("path", ["/livez", "/oauth/token", "/v1/tasks", "/v1/accounts/"])
def test_other_paths__set_no_cookie(path: str, database: None) -> None:
    assert not browser().get(path).cookies
