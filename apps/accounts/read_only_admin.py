"""List rows in the operator's console by Django's admin, which changes nothing itself.

Each app registers its lists in its `admin.py`. What an operator changes goes through services, on
pages of the console (apps/console).
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG, ChangeList
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest
from django.urls import URLPattern, path
from django.utils.functional import Promise
from django.views.decorators.http import require_safe

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.paginator import BoundedPaginator

Text = str | Promise


class ConsoleList(ChangeList):
    """Link each row to its page in the console, and filter by the list's own filters alone."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Return the parameters of the list's filters.

        The admin would filter by any column and lookup that an address names: a reader could guess
        what a list does not show, by expressions that no index serves.
        """
        given: dict[str, Any] = super().get_filters_params(params)
        filters: Any = self.list_filter
        known = {one.parameter_name for one in filters}
        return {name: values for name, values in given.items() if name in known}

    def url_for_result(self, result: Model) -> str:
        listing: Any = self.model_admin
        return str(listing.address_of(result))


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # it has none at run time
    """List the rows that the reader may see: who lacks `scope` gets the page for 403.

    A list takes at most four statements beside those of the session: its filters have fixed
    choices, it counts up to a bound, and sorts by an index only.
    """

    scope: ClassVar[Scope]
    # The heading; empty: the model's name.
    title: ClassVar[Text] = ""
    # What the page says above the list, and where there is nothing to list.
    intro: ClassVar[Text] = ""
    empty_text: ClassVar[Text] = ""
    # Links above the list: name of an address in the namespace `admin`, text, and needed scope.
    tools: ClassVar[Sequence[tuple[str, Text, Scope]]] = ()
    # The address that the chosen rows are sent to, and its buttons (value and text).
    bulk_address: ClassVar[str] = ""
    bulk_scope: ClassVar[Scope | None] = None
    bulk_actions: ClassVar[Sequence[tuple[str, Text]]] = ()
    # The columns whose heading is repeated in the cell where a row is a card: see a phone.
    phone_labels: ClassVar[Sequence[str]] = ()

    paginator = BoundedPaginator
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    preserve_filters = False
    sortable_by = ()
    actions = None
    change_list_template = "admin/change_list.html"

    def visible(self, actor: Principal) -> QuerySet[Any]:
        """Return the rows that the actor may see."""
        raise NotImplementedError

    def address_of(self, row: Any) -> str:
        """Return the address of a row's page."""
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        meta = self.opts
        name = f"{meta.app_label}_{meta.model_name}_changelist"
        page = require_safe(self.admin_site.admin_view(self.changelist_view))
        return [path("", page, name=name)]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.visible(actor_of(request))

    def changelist_view(self, request: Any, extra_context: Any = None) -> Any:
        actor = actor_of(request)
        actor.require(self.scope)
        may_act = self.bulk_scope is not None and may(actor, self.bulk_scope)
        context = {
            "listing": self,
            "tools": [(name, text) for name, text, scope in self.tools if may(actor, scope)],
            "may_act": may_act,
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list. Where it has no such page, the admin leads to the first, marked so.

        A marked address that is wrong all the same is no page: the admin's own has no frame here.
        """
        try:
            return super().get_changelist_instance(request)
        except IncorrectLookupParameters:
            if ERROR_FLAG in request.GET:
                raise Http404 from None
            raise

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ConsoleList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(actor_of(request), self.scope)


def actor_of(request: HttpRequest) -> Principal:
    """Return the principal that the console has set."""
    actor: Principal = request.actor  # type: ignore[attr-defined]
    return actor


def may(actor: Principal, scope: Scope) -> bool:
    """Return whether the actor has the scope, and a role that makes it effective."""
    return scope.value in actor.scopes


class FixedFilter(admin.SimpleListFilter):
    """Filter by a column's value out of fixed choices, which need no statement."""

    choices_of: ClassVar[Callable[[], Sequence[tuple[str, Text]]]]
    narrow: ClassVar[Callable[[Any, str], Any]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return type(self).choices_of()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        known = {choice for choice, _ in type(self).choices_of()}
        if value is None or value not in known:
            return queryset
        narrowed: QuerySet[Any] = type(self).narrow(queryset, value)
        return narrowed


def fixed_filter(
    parameter: str,
    title: Text,
    choices: Callable[[], Sequence[tuple[str, Text]]],
    narrow: Callable[[Any, str], Any] | None = None,
) -> type[FixedFilter]:
    """Return a filter of the column `parameter`, or one that narrows the rows in its own way."""

    def equal(rows: Any, value: str) -> Any:
        return rows.filter(**{parameter: value})

    attributes = {
        "title": title,
        "parameter_name": parameter,
        "choices_of": staticmethod(choices),
        "narrow": staticmethod(narrow or equal),
    }
    return type(f"{parameter}_filter", (FixedFilter,), attributes)
