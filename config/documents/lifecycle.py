"""`docs/lifecycle.md`: the law as a diagram and a table."""

from collections.abc import Mapping
from itertools import groupby

from biolayer.lifecycle import CLOSED, TRANSITIONS, Command, Status, Transition

WHEN: Mapping[Command, str] = {
    Command.DRAFT: "its author keeps it aside",
    Command.PUBLISH: "its author publishes the draft",
    Command.CREATE: "a caller posts a valid contract",
    Command.QUEUE: "no gate is closed: no unfinished dependency, no pending approval, no pause",
    Command.MATCH: "an eligible worker was found and reserved",
    Command.OFFER: "the offer is out",
    Command.REQUEUE: "every offer was declined or expired",
    Command.ACCEPT: "a worker accepts in time",
    Command.CLAIM: "an agent takes it without an offer",
    Command.START: "the worker begins",
    Command.RELEASE: "the worker gives the run back; no attempt is used",
    Command.LAPSE: "the lease ended without a sign of life; no attempt is used",
    Command.RETRY: "the run failed and an attempt is left",
    Command.SUBMIT: "an output that satisfies the schema, with evidence where required",
    Command.REWORK: "the reviewer asks for rework and an attempt is left",
    Command.VERIFY: "the checks passed, and a reviewer approved where the policy asks for it",
    Command.COMPLETE: "handed off",
    Command.CANCEL: "the caller cancels",
    Command.FAIL: "attempts used up, or rejected for good",
    Command.REOPEN: "an administrator reopens it and an attempt is left",
    Command.ESCALATE: "nobody takes it, and its policy takes a step; the status stays",
    Command.WARN: "80 % of an SLA clock's time have passed; the status stays",
    Command.BREACH: "an SLA clock ran out; the status stays",
}
REMARKS = (Command.ESCALATE, Command.WARN, Command.BREACH)

HEAD = """\
# The lifecycle of a task

Made from `biolayer/lifecycle.py` by `python3 manage.py document`; edit that table, not this page.

Every transition appends exactly one event with the task's next sequence number, in the transaction
that changes the task. Nothing else does.

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
    return [row for row in TRANSITIONS if row.command not in REMARKS]


def _ends(row: Transition) -> tuple[str, str]:
    return row.source or "[*]", row.target


def _table() -> str:
    lines = ["| command | from | to | event | when |", "|---|---|---|---|---|"]
    for command, rows in groupby(TRANSITIONS, key=lambda row: row.command):
        rows_of = list(rows)
        sources = " ".join(row.source or "—" for row in rows_of)
        target = "unchanged" if command in REMARKS else rows_of[0].target
        event = rows_of[0].event
        lines.append(f"| `{command}` | {sources} | {target} | `{event}` | {WHEN[command]} |")
    return "\n".join([*lines, ""])
