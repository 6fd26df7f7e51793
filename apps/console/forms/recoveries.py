"""Define the form of a recovery."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from biolayer.requests.webhooks import DEFAULT_RATE_PER_MINUTE, MAX_RATE_PER_MINUTE

FIELDS = {
    "/kind": "kind",
    "/since": "since",
    "/until": "until",
    "/endpoint_id": "endpoint_id",
    "/rate_per_minute": "rate_per_minute",
}
TIME = "%Y-%m-%dT%H:%M"


def _time(label: Any, hint: Any, *, required: bool) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format=TIME)
    return forms.DateTimeField(
        label=label, required=required, widget=widget, input_formats=[TIME], help_text=hint
    )


class RecoveryForm(forms.Form):
    """Ask what is sent again, to whom, and how fast. Times are in the reader's time zone."""

    kind = forms.ChoiceField(
        label=_("What"),
        choices=[
            ("failed", _("What failed: given up, or being retried")),
            ("missed", _("What the endpoint missed: events that were never sent to it")),
        ],
    )
    endpoint_id = forms.ChoiceField(label=_("Endpoint"), required=False)
    since = _time(_("From"), _("When the first of the events was created."), required=True)
    until = _time(_("To"), _("Empty: until now."), required=False)
    rate_per_minute = forms.IntegerField(
        label=_("So many a minute"),
        initial=DEFAULT_RATE_PER_MINUTE,
        min_value=1,
        max_value=MAX_RATE_PER_MINUTE,
        help_text=_("Slow enough for a receiver that has just come back."),
    )

    def __init__(self, *args: Any, endpoints: Iterable[tuple[str, str]], **kwargs: Any) -> None:
        """Take the endpoints to choose from."""
        super().__init__(*args, **kwargs)
        every = ("", _("All endpoints and callbacks"))
        field: Any = self.fields["endpoint_id"]
        field.choices = [every, *endpoints]
        self.fields["since"].initial = timezone.localtime() - timedelta(days=1)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("kind") == "missed" and not data.get("endpoint_id"):
            self.add_error("endpoint_id", _("Choose the endpoint that missed them."))
        if data.get("since") and data["since"] > timezone.now():
            self.add_error("since", _("This time is in the future."))
        if data.get("since") and data.get("until") and data["until"] < data["since"]:
            self.add_error("until", _("This is before the beginning."))
        return data

    def document(self) -> dict[str, Any]:
        """Return the body of `POST /v1/recoveries`."""
        data = self.cleaned_data
        until = data["until"]
        document = {
            "kind": data["kind"],
            "since": data["since"].isoformat(),
            "rate_per_minute": data["rate_per_minute"],
        }
        if until:
            document["until"] = until.isoformat()
        if data["endpoint_id"]:
            document["endpoint_id"] = data["endpoint_id"]
        return document
