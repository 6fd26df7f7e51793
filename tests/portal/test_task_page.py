"""Test the page of a task: what it shows, saves and submits."""

import re
from functools import partial
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.base import clock
from apps.tasks import services
from apps.tasks.models import Draft, Evidence, Run, Task
from apps.tasks.services import post_message
from tests.api.steps import JPEG
from tests.concurrency.together import queued_up
from tests.factories import House, worker_in
from tests.pages.steps import browser, sign_in
from tests.portal.task_steps import BOB, Portal, portal, refused

FORM = {
    "output/notes": ["Owner ran a patch script."],
    "output/reached_user": ["true"],
    "output/user_confirmed": ["true"],
}
OUTPUT = {"notes": "Owner ran a patch script.", "reached_user": True, "user_confirmed": True}


def test_page__shows_the_task_by_eight_statements_at_most(house: House) -> None:
    attached = attachment(house)
    first = house.completed(title="Find the owner")
    run = house.accepted(
        depends_on=[str(first.id)],
        context={
            "background": "EDR flagged it.",
            "risk_notes": ["Live"],
            "attachments": [attached],
        },
    )
    bob = portal(house)
    bob.save(run, FORM)
    bob.upload(run, "door.jpg", JPEG)
    post_message(
        actor=house.bob.principal, task_id=run.task_id, text="Which owner?", at=clock.now()
    )
    bob.page(run)
    with CaptureQueriesContext(connection) as queries:
        answer = bob.page(run)
    page = answer.content.decode()
    for text in ("EDR flagged it.", "Live", "note.txt", "Which owner?", "door.jpg"):
        assert text in page
    assert "Find the owner" in page
    assert "Owner ran a patch script." in page
    sent = [query["sql"] for query in queries.captured_queries]
    assert len(sent) <= 8, "\n".join(sent)


def test_page__renews_a_short_lease_in_time(house: House) -> None:
    house.pool.work_seconds = 12
    house.pool.save()
    run = house.accepted()
    assert 'data-lease-seconds="12"' in portal(house).page(run).content.decode()


def attachment(house: House) -> str:
    headers = {"Authorization": f"Bearer {house.alice.key}"}
    form = {"file": SimpleUploadedFile("note.txt", b"A note.")}
    answer = house.alice.client.post("/v1/attachments", form, headers=headers)
    return str(answer.json()["attachment_id"])


def test_page__has_the_fields_in_the_order_of_the_contract(house: House) -> None:
    names = ["received_by", "items", "a", "note"]
    run = house.accepted(output={"schema": dict.fromkeys(names, "string")})
    page = portal(house).page(run).content.decode()
    assert re.findall(r'name="output/(\w+)"', page) == names


def test_page__of_a_run_of_another_worker_is_not_found(house: House) -> None:
    run = house.accepted()
    other, _ = worker_in(house.pool)
    stranger = portal(house, "cleo@northwind.example", worker=other)
    assert stranger.page(run).status_code == 404
    assert refused(stranger.get(f"runs/{run.id}/state")) == 404
    mine = portal(house)
    token = mine.token(run)
    assert token
    assert stranger.client.get(f"/portal/runs/{run.id}/questions").status_code == 404


def test_opening__does_not_start_the_run(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    bob.page(run)
    assert Run.objects.get(id=run.id).started_at is None


# --- drafts ---------------------------------------------------------------------------------------


def test_save__starts_the_run_and_tells_what_is_missing(house: House) -> None:
    run, bob = house.accepted(), None
    bob = portal(house)
    answer = bob.save(run, {"output/notes": ["x"], "output/reached_user": [], "other": ["y"]})
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["revision"], body["is_started"], body["is_held"]) == (1, True, True)
    assert {label for _, label in body["missing"]} == {"Reached user", "User confirmed"}
    assert {one["pointer"] for one in body["faults"]} == {
        "/output/reached_user",
        "/output/user_confirmed",
    }
    draft = Draft.objects.get()
    assert draft.form == {"output/notes": ["x"], "output/reached_user": []}
    assert Run.objects.get(id=run.id).started_at is not None


def test_save__of_a_stale_page_overwrites_nothing(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    bob.save(run, {"output/notes": ["first"]})
    answer = bob.save(run, {"output/notes": ["stale"]})
    assert (refused(answer), answer.json()["code"]) == (409, "draft_changed")
    assert answer.json()["draft"]["form"] == {"output/notes": ["first"]}
    assert Draft.objects.get().form == {"output/notes": ["first"]}


def test_save__works_after_the_lease_was_lost(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    bob.save(run, {"output/notes": ["half"]})
    run.refresh_from_db()
    services.release_run(
        actor=house.bob.principal, run_id=run.id, epoch=run.epoch, reason="", at=clock.now()
    )
    answer = bob.save(run, {"output/notes": ["half, and more"]}, 1)
    assert (answer.status_code, answer.json()["is_held"]) == (200, False)
    page = bob.page(run).content.decode()
    assert "not with you any more" in page
    assert "half, and more" in page
    assert "Call the endpoint owner" not in page


def test_save__needs_a_session_and_a_token(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    answer = bob.client.post(f"/portal/runs/{run.id}/draft", "{}", content_type="application/json")
    assert answer.status_code == 403
    token = bob.token(run)
    del bob.client.cookies[next(name for name in bob.client.cookies if "session" in name)]
    answer = bob.client.post(
        f"/portal/runs/{run.id}/draft",
        "{}",
        content_type="application/json",
        headers={"X-CSRFToken": token},
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert not Draft.objects.exists()


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"epoch": 1, "revision": 0, "form": {"output": "x"}}']
)
def test_save__refuses_what_is_no_draft(house: House, body: str) -> None:
    run = house.accepted()
    bob = portal(house)
    answer = bob.client.post(
        f"/portal/runs/{run.id}/draft",
        body,
        content_type="application/json",
        headers={"X-CSRFToken": bob.token(run)},
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


def test_state__has_the_fields_of_the_draft(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    bob.save(run, FORM)
    state = bob.get(f"runs/{run.id}/state?fields=1").json()
    assert state["draft"]["revision"] == 1
    assert "Owner ran a patch script." in state["html"]
    assert state["faults"] == []


def test_heartbeat__renews_the_lease(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    before = Run.objects.get(id=run.id).lease_until
    answer = bob.call(run, "heartbeat")
    assert answer.status_code == 200
    after = Run.objects.get(id=run.id).lease_until
    assert before is not None
    assert after is not None
    assert after > before
    lost = bob.call(run, "heartbeat", epoch=run.epoch + 1)
    assert (refused(lost), lost.json()["code"]) == (409, "lease_lost")


# --- submitting -----------------------------------------------------------------------------------


def pairs(form: dict[str, list[str]]) -> dict[str, Any]:
    return dict(form.items())


def test_submit__without_a_script(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    answer = bob.post(run, "submit", revision=0, **pairs(FORM))
    assert (answer.status_code, answer["Location"]) == (302, f"/portal/runs/{run.id}/")
    stored = Run.objects.get(id=run.id)
    assert (stored.status, stored.output) == ("completed", OUTPUT)
    page = bob.page(run).content.decode()
    assert "Submitted" in page
    assert "Owner ran a patch script." in page
    again = bob.post(run, "submit", revision=0, **pairs(FORM))
    assert again.status_code == 302
    assert Task.objects.get(id=run.task_id).status == "submitted"


def test_submit__shows_faults_and_keeps_what_was_typed(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    answer = bob.post(run, "submit", revision=0, **{"output/notes": ["half"]})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "There is a problem" in page
    assert "half" in page
    assert Draft.objects.get().form == {"output/notes": ["half"]}
    assert Run.objects.get(id=run.id).status == "claimed"


def test_submit__by_the_script_may_be_repeated(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    answer = bob.call(run, "submit", revision=0, form={"output/notes": ["half"]})
    assert refused(answer) == 422
    assert {line["label"] for line in answer.json()["problems"]} == {
        "Reached user",
        "User confirmed",
    }
    sent = {"revision": answer.json()["revision"], "form": FORM}
    for _ in range(2):
        answer = bob.call(run, "submit", **sent)
        assert answer.json() == {"location": f"/portal/runs/{run.id}/"}
    assert Run.objects.get(id=run.id).output == OUTPUT


def test_submit__of_a_stale_page_asks(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    bob.save(run, {"output/notes": ["from the phone"]})
    answer = bob.post(run, "submit", revision=0, **pairs(FORM))
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "There are two versions" in page
    assert "from the phone" in page
    assert "Owner ran a patch script." in page
    assert Run.objects.get(id=run.id).status != "completed"


def test_submit__after_the_lease_ended_keeps_the_text(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    Run.objects.filter(id=run.id).update(lease_until=clock.now())
    answer = bob.post(run, "submit", revision=0, **pairs(FORM))
    assert answer.status_code == 200
    assert "Your time for this task ended" in answer.content.decode()
    assert Draft.objects.get().form == FORM


@pytest.mark.parametrize(
    ("schema", "typed"),
    [
        ({"type": "object", "properties": {"any": {}}}, {"output/any/~json": ["[1, 2"]}),
        (
            {"type": "object", "properties": {"weight": {"type": ["number", "string"]}}},
            {"output/weight/~json": ["12 kilos"]},
        ),
    ],
)
def test_submit__refuses_a_text_that_is_no_value(
    house: House, schema: dict[str, Any], typed: dict[str, list[str]]
) -> None:
    """Although the schema allows any text."""
    output = {"expected_format": "structured_json", "schema": schema, "evidence_required": True}
    run = house.accepted(output=output)
    bob = portal(house)
    answer = bob.call(run, "submit", revision=0, form=typed)
    assert refused(answer) == 422, answer.content
    (unreadable, evidence) = answer.json()["problems"]
    assert evidence["text"] == "add at least one file"
    assert "JSON" in unreadable["text"]
    page = bob.post(run, "submit", revision=answer.json()["revision"], **typed)
    assert page.status_code == 200
    assert "There is a problem" in page.content.decode()
    assert Run.objects.get(id=run.id).ended_at is None
    assert Draft.objects.get().form == typed


# --- evidence, questions, giving back -------------------------------------------------------------


def test_evidence__is_uploaded_once_and_removed(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    first, again = (bob.upload(run, "door.jpg", JPEG) for _ in range(2))
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    path = f"files/{first.json()['id']}"
    answer = bob.get(f"runs/{run.id}/{path}")
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"
    answer.close()
    removed = bob.post(run, f"evidence/{first.json()['id']}/remove")
    assert removed.status_code == 302
    assert not Evidence.objects.exists()


@pytest.mark.parametrize(
    ("name", "content", "status", "words"),
    [
        ("a.svg", b"<svg onload='alert(1)'/>", 415, "not accepted"),
        ("a.jpg", b"", 422, "empty"),
        ("a.txt", b"x" * (10 * 1024 * 1024 + 1), 413, "larger than 10 MB"),
    ],
)
def test_evidence__refusals_are_said_in_words(
    house: House, name: str, content: bytes, status: int, words: str
) -> None:
    run = house.accepted()
    answer = portal(house).upload(run, name, content)
    assert (refused(answer), words in answer.json()["detail"]) == (status, True)


def test_attachment__is_a_download_for_its_worker_only(house: House) -> None:
    run = house.accepted(context={"attachments": [attachment(house)]})
    other, _ = worker_in(house.pool)
    bob, stranger = portal(house), portal(house, "cleo@northwind.example", worker=other)
    attached = Task.objects.get(id=run.task_id).context["attachments"][0]
    answer = bob.get(f"runs/{run.id}/files/{attached}")
    assert answer["Content-Disposition"] == 'attachment; filename="note.txt"'
    assert b"".join(answer.streaming_content) == b"A note."
    assert stranger.get(f"runs/{run.id}/files/{attached}").status_code == 404


def test_question__is_in_the_thread(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    answer = bob.post(run, "questions", text="Which owner?\r\nThe first?")
    assert answer.status_code == 302
    thread = bob.get(f"runs/{run.id}/questions").content.decode()
    assert "Which owner?\nThe first?" in thread
    assert "You" in thread
    assert bob.post(run, "questions", text=" ").status_code == 302
    assert "Write your question first" in bob.page(run).content.decode()


def test_release__needs_a_reason_and_keeps_the_draft(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    bob.save(run, {"output/notes": ["half"]})
    bob.post(run, "release", code="whatever")
    assert Run.objects.get(id=run.id).worker_id is not None
    answer = bob.post(run, "release", code="unclear", reason="Which owner?")
    assert (answer.status_code, answer["Location"]) == (302, "/portal/")
    assert Run.objects.get(id=run.id).worker_id is None
    assert Draft.objects.get().form == {"output/notes": ["half"]}


# --- hostile tasks --------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1)) [x](data:text/html,a) <javascript:alert(1)>",
    "![track](https://tracker.example/pixel.gif)",
    "<img src=x onerror=alert(1)> <style>*{display:none}</style>",
    "W" * 10_000,
    "\u202ereversed\u2066\u202d " * 50,
    "[" * 2_000 + "]" * 2_000,
    "> " * 500 + "deep",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_task__is_shown_harmlessly(house: House, text: str) -> None:
    schema = {
        "type": "object",
        "title": text[:300],
        "description": text[:3000],
        "properties": {"a": {"type": "string", "title": text[:300], "description": text[:3000]}},
    }
    run = house.accepted(
        title=text[:200],
        instructions=text,
        context={"background": text, "risk_notes": [text[:1000]], "more": {text[:200]: text[:900]}},
        output={"expected_format": "structured_json", "schema": schema},
    )
    answer = portal(house).page(run)
    # The icon of the page is a data URL.
    page = answer.content.decode().partition("</head>")[2]
    assert answer.status_code == 200
    for forbidden in ("<script>alert", 'href="javascript:', 'href="data:', "<img src=x", "<style>"):
        assert forbidden not in page
    assert (
        "tracker.example/pixel.gif"
        not in page.replace('href="https://tracker.example/pixel.gif"', "")
        or '<img src="https' not in page
    )


def test_markdown__keeps_what_is_safe(house: House) -> None:
    text = "# One\n\n### Three\n\n**bold** [site](https://a.example) <mailto:a@b.example>\n\n1. x\n"
    page = portal(house).page(house.accepted(instructions=text)).content.decode()
    assert "<h3>One</h3>" in page
    assert "<h4>Three</h4>" in page
    assert '<a href="https://a.example" rel="noopener noreferrer nofollow">site</a>' in page


# --- history --------------------------------------------------------------------------------------


def test_history__has_pages_and_figures(house: House) -> None:
    for number in range(23):
        house.submitted(title=f"Task {number:02}")
    bob = portal(house)
    page = bob.get("history/")
    text = page.content.decode()
    assert text.count('class="row"') == 20
    assert "Task 22" in text
    assert "Your last 30 days" in text
    following = bob.get("history/?" + text.split('href="?')[1].split('"')[0]).content.decode()
    assert following.count('class="row"') == 3
    assert "Task 00" in following
    assert bob.get("history/?after=nonsense").status_code == 200


# --- what is saved and submitted ------------------------------------------------------------------


def another_browser() -> Portal:
    client = browser()
    sign_in(client, BOB)
    return Portal(client)


def test_submit__has_the_file_that_was_committed_meanwhile(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    phone = another_browser()
    assert phone.upload(run, "door.jpg", JPEG).status_code == 201
    row = Evidence.objects.get()
    Evidence.objects.all().delete()
    submitting = partial(bob.call, run, "submit", revision=0, form=FORM)
    with queued_up(submitting, behind="tasks_task", key=run.task_id) as (answer,):
        # As the upload does, which holds the same lock.
        row.save(force_insert=True)
    assert answer.result().json() == {"location": f"/portal/runs/{run.id}/"}
    assert Evidence.objects.get().is_submitted


def test_submit__that_fails_names_the_revision_that_it_saved(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = house.accepted()
    bob = portal(house)
    bob.save(run, {"output/notes": ["first"]})
    save = services.save_draft

    def save_twice(**given: Any) -> Draft:
        """Let another device save in between, as it may."""
        draft = save(**given)
        own = (draft.revision, given["form"])
        save(**{**given, "revision": own[0], "form": {"output/notes": ["phone"]}})
        return Draft(revision=own[0], form=own[1])

    monkeypatch.setattr("apps.portal.views.tasks.services.save_draft", save_twice)
    answer = bob.call(run, "submit", revision=1, form={"output/notes": ["half"]})
    assert (refused(answer), answer.json()["revision"]) == (422, 2)
    assert Draft.objects.get().revision == 3
    answer = bob.post(run, "submit", revision=3, **{"output/notes": ["half again"]})
    assert answer.status_code == 200
    assert 'name="revision" value="4"' in answer.content.decode()


def test_save__of_half_a_surrogate_pair_is_kept_as_text(house: House) -> None:
    schema = {"type": "object", "properties": {"x": {}}}
    run = house.accepted(output={"expected_format": "structured_json", "schema": schema})
    form = {"output/x/~json": ['"\\ud800"']}
    answer = portal(house).save(run, form)
    assert answer.status_code == 200
    assert [fault["pointer"] for fault in answer.json()["faults"]] == ["/output/x"]
    assert Draft.objects.get().form == form


def test_save__of_more_fields_than_a_form_may_have_is_refused(house: House) -> None:
    run = house.accepted()
    bob = portal(house)
    for form in (
        {f"output/rows/{number}/~row": [""] for number in range(5_001)},
        {f"output/rows/{number}/~row": [] for number in range(5_001)},
        {"output/notes": [""] * 5_001},
    ):
        assert refused(bob.save(run, form)) == 413
    assert not Draft.objects.exists()
