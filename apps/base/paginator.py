"""Count rows up to a bound, and page through no more: the cost of a list must not grow with it."""

from functools import cached_property
from typing import Any, NamedTuple

from django.core.paginator import EmptyPage, Paginator
from django.db.models import QuerySet
from django.utils.translation import gettext

BOUND = 10_000


class BoundedCount(NamedTuple):
    """Hold how many rows there are: `rows`, or more than that where it is not exact."""

    rows: int
    is_exact: bool

    def __str__(self) -> str:
        return f"{self.rows:,}" if self.is_exact else f"{self.rows:,}+"


def bounded_count(
    rows: "QuerySet[Any]", *, bound: int = BOUND, in_order: bool = False
) -> BoundedCount:
    """Count the rows by one statement that stops after `bound` of them.

    `in_order` reads them in their order: where the first ones are many, and the others unknown.
    """
    found = (rows if in_order else rows.order_by())[: bound + 1].count()
    return BoundedCount(min(found, bound), is_exact=found <= bound)


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Page through the first `bound` rows of a list; a later page is refused.

    `counted` says whether there are more. A list in memory is counted as it is.
    """

    bound = BOUND
    in_order = False

    @cached_property
    def counted(self) -> BoundedCount:
        """Return the number of rows, up to the bound."""
        rows: Any = self.object_list
        if isinstance(rows, QuerySet):
            return bounded_count(rows, bound=self.bound, in_order=self.in_order)
        return BoundedCount(min(len(rows), self.bound), is_exact=len(rows) <= self.bound)

    @cached_property
    def count(self) -> int:
        """Return the number of rows that have pages."""
        return self.counted.rows

    def validate_number(self, number: Any) -> int:
        """Return the number of a page that exists. Raise `EmptyPage`, `PageNotAnInteger`."""
        try:
            return super().validate_number(number)
        except EmptyPage:
            if self.counted.is_exact or int(number) < 1:
                raise
            text = gettext(
                "Only the first %(bound)s results have pages: narrow the list by its filters."
            )
            raise EmptyPage(text % {"bound": f"{self.bound:,}"}) from None
