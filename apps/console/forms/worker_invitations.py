"""Ask whom to invite as a worker."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.console.forms.fields import words_of


class WorkerInvitationForm(forms.Form):
    """Ask for a person who becomes a worker: address, name, pools, skills."""

    email = forms.EmailField(
        label=_("E-mail address"),
        max_length=254,
        help_text=_("The invitation is sent to it, and is valid for seven days."),
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    name = forms.CharField(
        label=_("Name"),
        max_length=200,
        required=False,
        help_text=_("As operators see the worker. Empty: as the person names themselves."),
    )
    skills = forms.CharField(
        label=_("Skills"),
        required=False,
        help_text=_("Separated by commas, such as phone_verification. Levels can be set later."),
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )
    pools = forms.MultipleChoiceField(
        label=_("Pools"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one pool.")},
    )

    def __init__(self, *args: Any, pools: Iterable[tuple[str, str]], **kwargs: Any) -> None:
        """Take the pools to choose from."""
        super().__init__(*args, **kwargs)
        self.fields["pools"].choices = list(pools)  # type: ignore[attr-defined]

    def clean_skills(self) -> list[str]:
        return list(dict.fromkeys(words_of(self.cleaned_data["skills"])))

    def document(self) -> dict[str, Any]:
        """Return the valid form as the API takes an invitation."""
        values = self.cleaned_data
        worker = {"pool_ids": values["pools"], "skills": values["skills"]}
        if values["name"]:
            worker["name"] = values["name"]
        return {"email": values["email"], "role": "worker", "worker": worker}
