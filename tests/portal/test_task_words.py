"""Test the words in which the page of a task shows codes, answers, and what is missing."""

import re
from html import unescape

from apps.base import clock
from apps.pools.models import Worker
from apps.tasks import services
from apps.tasks.models import Run
from tests.api.steps import JPEG
from tests.factories import House, tasks_submission
from tests.portal.task_steps import Portal, portal

SCHEMA = {
    "type": "object",
    "properties": {
        "handed_over_at": {"type": "string", "format": "date-time", "title": "Handed over"},
        "checkedOn": {"type": "string", "format": "date"},
        "is_damaged": {"type": "boolean", "title": "Damaged?"},
        "state": {"enum": ["as_new", "used"], "title": "State"},
        "weight": {"type": "number", "title": "Weight in kg"},
        "items": {
            "type": "array",
            "title": "Items",
            "items": {
                "type": "object",
                "title": "Box",
                "properties": {"sku": {"type": "string", "title": "Article"}},
            },
        },
        "paid": {
            "title": "Payment",
            "oneOf": [
                {
                    "title": "In cash",
                    "type": "object",
                    "required": ["kind", "by"],
                    "properties": {"kind": {"const": "cash"}, "by": {"type": "string"}},
                },
                {
                    "title": "By card",
                    "type": "object",
                    "required": ["kind", "card"],
                    "properties": {
                        "kind": {"const": "card"},
                        "card": {"type": "string", "title": "Last digits"},
                    },
                },
            ],
        },
    },
}
ANSWERS = {
    "items": [{"sku": "A-17"}, {"sku": "B-2"}],
    "paid": {"kind": "card", "card": "4242"},
    "weight": 12.5,
    "state": "as_new",
    "is_damaged": False,
    "checkedOn": "2026-11-28",
    "handed_over_at": "2026-11-28T23:30:00Z",
}
SHOWN = (
    "Handed over 29 November 2026, 00:30 Checked on 28 November 2026 Damaged? No State As new "
    "Weight in kg 12.5 Items Box 1 Article A-17 Box 2 Article B-2 "
    "Payment By card Last digits 4242"
)
REQUIRED = {"expected_format": "structured_json", "schema": SCHEMA, "evidence_required": True}


def text(page: bytes) -> str:
    """Return a page's text without markup and doubled spaces."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.decode())).split())


def missing(page: bytes) -> list[str]:
    """Return what the page says is missing, with the element that each line leads to."""
    found = re.search(r'<div id="missing"(.*?)</ul>', page.decode(), re.DOTALL)
    assert found is not None
    lines = re.findall(r'<a href="(#[^"]+)">(.*?)</a>', found[1])
    assert bool(lines) != (" hidden" in found[1].partition(">")[0])
    return [f"{target} {label}" for target, label in lines]


# --- codes ----------------------------------------------------------------------------------------


def test_codes__are_shown_as_words(house: House) -> None:
    run = house.accepted(task_type="phone_verification", domain="it-security")
    bob = portal(house)
    for page in (bob.page(run).content, submitted(bob, run)):
        assert "Phone verification · It security" in text(page)
        assert "phone_verification" not in page.decode()


def submitted(bob: Portal, run: Run) -> bytes:
    form = {"output/notes": ["x"], "output/reached_user": ["true"]}
    answer = bob.post(run, "submit", revision=0, **form, **{"output/user_confirmed": ["true"]})
    assert answer.status_code == 302, answer.content
    content: bytes = bob.page(run).content
    return content


# --- answers --------------------------------------------------------------------------------------


def test_submitted_answers__have_the_labels_of_the_form(house: House) -> None:
    run = house.started(output={"expected_format": "structured_json", "schema": SCHEMA})
    services.submit_run(
        actor=house.bob.principal,
        run_id=run.id,
        submission=tasks_submission(run.epoch, ANSWERS),
        at=clock.now(),
    )
    bob = portal(house)
    Worker.objects.filter(id=house.bobs_worker.id).update(time_zone="Europe/Berlin")
    page = text(bob.page(run).content)
    assert page.partition("What you submitted ")[2].startswith(SHOWN)


def test_draft_of_a_lost_run__has_them_too(house: House) -> None:
    run = house.accepted(output={"expected_format": "structured_json", "schema": SCHEMA})
    bob = portal(house)
    form = {"output/items/0/~row": [""], "output/items/0/sku": ["A-17"], "output/weight": ["heavy"]}
    assert bob.save(run, form).status_code == 200
    release(house, run)
    page = text(bob.page(run).content)
    assert "What you typed is kept Weight in kg heavy Items Box 1 Article A-17" in page


def release(house: House, run: Run) -> None:
    run.refresh_from_db()
    services.release_run(
        actor=house.bob.principal, run_id=run.id, epoch=run.epoch, reason="", at=clock.now()
    )


# --- what is missing ------------------------------------------------------------------------------


def test_missing__has_required_evidence(house: House) -> None:
    run = house.accepted(output={**REQUIRED, "schema": {"notes": "string"}})
    bob = portal(house)
    evidence = "#evidence Evidence: at least one file"
    assert missing(bob.page(run).content) == ["#output-notes Notes", evidence]
    answer = bob.save(run, {"output/notes": ["Done."]})
    assert answer.json()["missing"] == [["evidence", "Evidence: at least one file"]]
    assert bob.upload(run, "door.jpg", JPEG).status_code == 201
    answer = bob.save(run, {"output/notes": ["Done so."]}, 1)
    assert answer.json()["missing"] == []
    assert missing(bob.page(run).content) == []


def test_missing__of_a_task_that_asks_for_a_file_only(house: House) -> None:
    run = house.accepted(output={"expected_format": "file"})
    page = portal(house).page(run).content
    assert missing(page) == ["#evidence Evidence: at least one file"]


def test_missing__does_not_have_evidence_that_is_welcome(house: House) -> None:
    run = house.accepted(output={"schema": {"notes": "string"}})
    assert missing(portal(house).page(run).content) == ["#output-notes Notes"]
