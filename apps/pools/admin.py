"""List pools and workers in the operator's console."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils import formats
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import (
    ConsoleList,
    ReadOnlyAdmin,
    Text,
    actor_of,
    fixed_filter,
)
from apps.accounts.scopes import Scope
from apps.base.ids import id_of
from apps.base.stamps import stamp
from apps.pools.models import Membership, Pool, PoolStatus, Presence, Worker
from apps.pools.selectors import is_member_of, visible_pools, visible_workers
from apps.pools.texts import (
    KIND_TEXTS,
    POOL_STATUS_TEXTS,
    PRESENCE_TEXTS,
    policy_text,
    presence_state,
)
from apps.pools.worker_search import last_seen, named

MAX_POOLS = 100
POOL_COLUMNS = (
    "id",
    "name",
    "status",
    "offer_seconds",
    "offer_mode",
    "broadcast_to",
    "escalation",
    "created_at",
)
WORKER_COLUMNS = (
    "id",
    "organisation_id",
    "name",
    "kind",
    "presence",
    "is_on_shift",
    "snoozed_until",
    "load",
    "capacity",
    "rating",
    "exact_rating",
    "rating_count",
)


def as_texts(texts: Any) -> Any:
    return lambda: list(texts.items())


@admin.register(Pool)
class PoolAdmin(ReadOnlyAdmin):
    """List the pools that the reader may see, newest first."""

    scope = Scope.POOLS_READ
    title = _("Pools")
    empty_text = _("There is no pool yet. A pool has workers, and says how tasks are offered.")
    tools = (("admin:pool_new", _("New pool"), Scope.POOLS_MANAGE),)
    list_display = ("name", "state", "members", "policy", "created")
    phone_labels = ("members", "created")
    list_filter = (fixed_filter("status", _("status"), as_texts(POOL_STATUS_TEXTS)),)
    search_fields = ("name",)
    search_help_text = _("Part of the name")
    ordering = ("-id",)

    def visible(self, actor: Principal) -> QuerySet[Pool]:
        of_pool = Membership.objects.filter(pool_id=OuterRef("id")).order_by().values("pool_id")
        counted = Subquery(of_pool.annotate(count=Count("id")).values("count"))
        return visible_pools(actor).only(*POOL_COLUMNS).annotate(member_count=counted)

    def address_of(self, row: Pool) -> str:
        return reverse("admin:pool", args=[row.id])

    @admin.display(description=_("Status"))
    def state(self, pool: Pool) -> SafeString:
        shape = "good" if pool.status == PoolStatus.ACTIVE else "off"
        text = POOL_STATUS_TEXTS[pool.status]
        return format_html('<span class="status status-{}">{}</span>', shape, text)

    @admin.display(description=_("Members"))
    def members(self, pool: Any) -> int:
        return pool.member_count or 0

    @admin.display(description=_("Offers"))
    def policy(self, pool: Pool) -> str:
        return policy_text(pool)

    @admin.display(description=_("Created"))
    def created(self, pool: Pool) -> str:
        return stamp(pool.created_at)


class WorkerList(ConsoleList):
    """Read for all workers of a page at once when they were last seen."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # An evaluated list: the admin reads it once more.
        workers: Any = list(self.result_list)
        ids = [worker.id for worker in workers]
        organisation_id = actor_of(request).organisation_id
        seen = last_seen(organisation_id=organisation_id, worker_ids=ids) if ids else {}
        for worker in workers:
            worker.seen_at = seen.get(worker.id)
        self.result_list = workers


class PoolFilter(admin.SimpleListFilter):
    """Filter by a pool that the reader may see; the newest are offered."""

    title = _("pool")
    parameter_name = "pool"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = visible_pools(actor_of(request)).order_by("-id").values_list("id", "name")
        return [(str(pool_id), name) for pool_id, name in rows[:MAX_POOLS]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not (value := self.value()):
            return queryset
        actor = actor_of(request)
        pool_id = id_of(value)
        if pool_id is None or not actor.may_use_pool(pool_id):
            return queryset.none()
        return queryset.filter(is_member_of([pool_id]))


def _free(workers: Any, value: str) -> Any:
    able = Q(presence=Presence.AVAILABLE, is_on_shift=True, snoozed_until=None)
    return workers.filter(able) if value == "free" else workers.filter(presence=value)


def _presences() -> Sequence[tuple[str, Text]]:
    return [("free", _("Gets offers now")), *PRESENCE_TEXTS.items()]


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """List the workers that the reader may see, newest first."""

    scope = Scope.POOLS_READ
    title = _("Workers")
    empty_text = _("There is no worker yet. Invite a person, or create an agent with its key.")
    tools = (
        ("admin:worker_invite", _("Invite a worker"), Scope.ORGANISATION_MANAGE),
        ("admin:worker_new", _("New worker"), Scope.POOLS_MANAGE),
    )
    list_display = ("name", "kind_text", "state", "used", "rated", "pool_list", "seen")
    phone_labels = ("used", "rated", "seen")
    list_filter: ClassVar[Any] = (
        fixed_filter("presence", _("presence"), _presences, _free),
        fixed_filter("kind", _("kind"), as_texts(KIND_TEXTS)),
        PoolFilter,
    )
    search_fields = ("name",)
    search_help_text = _("Beginning of a name, or an id")
    ordering = ("-id",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return WorkerList

    def visible(self, actor: Principal) -> QuerySet[Worker]:
        inside = Membership.objects.filter(worker_id=OuterRef("id"))
        if actor.pool_ids is not None:
            inside = inside.filter(pool_id__in=actor.pool_ids)
        names = ArraySubquery(inside.order_by("pool_id").values("pool__name"))
        return visible_workers(actor).only(*WORKER_COLUMNS).annotate(pool_names=names)

    def address_of(self, row: Worker) -> str:
        return reverse("admin:worker", args=[row.id])

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return (named(queryset, search_term) if search_term.strip() else queryset), False

    @admin.display(description=_("Kind"))
    def kind_text(self, worker: Worker) -> str:
        return str(KIND_TEXTS[worker.kind])

    @admin.display(description=_("Presence"))
    def state(self, worker: Worker) -> SafeString:
        shape, text = presence_state(worker)
        return format_html('<span class="status status-{}">{}</span>', shape, text)

    @admin.display(description=_("Load"))
    def used(self, worker: Worker) -> str:
        return gettext("%(load)s of %(capacity)s") % {
            "load": worker.load,
            "capacity": worker.capacity,
        }

    @admin.display(description=_("Rating"), empty_value="")
    def rated(self, worker: Worker) -> str | None:
        if not worker.rating_count:
            return None
        return f"{formats.number_format(worker.rating_now, 1)} ({worker.rating_count})"

    @admin.display(description=_("Pools"))
    def pool_list(self, worker: Any) -> str:
        return ", ".join(worker.pool_names)

    @admin.display(description=_("Last seen"), empty_value="")
    def seen(self, worker: Any) -> str | None:
        return stamp(worker.seen_at) or None
