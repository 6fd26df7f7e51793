"""Test the pages of a worker's profile: data, hours, certifications, notices, language."""

import re
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.base import clock
from apps.notices import services
from apps.notices.models import Device, Preference
from apps.pools.models import Certification, CertificationClaim, Worker
from apps.tasks.models import StoredFile
from apps.timers.models import Timer
from tests.claim_steps import PDF, claimed
from tests.factories import House, worker_in
from tests.notice_steps import (
    Browser,
    bob_signs_in,
    choose_notices,
    send_all,
)
from tests.pages.steps import browser, sign_in, submit

PROFILE = "/portal/profile/"
BOB = "bob@northwind.example"


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def bob(house: House) -> Client:
    """Provide the browser of Bob, who is signed in."""
    bob_signs_in(house, BOB)
    client = browser()
    client.raise_request_exception = True
    sign_in(client, BOB)
    return client


def text(client: Client, path: str = PROFILE) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def worker() -> Worker:
    return Worker.objects.get(name="Bob Ashdown")


@pytest.mark.parametrize("page", ["", "hours/", "certifications/", "notices/"])
def test_pages__are_for_workers_only(house: House, bob: Client, page: str) -> None:
    assert bob.get(f"{PROFILE}{page}").status_code == 200
    answer = browser().get(f"{PROFILE}{page}")
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/accounts/login/")
    Worker.objects.update(user=None)
    assert bob.get(f"{PROFILE}{page}").status_code == 403


def test_profile__shows_own_data(house: House, bob: Client) -> None:
    Worker.objects.filter(id=worker().id).update(
        skills=["phone_verification"],
        skill_levels={"phone_verification": 3},
        languages=["de", "en-US", "tlh"],
        exact_rating=4.5,
        rating_count=12,
        hours={"mon": [["09:00", "12:00"], ["13:00", "24:00"]]},
        time_zone="Europe/Berlin",
    )
    shown = text(bob)
    for words in (
        "Bob Ashdown bob@northwind.example",
        "Phone verification level 3 of 5",
        "Languages you speak German, English (en-US), tlh",
        "4.5 of 5 (12 ratings)",
        "Monday 09:00\N{EN DASH}12:00 , 13:00\N{EN DASH}24:00",
        "time zone Europe/Berlin",
        "Off: you see offers only while a page is open.",
    ):
        assert words in shown, (words, shown)


# --- hours ----------------------------------------------------------------------------------------


def test_hours__are_saved_and_set_the_timer(house: House, bob: Client) -> None:
    fields = {
        "mon-from": ["13:00", "09:00", ""],
        "mon-until": ["00:00", "12:00", ""],
        "tue-from": [""],
        "tue-until": [""],
        "time_zone": "America/New_York",
    }
    answer = submit(bob, f"{PROFILE}hours/", **fields)
    assert (answer.status_code, answer["Location"]) == (302, PROFILE)
    saved = worker()
    assert saved.hours == {"mon": [["09:00", "12:00"], ["13:00", "24:00"]]}
    assert saved.time_zone == "America/New_York"
    due_at = Timer.objects.get(subject_id=saved.id, kind="availability").due_at
    local = due_at.astimezone(ZoneInfo("America/New_York")).strftime("%H:%M")
    assert local in ("09:00", "12:00", "13:00", "00:00")
    page = bob.get(f"{PROFILE}hours/").content.decode()
    assert page.count('value="09:00"') == 1
    assert "<option selected>America/New_York</option>" in page


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"mon-from": "17:00", "mon-until": "09:00"}, "Monday: The end must be after"),
        ({"wed-from": "09:00", "wed-until": ""}, "Wednesday: Enter a beginning and an end"),
        ({"wed-from": "9", "wed-until": "<b>"}, "Wednesday: Enter a beginning and an end"),
        (
            {"fri-from": ["09:00", "10:00"], "fri-until": ["12:00", "13:00"]},
            "Friday: These hours overlap.",
        ),
        ({"time_zone": "Mars/Olympus"}, "Choose a time zone from the list."),
    ],
)
def test_hours_with_a_problem__are_shown_again(
    house: House, bob: Client, fields: dict[str, Any], problem: str
) -> None:
    before = worker()
    answer = submit(bob, f"{PROFILE}hours/", **{"time_zone": "UTC", **fields})
    assert answer.status_code == 200
    page = unescape(answer.content.decode())
    assert problem in page
    assert 'role="alert"' in page
    for value in fields.values():
        for shown in [value] if isinstance(value, str) else value:
            assert not shown or f'value="{shown}"' in page or f">{shown}<" in page, shown
    assert (worker().hours, worker().time_zone) == (before.hours, before.time_zone)


def test_no_hours__mean_always(house: House, bob: Client) -> None:
    Worker.objects.filter(id=worker().id).update(hours={"mon": [["09:00", "10:00"]]})
    submit(bob, f"{PROFILE}hours/", time_zone="UTC")
    assert (worker().hours, worker().is_on_shift) == ({}, True)
    assert "None: you get offers at any time" in text(bob)


# --- certifications -------------------------------------------------------------------------------


def send_certificate(client: Client, **fields: Any) -> Any:
    form = {
        "code": "First Aid",
        "issuer": "Contoso",
        "expires_on": "2031-03-31",
        "file": SimpleUploadedFile("scan.pdf", PDF),
        **fields,
    }
    sent = {name: value for name, value in form.items() if value is not None}
    return submit(client, f"{PROFILE}certifications/", **sent)


def test_certificate__waits_for_a_check(house: House, bob: Client) -> None:
    Worker.objects.filter(id=worker().id).update(time_zone="Europe/Berlin")
    answer = send_certificate(bob)
    assert answer.status_code == 302
    claim = CertificationClaim.objects.get()
    assert (claim.code, claim.issuer, claim.status) == ("first-aid", "Contoso", "pending")
    assert claim.expires_at == datetime(2031, 4, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    assert StoredFile.objects.get().state == "kept"
    assert "First aid Contoso … waits for a check" in text(bob)
    house.alice.post(f"/v1/certification-claims/{claim.id}/confirm")
    assert "First aid Contoso ✓ valid until 31 March 2031" in text(bob)


def test_rejected_certificate__shows_the_reason_and_is_removed(house: House, bob: Client) -> None:
    claim = claimed(house.bob.principal)
    path = f"/v1/certification-claims/{claim.id}/reject"
    house.alice.post(path, {"reason": "<b>Not</b> readable."})
    shown = bob.get(f"{PROFILE}certifications/").content.decode()
    assert "&lt;b&gt;Not&lt;/b&gt; readable." in shown
    remove = f"{PROFILE}certifications/{claim.id}/remove/"
    assert submit(bob, f"{PROFILE}certifications/", to=remove).status_code == 302
    assert CertificationClaim.objects.count() == 0


def test_claim_of_another_worker__is_not_found(house: House, bob: Client) -> None:
    _, carol = worker_in(house.pool)
    claim = claimed(carol.principal)
    remove = f"{PROFILE}certifications/{claim.id}/remove/"
    assert submit(bob, f"{PROFILE}certifications/", to=remove).status_code == 404
    assert CertificationClaim.objects.count() == 1


def test_expired_certificate__says_so(house: House, bob: Client) -> None:
    yesterday = clock.now() - timedelta(days=1)
    Certification.objects.create(
        organisation=house.organisation, worker=worker(), code="forklift", expires_at=yesterday
    )
    assert "✕ expired on" in text(bob)


@pytest.mark.parametrize(
    ("fields", "name", "problem"),
    [
        ({"code": ""}, "code", "Enter the name of the certification."),
        ({"code": "Führerschein"}, "code", "Use letters a to z"),
        ({"file": None}, "file", "Choose a file."),
        ({"file": SimpleUploadedFile("a.svg", b"<svg/>")}, "file", "Send a PDF, or a picture"),
        ({"file": SimpleUploadedFile("a.pdf", b"")}, "file", "This file is empty"),
        ({"expires_on": "2020-01-01"}, "expires_on", "It has expired already."),
        ({"expires_on": "soon"}, "expires_on", "Enter a date"),
        ({"issuer": "x" * 201}, "issuer", "Write at most 200 characters."),
    ],
)
def test_certificate_with_a_problem__keeps_what_was_typed(
    house: House, bob: Client, fields: dict[str, Any], name: str, problem: str
) -> None:
    answer = send_certificate(bob, **fields)
    assert answer.status_code == 200
    page = answer.content.decode()
    assert f'<a href="#id_{name}">{problem}' in page
    assert f'id="error_{name}"' in page
    kept = {"code": "First Aid", "issuer": "Contoso", "expires_on": "2031-03-31", **fields}
    for value in (kept["code"], kept["issuer"], kept["expires_on"]):
        assert f'value="{value}"' in page
    assert CertificationClaim.objects.count() == 0


def test_document_over_the_limit__is_refused(house: House, bob: Client) -> None:
    large = SimpleUploadedFile("large.pdf", PDF + b"x" * (10 * 1024 * 1024))
    answer = send_certificate(bob, file=large)
    assert "larger than 10 MB" in answer.content.decode()
    assert send_certificate(bob, file=SimpleUploadedFile("x", b"x" * 12_000_000)).status_code == 413


# --- notices --------------------------------------------------------------------------------------


def test_wishes__are_saved(house: House, bob: Client) -> None:
    answer = submit(
        bob,
        f"{PROFILE}notices/",
        by_email="on",
        offers="on",
        quiet_from="22:00",
        quiet_until="07:00",
        pause_minutes="30",
    )
    assert answer.status_code == 302
    saved = Preference.objects.get()
    assert (saved.by_email, saved.offers, saved.due_soon, saved.messages) == (
        True,
        True,
        False,
        False,
    )
    assert (saved.quiet_from, saved.quiet_until, saved.pause_minutes) == ("22:00", "07:00", 30)
    assert "By e-mail. Quiet from 22:00 to 07:00." in text(bob)


@pytest.mark.parametrize("quiet", [("22:00", ""), ("", "07:00"), ("22:00", "22:00"), ("x", "y")])
def test_wishes_with_a_problem__are_shown_again(
    house: House, bob: Client, quiet: tuple[str, str]
) -> None:
    answer = submit(
        bob, f"{PROFILE}notices/", by_email="on", quiet_from=quiet[0], quiet_until=quiet[1]
    )
    assert answer.status_code == 200
    assert "Quiet hours need a beginning and an end" in answer.content.decode()
    assert not Preference.objects.filter(by_email=True).exists()


def test_browser__is_added_listed_and_removed(house: House, bob: Client) -> None:
    page = bob.get(f"{PROFILE}notices/")
    token = str(page.context["csrf_token"])
    assert services.public_push_key() in page.content.decode()
    subscription = Browser("http://127.0.0.1:9/push/1").subscription
    headers = {"X-CSRFToken": token, "User-Agent": "Mozilla/5.0 (Android) Chrome/150.0"}
    path = f"{PROFILE}notices/devices/"
    assert bob.post(path, subscription, "application/json").status_code == 403
    answer = bob.post(path, subscription, "application/json", headers=headers)
    assert answer.status_code == 201
    device = Device.objects.get()
    assert answer.json() == {"device_id": str(device.id)}
    assert "Chrome on Android This browser no notice yet" in text(bob, f"{PROFILE}notices/")
    bad = bob.post(path, {"endpoint": "https://10.0.0.1/"}, "application/json", headers=headers)
    assert (bad.status_code, bad.json()["refused"]) == (200, 422)
    assert bob.post(path, b"{", "application/json", headers=headers).status_code == 400
    submit(bob, f"{PROFILE}notices/", to=f"{path}{device.id}/remove/")
    assert Device.objects.count() == 0


def test_test_notice__is_sent_to_what_is_chosen(house: House, bob: Client) -> None:
    path = f"{PROFILE}notices/test/"
    submit(bob, f"{PROFILE}notices/", to=path)
    assert "Choose e-mail or a browser first." in text(bob, f"{PROFILE}notices/")
    choose_notices(house.bob.principal, by_email=True)
    submit(bob, f"{PROFILE}notices/", to=path)
    send_all()
    assert [message.subject for message in mail.outbox] == [
        "Notices work: This is the test notice that you asked for."
    ]


def test_mail__is_stopped_by_its_link(house: House, bob: Client) -> None:
    choose_notices(house.bob.principal, by_email=True)
    services.send_test(actor=house.bob.principal, at=clock.now())
    send_all()
    (message,) = mail.outbox
    link = re.search(r"/portal/notices/stop/\S+/", str(message.body))
    assert link is not None
    assert f"{link[0]}>" in message.extra_headers["List-Unsubscribe"]
    stranger = browser()
    # A scanner of links changes nothing.
    assert "Stop these mails?" in text(stranger, link[0])
    assert Preference.objects.get().by_email
    # A mail program posts without cookies, and the page's button does the same.
    answer = stranger.post(link[0], {"List-Unsubscribe": "One-Click"})
    assert "You get no more mails" in answer.content.decode()
    assert not Preference.objects.get().by_email
    changed = link[0][:-3] + ("xx/" if link[0][-3:-1] != "xx" else "yy/")
    assert stranger.post(changed).status_code == 404


def test_visible_page__is_reported_only_where_it_matters(house: House, bob: Client) -> None:
    answer = submit(bob, PROFILE, to="/portal/seen/")
    assert (answer.status_code, answer.json()) == (200, {"again": False})
    choose_notices(house.bob.principal, by_email=True)
    assert submit(bob, PROFILE, to="/portal/seen/").status_code == 204
    assert Preference.objects.get().seen_at is not None


# --- language -------------------------------------------------------------------------------------


def test_language__is_kept_for_pages_and_notices(house: House, bob: Client) -> None:
    choose_notices(house.bob.principal, by_email=True)
    answer = submit(bob, PROFILE, to=f"{PROFILE}language/", language="de", next=PROFILE)
    assert (answer.status_code, answer["Location"]) == (302, PROFILE)
    assert '<html lang="de"' in bob.get(PROFILE).content.decode()
    assert Preference.objects.get().language == "de"
    submit(bob, PROFILE, to=f"{PROFILE}language/", language="xx", next="https://evil.example/")
    assert Preference.objects.get().language == "de"
