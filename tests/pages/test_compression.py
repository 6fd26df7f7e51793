"""Test that files and the portal's pages go over the wire compressed, and other pages do not."""

import gzip

from django.test import Client

from tests.api.steps import JPEG
from tests.factories import House
from tests.pages.steps import browser
from tests.portal.task_steps import portal

GZIP = {"Accept-Encoding": "gzip, deflate, br, zstd"}


def content(response: object) -> bytes:
    return b"".join(response)  # type: ignore[call-overload]


def test_static_file__is_compressed_and_compared_by_its_tag() -> None:
    client = Client()
    plain = client.get("/static/ui/ui.css")
    assert "Content-Encoding" not in plain
    packed = client.get("/static/ui/ui.css", headers=GZIP)
    assert (packed["Content-Encoding"], packed["Vary"]) == ("gzip", "Accept-Encoding")
    body = content(packed)
    assert len(body) < 6_000
    assert gzip.decompress(body) == content(plain)
    for tag in (plain["ETag"], packed["ETag"]):
        again = client.get("/static/ui/ui.css", headers={**GZIP, "If-None-Match": tag})
        assert (again.status_code, content(again)) == (304, b"")


def test_page__of_the_portal_is_compressed(house: House) -> None:
    client = portal(house).client
    answer = client.get("/portal/", headers=GZIP)
    assert answer["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer["Vary"]
    assert b"</html>" in gzip.decompress(answer.content)
    assert "Content-Encoding" not in client.get("/portal/")


def test_page__that_may_repeat_what_was_sent_is_not() -> None:
    assert "Content-Encoding" not in browser().get("/accounts/login/?next=/portal/", headers=GZIP)


def test_evidence__is_not(house: House) -> None:
    run, bob = house.accepted(), portal(house)
    uploaded = bob.upload(run, "door.jpg", JPEG).json()["id"]
    answer = bob.client.get(f"/portal/runs/{run.id}/files/{uploaded}", headers=GZIP)
    assert "Content-Encoding" not in answer
    answer.close()
