"""Measure the wording of code and documentation.

`python3 -m tests.architecture.words` prints the figures of each folder.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Written so that this file does not contain the words itself.
# The Unix account with such a name is allowed in quotes.
FORBIDDEN = re.compile(
    r"\b(whoe[v]er|(some|any)body|in\s+vain|ane[w])\b|(?<![\"`])\bno(body)\b(?![\"`])", re.I
)
MAX_COLUMNS = 100

ROOTS = (
    "apps",
    "biolayer",
    "config",
    "local",
    "bench",
    "tests",
    "docs",
    "README.md",
    "CHANGELOG.md",
)
TEXTS = frozenset({".py", ".md", ".sql", ".json"})
SKIPPED = (
    "tests/data/",
    "tests/clients/generated/",
    "tests/clients/node_modules/",
    "tests/clients/package-lock.json",
)
DOCSTRINGS_IN = ("apps", "biolayer", "config", "local")

# Docstrings of these classes are published as descriptions of schemas and events. They follow the
# style of an API reference ("A pool of workers.", "Sent when …") and are counted apart.
PUBLISHED = (
    "biolayer/contract.py",
    "biolayer/events/",
    "biolayer/requests/",
    "biolayer/responses/",
)

_BASE_FORMS = """
Abort Accept Acknowledge Acquire Act Adapt Add Adjust Advance Aggregate Allocate Allow Annotate
Announce Answer Append Apply Archive Ask Assemble Assert Assign Attach Authenticate Authorise
Await Back Batch Begin Bind Block Boost Bound Bring Broadcast Buffer Build Bundle Cache Calculate
Call Cancel Capture Carry Change Charge Check Choose Claim Classify Clean Clear Close Collect
Combine Commit Compare Compile Complete Compose Compress Compute Configure Confirm Connect Consume
Contain Continue Convert Copy Count Cover Create Cut Deactivate Debounce Decide Declare Decline
Decode Decorate Decrypt Deduct Defer Define Delay Delegate Delete Deliver Demonstrate Derive
Describe Detach Detect Determine Disable Discard Disconnect Dispatch Display Distribute Divide Do
Document Drain Draw Drive Drop Emit Empty Emulate Enable Encode Encrypt End Enforce Enqueue Enrol
Ensure Enter Enumerate Escalate Escape Establish Estimate Evaluate Exclude Execute Exercise Exit
Expand Expect Expire Explain Expose Express Extend Extract Fail Feed Fetch Fill Filter Find Finish
Fire Fix Flag Flush Follow Forbid Force Forget Format Forward Free Freeze Gather Generate Get Give
Grant Group Guard Halt Handle Hash Have Hold Identify Ignore Implement Import Include Increase
Increment Index Infer Inform Initialise Insert Inspect Install Instrument Interleave Interpret
Interrupt Invalidate Invite Isolate Issue Iterate Join Judge Keep Kill Label Launch Lease Leave
Let Lift Limit Link Lint List Listen Load Locate Lock Log Look Lower Make Manage Map Mark Mask
Match Measure Merge Migrate Mirror Model Modify Monitor Mount Move Name Narrow Normalise Note
Notify Number Observe Obtain Offer Omit Open Order Overlap Override Pack Page Park Parse Pass
Patch Pause Perform Persist Pick Pin Place Plan Play Point Poll Pool Populate Post Postpone
Predict Prefetch Prepare Present Preserve Prevent Print Probe Process Produce Prolong Promote
Protect Prove Provide Provision Prune Publish Pull Purge Push Put Queue Quote Race Raise Rank Rate
Read Rebuild Recalculate Receive Reclaim Recompute Reconnect Record Recover Redact Redirect Reduce
Refer Refresh Refuse Register Reject Release Reload Remember Remove Rename Render Renew Reopen
Repair Repeat Replace Replay Reply Report Represent Request Require Reschedule Resend Reserve
Reset Resolve Respond Restart Restore Restrict Resume Retire Retrieve Retry Return Reuse Reverse
Revoke Rewrite Rotate Round Route Run Sample Save Say Scan Schedule Score Seal Search Select Send
Separate Serialise Serve Set Share Shorten Show Shut Sign Simulate Skip Sleep Snooze Sort Spawn
Specify Split Spread Start State Step Stop Store Stream Strip Submit Subscribe Subtract Suggest
Sum Supervise Supply Support Suspend Swap Switch Synchronise Take Tell Terminate Test Throttle
Tick Tie Time Trace Track Transfer Transform Translate Traverse Trigger Trim Truncate Try Turn
Undo Unlock Unpack Unpark Unsubscribe Unwrap Update Upgrade Upload Upsert Use Vacuum Validate
Verify Visit Wait Wake Walk Warm Warn Watch Weight Widen Withdraw Work Wrap Write Yield
"""
VERBS = tuple(_BASE_FORMS.split())


@dataclass
class Figures:
    """Hold the figures of a folder or file, each fault with its place."""

    forbidden: list[str] = field(default_factory=list)
    long_lines: list[str] = field(default_factory=list)
    imperative: int = 0
    other_openings: list[str] = field(default_factory=list)
    published: int = 0

    @property
    def share(self) -> float:
        """Return the share of docstrings, without published ones, that open in the imperative."""
        total = self.imperative + len(self.other_openings)
        return self.imperative / total if total else 1.0


def figures(prefix: str) -> Figures:
    """Measure the files below a folder, or one file. An absent folder has no faults."""
    total = Figures()
    for path in _files(ROOT / prefix):
        name, text = str(path.relative_to(ROOT)), path.read_text()
        total.forbidden += [f"{name}:{line}: {word}" for line, word in forbidden_words(text)]
        if path.suffix == ".py":
            _add_python(total, name, text)
    return total


def _files(root: Path) -> Iterator[Path]:
    for path in [root] if root.is_file() else sorted(root.rglob("*")):
        name = str(path.relative_to(ROOT))
        if path.suffix in TEXTS and path.is_file() and not name.startswith(SKIPPED):
            yield path


def _add_python(total: Figures, name: str, text: str) -> None:
    if "/migrations/" not in name:  # Migrations are never edited.
        total.long_lines += [f"{name}:{number}" for number in long_lines(text)]
    if not name.startswith(DOCSTRINGS_IN) or "/migrations/" in name:
        return
    for node, docstring in docstrings(text):
        if isinstance(node, ast.ClassDef) and name.startswith(PUBLISHED):
            total.published += 1
        elif opens_in_the_imperative(docstring):
            total.imperative += 1
        else:
            opening = " ".join(docstring.split()[:5])
            total.other_openings.append(f"{name}:{_line(node)}: {opening} …")


def forbidden_words(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the word of each forbidden word."""
    for match in FORBIDDEN.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, " ".join(match.group().split())


def long_lines(source: str) -> Iterator[int]:
    """Yield the numbers of lines that are longer than `MAX_COLUMNS`."""
    for number, line in enumerate(source.splitlines(), start=1):
        if len(line) > MAX_COLUMNS:
            yield number


def docstrings(source: str) -> Iterator[tuple[ast.AST, str]]:
    """Yield each module, class and function that has a docstring, with it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield node, docstring


def opens_in_the_imperative(docstring: str) -> bool:
    """Return whether the first word is a verb in the base form: one of `VERBS`."""
    return re.split(r"[\s,.:;]", docstring, maxsplit=1)[0] in VERBS


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 1)


def main() -> None:
    """Print the figures of each root, by its folders."""
    print(f"{'folder':34} words  long  docstrings  imperative  published")
    for root in ROOTS:
        path = ROOT / root
        children = sorted(path.iterdir()) if path.is_dir() else [path]
        for child in children:
            found = figures(str(child.relative_to(ROOT)))
            count = found.imperative + len(found.other_openings)
            if count or found.forbidden or found.long_lines:
                print(
                    f"{child.relative_to(ROOT)!s:34} {len(found.forbidden):5} "
                    f"{len(found.long_lines):5} {count:11} {found.share:10.0%} "
                    f"{found.published:10}"
                )


if __name__ == "__main__":
    main()
