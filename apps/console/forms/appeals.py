"""Ask for the decision on an appeal."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

RATINGS = [("", _("None")), *((str(stars), str(stars)) for stars in range(1, 6))]


class AppealForm(forms.Form):
    """Ask whether a verdict stands. `version` is that of the appeal that the page showed."""

    version = forms.IntegerField(min_value=1, max_value=2**31 - 1, widget=forms.HiddenInput)
    decision = forms.ChoiceField(
        label=_("Decision"),
        widget=forms.RadioSelect,
        choices=[
            ("uphold", _("Uphold: the verdict stands")),
            ("overturn", _("Overturn: the verdict was wrong, and its rating is taken back")),
        ],
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=4000,
        help_text=_("The worker reads it."),
        widget=forms.Textarea(attrs={"rows": 4, "class": "form-prose"}),
    )
    rating = forms.ChoiceField(
        label=_("New rating"),
        choices=RATINGS,
        required=False,
        help_text=_("From 1 to 5 stars, instead of that of the verdict. Only to overturn it."),
    )
    reopen = forms.BooleanField(
        label=_("Queue the task again"),
        required=False,
        help_text=_("Only to overturn the verdict, and while attempts are left."),
    )

    def __init__(self, *args: Any, may_reopen: bool, **kwargs: Any) -> None:
        """Ask about the task only where it can be reopened."""
        super().__init__(*args, **kwargs)
        if not may_reopen:
            del self.fields["reopen"]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("decision") == "uphold":
            for name in ("rating", "reopen"):
                if data.get(name):
                    self.add_error(name, _("This is possible only to overturn the verdict."))
        return data

    def document(self) -> dict[str, Any]:
        """Return the valid form as the API takes it."""
        data = self.cleaned_data
        return {
            "version": data["version"],
            "decision": data["decision"],
            "reason": data["reason"].replace("\r\n", "\n"),
            "rating": int(data["rating"]) if data["rating"] else None,
            "reopen": data.get("reopen", False),
        }
