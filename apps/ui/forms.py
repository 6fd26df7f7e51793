"""Define the forms of our own pages."""

from typing import Any

from allauth.account.fields import SetPasswordField
from django import forms


class JoinForm(forms.Form):
    """Ask a new person for a name and a password."""

    name = forms.CharField(
        label="Your name",
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        help_text="Members of the organisation see it.",
    )
    password = SetPasswordField(label="Password")

    def __init__(self, *args: Any, user: Any = None, **kwargs: Any) -> None:
        """Take the person as they will be, whom the password must not resemble."""
        super().__init__(*args, **kwargs)
        self.fields["password"].user = user  # type: ignore[attr-defined]

    def clean_name(self) -> str:
        name = " ".join(str(self.cleaned_data["name"]).split())
        if not name:
            raise forms.ValidationError("Enter your name.")
        return name
