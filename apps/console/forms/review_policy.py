"""Ask for the review policy of a pool, and say a stored one in words."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.scopes import Role
from apps.console.forms.faults import add_faults
from apps.console.forms.fields import DurationField
from apps.pools.texts import duration_text
from biolayer.errors import InvalidInput
from biolayer.reviews import ROLES, ReviewPolicy

Text = str | Promise

MODE_TEXTS: dict[str, Text] = {
    "none": _("No submission, but for the two fields below"),
    "sample": _("A sample of the tasks"),
    "all": _("Every submission"),
}
ON_REJECT_TEXTS: dict[str, Text] = {
    "fail": _("The task fails"),
    "new_worker": _("Another worker gets the task, while attempts are left"),
}
ROLE_TEXTS: dict[str, Text] = {role: Role(role).label for role in ROLES}
USUAL = ReviewPolicy().model_dump()
YEAR = 31_536_000
# A percentage is shown with four digits: a stored share that is so close was not changed.
SMALLEST = 5e-7
FIELDS = {
    "/review_policy/sample_share": "percent",
    "/review_policy/second_look_share": "second_percent",
    "/review_policy/deadline_seconds": "deadline",
    **{f"/review_policy/{name}": name for name in USUAL},
    "/review_policy": "mode",
}


class ReviewPolicyForm(forms.Form):
    """Ask for all fields of a `ReviewPolicy` that operators set on pages."""

    mode = forms.ChoiceField(label=_("A person reviews"), choices=[*MODE_TEXTS.items()])
    percent = forms.FloatField(
        label=_("Share of the tasks, in percent"),
        min_value=0,
        max_value=100,
        required=False,
        help_text=_("0 to 100. Only for a sample, which is drawn so that no worker foresees it."),
    )
    first_tasks = forms.IntegerField(
        label=_("First tasks of a worker in the pool"),
        min_value=0,
        max_value=1000,
        required=False,
        help_text=_("So many are always reviewed. Empty: none."),
    )
    below_rating = forms.FloatField(
        label=_("Workers with a rating below"),
        min_value=0,
        max_value=5,
        required=False,
        help_text=_("Their work is always reviewed. 0 to 5 stars; a new worker has 0."),
    )
    required_role = forms.ChoiceField(
        label=_("Least role of a reviewer"), choices=[*ROLE_TEXTS.items()]
    )
    reviewer_pool_id = forms.ChoiceField(
        label=_("Only workers of this pool review"),
        required=False,
        help_text=_("Until a review is overdue: then every member with the role may."),
    )
    deadline = DurationField(
        label=_("A review is overdue after"),
        least=60,
        most=YEAR,
        required=False,
        help_text=_("1 min to 365 d, such as 4 h. Empty: never."),
    )
    auto_approve_after_hours = forms.IntegerField(
        label=_("Hours until it is approved by itself"),
        min_value=1,
        max_value=8760,
        required=False,
        help_text=_("Only if no person has decided. Empty: never."),
    )
    max_rework = forms.IntegerField(
        label=_("Most times a task is sent back"),
        min_value=0,
        max_value=10,
        required=False,
        help_text=_("0 to 10. Empty: while attempts are left."),
    )
    on_reject = forms.ChoiceField(
        label=_("When a reviewer rejects an output"), choices=[*ON_REJECT_TEXTS.items()]
    )
    second_percent = forms.FloatField(
        label=_("Share of the approvals that another reviewer looks at again, in percent"),
        min_value=0,
        max_value=100,
        required=False,
        help_text=_("0 to 100. No task waits for it; it shows how far reviewers agree."),
    )
    appeal_hours = forms.IntegerField(
        label=_("Hours in which a worker may appeal"),
        min_value=0,
        max_value=8760,
        required=False,
        help_text=_("After its work was sent back or rejected. 0: never. Empty: 72."),
    )
    notify = forms.BooleanField(label=_("Tell reviewers of a new review"), required=False)

    def __init__(
        self,
        *args: Any,
        pools: Iterable[tuple[str, str]] = (),
        stored: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Take the pools to choose from, and the stored policy: it is shown, and kept in parts."""
        self.stored = stored or {}
        super().__init__(*args, **{"prefix": "review", "initial": shown(self.stored), **kwargs})
        choices = [("", _("All members with the role")), *pools]
        self.fields["reviewer_pool_id"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("mode") == "sample" and values.get("percent") is None:
            self.add_error("percent", _("Enter the share of the sample."))
        if values.get("reviewer_pool_id") and not values.get("deadline"):
            self.add_error("deadline", _("Enter a time after which others may review, too."))
        return values

    def document(self) -> dict[str, Any] | None:
        """Return the valid form as the API takes it; None for no reviews.

        Fields that the form does not have, and those that were stated before, stay stated.
        """
        chosen = self._chosen()
        stated = {
            name: value
            for name, value in chosen.items()
            if name in self.stored or value != USUAL[name]
        }
        policy = {**self.stored, **stated}
        return policy or None

    def _chosen(self) -> dict[str, Any]:
        values = dict(self.cleaned_data)
        percent, deadline = values.pop("percent"), values.pop("deadline")
        second, hours = values.pop("second_percent"), values["appeal_hours"]
        return {
            **values,
            "sample_share": self._share("sample_share", percent or 0.0),
            "second_look_share": self._share("second_look_share", second or 0.0),
            "appeal_hours": USUAL["appeal_hours"] if hours is None else hours,
            "deadline_seconds": deadline,
            "first_tasks": values["first_tasks"] or 0,
            "below_rating": values["below_rating"] or 0.0,
            "reviewer_pool_id": values["reviewer_pool_id"] or None,
        }

    def _share(self, name: str, percent: float) -> float:
        share, stored = percent / 100, self.stored.get(name, -1)
        return stored if abs(share - stored) < SMALLEST else share

    def add_policy_faults(self, error: InvalidInput) -> None:
        """Show each fault at its field."""
        add_faults(self, error, FIELDS)


def shown(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored policy as its form shows it."""
    values = {**USUAL, **policy}
    return {
        **values,
        "percent": _percent(values.pop("sample_share")),
        "second_percent": _percent(values.pop("second_look_share")),
        "deadline": values.pop("deadline_seconds"),
        "first_tasks": values["first_tasks"] or None,
        "below_rating": values["below_rating"] or None,
        "reviewer_pool_id": str(values["reviewer_pool_id"] or ""),
    }


def _percent(share: float) -> str:
    return f"{share * 100:.4f}".rstrip("0").rstrip(".") if share else ""


def policy_lines(
    policy: Mapping[str, Any] | None, pools: Mapping[str, str]
) -> Iterator[tuple[Text, Text]]:
    """Yield what a stored policy says: names and texts. `pools` has the names of pools by id."""
    values = {**USUAL, **(policy or {})}
    if not ReviewPolicy.model_validate(policy or {}).is_needed:
        yield _("Reviewed"), _("no submission, unless its task asks for it")
        if not policy:
            return
    else:
        yield _("Reviewed"), "; ".join(map(str, _reviewed(values)))
    yield gettext_lazy("By"), _reviewers(values, pools)
    if values["deadline_seconds"] is not None:
        yield _("Overdue after"), duration_text(values["deadline_seconds"])
    if hours := values["auto_approve_after_hours"]:
        yield _("Approved by itself after"), duration_text(hours * 3600)
    if values["max_rework"] is not None:
        yield _("Sent back at most"), _times(values["max_rework"])
    yield _("If rejected"), ON_REJECT_TEXTS[values["on_reject"]]
    if percent := _percent(values["second_look_share"]):
        text = gettext("%(percent)s %% of the approvals") % {"percent": percent}
        yield _("Looked at again"), text
    yield _("Appeals"), _within(values["appeal_hours"])
    yield _("Reviewers are told"), _("yes") if values["notify"] else _("no")


def _reviewed(values: Mapping[str, Any]) -> Iterator[Text]:
    if values["mode"] == "all":
        yield gettext("every submission")
        return
    if values["mode"] == "sample":
        percent = shown(values)["percent"] or "0"
        yield gettext("%(percent)s %% of the tasks") % {"percent": percent}
    if count := values["first_tasks"]:
        text = ngettext(
            "a worker's first task", "a worker's first %(count)s tasks", count
        )  # fmt: skip
        yield text % {"count": count}
    if rating := values["below_rating"]:
        yield gettext("workers rated below %(rating)s") % {"rating": f"{rating:g}"}


def _reviewers(values: Mapping[str, Any], pools: Mapping[str, str]) -> str:
    role = ROLE_TEXTS[values["required_role"]]
    pool_id = values["reviewer_pool_id"]
    if pool_id is None:
        return gettext("%(role)s or a higher role") % {"role": role}
    name = pools.get(str(pool_id), str(pool_id))
    return gettext("%(role)s or a higher role, in %(pool)s") % {"role": role, "pool": name}


def _within(hours: int) -> str:
    if not hours:
        return gettext("never")
    return gettext("within %(time)s") % {"time": duration_text(hours * 3600)}


def _times(count: int) -> str:
    return (
        ngettext("once", "%(count)s times", count) % {"count": count} if count else gettext("never")
    )
