"""Define fields that several forms of the console have."""

import re
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.pools.texts import duration_text

DURATION = re.compile(r"(\d{1,9})\s*(s|min|h|d)?", re.IGNORECASE)
SECONDS = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86_400}


class DurationField(forms.CharField):
    """Take a duration such as 45 s, 5 min, 2 h or 1 d; its value is whole seconds."""

    def __init__(self, *, least: int, most: int, **kwargs: Any) -> None:
        """Take the bounds in seconds."""
        super().__init__(max_length=20, **kwargs)
        self.least, self.most = least, most

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        match = DURATION.fullmatch(text)
        if match is None:
            raise forms.ValidationError(_("Enter a duration such as 45 s, 5 min or 2 h."))
        seconds = int(match[1]) * SECONDS[(match[2] or "").lower()]
        if not self.least <= seconds <= self.most:
            raise forms.ValidationError(
                _("Enter a duration from %(least)s to %(most)s.")
                % {"least": duration_text(self.least), "most": duration_text(self.most)}
            )
        return seconds

    def prepare_value(self, value: Any) -> Any:
        return duration_text(value) if isinstance(value, int) else value


def words_of(text: str) -> list[str]:
    """Return the words of a text, separated by commas, semicolons, spaces or lines."""
    return [word for word in re.split(r"[\s,;]+", text) if word]
