"""Ask an operator what to do with a task, and why."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.base.wording import humanised
from apps.matching.lowering import Lack
from biolayer.requests.tasks import MAX_BOOST_SECONDS

MAX_REASON = 1000
MAX_MESSAGE = 4000
MINUTE = 60


class ReasonForm(forms.Form):
    """Ask for the reason alone, which the task's event and the people concerned are shown."""

    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("It is kept with the task, for those who read its story."),
        max_length=MAX_REASON,
        widget=forms.Textarea(attrs={"rows": 2, "class": "form-prose", "dir": "auto"}),
    )

    # The field of each JSON Pointer of the call: see `faults.add_faults`.
    pointers: Mapping[str, str] = {"/reason": "reason"}


class BoostForm(ReasonForm):
    """Ask how far to move a task in the queue."""

    minutes = forms.IntegerField(
        label=_("Minutes ahead"),
        help_text=_("As if it had waited so much longer. A negative number moves it back."),
        min_value=-MAX_BOOST_SECONDS // MINUTE,
        max_value=MAX_BOOST_SECONDS // MINUTE,
        initial=60,
    )
    pointers = {"/seconds": "minutes", "/reason": "reason"}
    field_order = ["minutes", "reason"]


class DeadlineForm(ReasonForm):
    """Ask for the new deadline, in the time zone of the browser."""

    deadline = forms.DateTimeField(
        label=_("New deadline"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    pointers = {"/sla/deadline": "deadline", "/reason": "reason"}
    field_order = ["deadline", "reason"]

    def clean_deadline(self) -> datetime:
        deadline: datetime = self.cleaned_data["deadline"]
        try:
            return deadline.astimezone(UTC)
        except OverflowError:
            raise forms.ValidationError(self.fields["deadline"].error_messages["invalid"]) from None


class ExtensionForm(ReasonForm):
    """Ask by how much to extend the deadlines of tasks."""

    minutes = forms.IntegerField(
        label=_("Minutes more"),
        help_text=_("From its deadline on; from now on where that has passed."),
        min_value=1,
        max_value=30 * 24 * MINUTE,
        initial=60,
    )
    field_order = ["minutes", "reason"]


class LowerForm(ReasonForm):
    """Ask which requirements of a task to keep, and how far to lower the others."""

    pointers = {
        "/requirements/trust_level": "trust_level",
        "/requirements/min_rating": "min_rating",
        "/reason": "reason",
    }

    def __init__(self, *args: Any, task: Any, lacks: Iterable[Lack] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._task = task
        lowered = {(lack.kind, lack.name): lack.value for lack in lacks}
        for kind, name, label in LISTS:
            codes = getattr(task, name)
            if codes:
                kept = [code for code in codes if (kind, code) not in lowered]
                self.fields[name] = _kept_field(label, codes, kept, is_plain=kind == "language")
        for skill, level in sorted(task.skill_levels.items()):
            if level > 1:
                now = int(lowered.get(("level", skill)) or level)
                self.fields[f"level-{skill}"] = _level_field(
                    _("Lowest level of %(skill)s") % {"skill": humanised(skill)}, level, 1, now
                )
        if task.trust_level:
            now = int(lowered.get(("trust", ""), task.trust_level) or 0)
            self.fields["trust_level"] = _level_field(
                _("Lowest trust level"), task.trust_level, 0, now
            )
        if task.min_rating:
            self.fields["min_rating"] = forms.FloatField(
                label=_("Lowest rating"),
                min_value=0,
                max_value=task.min_rating,
                initial=lowered.get(("rating", ""), task.min_rating),
                widget=forms.NumberInput(attrs={"step": "any"}),
            )
        self.order_fields([*(name for name in self.fields if name != "reason"), "reason"])

    @property
    def asks_nothing(self) -> bool:
        """Return whether the task requires nothing that could be lowered."""
        return len(self.fields) == 1

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors and not self.changes:
            self.add_error(None, _("Nothing is lowered yet: take something out, or lower it."))
        return cleaned

    @property
    def changes(self) -> dict[str, Any]:
        """Return the members of the contract's requirements that change."""
        task, data = self._task, self.cleaned_data
        asked: dict[str, Any] = {
            name: [code for code in getattr(task, name) if code in data[name]]
            for _kind, name, _label in LISTS
            if name in data
        }
        skills = asked.get("skills", task.skills)
        asked["skill_levels"] = {
            skill: int(data.get(f"level-{skill}", level))
            for skill, level in task.skill_levels.items()
            if skill in skills
        }
        if "trust_level" in data:
            asked["trust_level"] = int(data["trust_level"])
        if "min_rating" in data:
            asked["min_rating"] = data["min_rating"]
        return {name: value for name, value in asked.items() if value != getattr(task, name)}


# The kind of a `Lack`, the column of the task, and the field's label.
LISTS = (
    ("skill", "skills", _("Skills that it needs")),
    ("language", "languages", _("Languages that it needs")),
    ("certification", "certifications", _("Certifications that it needs")),
)


def _kept_field(
    label: Any, codes: Sequence[str], kept: Sequence[str], *, is_plain: bool
) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label=label,
        required=False,
        choices=[(code, code if is_plain else humanised(code)) for code in codes],
        initial=list(kept),
        widget=forms.CheckboxSelectMultiple,
    )


def _level_field(label: Any, level: int, least: int, now: int) -> forms.TypedChoiceField:
    return forms.TypedChoiceField(
        label=label,
        coerce=int,
        choices=[(one, one) for one in range(level, least - 1, -1)],
        initial=min(now, level),
    )


class ReassignForm(ReasonForm):
    """Ask to which worker to offer a task."""

    worker_id = forms.UUIDField(
        label=_("Worker"), error_messages={"required": _("Choose a worker from the list.")}
    )
    pointers = {"/worker_id": "worker_id", "/reason": "reason"}
    field_order = ["worker_id", "reason"]


class MessageForm(forms.Form):
    """Ask for a message to the task's worker."""

    text = forms.CharField(
        label=_("Message to the worker"),
        max_length=MAX_MESSAGE,
        widget=forms.Textarea(attrs={"rows": 3, "class": "form-prose", "dir": "auto"}),
    )
