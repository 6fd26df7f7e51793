"""Test where a form shows what a service refused."""

from django import forms

from apps.console.forms.faults import add_faults
from biolayer.errors import Fault, InvalidInput


class Form(forms.Form):
    name = forms.CharField()
    steps = forms.CharField(required=False)
    first = forms.CharField(required=False)


def shown(*faults: Fault, **fields: str) -> dict[str, list[str]]:
    form = Form({"name": "Front desk"})
    assert form.is_valid()
    add_faults(form, InvalidInput(list(faults)), {f"/{key}": name for key, name in fields.items()})
    return {name: [str(text) for text in texts] for name, texts in form.errors.items()}


def test_add_faults__are_at_the_fields_of_their_pointers() -> None:
    errors = shown(
        Fault("/name", "too_long", "must have at most 200 characters"),
        Fault("/escalation/steps/1/widen_to_pools/0", "unknown_pool", "is no open pool"),
        escalation="steps",
    )
    assert errors == {
        "name": ["This is too long."],
        "steps": ["This pool is closed, or you may not use it."],
    }


def test_add_faults__choose_the_longest_pointer() -> None:
    faults = [
        Fault("/steps/0/after_seconds", "own_code", "is odd"),
        Fault("/steps/01", "own_code", "is even"),
    ]
    form = Form({"name": "Front desk"})
    assert form.is_valid()
    add_faults(form, InvalidInput(faults), {"/steps": "steps", "/steps/0": "first"})
    assert form.errors == {"first": ["is odd"], "steps": ["is even"]}


def test_add_faults__without_a_field_name_their_place() -> None:
    assert shown(Fault("/costs/call", "too_large", "must be at most 100"), Fault("", "x", "y")) == {
        "__all__": ["/costs/call: This is above the greatest value.", "y"]
    }
