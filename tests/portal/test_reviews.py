"""Test the reviewer's inbox: who sees it, its lanes, one review, verdicts, and several at once."""

from datetime import timedelta
from html import unescape
from re import search, sub
from typing import Any
from uuid import UUID

import pytest
from django.core.files.storage import default_storage
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import AuditEvent, Member
from apps.accounts.scopes import Role
from apps.accounts.selectors import principal_of_member
from apps.base import clock
from apps.matching import services as matching
from apps.pools.models import Worker
from apps.pools.services import provision_pool
from apps.reviews import inbox, services
from apps.reviews.models import LaneVisit, Review
from apps.reviews.selectors import Lane
from apps.tasks import services as tasks
from apps.tasks.models import Evidence, Run, Task
from tests.api.steps import PNG, upload
from tests.factories import OUTPUT, House, member_of, soon, tasks_submission
from tests.pages.steps import browser, sign_in, submit
from tests.review_steps import decide, in_review, many_in_review, reviewer, set_policy

RITA = "rita@northwind.example"
LIST = "/portal/reviews/"


class Reviewer:
    """Hold the browser of a member who is signed in."""

    def __init__(self, organisation: Any, role: Role = Role.MANAGER, email: str = RITA) -> None:
        self.member: Member = member_of(organisation, email, role=role)
        self.client = browser()
        self.client.raise_request_exception = True
        sign_in(self.client, email)

    def get(self, path: str = LIST) -> Any:
        return self.client.get(path)

    def text(self, path: str = LIST) -> str:
        answer = self.get(path)
        assert answer.status_code == 200, answer
        return text_of(answer)

    def post(self, path: str, **fields: Any) -> Any:
        return submit(self.client, "/accounts/", to=path, **fields)

    def decide(self, review: Review, verdict: str, **more: Any) -> Any:
        """Open a review, and press a button of its page."""
        self.get(page_of(review))
        review.refresh_from_db()
        fields = {"version": review.version, "verdict": verdict, "lane": "waiting", **more}
        return self.post(f"{page_of(review)}verdict/", **fields)


def text_of(answer: Any) -> str:
    return " ".join(unescape(sub(r"<[^>]+>", " ", answer.content.decode())).split())


def page_of(review: Review) -> str:
    return f"{LIST}{review.id}/"


@pytest.fixture
def rita(house: House) -> Reviewer:
    set_policy(house.pool)
    return Reviewer(house.organisation)


def free(house: House) -> None:
    """Let Bob have a further task at once."""
    Worker.objects.filter(id=house.bobs_worker.id).update(capacity=20)


# --- who sees it ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.WORKER, 403), (Role.EDITOR, 200), (Role.MANAGER, 200), (Role.ADMIN, 200)],
)
def test_inbox__is_for_who_may_review(house: House, role: Role, status: int) -> None:
    set_policy(house.pool)
    review = in_review(house)
    member = Reviewer(house.organisation, role)
    for path in (LIST, f"{LIST}fragment", page_of(review), f"{LIST}several/?review={review.id}"):
        assert member.get(path).status_code == status, path
    refused = {200: 302, 403: 403}[status]
    assert member.post(f"{page_of(review)}release/").status_code == refused
    assert member.post(f"{page_of(review)}renew").status_code == status
    assert member.decide(review, "approve").status_code == refused
    review.refresh_from_db()
    assert review.status == ("approved" if status == 200 else "waiting")
    tab = 'href="/portal/reviews/"'
    has_tab = tab in member.get(LIST).content.decode()
    assert has_tab == (status == 200)


def test_viewer__sees_and_decides_what_a_policy_lets_viewers_decide(house: House) -> None:
    free(house)
    set_policy(house.pool)
    closed = in_review(house, title="Not for viewers")
    set_policy(house.pool, required_role="viewer")
    review = in_review(house, title="For viewers")
    viewer = Reviewer(house.organisation, Role.VIEWER)
    text = viewer.text()
    assert "For viewers" in text
    assert "Not for viewers" not in text
    assert viewer.get(page_of(closed)).status_code == 403
    assert viewer.decide(closed, "approve").status_code == 403
    closed.refresh_from_db()
    assert closed.status == "waiting"
    assert viewer.decide(review, "approve").status_code == 302
    review.refresh_from_db()
    assert review.status == "approved"


def test_worker__gets_a_tab_only_with_a_role_that_reviews(house: House) -> None:
    worker = Reviewer(house.organisation, Role.WORKER)
    Worker.objects.filter(id=house.bobs_worker.id).update(user_id=worker.member.user_id)
    assert "Reviews" not in worker.text("/portal/")
    Member.objects.filter(id=worker.member.id).update(role=Role.EDITOR)
    assert "Reviews" in worker.text("/portal/")


def test_console__links_to_the_inbox(rita: Reviewer, house: House) -> None:
    assert 'href="/portal/reviews/"' in rita.get("/admin/").content.decode()


def test_stranger__is_led_to_the_sign_in(house: House) -> None:
    set_policy(house.pool)
    review = in_review(house)
    for path in (LIST, page_of(review), f"{LIST}fragment"):
        assert browser().get(path)["Location"].startswith("/accounts/login/")


def test_other_organisation__finds_nothing(house: House) -> None:
    set_policy(house.pool)
    review = in_review(house)
    other = Reviewer(house.strangers_pool.organisation, Role.ADMIN)
    assert "Nothing waits for a review" in other.text()
    assert other.get(page_of(review)).status_code == 404
    assert other.get(f"{page_of(review)}files/{review.id}").status_code == 404
    assert other.post(f"{page_of(review)}release/").status_code == 404
    assert other.post(f"{page_of(review)}renew").json()["refused"] == 404
    assert other.decide(review, "approve").status_code == 404
    fields = {"review": str(review.id), f"version-{review.id}": 1, "verdict": "approve"}
    assert "None of these is open" in text_of(other.post(f"{LIST}several/", **fields))
    review.refresh_from_db()
    assert (review.status, review.version) == ("waiting", 1)


def test_own_work__is_not_in_the_inbox_and_cannot_be_decided(house: House) -> None:
    set_policy(house.pool)
    review = in_review(house)
    bob = Reviewer(house.organisation, Role.ADMIN)
    Worker.objects.filter(id=house.bobs_worker.id).update(user_id=bob.member.user_id)
    assert "Nothing waits for a review" in bob.text()
    answer = bob.get(page_of(review))
    assert "This is your own work: another person must review it." in text_of(answer)
    assert "verdict-form" not in answer.content.decode()
    answer = bob.decide(review, "approve")
    assert (answer.status_code, "This is your own work" in text_of(answer)) == (200, True)
    review.refresh_from_db()
    assert review.status == "waiting"


# --- the list -------------------------------------------------------------------------------------


def test_list__has_what_decides(house: House, rita: Reviewer) -> None:
    at = clock.now() - timedelta(minutes=12)
    set_policy(house.pool, deadline_seconds=3600)
    in_review(house, at=at, title="Check the north gate")
    text = rita.text()
    assert "Check the north gate" in text
    for part in ("Bob Ashdown", "Front desk", "waits 12 minutes", "due "):
        assert part in text
    assert "Nothing is overdue" in rita.text(f"{LIST}?lane=overdue")
    assert "You have no review" in rita.text(f"{LIST}?lane=mine")
    assert "Nothing was decided yet" in rita.text(f"{LIST}?lane=done")


def test_lanes__count_and_say_what_is_new_since_the_last_visit(
    house: House, rita: Reviewer
) -> None:
    free(house)
    first = in_review(house)
    assert "Waiting 1 1 new ones" in rita.text(f"{LIST}?lane=mine")
    assert "New" in rita.text()
    assert "Waiting 1 Overdue" in rita.text(f"{LIST}?lane=mine")
    assert " New " not in rita.text()
    in_review(house)
    assert "Waiting 2 1 new ones" in rita.text(f"{LIST}?lane=mine")
    rita.get(page_of(first))
    assert "Mine 1 Waiting 1" in rita.text(f"{LIST}?lane=mine")
    assert LaneVisit.objects.count() == 2


def test_new__stays_marked_while_the_list_is_read_again(house: House, rita: Reviewer) -> None:
    in_review(house)
    found = search(r'data-fragment="([^"]+)"', rita.get().content.decode())
    assert found is not None
    assert " New " in rita.text(unescape(found[1]))
    assert " New " not in rita.text(f"{LIST}fragment")


def test_done__is_new_where_others_decided(house: House, rita: Reviewer) -> None:
    free(house)
    rita.decide(in_review(house), "approve")
    assert "Done Nothing" in rita.text()
    decide(reviewer(house).principal, in_review(house))
    assert "Done 1 new ones" in rita.text()
    assert "Approved" in rita.text(f"{LIST}?lane=done")


def test_overdue__is_new_and_marked(house: House, rita: Reviewer) -> None:
    set_policy(house.pool, deadline_seconds=60)
    review = in_review(house, at=clock.now() - timedelta(minutes=5))
    services.report_overdue(review_id=review.id, at=clock.now())
    assert "Overdue 1 1 new ones" in rita.text()
    assert "overdue" in rita.text(f"{LIST}?lane=overdue")


def test_counts__stop_at_a_bound(
    house: House, rita: Reviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(house)
    for _ in range(3):
        in_review(house)
    monkeypatch.setattr(inbox, "MAX_COUNT", 2)
    actor = reviewer(house).principal
    states = inbox.lane_states(actor=actor, at=clock.now())
    assert (states[Lane.WAITING].count, states[Lane.WAITING].new) == (2, 2)


def test_pages__follow_each_other(
    house: House, rita: Reviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.portal.views.reviews.PAGE", 2)
    free(house)
    reviews = [in_review(house, title=f"Call {number}") for number in range(5)]
    seen, path = [], LIST
    while path:
        content = rita.get(path).content.decode()
        seen += [one.task.title for one in reviews if f"review-{one.id}" in content]
        found = search(r'id="more" href="([^"]+)"', content)
        path = LIST + unescape(found[1]) if found else ""
    assert seen == [one.task.title for one in reviews]


def test_pool__filters_the_list_and_goes_with_it(house: House, rita: Reviewer) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    review = in_review(house, title="Only here")
    assert "Only here" in rita.text(f"{LIST}?pool={house.pool.id}")
    text = rita.text(f"{LIST}?pool={other.id}")
    assert "Only here" not in text
    assert "Show all pools" in text
    content = rita.get(f"{LIST}?pool={house.pool.id}").content.decode()
    assert f"/portal/reviews/{review.id}/?lane=waiting&amp;pool={house.pool.id}" in content
    for odd in ("pool=x", "lane=x", "after=x", "pool="):
        assert "Only here" in rita.text(f"{LIST}?{odd}")


def statements(rita: Reviewer, path: str) -> list[str]:
    rita.get(path)
    with CaptureQueriesContext(connection) as captured:
        assert rita.get(path).status_code == 200
    turns = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
    return [one["sql"] for one in captured.captured_queries if not one["sql"].startswith(turns)]


def test_list__at_most_6_statements(house: House, rita: Reviewer) -> None:
    many_in_review(house, 30)
    for lane in Lane:
        sent = statements(rita, f"{LIST}?lane={lane}")
        assert len(sent) <= 6, "\n".join(sent)
    assert len(statements(rita, f"{LIST}fragment")) <= 6


# --- one review -----------------------------------------------------------------------------------


def test_review__is_claimed_by_opening_it(house: House, rita: Reviewer) -> None:
    review = in_review(house, title="Check the gate", requirements={"skills": []})
    text = rita.text(page_of(review))
    review.refresh_from_db()
    assert (review.status, review.claimed_by) == ("claimed", f"member:{rita.member.id}")
    assert review.lease_until is not None
    assert timedelta(minutes=9) < review.lease_until - clock.now() <= services.claims.LEASE
    assert "Yours until" in text
    assert "What was asked" in text
    assert "The output" in text
    assert "attempt 1 of" in text


def test_review__of_another_says_who_has_it_and_is_read_only(house: House, rita: Reviewer) -> None:
    review = in_review(house)
    rita.get(page_of(review))
    jo = Reviewer(house.organisation, Role.EDITOR, "jo@northwind.example")
    answer = jo.get(page_of(review))
    text = text_of(answer)
    assert "Mara Lindqvist has this review now. Until " in text
    assert "verdict-form" not in answer.content.decode()
    answer = jo.decide(review, "reject", reason="A long text.", confirmed="reject")
    text = text_of(answer)
    assert "Nothing was decided Another reviewer has it now." in text
    assert "What you typed: A long text." in text
    review.refresh_from_db()
    assert (review.status, review.version) == ("claimed", 2)


def test_prefetch__claims_nothing(house: House, rita: Reviewer) -> None:
    review = in_review(house)
    answer = rita.client.get(page_of(review), headers={"Sec-Purpose": "prefetch;prerender"})
    assert answer.status_code == 503
    review.refresh_from_db()
    assert review.status == "waiting"


def test_role__that_the_policy_asks_for_is_said(house: House) -> None:
    set_policy(house.pool, required_role="manager")
    review = in_review(house)
    editor = Reviewer(house.organisation, Role.EDITOR)
    text = editor.text(page_of(review))
    assert "A reviewer of this task needs the role Manager or a higher one." in text
    review.refresh_from_db()
    assert review.status == "waiting"


def test_renewal__keeps_the_claim_and_its_version(house: House, rita: Reviewer) -> None:
    review = in_review(house)
    rita.get(page_of(review))
    Review.objects.filter(id=review.id).update(lease_until=soon(minutes=1))
    answer = rita.post(f"{page_of(review)}renew").json()
    review.refresh_from_db()
    assert review.lease_until is not None
    assert review.lease_until > soon(minutes=9)
    assert answer["version"] == review.version == 2
    decide(rita_principal(rita), review)
    refused = rita.post(f"{page_of(review)}renew")
    assert (refused.status_code, refused.json()["code"]) == (200, "review_closed")


def rita_principal(rita: Reviewer) -> Any:
    return principal_of_member(Member.objects.select_related("user").get(id=rita.member.id))


def test_renewal__without_a_session_is_401(house: House, rita: Reviewer) -> None:
    review = in_review(house)
    rita.client.post("/accounts/logout/")
    token = submit(browser(), "/accounts/login/", to=f"{page_of(review)}renew")
    assert token.status_code == 401


def test_release__opens_the_next_one(house: House, rita: Reviewer) -> None:
    free(house)
    first, second = in_review(house), in_review(house)
    rita.get(page_of(first))
    answer = rita.post(f"{page_of(first)}release/", lane="waiting")
    assert answer["Location"] == f"{page_of(second)}?lane=waiting"
    first.refresh_from_db()
    assert first.status == "waiting"


# --- verdicts -------------------------------------------------------------------------------------


def test_approve__is_said_and_the_next_one_opens(house: House, rita: Reviewer) -> None:
    free(house)
    first, second = in_review(house, title="Check the gate"), in_review(house)
    answer = rita.decide(first, "approve", rating="4", pool=str(house.pool.id))
    assert answer["Location"] == f"{page_of(second)}?lane=waiting&pool={house.pool.id}"
    assert "Approved: Check the gate" in rita.text(answer["Location"])
    first.refresh_from_db()
    assert (first.status, first.rating, first.decided_by) == (
        "approved",
        4,
        f"member:{rita.member.id}",
    )
    answer = rita.decide(second, "approve")
    assert answer["Location"] == f"{LIST}?lane=waiting"


def test_next__is_none_that_the_reviewer_may_not_decide(house: House, rita: Reviewer) -> None:
    free(house)
    editor = Reviewer(house.organisation, Role.EDITOR, "jo@northwind.example")
    first = in_review(house)
    set_policy(house.pool, required_role="manager")
    in_review(house)
    set_policy(house.pool)
    taken = in_review(house)
    rita.get(page_of(taken))
    reserved = provision_pool(organisation_id=house.organisation.id, name="Second look")
    set_policy(house.pool, reviewer_pool_id=str(reserved.id), deadline_seconds=3600)
    in_review(house)
    set_policy(house.pool)
    last = in_review(house)
    assert editor.decide(first, "approve")["Location"] == f"{page_of(last)}?lane=waiting"


def test_rework__carries_reason_and_marks_to_the_next_attempt(house: House, rita: Reviewer) -> None:
    review = in_review(house, title="Check the gate")
    answer = rita.decide(review, "rework", reason="Ask for the ticket.", pointer=["/notes"])
    assert answer.status_code == 302
    review.refresh_from_db()
    assert (review.status, review.reason, review.pointers) == (
        "rework",
        "Ask for the ticket.",
        ["/notes"],
    )
    text = rita.text(page_of(review))
    assert "It was sent back. By Mara Lindqvist. Ask for the ticket. Marked: Notes" in text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"verdict": "rework", "reason": " "}, "Write a reason"),
        ({"verdict": "rework", "reason": "x" * 4001}, "Write a reason"),
        ({"verdict": "maybe", "reason": "Kept"}, "Choose Approve, Send back or Reject."),
        ({"verdict": "approve", "rating": "6", "reason": "Kept"}, "A rating is a number"),
        ({"verdict": "approve", "version": "x", "reason": "Kept"}, "Load the page again"),
        ({"verdict": "approve", "version": "1" * 5000, "reason": "Kept"}, "Load the page again"),
        ({"verdict": "approve", "pointer": ["/nowhere"], "reason": "Kept"}, "Mark at most"),
        ({"verdict": "approve", "version": "7", "reason": "Kept"}, "changed meanwhile"),
    ],
)
def test_refused_verdict__changes_nothing_and_keeps_what_was_typed(
    house: House, rita: Reviewer, fields: dict[str, Any], said: str
) -> None:
    review = in_review(house)
    answer = rita.decide(review, fields.pop("verdict"), **{"pointer": ["/notes"], **fields})
    assert answer.status_code == 200
    assert said in text_of(answer)
    content = answer.content.decode()
    assert f">{fields['reason'].strip()}</textarea>" in content
    if "pointer" not in fields:
        assert search(r'value="/notes"[^>]* checked', content)
    review.refresh_from_db()
    assert (review.status, review.decided_at) == ("claimed", None)


def test_reject__must_be_confirmed(house: House, rita: Reviewer) -> None:
    review = in_review(house)
    answer = rita.decide(review, "reject", reason="Invented.")
    content = answer.content.decode()
    assert search(r'id="confirm-reject"[^>]* data-open', content)
    assert "The task fails, and its requester is told. This cannot be undone." in text_of(answer)
    assert ">Invented.</textarea>" in content
    review.refresh_from_db()
    assert review.status == "claimed"
    assert rita.decide(review, "reject", reason="Invented.", confirmed="reject").status_code == 302
    assert Task.objects.get(id=review.task_id).status == "failed"


def test_reject__is_confirmed_without_scripts(house: House, rita: Reviewer) -> None:
    review = in_review(house)
    answer = rita.decide(review, "", reason="Invented.", confirmed="reject")
    assert answer.status_code == 302
    review.refresh_from_db()
    assert review.status == "rejected"


def test_rework__of_the_last_attempt_must_be_confirmed(house: House, rita: Reviewer) -> None:
    set_policy(house.pool, max_rework=0)
    review = in_review(house)
    answer = rita.decide(review, "rework", reason="Again.")
    assert "It was sent back as often as the policy allows: the task fails." in text_of(answer)
    review.refresh_from_db()
    assert review.status == "claimed"
    assert rita.decide(review, "rework", reason="Again.", confirmed="rework").status_code == 302


def test_verdict__of_a_decided_review_is_said(house: House, rita: Reviewer) -> None:
    review = in_review(house)
    decide(reviewer(house, "The other").principal, review)
    answer = rita.decide(review, "rework", reason="Not so fast.")
    text = text_of(answer)
    assert "Nothing was decided It was decided before." in text
    assert "It was approved. By The other." in text
    assert "What you typed: Not so fast." in text


# --- the attempt before ---------------------------------------------------------------------------


def second_attempt(house: House, before: Any, output: Any) -> Review:
    """Have an output sent back by Ines, and return the review of the next one."""
    first = in_review(house, title="Check the gate")
    Run.objects.filter(id=first.run_id).update(output=before)
    first.refresh_from_db()
    decide(reviewer(house, "Ines").principal, first, "rework", pointers=["/notes"])
    offer = house.offered_again(first.task)
    actor, at = house.bob.principal, clock.now()
    run = matching.accept_offer(actor=actor, offer_id=offer.id, at=at)
    run = tasks.start_run(actor=actor, run_id=run.id, epoch=run.epoch, at=at)
    submission = tasks_submission(run.epoch, output)
    tasks.submit_run(actor=actor, run_id=run.id, submission=submission, at=at)
    return Review.objects.select_related("task", "run").get(run_id=run.id)


def test_attempt_before__with_its_reason_marks_and_differences(
    house: House, rita: Reviewer
) -> None:
    before = {"reached_user": False, "notes": "The owner ran a script.", "time": "14:05"}
    review = second_attempt(house, before, OUTPUT)
    answer = rita.get(page_of(review))
    text, content = text_of(answer), answer.content.decode()
    assert "The attempt before Attempt 1 · Sent back · Ines" in text
    assert "Call again, and ask for the ticket. Marked: Notes" in text
    assert "4 differences to the attempt before." in text
    assert "<del>The owner</del><ins>Owner</ins> ran a<ins> patch</ins>" in content
    assert "Reached user changed Yes before: No" in text
    assert "User confirmed new Yes" in text
    assert "Time removed 14:05" in text
    assert 'value="/time"' not in content
    sent = statements(rita, page_of(review))
    assert len(sent) <= 12, "\n".join(sent)


def test_attempt_before__that_is_the_same_says_so(house: House, rita: Reviewer) -> None:
    review = second_attempt(house, OUTPUT, OUTPUT)
    assert "The same as the attempt before." in rita.text(page_of(review))


def test_long_output__can_be_seen_whole(house: House, rita: Reviewer) -> None:
    end = "The end of it."
    review = in_review(house)
    Run.objects.filter(id=review.run_id).update(output={**OUTPUT, "notes": "x" * 5000 + end})
    assert end in rita.text(page_of(review))


# --- evidence -------------------------------------------------------------------------------------


def test_evidence__is_shown_and_sent_to_reviewers_only(house: House, rita: Reviewer) -> None:
    run = house.started()
    picture = upload(house.bob, run, PNG, "gate.png").json()["evidence_id"]
    note = upload(house.bob, run, b"Seen at noon.", "note.txt").json()["evidence_id"]
    tasks.submit_run(
        actor=house.bob.principal,
        run_id=run.id,
        submission=tasks_submission(run.epoch, OUTPUT, [UUID(picture), UUID(note)]),
        at=clock.now(),
    )
    review = Review.objects.get(run_id=run.id)
    content = rita.get(page_of(review)).content.decode()
    assert f'<img src="{page_of(review)}files/{picture}"' in content
    assert f'href="{page_of(review)}files/{note}"' in content
    answer = rita.get(f"{page_of(review)}files/{note}")
    assert b"".join(answer.streaming_content) == b"Seen at noon."
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"
    audited = AuditEvent.objects.filter(action="evidence.read")
    assert [one.actor_id for one in audited] == [str(rita.member.id)]
    free(house)
    other = in_review(house)
    assert rita.get(f"{page_of(other)}files/{note}").status_code == 404
    Member.objects.filter(id=rita.member.id).update(role=Role.VIEWER)
    assert rita.get(f"{page_of(review)}files/{note}").status_code == 403
    Review.objects.filter(id=review.id).update(policy={"mode": "all", "required_role": "viewer"})
    assert "2 files, which your role may not open." in rita.text(page_of(review))
    assert rita.get(f"{page_of(review)}files/{note}").status_code == 403


def with_a_file(house: House, title: str = "Check the gate") -> tuple[Review, str]:
    """Return the review of a submission with a file, and the file's id."""
    run = house.started(title=title)
    note = upload(house.bob, run, b"Seen at noon.", "note.txt").json()["evidence_id"]
    submission = tasks_submission(run.epoch, OUTPUT, [UUID(note)])
    actor, at = house.bob.principal, clock.now()
    tasks.submit_run(actor=actor, run_id=run.id, submission=submission, at=at)
    return Review.objects.select_related("task", "run").get(run_id=run.id), note


def test_file__that_the_storage_lost_is_unavailable(house: House, rita: Reviewer) -> None:
    review, note = with_a_file(house)
    default_storage.delete(Evidence.objects.get().path)
    answer = rita.get(f"{page_of(review)}files/{note}")
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert text_of(answer) == "The storage does not have this file."


# --- several --------------------------------------------------------------------------------------


def fields_of(reviews: list[Review], **more: Any) -> dict[str, Any]:
    versions = {f"version-{one.id}": one.version for one in reviews}
    return {"review": [str(one.id) for one in reviews], "lane": "waiting", **versions, **more}


SEVERAL = f"{LIST}several/"


def test_several__are_shown_and_decided_with_a_result_each(house: House, rita: Reviewer) -> None:
    free(house)
    reviews = [in_review(house, title=f"Call {number}") for number in range(3)]
    query = "&".join(f"review={one.id}" for one in reviews)
    text = rita.text(f"{SEVERAL}?{query}")
    assert "Decide 3 reviews together" in text
    assert "Call 0" in text
    assert "Owner ran a patch script." in text
    services.claim_review(actor=reviewer(house).principal, review_id=reviews[1].id, at=clock.now())
    answer = rita.post(SEVERAL, **fields_of(reviews, verdict="rework", reason="Ask for it."))
    text = text_of(answer)
    assert "2 of 3 decided" in text
    assert "Sent back: Call 0 Done Call 1 The review was changed meanwhile." in text
    found = {one.id: one for one in Review.objects.all()}
    assert [found[one.id].status for one in reviews] == ["rework", "claimed", "rework"]
    assert found[reviews[0].id].reason == "Ask for it."


def test_several__must_be_alike(house: House, rita: Reviewer) -> None:
    free(house)
    reviews = [in_review(house), in_review(house, task_type="survey")]
    answer = rita.post(SEVERAL, **fields_of(reviews, verdict="approve"))
    assert "These are not alike" in text_of(answer)
    assert set(Review.objects.values_list("status", flat=True)) == {"waiting"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"verdict": "rework", "reason": ""}, "Write a reason"),
        ({"verdict": "perhaps", "reason": "Kept"}, "Choose Approve"),
        ({"verdict": "reject", "reason": "Kept"}, "Reject 2 outputs?"),
    ],
)
def test_several__refused_changes_nothing(
    house: House, rita: Reviewer, fields: dict[str, Any], said: str
) -> None:
    free(house)
    reviews = [in_review(house), in_review(house)]
    answer = rita.post(SEVERAL, **fields_of(reviews, **fields))
    assert said in text_of(answer)
    assert f">{fields['reason']}</textarea>" in answer.content.decode()
    assert set(Review.objects.values_list("status", flat=True)) == {"waiting"}


def test_several__rejected_after_a_confirmation(house: House, rita: Reviewer) -> None:
    free(house)
    reviews = [in_review(house), in_review(house)]
    fields = fields_of(reviews, verdict="reject", reason="Invented.", confirmed="reject")
    assert "2 of 2 decided" in text_of(rita.post(SEVERAL, **fields))
    assert set(Review.objects.values_list("status", flat=True)) == {"rejected"}


@pytest.mark.parametrize(("count", "said"), [(1, "its task fails"), (2, "their tasks fail")])
def test_several__sent_back_for_the_last_time_after_a_confirmation(
    house: House, rita: Reviewer, count: int, said: str
) -> None:
    free(house)
    reviews = [in_review(house)]
    set_policy(house.pool, max_rework=0)
    reviews += [in_review(house) for _ in range(count)]
    fields = fields_of(reviews, verdict="rework", reason="Again.")
    answer = rita.post(SEVERAL, **fields)
    content = answer.content.decode()
    assert search(r'id="confirm-rework"[^>]* data-open', content)
    assert search(r'value="rework" data-verdict="rework" data-confirm', content)
    text = f"{count} of them cannot be tried again: sent back, {said}. This cannot be undone."
    assert text in text_of(answer)
    assert set(Review.objects.values_list("status", flat=True)) == {"waiting"}
    answer = rita.post(SEVERAL, **fields, confirmed="rework")
    assert f"{count + 1} of {count + 1} decided" in text_of(answer)
    assert Task.objects.filter(status="failed").count() == count


def test_several__says_what_it_does_not_show(house: House, rita: Reviewer) -> None:
    free(house)
    plain, long = in_review(house), in_review(house)
    Run.objects.filter(id=long.run_id).update(output={**OUTPUT, "notes": "x" * 5000})
    filed, _ = with_a_file(house)
    whole = rita.text(f"{SEVERAL}?review={plain.id}")
    assert "Open it alone to see all of it." not in whole
    cut = rita.text(f"{SEVERAL}?review={long.id}")
    assert "The output is cut. Open it alone to see all of it." in cut
    assert "is not shown here" not in cut
    text = rita.text(f"{SEVERAL}?review={filed.id}")
    assert "1 file is not shown here. Open it alone to see all of it." in text


def test_several__at_most_6_statements_to_look_at(house: House, rita: Reviewer) -> None:
    many_in_review(house, 20)
    query = "&".join(f"review={one}" for one in Review.objects.values_list("id", flat=True))
    assert len(statements(rita, f"{SEVERAL}?{query}")) <= 6
