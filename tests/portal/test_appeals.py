"""What a worker sees in the portal of verdicts on its work, and how it appeals."""

from datetime import timedelta

import pytest

from apps.base import clock
from apps.reviews import services
from apps.reviews.models import Appeal, Review
from apps.reviews.services import Ruling
from tests.factories import Caller, House, worker_in
from tests.portal.task_steps import Portal, portal
from tests.review_steps import decide, in_review, reviewer, set_policy

FORM = 'action="/portal/runs/{}/appeal"'


@pytest.fixture
def rita(house: House) -> Caller:
    set_policy(house.pool)
    return reviewer(house)


def page(bob: Portal, review: Review) -> str:
    return str(bob.page(review.run).content.decode())


def send(bob: Portal, review: Review, reason: str) -> str:
    """Send the form of the page, and return the page that follows."""
    path = f"/portal/runs/{review.run_id}/appeal"
    answer = bob.client.post(
        path, {"csrfmiddlewaretoken": bob.token(review.run), "reason": reason}, follow=True
    )
    assert answer.status_code == 200
    return str(answer.content.decode())


def rule(house: House, decision: str, rating: int | None = None) -> None:
    services.decide_appeal(
        actor=reviewer(house, "Mona").principal,
        appeal_id=Appeal.objects.get().id,
        ruling=Ruling(version=1, decision=decision, reason="Read it again.", rating=rating),
        at=clock.now(),
    )


def test_refused_work__is_appealed_on_its_page(house: House, rita: Caller) -> None:
    review = decide(rita.principal, in_review(house), "reject", rating=2, pointers=["/notes"])
    bob = portal(house)
    shown = page(bob, review)
    assert "A reviewer refused it" in shown
    assert "Call again, and ask for the ticket." in shown
    assert "Rating: 2 stars" in shown
    assert FORM.format(review.run_id) in shown
    assert "The requester has it now" not in shown
    sent = send(bob, review, "It is in the notes.\r\nAt the end.")
    assert "Your appeal was sent" in sent
    assert FORM.format(review.run_id) not in sent
    assert "A manager will decide" in sent
    assert Appeal.objects.get().reason == "It is in the notes.\nAt the end."
    rule(house, "overturn", 5)
    told = page(bob, review)
    for text in ("the verdict was overturned", "Your new rating: 5 stars", "Read it again."):
        assert text in told


def test_sent_back_work__links_to_the_attempt_before(house: House, rita: Caller) -> None:
    review = decide(rita.principal, in_review(house), "rework")
    run = house.offered_again(review.task).run
    bob = portal(house)
    house.bob.post(f"/v1/offers/{run.offers.get(status='open').id}/accept")
    run.refresh_from_db()
    assert f"/portal/runs/{review.run_id}/" in bob.page(run).content.decode()
    assert "A reviewer sent it back" in page(bob, review)
    send(bob, review, "It is right.")
    rule(house, "uphold")
    assert "The verdict stands." in page(bob, review)


def test_history__says_what_came_of_it(house: House, rita: Caller) -> None:
    bob = portal(house)
    review = decide(rita.principal, in_review(house), "reject")
    assert "Refused" in bob.get("history/").content.decode()
    send(bob, review, "It is right.")
    assert "Appealed" in bob.get("history/").content.decode()
    rule(house, "overturn")
    assert "Appeal granted" in bob.get("history/").content.decode()


def test_form__refuses_without_words_and_a_second_time(house: House, rita: Caller) -> None:
    review = decide(rita.principal, in_review(house), "reject")
    bob = portal(house)
    assert "Say why the verdict is wrong" in send(bob, review, "  ")
    assert not Appeal.objects.exists()
    send(bob, review, "It is right.")
    assert "You appealed this verdict before." in send(bob, review, "Once more.")
    assert Appeal.objects.get().reason == "It is right."


def test_form__is_not_shown_after_its_time(house: House, rita: Caller) -> None:
    long_ago = clock.now() - timedelta(hours=80)
    review = decide(rita.principal, in_review(house), "reject", at=long_ago)
    bob = portal(house)
    shown = page(bob, review)
    assert FORM.format(review.run_id) not in shown
    assert "It could be appealed until" in shown
    assert "can no longer be appealed" in send(bob, review, "It is right.")


def test_form__of_the_work_of_another_is_not_found(house: House, rita: Caller) -> None:
    review = decide(rita.principal, in_review(house), "reject")
    other, _ = worker_in(house.pool)
    dave = portal(house, "dave@northwind.example", worker=other)
    home = dave.get("").content.decode()
    token = home.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    path = f"/portal/runs/{review.run_id}/appeal"
    answer = dave.client.post(path, {"csrfmiddlewaretoken": token, "reason": "Mine."})
    assert answer.status_code == 404
    assert not Appeal.objects.exists()
