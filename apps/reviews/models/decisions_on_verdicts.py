"""Define what appeals and second looks share: another one decides on a verdict."""

from django.db import models
from django.db.models import F, Q

from apps.accounts.models import Organisation
from apps.base.ids import new_id
from apps.pools.models import Worker


class DecisionOnVerdict(models.Model):
    """Hold a verdict, and who has decided on it: neither the worker, nor the reviewer."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # Whose work it is, and who has given the verdict: copies of the review's columns, which no
    # longer change, so that PostgreSQL can compare them with who decides.
    worker = models.ForeignKey(
        Worker, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    verdict_by = models.CharField(max_length=300)
    verdict_worker_id = models.UUIDField(null=True)
    verdict_member_id = models.UUIDField(null=True)
    # Who decided (`Principal.text`), and which worker and member that is; null: none is known.
    decided_by = models.CharField(max_length=300, blank=True)
    decider_worker = models.ForeignKey(
        Worker,
        on_delete=models.PROTECT,
        null=True,
        related_name="%(class)s_decisions",
        db_constraint=False,
        db_index=False,
    )
    decider_member_id = models.UUIDField(null=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


def decided_iff_closed(*, open_status: str, name: str) -> models.CheckConstraint:
    """Return the constraint that a row has a decision unless its status is the open one."""
    return models.CheckConstraint(
        condition=Q(status=open_status, decided_at__isnull=True, decided_by="")
        | ~Q(status=open_status) & Q(decided_at__isnull=False) & ~Q(decided_by=""),
        name=name,
    )


def decided_by_another(
    *, credential: str, worker: str, member: str
) -> list[models.CheckConstraint]:
    """Return the constraints, under these names, that the worker and the reviewer do not decide."""
    return [
        models.CheckConstraint(condition=~Q(decided_by=F("verdict_by")), name=credential),
        models.CheckConstraint(
            condition=Q(decider_worker__isnull=True)
            | ~Q(decider_worker=F("worker"))
            & (Q(verdict_worker_id__isnull=True) | ~Q(decider_worker=F("verdict_worker_id"))),
            name=worker,
        ),
        models.CheckConstraint(
            condition=Q(decider_member_id__isnull=True)
            | Q(verdict_member_id__isnull=True)
            | ~Q(decider_member_id=F("verdict_member_id")),
            name=member,
        ),
    ]
