"""Define the forms of our own pages."""

from typing import Any

from allauth.account import forms as allauth_forms
from allauth.account.fields import SetPasswordField
from django import forms
from django.utils.translation import gettext_lazy as _

RULES = _("At least 12 characters. Not a common password, and not your name or address.")


class ChangePasswordForm(allauth_forms.ChangePasswordForm):
    """Name the fields and the rules in our words."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["oldpassword"].label = _("Current password")
        _name_new_password(self)


class ResetPasswordKeyForm(allauth_forms.ResetPasswordKeyForm):
    """Name the fields and the rules in our words."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _name_new_password(self)


def _name_new_password(form: forms.Form) -> None:
    form.fields["password1"].label = _("New password")
    form.fields["password1"].help_text = RULES
    form.fields["password2"].label = _("New password again")


class JoinForm(forms.Form):
    """Ask a new person for a name and a password."""

    name = forms.CharField(
        label=_("Your name"),
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        help_text=_("Members of the organisation see it."),
    )
    password = SetPasswordField(label=_("Password"), help_text=RULES)

    def __init__(self, *args: Any, user: Any = None, **kwargs: Any) -> None:
        """Take the person as they will be, whom the password must not resemble."""
        super().__init__(*args, **kwargs)
        self.fields["password"].user = user  # type: ignore[attr-defined]

    def clean_name(self) -> str:
        name = " ".join(str(self.cleaned_data["name"]).split())
        if not name:
            raise forms.ValidationError(_("Enter your name."))
        return name
