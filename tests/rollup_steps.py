"""Count tasks one by one, and compare the figures of operators with that."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from apps.accounts.models import Organisation
from apps.accounts.principal import Principal, system
from apps.base import clock
from apps.operations.selectors import Board, Figures, board
from apps.operations.services import fold_changes
from apps.tasks.models import Task
from biolayer.lifecycle import CLOSED

STAGES = {
    "waiting": {"created", "queued", "matched"},
    "offered": {"offered"},
    "active": {"accepted", "started", "submitted", "verified"},
}


def operator(organisation_id: UUID) -> Principal:
    return system("test", organisation_id)


def read_board(actor: Principal, *, hours: float = 2) -> Board:
    """Return the board of the last hours."""
    at = clock.now()
    return board(
        actor=actor, since=at - timedelta(hours=hours), until=at + timedelta(minutes=1), at=at
    )


def counted(tasks: Iterable[Task]) -> Figures:
    """Return the figures of some tasks by looking at each."""
    figures: Counter[str] = Counter()
    for task in tasks:
        if task.status in CLOSED or task.status == "draft":
            continue
        is_gated = task.status == "created" and task.gate_count > 0
        stages = [stage for stage, statuses in STAGES.items() if task.status in statuses]
        figures["gated" if is_gated else stages[0]] += 1
        is_breached = task.deadline_breached_at or task.latency_breached_at
        is_at_risk = task.deadline_at_risk_at or task.latency_at_risk_at
        figures["breached"] += bool(is_breached)
        figures["at_risk"] += bool(is_at_risk and not is_breached)
    return Figures(**figures)


def figures(row: Any) -> Figures:
    """Return the figures of a pool or domain without its name."""
    names = ("waiting", "offered", "active", "at_risk", "breached", "gated")
    return Figures(**{name: getattr(row, name) for name in names})


def assert_board_is_true(actor: Principal) -> Board:
    """Assert that all figures of open tasks are those of the tasks that the actor may see."""
    seen = read_board(actor)
    tasks = list(Task.objects.visible_to(actor))
    by_pool: dict[UUID | None, list[Task]] = defaultdict(list)
    by_domain: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        for pool_id in task.pool_ids or [None]:
            by_pool[pool_id].append(task)
        by_domain[task.domain].append(task)
    assert seen.total == counted(tasks)
    pools = {pool.pool_id: figures(pool) for pool in seen.by_pool}
    assert len(pools) == len(seen.by_pool)
    domains = {domain.domain: figures(domain) for domain in seen.by_domain}
    for shown, expected in ((pools, by_pool), (domains, by_domain)):
        counts = {key: counted(some) for key, some in expected.items()}
        assert _some(shown) == _some(counts)
    return seen


def _some(figures: dict[Any, Figures]) -> dict[Any, Figures]:
    return {key: value for key, value in figures.items() if value != Figures()}


def assert_boards_are_true() -> None:
    """Assert it for every organisation, before a fold and after it: a fold changes no figure."""
    for organisation in Organisation.objects.all():
        actor = operator(organisation.id)
        before = assert_board_is_true(actor)
        while fold_changes():
            pass
        after = assert_board_is_true(actor)
        assert (before.total, before.timings, _flows(before)) == (
            after.total, after.timings, _flows(after),
        )  # fmt: skip


def _flows(seen: Board) -> Counter[str]:
    return sum(
        (Counter(dict(zip(point._fields[1:], point[1:], strict=True))) for point in seen.flow),
        Counter(),
    )
