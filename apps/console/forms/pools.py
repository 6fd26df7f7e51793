"""Ask for the policy of a pool, in words that say what each part does."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.console.forms.faults import add_faults
from apps.console.forms.fields import DurationField, words_of
from apps.console.forms.rows import Rows
from apps.pools.selectors import OFFER_SECONDS
from apps.pools.texts import AT_END_TEXTS, OFFER_MODE_TEXTS, duration_text
from apps.tasks.texts import URGENCY_TEXTS
from biolayer.errors import Fault, InvalidInput

MAX_STEPS = 10
DAY, MONTH = 86_400, 2_592_000
STEP_FIELDS = {
    "/after_seconds": "after",
    "/lower_min_rating_by": "lower_rating",
    "/widen_to_pools": "widen",
    "/broadcast_to": "broadcast_to",
    "/boost_seconds": "boost",
    "": "after",
}


class PoolForm(forms.Form):
    """Ask for all that `PATCH /v1/pools/{id}` changes, but the escalation steps and the reviews."""

    name = forms.CharField(
        label=_("Name"), max_length=200, help_text=_("Workers and operators see it.")
    )
    description = forms.CharField(
        label=_("Description"),
        max_length=2000,
        required=False,
        help_text=_("For operators: what the pool is for."),
        widget=forms.Textarea(attrs={"rows": 2, "class": "form-prose"}),
    )
    offer_mode = forms.ChoiceField(
        label=_("A task is offered to"),
        choices=[*OFFER_MODE_TEXTS.items()],
        help_text=_("One at a time is fairer; several at once finds a worker sooner."),
    )
    broadcast_to = forms.IntegerField(
        label=_("Workers at once"),
        min_value=2,
        max_value=50,
        help_text=_("2 to 50; usually 5. Only for offers to several workers at once."),
    )
    misses_until_away = forms.IntegerField(
        label=_("Missed offers until a worker is set away"),
        min_value=1,
        max_value=100,
        required=False,
        help_text=_("1 to 100 in a row; usually 3. Empty: a worker is never set away."),
    )
    offers_per_window = forms.IntegerField(
        label=_("Most offers to a worker"),
        min_value=1,
        max_value=1000,
        required=False,
        help_text=_("1 to 1000 within the time below. Empty: no limit."),
    )
    offer_window_seconds = DurationField(
        label=_("Time in which these offers are counted"),
        least=60,
        most=DAY,
        help_text=_("1 min to 1 d; usually 1 h."),
    )
    work_seconds = DurationField(
        label=_("Time to work without a sign of life"),
        least=1,
        most=MONTH,
        help_text=_(
            "1 s to 30 d; usually 1 h. Each save of the worker starts it again. When it ends, the"
            " task is offered to others. It does not concern agents."
        ),
    )
    costs = forms.CharField(
        label=_("Tasks that take more of a worker"),
        required=False,
        help_text=_(
            "A task type and its units of a worker's capacity, 1 to 100, on each line, such as"
            " phone_call 2. Other types take 1."
        ),
        widget=forms.Textarea(attrs={"rows": 3, "autocapitalize": "none", "spellcheck": "false"}),
    )
    at_end = forms.ChoiceField(
        label=_("When the last step has not helped either"),
        choices=[*AT_END_TEXTS.items()],
        help_text=_("As long after the last step as that came after the one before."),
        required=False,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for urgency, seconds in OFFER_SECONDS.items():
            self.fields[f"offer_{urgency}"] = DurationField(
                label=URGENCY_TEXTS[urgency],
                least=1,
                most=DAY,
                required=False,
                help_text=_("Empty: %(usual)s") % {"usual": duration_text(seconds)},
            )

    @property
    def offer_fields(self) -> list[forms.BoundField]:
        """Return the fields of the time to answer an offer, the most urgent first."""
        return [self[f"offer_{urgency}"] for urgency in OFFER_SECONDS]

    def clean_description(self) -> str:
        return unified(self.cleaned_data["description"])

    def clean_costs(self) -> dict[str, int]:
        costs: dict[str, int] = {}
        for line in str(self.cleaned_data["costs"]).splitlines():
            words = words_of(line.replace("=", " ").replace(":", " "))
            if not words:
                continue
            if len(words) != 2 or not words[1].isdecimal() or len(words[1]) > 3:
                raise forms.ValidationError(
                    _("“%(line)s” is no task type with a number.") % {"line": line.strip()}
                )
            costs[words[0]] = int(words[1])
        return costs

    def document(self) -> dict[str, Any]:
        """Return the valid form as the API takes it."""
        values = dict(self.cleaned_data)
        offer_seconds = {one: values.pop(f"offer_{one}") for one in OFFER_SECONDS}
        values.pop("at_end")
        return {**values, "offer_seconds": {k: v for k, v in offer_seconds.items() if v}}


class StepForm(forms.Form):
    """Ask for one step of the escalation policy."""

    after = DurationField(
        label=_("After a wait of"),
        least=1,
        most=MONTH,
        help_text=_("1 s to 30 d since the task was first queued."),
    )
    mode = forms.ChoiceField(
        label=_("Offer it to"),
        required=False,
        choices=[("", _("as before")), *OFFER_MODE_TEXTS.items()],
    )
    broadcast_to = forms.IntegerField(
        label=_("Workers at once"),
        min_value=2,
        max_value=50,
        required=False,
        help_text=_("Empty: as before."),
    )
    lower_rating = forms.FloatField(
        label=_("Lower the least rating by"),
        min_value=0,
        max_value=5,
        required=False,
        help_text=_("0 to 5 stars."),
    )
    boost = DurationField(
        label=_("Treat it as if it had waited longer by"),
        least=0,
        most=DAY,
        required=False,
        help_text=_("At most 1 d: it is matched before tasks that have waited less."),
    )
    drop_preferred = forms.BooleanField(label=_("Preferred skills no longer count"), required=False)
    notify = forms.BooleanField(label=_("Send the event task.escalated"), required=False)
    widen = forms.MultipleChoiceField(
        label=_("Offer it in these pools, too"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, pools: Iterable[tuple[str, str]] = (), **kwargs: Any) -> None:
        """Take the pools to choose from."""
        super().__init__(*args, **kwargs)
        self.fields["widen"].choices = list(pools)  # type: ignore[attr-defined]

    def document(self) -> dict[str, Any]:
        """Return the valid step as the API takes it, without what it leaves as it was."""
        values = self.cleaned_data
        step = {
            "drop_preferred_skills": values["drop_preferred"],
            "lower_min_rating_by": values["lower_rating"],
            "widen_to_pools": values["widen"],
            "mode": values["mode"],
            "broadcast_to": values["broadcast_to"],
            "boost_seconds": values["boost"],
            "notify": values["notify"],
        }
        return {"after_seconds": values["after"], **{k: v for k, v in step.items() if v}}


def unified(text: str) -> str:
    """Return a text as a browser sends it, with the line ends of the database."""
    return text.replace("\r\n", "\n").strip()


def step_rows(pools: Iterable[tuple[str, str]]) -> Rows:
    """Return an empty list of steps; `pools` are offered to widen to."""
    return Rows(StepForm, "steps", most=MAX_STEPS, pools=list(pools))


def escalation_of(form: PoolForm, rows: Rows) -> dict[str, Any] | None:
    """Return the policy of a valid form and its steps; None without steps."""
    steps = [row.document() for row in rows.forms]
    return {"steps": steps, "at_end": form.cleaned_data["at_end"] or "wait"} if steps else None


def shown(pool: Any) -> dict[str, Any]:
    """Return a stored pool as its form shows it."""
    names = (
        "name", "description", "offer_mode", "broadcast_to", "misses_until_away",
        "offers_per_window", "offer_window_seconds", "work_seconds",
    )  # fmt: skip
    return {
        **{name: getattr(pool, name) for name in names},
        **{f"offer_{urgency}": seconds for urgency, seconds in pool.offer_seconds.items()},
        "costs": "\n".join(f"{kind} {units}" for kind, units in sorted(pool.costs.items())),
        "at_end": (pool.escalation or {}).get("at_end", "wait"),
    }


def shown_step(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored step as its form shows it."""
    return {
        "after": step["after_seconds"],
        "mode": step.get("mode") or "",
        "broadcast_to": step.get("broadcast_to"),
        "lower_rating": step.get("lower_min_rating_by") or None,
        "boost": step.get("boost_seconds") or None,
        "drop_preferred": step.get("drop_preferred_skills", False),
        "notify": step.get("notify", False),
        "widen": [str(pool_id) for pool_id in step.get("widen_to_pools", ())],
    }


def stored_document(pool: Any) -> dict[str, Any]:
    """Return a stored pool as `PoolForm.document` and `escalation_of` return an unchanged form."""
    values = shown(pool)
    for name in [*values]:
        if name.startswith("offer_") and name.removeprefix("offer_") in OFFER_SECONDS:
            del values[name]
    at_end = values.pop("at_end")
    steps = [_sparse(step) for step in pool.escalation.get("steps", ())]
    return {
        **values,
        "description": unified(pool.description),
        "offer_seconds": dict(pool.offer_seconds),
        "costs": dict(pool.costs),
        "escalation": {"steps": steps, "at_end": at_end} if steps else None,
        "review_policy": pool.review_policy or None,
    }


def _sparse(step: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in step.items() if value}


def add_pool_faults(form: PoolForm, rows: Rows, error: InvalidInput) -> None:
    """Show each fault at its field, or at its step."""
    of_steps: dict[int, list[Fault]] = {}
    others: list[Fault] = []
    for fault in error.faults:
        parts = fault.pointer.split("/")
        number = int(parts[3]) if len(parts) > 3 and parts[3].isdecimal() else None
        if parts[1:3] == ["escalation", "steps"] and number is not None:
            below = "".join(f"/{part}" for part in parts[4:])
            of_steps.setdefault(number, []).append(Fault(below, fault.code, fault.detail))
        else:
            others.append(fault)
    for number, faults in of_steps.items():
        add_faults(rows.forms[number], InvalidInput(faults), STEP_FIELDS)
    if not others:
        return
    fields = {"/escalation": "at_end", "/costs": "costs"}
    fields |= {f"/offer_seconds/{urgency}": f"offer_{urgency}" for urgency in OFFER_SECONDS}
    add_faults(form, InvalidInput(others), fields)
