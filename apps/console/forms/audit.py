"""The form that searches the audit log."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.accounts.selectors import AuditFilter
from apps.accounts.texts import ACTION_TEXTS

MAX_ID = 255


def _id_field(label: Any) -> forms.CharField:
    return forms.CharField(label=label, required=False, max_length=MAX_ID)


def _time_field(label: Any) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(label=label, required=False, widget=widget)


class AuditForm(forms.Form):
    """Ask for what the list is restricted to. Each field has an index."""

    action = forms.ChoiceField(label=_("Action"), required=False)
    actor = _id_field(_("Id of the actor"))
    subject = _id_field(_("Id of what it concerns"))
    since = _time_field(_("From"))
    until = _time_field(_("Before"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = sorted(((str(one), str(text)) for one, text in ACTION_TEXTS.items()), key=_text)
        self.fields["action"].choices = [("", _("All")), *choices]  # type: ignore[attr-defined]

    def filter(self) -> AuditFilter:
        """Return what the valid fields say; the others restrict nothing."""
        given = {name: value for name, value in self.cleaned_data.items() if value}
        return AuditFilter(**given)


def _text(choice: tuple[str, str]) -> str:
    return choice[1].casefold()
