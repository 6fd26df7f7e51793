"""Define the form of a rotation."""

from django import forms
from django.utils.translation import gettext_lazy as _

OVERLAPS = [
    ("86400", _("One day")),
    ("3600", _("One hour")),
    ("604800", _("Seven days")),
    ("0", _("None: the key before it has leaked")),
]


class RotationForm(forms.Form):
    """Ask how long the key before it signs along.

    `replaces` is the key that its page showed: a form that is sent again replaces nothing else.
    """

    kind = forms.ChoiceField(choices=[("v1", "v1"), ("v1a", "v1a")], widget=forms.HiddenInput)
    overlap_seconds = forms.ChoiceField(
        label=_("The key before it also signs for"), choices=OVERLAPS, initial="86400"
    )
    replaces = forms.CharField(required=False, widget=forms.HiddenInput)
