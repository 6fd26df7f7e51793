"""Show what a service refused at the fields of a form."""

from collections.abc import Mapping

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from biolayer.errors import Fault, InvalidInput

# Our words for the codes that an operator can meet. A code that is missing here has the service's.
SENTENCES: dict[str, str | Promise] = {
    "required": _("Fill this in."),
    "blank": _("Fill this in."),
    "too_long": _("This is too long."),
    "too_short": _("This is too short."),
    "too_small": _("This is below the least value."),
    "too_large": _("This is above the greatest value."),
    "pattern": _("This has characters that are not allowed."),
    "wrong_type": _("This is not a value of this kind."),
    "nul_character": _("This has a character that cannot be stored."),
    "in_the_past": _("Choose a time in the future."),
    "duplicate": _("This is given twice."),
    "unknown_pool": _("This pool is closed, or you may not use it."),
    "unknown_worker": _("This is none of your workers."),
    "unknown_skill": _("A level is given for a skill that the worker lacks."),
    "unknown_time_zone": _("Choose a time zone from the list."),
    "overlap": _("These hours overlap."),
    "ends_before_it_begins": _("The end must be after the beginning, on the same day."),
    "not_growing": _("Each step must come later than the one before."),
    "role_too_low": _("A scope needs a higher role than this one."),
    "invalid_network": _("Enter addresses or CIDR blocks, one on each line."),
    "locks_out_caller": _("None of these networks has your own address: you would be locked out."),
    "not_an_email": _("This is not an e-mail address."),
    "no_effect": _("This step changes nothing."),
    "scheme_not_allowed": _("Begin with https://."),
    "invalid_url": _("This is not an address that can be called."),
    "credentials_in_url": _("Leave credentials out of the address: they have fields of their own."),
    "address_not_allowed": _("This address is not public."),
    "reserved_header": _("This header is set by the service, or belongs to the credentials."),
    "in_the_future": _("This time is in the future."),
}


def add_faults(form: forms.Form, error: InvalidInput, fields: Mapping[str, str]) -> None:
    """Add each fault to the field of its pointer, else to the form as a whole.

    `fields` maps JSON Pointers to names of fields. A pointer covers all below it, unless a longer
    one does. A pointer that is missing belongs to the field of the same name, if there is one.
    """
    for fault in error.faults:
        name = _field_of(fault.pointer, fields)
        if name not in form.fields:
            name = fault.pointer.split("/")[1] if fault.pointer.startswith("/") else None
        is_field = name in form.fields
        form.add_error(name if is_field else None, str(sentence(fault, with_place=not is_field)))


def sentence(fault: Fault, *, with_place: bool = False) -> str | Promise:
    """Return a fault in the words of the page; `with_place`: with the pointer."""
    words = SENTENCES.get(fault.code) or fault.detail
    return f"{fault.pointer}: {words}" if with_place and fault.pointer else words


def _field_of(pointer: str, fields: Mapping[str, str]) -> str | None:
    above = [known for known in fields if f"{pointer}/".startswith(f"{known}/")]
    return fields[max(above, key=len)] if above else None
