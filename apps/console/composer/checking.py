"""Check the text of a contract as `POST /v1/tasks` does, and say on which line each fault is."""

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.utils.translation import gettext

from apps.accounts.principal import Principal
from apps.console.composer.lines import line_of, lines_of
from apps.tasks import services
from biolayer.contract import MAX_DEPTH, depth_of
from biolayer.errors import BioLayerError, InvalidInput, RequestIdReused

MAX_BYTES = 256 * 1024


class Problem(NamedTuple):
    """Hold a fault of the contract: its pointer, its line, and what is wrong."""

    pointer: str
    line: int
    text: str


class Checked(NamedTuple):
    """Hold a document that was parsed, or the problems of its text."""

    document: Any
    problems: Sequence[Problem]


def parsed(text: str) -> Checked:
    """Return the document of a text, or why it is no JSON that the service takes."""
    if len(text.encode(errors="replace")) > MAX_BYTES:
        return Checked(None, [Problem("", 1, gettext("This is too long for a contract."))])
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        words = gettext("This is not JSON: %(fault)s") % {"fault": error.msg}
        return Checked(None, [Problem("", error.lineno, words)])
    if depth_of(document) > MAX_DEPTH:
        return Checked(None, [Problem("", 1, gettext("This nests too deeply."))])
    return Checked(document, ())


def checked(*, actor: Principal, text: str, at: datetime) -> Checked:
    """Return the document with its problems, by the service's own check. Write nothing."""
    found = parsed(text)
    if found.problems:
        return found
    try:
        services.check_contract(actor=actor, document=found.document, at=at)
    except BioLayerError as error:
        return Checked(found.document, problems_of(error, text))
    return found


def problems_of(error: BioLayerError, text: str) -> list[Problem]:
    """Return what the service refused, in the order of the lines."""
    lines = lines_of(text)
    if not isinstance(error, InvalidInput):
        pointer = "/origin/request_id" if isinstance(error, RequestIdReused) else "/origin/org_id"
        return [Problem(pointer, line_of(pointer, lines), str(error))]
    problems = [
        Problem(fault.pointer, line_of(fault.pointer, lines), fault.detail)
        for fault in error.faults
    ]
    return sorted(problems, key=lambda one: one.line)


def curl_command(base_url: str, text: str) -> str:
    """Return the call that posts the text, for a POSIX shell; the key is in `$BIOLAYER_KEY`."""
    return " \\\n  ".join(
        (
            f"curl --request POST {shlex.quote(base_url + '/v1/tasks')}",
            '--header "Authorization: Bearer $BIOLAYER_KEY"',
            "--header 'Content-Type: application/json'",
            f"--data-binary {shlex.quote(text)}",
        )
    )
