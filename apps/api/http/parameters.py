"""The parameters of the query: which there are, and which may come more than once."""

from collections.abc import Collection, Iterable

from django.http import QueryDict
from rest_framework.request import Request

from biolayer.errors import Fault, InvalidInput, pointer

MAX_VALUES = 20
"""Of one parameter that may come more than once."""


def parameter_faults(
    given: QueryDict, known: Collection[str], *, several: Collection[str] = ()
) -> list[Fault]:
    """Return a fault for each parameter that is not known, and for each that comes too often.

    Those in `several` may come up to `MAX_VALUES` times; any other one only once.
    """
    faults = []
    for name, values in given.lists():
        most = MAX_VALUES if name in several else 1
        if name not in known:
            text = f"is none of {', '.join(known)}" if known else "is unknown: this call takes none"
            faults.append(Fault(pointer(name), "unknown_parameter", text))
        elif len(values) > most:
            text = f"must not be given more than {most} times" if most > 1 else "must be given once"
            faults.append(Fault(pointer(name), "repeated_parameter", text))
    return faults


def first_of_each(faults: Iterable[Fault]) -> list[Fault]:
    """Return the first fault of each parameter: of one that comes twice, nothing else is told."""
    found: dict[str, Fault] = {}
    for fault in faults:
        found.setdefault(fault.pointer, fault)
    return [*found.values()]


def refuse_parameters(request: Request) -> None:
    """Raise `InvalidInput` where a call that takes no parameters has some."""
    faults = parameter_faults(request.query_params, ())
    if faults:
        raise InvalidInput(faults)
