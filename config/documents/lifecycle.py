"""Generate `docs/lifecycle.md`: the transition table, also as a diagram."""

from collections.abc import Mapping
from itertools import groupby

from biolayer.lifecycle import CLOSED, TRANSITIONS, Command, Status, Transition

WHEN: Mapping[Command, str] = {
    Command.DRAFT: "its author creates a draft",
    Command.PUBLISH: "its author publishes the draft",
    Command.CREATE: "a caller posts a valid contract",
    Command.QUEUE: "no gate is closed: no unfinished dependency, no pending approval, no pause",
    Command.MATCH: "an eligible worker is reserved",
    Command.OFFER: "an offer is made to the worker",
    Command.REQUEUE: "all offers were declined or have expired",
    Command.ACCEPT: "a worker accepts an offer in time",
    Command.CLAIM: "an agent accepts the task without an offer",
    Command.START: "the worker starts",
    Command.RELEASE: "the worker releases the run; no attempt is used",
    Command.LAPSE: "the lease ended without a heartbeat; no attempt is used",
    Command.RETRY: "the run failed and an attempt is left",
    Command.SUBMIT: "the worker submits a valid output, with evidence if required",
    Command.REWORK: "a reviewer requests rework and an attempt is left",
    Command.VERIFY: "the checks passed, and a reviewer approved if the policy requires it",
    Command.COMPLETE: "the result is handed off",
    Command.CANCEL: "the caller cancels",
    Command.FAIL: "no attempt is left, or the output was rejected permanently",
    Command.REOPEN: "an administrator reopens it and an attempt is left",
    Command.ESCALATE: "no worker accepted: an escalation step applies; the status does not change",
    Command.WARN: "80 % of an SLA clock's time has passed; the status does not change",
    Command.BREACH: "an SLA clock ran out; the status does not change",
}
WITHOUT_NEW_STATUS = (Command.ESCALATE, Command.WARN, Command.BREACH)

HEAD = """\
# The lifecycle of a task

Generated from `biolayer/lifecycle.py` by `python3 manage.py document`. Edit that table, not this
page.

Every transition appends exactly one event, with the task's next sequence number, in the database
transaction that changes the task. Nothing else appends events.

"""


def page() -> str:
    return f"{HEAD}{_diagram()}\n{_table()}"


def _diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2"]
    for (source, target), rows in groupby(sorted(_moves(), key=_ends), key=_ends):
        lines.append(f"    {source} --> {target}: {', '.join(row.command for row in rows)}")
    lines += [f"    {status} --> [*]" for status in Status if status in CLOSED]
    return "\n".join([*lines, "```", ""])


def _moves() -> list[Transition]:
    return [row for row in TRANSITIONS if row.command not in WITHOUT_NEW_STATUS]


def _ends(row: Transition) -> tuple[str, str]:
    return row.source or "[*]", row.target


def _table() -> str:
    lines = ["| command | from | to | event | when |", "|---|---|---|---|---|"]
    for command, rows in groupby(TRANSITIONS, key=lambda row: row.command):
        rows_of = list(rows)
        sources = " ".join(row.source or "—" for row in rows_of)
        target = "unchanged" if command in WITHOUT_NEW_STATUS else rows_of[0].target
        event = rows_of[0].event
        lines.append(f"| `{command}` | {sources} | {target} | `{event}` | {WHEN[command]} |")
    return "\n".join([*lines, ""])
