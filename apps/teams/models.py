"""Store teams. A team is a pool; its row here has what only a team has."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.models import Organisation
from apps.accounts.principal import Principal
from apps.pools.models import Pool


class TeamStatus(models.TextChoices):
    """Name the statuses of a team."""

    ACTIVE = "active"  # a window is opened every `cadence_minutes`
    PAUSED = "paused"  # no window opens, and no agent gets a task, until it is active again
    ARCHIVED = "archived"  # final; its pool is closed


class TeamQuerySet(models.QuerySet["Team"]):
    """Select teams by what an actor may see, and lock them."""

    def visible_to(self, actor: Principal) -> "TeamQuerySet":
        """Return the organisation's teams whose pools are granted to the actor, with the pools."""
        teams = self.filter(organisation_id=actor.organisation_id).select_related("pool")
        return teams if actor.pool_ids is None else teams.filter(pool_id__in=actor.pool_ids)

    def locked_with_pool(self) -> "TeamQuerySet":
        """Lock the pools, then the teams, in the order of docs/adr/0005."""
        return self.select_for_update(no_key=True, of=("pool", "self"))

    def locked(self, *, nowait: bool = False) -> "TeamQuerySet":
        """Lock the teams alone: for windows, and after their pools."""
        return self.select_for_update(no_key=True, of=("self",), nowait=nowait)


class Team(models.Model):
    """Store that a pool is a team, and its windows.

    In a window, the team's agents may claim the tasks that were queued when it was opened. So a
    window ends by itself, when all of them are claimed. Name, description, cadence and approval
    policy are the pool's.
    """

    pool = models.OneToOneField(
        Pool, on_delete=models.CASCADE, primary_key=True, related_name="team", db_constraint=False
    )
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    status = models.CharField(max_length=8, choices=TeamStatus, default=TeamStatus.ACTIVE)
    # The windows opened so far, and when the latest one was.
    windows = models.PositiveIntegerField(default=0)
    window_opened_at = models.DateTimeField(null=True)
    # When the next one is to be opened; set while the team is active.
    next_window_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[TeamQuerySet] = TeamQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=TeamStatus.values), name="team_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(status=TeamStatus.ACTIVE, next_window_at__isnull=False)
                | ~Q(status=TeamStatus.ACTIVE) & Q(next_window_at__isnull=True),
                name="team_active_iff_it_has_a_next_window",
            ),
            models.CheckConstraint(
                condition=Q(windows=0, window_opened_at__isnull=True)
                | Q(windows__gt=0, window_opened_at__isnull=False),
                name="team_windows_have_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-created_at", "-pool"], name="team_list"),
        ]

    def __str__(self) -> str:
        return str(self.pool_id)
