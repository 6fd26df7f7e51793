"""`python3 -m biolayer`: a backend's calls from a shell. Keys come from the environment."""

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
  BIOLAYER_URL             where BioLayer runs; http://127.0.0.1:8000 unless set
  BIOLAYER_WEBHOOK_SECRET  what `listen` signs with; a new one each time unless set
"""
WHERE_KEYS_ARE = "`make run` keeps the demo's in .biolayer/demo.json."
UNAUTHENTICATED = 401


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it was done, 1 when it was refused."""
    parsed = _parser().parse_args(arguments)
    key = os.environ.get("BIOLAYER_API_KEY")
    if not key:
        print(f"Set BIOLAYER_API_KEY to an API key of yours. {WHERE_KEYS_ARE}", file=sys.stderr)
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
            f"Nothing answers at {url} ({error}). Set BIOLAYER_URL to where BioLayer runs.",
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
        description="A product backend's calls from a shell.",
        epilog=VARIABLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    create = commands.add_parser("create", help="post a task from a JSON file (- is stdin)")
    create.add_argument("file")
    create.set_defaults(run=_create)
    show = commands.add_parser("show", help="show a task")
    show.add_argument("task_id")
    show.set_defaults(run=_show)
    cancel = commands.add_parser("cancel", help="call a task off")
    cancel.add_argument("task_id")
    cancel.add_argument("--reason", default="")
    cancel.set_defaults(run=_cancel)
    verify = commands.add_parser("verify", help="check the hash chain of a task's events")
    verify.add_argument("task_id")
    verify.set_defaults(run=_verify)
    hear = commands.add_parser(
        "listen",
        help="forward events as webhooks to an address of yours",
        epilog=VARIABLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    hear.add_argument("--forward", required=True, metavar="URL", help="http://localhost:3000/hook")
    hear.add_argument("--types", default="task.*", help="parted by commas; task.* unless given")
    hear.add_argument("--after", default="latest", help="a cursor, or `beginning`")
    hear.set_defaults(run=_listen)
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
        print(f"{len(events)} events, the chain is whole")
        return 0
    print(f"the chain breaks at event {broken}", file=sys.stderr)
    return 1


def _listen(backend: Backend, parsed: argparse.Namespace) -> int:
    with contextlib.suppress(KeyboardInterrupt):
        listen(
            backend,
            forward=parsed.forward,
            keys=signing_keys(os.environ.get("BIOLAYER_WEBHOOK_SECRET")),
            say=_say,
            types=",".join(part.strip() for part in parsed.types.split(",")),
            after=parsed.after,
        )
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
