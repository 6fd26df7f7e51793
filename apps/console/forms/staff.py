"""The form that opens an access to an organisation."""

from django import forms
from django.utils.translation import gettext_lazy as _

DURATIONS = [(15, _("15 minutes")), (30, _("30 minutes")), (60, _("60 minutes"))]


class AccessForm(forms.Form):
    """Ask why and for how long the staff of the installation reads an organisation."""

    reason = forms.CharField(
        label=_("Reason"),
        help_text=_(
            "At least 10 characters. The organisation's admins read it, and its audit log keeps it:"
            " a number of a support case, say, and no personal data."
        ),
        min_length=10,
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    minutes = forms.TypedChoiceField(
        label=_("For how long"), choices=DURATIONS, coerce=int, initial=30
    )
