"""Test what makes the portal an app: manifest, service worker, the page without a network."""

import struct

from local.icons import png
from tests.pages.steps import browser


def test_manifest__names_icons_that_exist(database: None) -> None:
    answer = browser().get("/portal/manifest.webmanifest")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/manifest+json"
    document = answer.json()
    assert (document["start_url"], document["scope"]) == ("/portal/", "/portal/")
    for icon in document["icons"]:
        data = b"".join(browser().get(icon["src"]).streaming_content)
        width, height = struct.unpack(">II", data[16:24])
        assert f"{width}x{height}" == icon["sizes"]
        assert data == png(width), "Mend: python3 -m local.icons"


def test_service_worker__is_served_under_its_scope(database: None) -> None:
    answer = browser().get("/portal/sw.js")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/javascript"
    assert answer["Cache-Control"] == "no-cache"
    assert b"/portal/offline/" in answer.content


def test_offline_page__has_nothing_personal_and_no_session(database: None) -> None:
    answer = browser().get("/portal/offline/")
    assert answer.status_code == 200
    assert "There is no network" in answer.content.decode()
    assert not answer.cookies
