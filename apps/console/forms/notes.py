"""Ask for a note to the members of a pool."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.console.forms.fields import DurationField
from biolayer.times import format_time

YEAR = 365 * 86_400


class NoteForm(forms.Form):
    """Ask for the words of a note, and for how long they are shown."""

    text = forms.CharField(
        label=_("Note"),
        max_length=1000,
        help_text=_("At most 1000 characters. Members see it on their first page."),
        widget=forms.Textarea(attrs={"rows": 4, "class": "form-prose"}),
    )
    lasts = DurationField(
        label=_("Show it for"),
        least=60,
        most=YEAR,
        required=False,
        help_text=_("Such as 8 h or 3 d. Empty: until a member dismisses it."),
    )

    def document(self, at: datetime) -> dict[str, Any]:
        """Return the valid form as the API takes it."""
        document = {"text": self.cleaned_data["text"].replace("\r\n", "\n")}
        if (seconds := self.cleaned_data["lasts"]) is not None:
            document["expires_at"] = format_time(at + timedelta(seconds=seconds))
        return document
