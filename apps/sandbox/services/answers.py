"""Generate what a simulated worker submits: an output by the task's contract."""

from typing import Any

from apps.tasks.models import Task
from apps.tasks.outputs import output_faults
from apps.tasks.schemas.sample import SENTENCE, CannotSample, sample_output
from apps.tasks.services.runs import MAX_OUTPUT_BYTES
from biolayer.contract import json_faults

MAX_FAULTS = 3


class Unanswerable(Exception):
    """Raised for a contract that no output was generated for; its text is the task's reason."""


def generated_output(task: Task) -> Any:
    """Return an output that the contract accepts, by the check that a submission must pass.

    Raise `Unanswerable`.
    """
    try:
        output = _output(task)
    except CannotSample as error:
        raise Unanswerable(_reason(str(error))) from error
    faults = [
        *json_faults(output, ("output",), MAX_OUTPUT_BYTES),
        *output_faults(output, task.output_schema, task.expected_format),
    ]
    if faults:
        texts = [f"{fault.pointer}: {fault.detail}" for fault in faults[:MAX_FAULTS]]
        raise Unanswerable(_reason("; ".join(texts)))
    return output


def _output(task: Task) -> Any:
    if task.expected_format == "text":
        return SENTENCE.strip()
    if task.output_schema is None:
        return None
    return sample_output(task.output_schema)


def _reason(text: str) -> str:
    return f"The sandbox cannot generate an output for this schema. {text}"[:1000]


def evidence_text(task: Task) -> bytes:
    """Return the content of a file of evidence."""
    return f"Simulated evidence for task {task.id}.\n{SENTENCE}\n".encode()
