"""Define the form of an endpoint's settings, and its document for the service."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.webhooks.texts import PATTERN_TEXTS
from biolayer.events import EVENT_TYPES, KNOWN_PATTERNS

# Where a fault of the service's document is shown.
FIELDS = {
    "/url": "url",
    "/description": "description",
    "/event_types": "event_types",
    "/pool_ids": "pool_ids",
    "/domains": "domains",
    "/headers": "headers",
    "/auth": "auth_type",
    "/auth/token": "auth_secret",
    "/auth/username": "auth_name",
    "/auth/password": "auth_secret",
    "/auth/name": "auth_name",
    "/auth/value": "auth_secret",
    "/payload": "payload",
    "/ordering": "ordering",
    "/rate_limit_per_minute": "rate_limit_per_minute",
    "/timeout_seconds": "timeout_seconds",
    "/retry_policy": "max_retries",
    "/retry_policy/max_retries": "max_retries",
    "/retry_policy/backoff_seconds": "backoff_seconds",
}
# The fields of each kind of credentials: name in the document, name in the form.
CREDENTIALS: Mapping[str, Mapping[str, str]] = {
    "none": {},
    "bearer": {"token": "auth_secret"},
    "basic": {"username": "auth_name", "password": "auth_secret"},
    "header": {"name": "auth_name", "value": "auth_secret"},
}
KEEP = "keep"
AUTH_CHOICES = [
    ("none", _("None: the signature is enough")),
    ("bearer", _("A bearer token")),
    ("basic", _("User name and password")),
    ("header", _("A header of your own")),
]


def _is_grouped(pattern: str) -> bool:
    return pattern.endswith(".*")


def pattern_choices() -> list[tuple[str, str]]:
    """Return the patterns of events with what they mean; groups first."""
    patterns = sorted((one for one in KNOWN_PATTERNS if one != "*"), key=_order)
    return [(one, f"{one}: {PATTERN_TEXTS[one]}") for one in patterns]


def _order(pattern: str) -> tuple[bool, int]:
    return not _is_grouped(pattern), EVENT_TYPES.index(pattern) if pattern in EVENT_TYPES else 0


class EndpointForm(forms.Form):
    """Ask for what `/v1/webhook-endpoints` takes. Secrets are asked for, and never shown."""

    url = forms.CharField(
        label=_("URL"),
        max_length=2048,
        help_text=_("Each event is a POST to it. A public address with https."),
        widget=forms.TextInput(attrs={"inputmode": "url", "spellcheck": "false"}),
    )
    description = forms.CharField(
        label=_("Description"),
        required=False,
        max_length=500,
        help_text=_("What lists call it, the name of the receiver, say."),
    )
    event_types = forms.MultipleChoiceField(
        label=_("Events"),
        choices=pattern_choices,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("A group contains its events, except those that are sent only by their name."),
    )
    pool_ids = forms.MultipleChoiceField(
        label=_("Pools"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Only tasks of these pools. None chosen: of all pools."),
    )
    domains = forms.CharField(
        label=_("Domains"),
        required=False,
        help_text=_("Only tasks of these domains, with commas between. Empty: of all domains."),
    )
    payload = forms.ChoiceField(
        label=_("Content"),
        choices=[("full", _("All fields")), ("thin", _("Ids only: the rest is read by the API"))],
    )
    ordering = forms.ChoiceField(
        label=_("Order"),
        choices=[
            ("per_task", _("The events of a task one after another")),
            ("none", _("None: events may overtake each other")),
        ],
    )
    auth_type = forms.ChoiceField(
        label=_("Credentials"),
        help_text=_("Sent in addition to the signature, for a gateway in front of the receiver."),
    )
    auth_name = forms.CharField(
        label=_("User name, or name of the header"),
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    auth_secret = forms.CharField(
        label=_("Token, password, or value of the header"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("Stored encrypted, and never shown again."),
    )
    headers = forms.CharField(
        label=_("Headers of your own"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocomplete": "off"}),
    )
    keep_headers = forms.BooleanField(label=_("Keep the stored headers"), required=False)
    timeout_seconds = forms.IntegerField(
        label=_("Timeout in seconds"),
        initial=10,
        help_text=_("1 to 30. A receiver should answer first and work afterwards."),
    )
    rate_limit_per_minute = forms.IntegerField(
        label=_("At most so many a minute"),
        required=False,
        help_text=_("Endpoints of one host share the lowest of their limits. Empty: no limit."),
    )
    max_retries = forms.IntegerField(
        label=_("Retries"),
        required=False,
        help_text=_("0 to 20. Empty, and the wait, too: eleven retries over about 76 hours."),
    )
    backoff_seconds = forms.IntegerField(
        label=_("Seconds before the first retry"),
        required=False,
        help_text=_("1 to 3,600; each further wait is twice as long, at most 12 hours."),
    )

    def __init__(
        self, *args: Any, pools: Iterable[tuple[str, str]], endpoint: Any = None, **kwargs: Any
    ) -> None:
        """Take the pools to choose from, and the stored endpoint that is changed."""
        super().__init__(*args, **kwargs)
        self.endpoint = endpoint
        fields: dict[str, Any] = self.fields
        fields["pool_ids"].choices = list(pools)
        if not fields["pool_ids"].choices:
            del fields["pool_ids"]
        is_kept = endpoint is not None and endpoint.auth_type != "none"
        kept = [(KEEP, _("Keep the stored ones"))] if is_kept else []
        fields["auth_type"].choices = [*kept, *AUTH_CHOICES]
        names = [] if endpoint is None else endpoint.header_names
        if names:
            text = gettext("Stored: %(names)s. Written here, these lines replace them.")
            fields["headers"].help_text = text % {"names": ", ".join(names)}
        else:
            del fields["keep_headers"]
            fields["headers"].help_text = _("One a line, as Name: value. Values are never shown.")

    def clean_domains(self) -> list[str] | None:
        parts = str(self.cleaned_data["domains"]).replace(",", " ").split()
        return parts or None

    def clean_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for line in str(self.cleaned_data["headers"]).splitlines():
            if not line.strip():
                continue
            name, colon, value = line.partition(":")
            if not colon or not name.strip():
                raise forms.ValidationError(_("Write each header as Name: value."))
            headers[name.strip()] = value.strip()
        return headers

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        policy = [data.get("max_retries"), data.get("backoff_seconds")]
        if policy.count(None) == 1:
            missing = "max_retries" if policy[0] is None else "backoff_seconds"
            if missing not in self.errors:
                self.add_error(missing, _("Fill in both, or neither."))
        return data

    def document(self) -> dict[str, Any]:
        """Return the body of `/v1/webhook-endpoints`. Secrets that stay are not in it."""
        data = self.cleaned_data
        document = {
            "url": data["url"],
            "description": data["description"],
            "event_types": data["event_types"],
            "domains": data["domains"],
            "payload": data["payload"],
            "ordering": data["ordering"],
            "timeout_seconds": data["timeout_seconds"],
            "rate_limit_per_minute": data["rate_limit_per_minute"],
            "retry_policy": self._retry_policy(),
        }
        document["pool_ids"] = data.get("pool_ids") or None
        if data["auth_type"] != KEEP:
            fields = CREDENTIALS[data["auth_type"]]
            values = {name: data[field] for name, field in fields.items() if data[field]}
            document["auth"] = {"type": data["auth_type"], **values}
        if data["headers"] or not data.get("keep_headers"):
            document["headers"] = data["headers"]
        return document

    def _retry_policy(self) -> dict[str, int] | None:
        retries, backoff = self.cleaned_data["max_retries"], self.cleaned_data["backoff_seconds"]
        if retries is None:
            return None
        return {"max_retries": retries, "backoff_seconds": backoff}


def initial_of(endpoint: Any) -> dict[str, Any]:
    """Return the values of an endpoint's form; its secrets are not read."""
    return {
        "url": endpoint.url,
        "description": endpoint.description,
        "event_types": ["task.*" if one == "*" else one for one in endpoint.event_types],
        "pool_ids": [str(pool_id) for pool_id in endpoint.pool_ids or []],
        "domains": ", ".join(endpoint.domains or []),
        "payload": "thin" if endpoint.is_thin else "full",
        "ordering": "per_task" if endpoint.is_ordered else "none",
        "auth_type": KEEP if endpoint.auth_type != "none" else "none",
        "keep_headers": True,
        "timeout_seconds": endpoint.timeout_seconds,
        "rate_limit_per_minute": endpoint.rate_per_minute,
        "max_retries": endpoint.max_retries,
        "backoff_seconds": endpoint.backoff_seconds,
    }


class TestForm(forms.Form):
    """Ask which example is sent."""

    # pytest collects every class of this name as tests.
    __test__ = False

    event_type = forms.ChoiceField(
        label=_("Event"), choices=[(name, name) for name in EVENT_TYPES], initial="task.completed"
    )
