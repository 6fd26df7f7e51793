"""Test the language of pages: that of the browser, or the one that a person chose."""

from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.test import Client
from django.utils import translation

from apps.accounts.mail import wait_for_mails
from apps.base import clock
from tests.factories import House, member_of
from tests.pages.steps import MARA, browser, person, sign_in, submit

GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}


def text(client: Client, path: str = "/accounts/login/") -> str:
    return str(client.get(path).content.decode())


def choose(client: Client, language: str, **fields: Any) -> Any:
    return submit(client, "/accounts/login/", to="/accounts/language/", language=language, **fields)


@pytest.mark.parametrize(
    ("accepted", "language", "heading"),
    [
        ("de-AT,de;q=0.9,en;q=0.5", "de", "Anmelden"),
        ("en-GB,de;q=0.5", "en", "Sign in"),
        ("fr", "en", "Sign in"),
    ],
)
def test_page__is_in_the_language_that_the_browser_prefers(
    house: House, accepted: str, language: str, heading: str
) -> None:
    answer = browser(**{"Accept-Language": accepted}).get("/accounts/login/")
    assert f'<html lang="{language}">' in answer.content.decode()
    assert f"<h1>{heading}</h1>" in answer.content.decode()
    assert answer["Content-Language"] == language
    assert "Accept-Language" in answer["Vary"]


def test_chosen_language__is_kept(house: House) -> None:
    client = browser(**GERMAN)
    answer = choose(client, "en", next="/accounts/password/reset/")
    assert answer.url == "/accounts/password/reset/"
    cookie = client.cookies[settings.LANGUAGE_COOKIE_NAME]
    assert (cookie.value, cookie["httponly"], cookie["samesite"]) == ("en", True, "Lax")
    assert cookie["max-age"] == 365 * 24 * 3600
    assert "<h1>Sign in</h1>" in text(client)
    choose(client, "de")
    assert "<h1>Anmelden</h1>" in text(client)


@pytest.mark.parametrize("language", ["xx", "", "../de"])
def test_unknown_language__changes_nothing(house: House, language: str) -> None:
    client = browser(**GERMAN)
    choose(client, language)
    assert settings.LANGUAGE_COOKIE_NAME not in client.cookies
    assert "<h1>Anmelden</h1>" in text(client)


def test_choice__leads_to_no_other_site(house: House) -> None:
    answer = choose(browser(), "de", next="https://evil.example/")
    assert answer.url == "/"


def test_choice__needs_a_token(house: House) -> None:
    client = browser(**GERMAN)
    answer = client.post("/accounts/language/", {"language": "en"})
    assert answer.status_code == 403
    assert "<h1>Dieses Formular ist abgelaufen</h1>" in answer.content.decode()


@pytest.mark.parametrize(
    ("path", "heading"),
    [
        ("/accounts/unknown/", "Seite nicht gefunden"),
        ("/accounts/invitations/unknown/", "Diese Einladung gilt nicht mehr"),
        ("/accounts/password/reset/key/1-set-password/", "Dieser Link gilt nicht mehr"),
    ],
)
def test_error__is_in_the_language_of_the_page(house: House, path: str, heading: str) -> None:
    page = text(browser(**GERMAN), path)
    assert f"<h1>{heading}</h1>" in page
    assert '<html lang="de">' in page


def test_too_large_form__is_answered_in_the_language(house: House) -> None:
    answer = browser(**GERMAN).post("/accounts/login/", headers={"Content-Length": "999999999"})
    assert answer.status_code == 413
    assert "<h1>Zu viele Daten</h1>" in answer.content.decode()


def test_form__is_refused_in_the_language(house: House) -> None:
    person()
    answer = sign_in(browser(**GERMAN), password="not the password at all")
    page = answer.content.decode()
    assert "<h2>Es gibt ein Problem</h2>" in page
    assert "Die E-Mail-Adresse oder das Passwort ist falsch." in page


def test_dates__are_written_as_the_language_does(house: House) -> None:
    member_of(house.organisation, MARA)
    today = clock.now()
    for headers, date in (
        (GERMAN, f"{today:%d.%m.%Y}, "),
        ({}, f"{today.day} {today:%b %Y}, "),
    ):
        client = browser(**headers)
        sign_in(client)
        assert date in text(client, "/accounts/sessions/")


def test_mail__is_in_the_language_of_the_page(house: House) -> None:
    person()
    submit(browser(**GERMAN), "/accounts/password/reset/", email=MARA)
    wait_for_mails()
    assert mail.outbox[0].subject == "Ihr Passwort bei BioLayer zurücksetzen"
    assert "Er gilt drei Tage." in mail.outbox[0].body


def test_api__stays_in_english_on_the_thread_of_a_page(house: House) -> None:
    client = browser(**GERMAN)
    assert "<h1>Anmelden</h1>" in text(client)
    answer = client.get("/v1/none", headers={"Authorization": "Bearer wrong", **GERMAN})
    assert answer.status_code == 404
    assert answer.json()["title"] == "Not found"
    answer = client.get("/v1/tasks", headers={"Authorization": "Bearer wrong", **GERMAN})
    assert answer.status_code == 401
    assert "Content-Language" not in answer
    assert translation.get_language() == "en"


def test_arabic_page__is_written_from_right_to_left(house: House, settings: Any) -> None:
    settings.LANGUAGES = [*settings.LANGUAGES, ("ar", "العربية")]
    client = browser(**{"Accept-Language": "ar"})
    assert '<html lang="ar" dir="rtl">' in text(client)
    assert '<html lang="ar" dir="rtl">' in text(client, "/accounts/unknown/")
    assert "dir=" not in text(browser()).partition(">")[0]
