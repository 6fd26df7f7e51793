"""Provide `python3 -m biolayer`, a command line for a product backend's calls."""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from biolayer import chain
from biolayer.client import Backend, Problem
from biolayer.listen import listen, signing_keys

VARIABLES = """\
environment:
  BIOLAYER_API_KEY         the API key
  BIOLAYER_URL             the URL of BioLayer (default: http://127.0.0.1:8000)
  BIOLAYER_WEBHOOK_SECRET  the secret that `listen` signs with (default: a new one each time)
"""
WHERE_KEYS_ARE = "`make run` stores the demo's keys in .biolayer/demo.json."
UNAUTHENTICATED = 401


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Return the exit status: 0 on success, 1 on an error."""
    parsed = _parser().parse_args(arguments)
    key = os.environ.get("BIOLAYER_API_KEY")
    if not key:
        print(f"Set BIOLAYER_API_KEY to your API key. {WHERE_KEYS_ARE}", file=sys.stderr)
        return 1
    url = os.environ.get("BIOLAYER_URL", "http://127.0.0.1:8000")
    for name, address in ("BIOLAYER_URL", url), ("--forward", getattr(parsed, "forward", url)):
        if not address.startswith(("http://", "https://")):
            print(f"{name} must begin with http:// or https://, not {address}", file=sys.stderr)
            return 1
    try:
        with Backend(url, key) as backend:
            return int(parsed.run(backend, parsed))
    except httpx.TransportError as error:
        print(
            f"Cannot connect to {url} ({error}). Set BIOLAYER_URL to the URL of BioLayer.",
            file=sys.stderr,
        )
        return 1
    except (Problem, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        if isinstance(error, Problem) and error.http_status == UNAUTHENTICATED:
            print(f"BIOLAYER_API_KEY is not a key of {url}. {WHERE_KEYS_ARE}", file=sys.stderr)
        for fault in getattr(error, "faults", []):
            print(f"  {fault.pointer or '/'}: {fault.detail} ({fault.code})", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m biolayer",
        description="Call BioLayer as a product backend.",
        epilog=VARIABLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    create = commands.add_parser("create", help="create a task from a JSON file (- for stdin)")
    create.add_argument("file")
    create.set_defaults(run=_create)
    show = commands.add_parser("show", help="show a task")
    show.add_argument("task_id")
    show.set_defaults(run=_show)
    cancel = commands.add_parser("cancel", help="cancel a task")
    cancel.add_argument("task_id")
    cancel.add_argument("--reason", default="")
    cancel.set_defaults(run=_cancel)
    verify = commands.add_parser("verify", help="verify the hash chain of a task's events")
    verify.add_argument("task_id")
    verify.set_defaults(run=_verify)
    forward = commands.add_parser(
        "listen",
        help="forward events as webhooks to a local URL",
        epilog=VARIABLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    forward.add_argument(
        "--forward", required=True, metavar="URL", help="http://localhost:3000/hook"
    )
    forward.add_argument(
        "--types", default="task.*", help="event types, separated by commas (default: task.*)"
    )
    forward.add_argument(
        "--after", default="latest", help="a cursor, `beginning` or `latest` (default: latest)"
    )
    forward.set_defaults(run=_listen)
    return parser


def _print(document: Any) -> int:
    print(json.dumps(document, indent=2, ensure_ascii=False))
    return 0


def _create(backend: Backend, parsed: argparse.Namespace) -> int:
    text = sys.stdin.read() if parsed.file == "-" else Path(parsed.file).read_text()
    return _print(backend.create_task(**json.loads(text)))


def _show(backend: Backend, parsed: argparse.Namespace) -> int:
    return _print(backend.task(parsed.task_id))


def _cancel(backend: Backend, parsed: argparse.Namespace) -> int:
    return _print(backend.cancel_task(parsed.task_id, parsed.reason))


def _verify(backend: Backend, parsed: argparse.Namespace) -> int:
    events = list(backend.events(parsed.task_id))
    broken = chain.first_broken(events)
    if broken is None:
        print(f"{len(events)} events, the chain is intact")
        return 0
    print(f"the chain is broken at event {broken}", file=sys.stderr)
    return 1


def _listen(backend: Backend, parsed: argparse.Namespace) -> int:
    with contextlib.suppress(KeyboardInterrupt):
        listen(
            backend,
            forward=parsed.forward,
            keys=signing_keys(os.environ.get("BIOLAYER_WEBHOOK_SECRET")),
            report=_report,
            types=",".join(part.strip() for part in parsed.types.split(",")),
            after=parsed.after,
        )
    return 0


def _report(line: str) -> None:
    print(line, flush=True)
