"""Store what tasks require of workers, and the sets of pools that they are for."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps.accounts.models import Organisation


class Requirement(models.Model):
    """Store what a task requires of a worker. Tasks with the same requirement share the row.

    Its id is a hash of its content, so that writing a task needs no query for it. Matching searches
    workers once for each row, not once for each task.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )
    # The pools to offer tasks to; null means every pool of the organisation.
    pool_ids = ArrayField(models.UUIDField(), null=True)
    task_type = models.CharField(max_length=64)
    # Skills, levels and languages as words: see pools/triggers/pools_abilities.sql.
    abilities = ArrayField(models.CharField(max_length=80), default=list)
    # Optional skills: workers that have more of them are ranked first.
    preferred = ArrayField(models.CharField(max_length=80), default=list)
    certifications = ArrayField(models.CharField(max_length=64), default=list)
    trust_level = models.PositiveSmallIntegerField(default=0)
    min_rating = models.FloatField(default=0)

    def __str__(self) -> str:
        return f"{self.task_type}: {', '.join(self.abilities) or 'any worker'}"


class PoolSet(models.Model):
    """Store a set of several pools that some task may be offered to.

    A trigger on tasks writes it, so that a credential restricted to pools reads the tasks that it
    may see set by set (tasks/triggers/tasks_set_is_kept.sql).
    """

    pk = models.CompositePrimaryKey("organisation", "hash")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    # `SetHash` of the pools.
    hash = models.BigIntegerField()
    pool_ids = ArrayField(models.UUIDField())

    def __str__(self) -> str:
        return f"{len(self.pool_ids)} pools of {self.organisation_id}"
