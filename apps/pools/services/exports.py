"""Export lists of workers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from django.db.models import FloatField
from django.db.models.functions import Cast, Coalesce

from apps.accounts.principal import Principal
from apps.accounts.services import record_export
from apps.base.exports import ExportFormat, Row, exported
from apps.pools.selectors import WorkerFilter, workers

# Name in the file -> name in the row. The first one is the place of a worker in the list.
COLUMNS: Mapping[str, str] = {
    "worker_id": "id",
    "name": "name",
    "kind": "kind",
    "presence": "presence",
    "skills": "skills",
    "languages": "languages",
    "trust_level": "trust_level",
    "rating": "mean_rating",
    "rating_count": "rating_count",
    "capacity": "capacity",
    "load": "load",
    "time_zone": "time_zone",
    "created_at": "created_at",
}


def export_workers(
    *, actor: Principal, filters: WorkerFilter, file_format: ExportFormat, at: datetime
) -> Iterator[bytes]:
    """Record the export, and return the bytes of a file of the workers of a list, newest first.

    See `apps.base.exports` for the form of the file and its bounds. Raise `ScopeMissing`.
    """
    mean = Cast(Coalesce("exact_rating", "rating"), FloatField())
    visible = workers(actor=actor, filters=filters).prefetch_related(None)
    listed = visible.annotate(mean_rating=mean)
    facts = {
        "format": file_format.value,
        "filters": {name: list(map(str, of)) for name, of in asdict(filters).items() if of},
    }

    def read(last: Row | None, count: int) -> Sequence[Row]:
        following = listed if last is None else listed.filter(id__lt=last[0])
        return list(following.values_list(*COLUMNS.values())[:count])

    return exported(
        columns=list(COLUMNS),
        read=read,
        file_format=file_format,
        finish=record_export(actor=actor, of="workers", at=at, **facts),
    )
