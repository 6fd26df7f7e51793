"""Check the names of query parameters, and how often each is given."""

from collections.abc import Collection, Iterable

from django.http import QueryDict
from rest_framework.request import Request

from biolayer.errors import Fault, InvalidInput, pointer

# Of one repeatable parameter.
MAX_VALUES = 20


def parameter_faults(
    query: QueryDict, known: Collection[str], *, repeatable: Collection[str] = ()
) -> list[Fault]:
    """Return a fault for each parameter that is unknown, and for each that is given too often.

    A parameter in `repeatable` may be given up to `MAX_VALUES` times, any other one once.
    """
    faults = []
    for name, values in query.lists():
        maximum = MAX_VALUES if name in repeatable else 1
        if name not in known:
            text = (
                f"is unknown; this call takes {', '.join(known)}"
                if known
                else "is unknown; this call takes no parameters"
            )
            faults.append(Fault(pointer(name), "unknown_parameter", text))
        elif len(values) > maximum:
            text = (
                f"must not be given more than {maximum} times"
                if maximum > 1
                else "must be given once"
            )
            faults.append(Fault(pointer(name), "repeated_parameter", text))
    return faults


def first_fault_of_each(faults: Iterable[Fault]) -> list[Fault]:
    """Return the first fault of each parameter."""
    first_faults: dict[str, Fault] = {}
    for fault in faults:
        first_faults.setdefault(fault.pointer, fault)
    return [*first_faults.values()]


def check_no_parameters(request: Request) -> None:
    """Raise `InvalidInput` if a call that takes no parameters has any."""
    faults = parameter_faults(request.query_params, ())
    if faults:
        raise InvalidInput(faults)
