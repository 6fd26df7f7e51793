"""Compare the drafts of a task with a model of them, over random courses of events."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from apps.accounts.principal import Principal
from apps.base import clock
from apps.matching.models import Offer, ParkedRequirement
from apps.matching.services import accept_offer, match_queued
from apps.tasks import selectors, services
from apps.tasks.models import Draft, Run, Task
from apps.timers.services import fire_due
from biolayer.errors import DraftChanged, LeaseLost
from tests.factories import House, worker_in

STEPS = 40
TEXTS = ("", "a", "ab", "ä\n", {"x": [1, None]}, [[]], None)


@dataclass
class Tab:
    """What a page of a worker shows, and by which epoch of which run it would save."""

    worker_id: UUID
    run_id: UUID
    epoch: int
    revision: int = 0


@dataclass
class Course:
    """Drive a task with two workers, and keep what must be stored of their drafts."""

    house: House
    choices: random.Random
    actors: dict[UUID, Principal]
    task_id: UUID
    at: datetime
    tabs: list[Tab] = field(default_factory=list)
    # By worker: revision, output and form.
    expected: dict[UUID, tuple[int, Any, Any]] = field(default_factory=dict)

    def run(self) -> Run:
        return Run.objects.filter(task_id=self.task_id).latest("attempt")

    def step(self) -> None:
        self.at += timedelta(seconds=self.choices.randint(1, 30))
        steps = [self.save, self.save, self.save, self.repeat, self.open_tab, self.never_held]
        steps += [self.give_back, self.lapse, self.accept, self.accept]
        self.choices.choice(steps)()
        self.check()

    def save(self) -> None:
        if self.tabs:
            self.save_from(self.choices.choice(self.tabs))

    def save_from(self, tab: Tab) -> None:
        """Save; only the tab that has seen the stored revision replaces it."""
        output, form = self.choices.choice(TEXTS), self.choices.choice([None, {"output": ["a"]}])
        stored = self.expected.get(tab.worker_id, (0, None, None))
        is_repeat = stored[0] == tab.revision + 1 and stored[1:] == (output, form)
        if tab.revision == stored[0] or is_repeat:
            draft = self.call(tab, tab.revision, output, form)
            tab.revision = draft.revision
            self.expected[tab.worker_id] = (tab.revision, output, form)
            return
        with pytest.raises(DraftChanged) as refusal:
            self.call(tab, tab.revision, output, form)
        found = refusal.value.draft
        assert (found.revision, found.output, found.form) == stored
        tab.revision = found.revision

    def call(self, tab: Tab, revision: int, output: Any, form: Any) -> Draft:
        return services.save_draft(
            actor=self.actors[tab.worker_id],
            run_id=tab.run_id,
            epoch=tab.epoch,
            revision=revision,
            output=output,
            form=form,
            at=self.at,
        )

    def repeat(self) -> None:
        """Send the last save again: its answer was lost."""
        if not self.expected:
            return
        worker_id = self.choices.choice(list(self.expected))
        revision, output, form = self.expected[worker_id]
        tab = next(tab for tab in self.tabs if tab.worker_id == worker_id)
        assert self.call(tab, revision - 1, output, form).revision == revision

    def open_tab(self) -> None:
        """Open the task once more: the page shows what is stored."""
        run = self.run()
        if run.worker_id is not None:
            draft = selectors.draft(actor=self.actors[run.worker_id], run_id=run.id)
            tab = Tab(run.worker_id, run.id, run.epoch, draft.revision if draft else 0)
            self.tabs.append(tab)

    def never_held(self) -> None:
        """Save by an epoch of the other worker, or by one that none had."""
        run = self.run()
        for worker_id in self.actors:
            held = {
                tab.epoch for tab in self.tabs if (tab.worker_id, tab.run_id) == (worker_id, run.id)
            }
            for epoch in {*range(1, run.epoch + 2)} - held:
                if run.worker_id == worker_id and run.epoch == epoch:
                    continue
                with pytest.raises(LeaseLost):
                    self.call(Tab(worker_id, run.id, epoch), 0, "x", None)

    def give_back(self) -> None:
        run = self.run()
        if run.worker_id is None:
            return
        actor = self.actors[run.worker_id]
        held: dict[str, Any] = {"actor": actor, "run_id": run.id, "epoch": run.epoch, "at": self.at}
        if run.attempt < 3 and self.choices.random() < 0.3:
            services.fail_run(**held, error="no line")
        else:
            services.release_run(**held, reason="")

    def lapse(self) -> None:
        run = self.run()
        if run.lease_until is not None:
            self.at = max(self.at, run.lease_until) + timedelta(seconds=1)
            fire_due(at=self.at)

    def accept(self) -> None:
        """Give the task to a worker, if it is queued; the page is opened at once."""
        if Task.objects.get(id=self.task_id).status != "queued":
            return
        self.at += timedelta(hours=2)
        ParkedRequirement.objects.all().delete()
        assert match_queued(at=self.at) == 1
        offer = Offer.objects.get(status="open")
        accept_offer(actor=self.actors[offer.worker_id], offer_id=offer.id, at=self.at)
        self.open_tab()

    def check(self) -> None:
        """Compare everything that is stored."""
        rows = {row.worker_id: (row.revision, row.output, row.form) for row in Draft.objects.all()}
        assert rows == self.expected
        for tab in self.tabs:
            draft = selectors.draft(actor=self.actors[tab.worker_id], run_id=tab.run_id)
            shown = draft and (draft.revision, draft.output, draft.form)
            assert shown == self.expected.get(tab.worker_id)


@pytest.mark.parametrize("seed", range(8))
def test_drafts__are_those_of_the_model(house: House, seed: int) -> None:
    carol, carols_key = worker_in(house.pool)
    actors = {
        house.bobs_worker.id: house.bob.principal,
        carol.id: carols_key.principal,
    }
    task = house.queued()
    course = Course(house, random.Random(seed), actors, task.id, clock.now())
    course.accept()
    for _ in range(STEPS):
        course.step()
    assert course.expected, "nothing was saved"
