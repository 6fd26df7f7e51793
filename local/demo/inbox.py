"""Receive the demo's callbacks, verify their signatures, and show them in a browser and as JSON.

`python3 -m local.demo.inbox --port 8002 --secret-file demo.json`. Like a product backend it knows
only the webhook secret and the address of the public keys. No Django here: it starts quickly and
stays small.
"""

import argparse
import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from biolayer import signing
from biolayer.errors import InvalidInput, SignatureInvalid

MAX_CALLBACKS = 500
_MAX_BODY = 1024 * 1024
JWKS_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Callback:
    """Describe one delivery as received. `fault`: why its signature was refused; None if valid."""

    received_at: str
    path: str
    event: str
    sequence: int | None
    task_id: str
    title: str
    verified: bool
    fault: str | None
    headers: dict[str, str]
    body: Any


class Inbox:
    """Store the last callbacks, newest first, in memory only."""

    def __init__(self, secrets: Sequence[str], jwks_url: str = "") -> None:
        self._secrets = list(secrets)
        self._keys = self._secrets
        self._jwks_url = jwks_url
        self._callbacks: deque[Callback] = deque(maxlen=MAX_CALLBACKS)

    async def receive(self, request: web.Request) -> web.Response:
        raw = await request.read()
        now = datetime.now(UTC)
        fault = self._fault(request.headers, raw, now)
        if fault is not None and await self._fetch_keys():
            fault = self._fault(request.headers, raw, now)
        callback = _callback(request, raw, now, fault)
        self._callbacks.appendleft(callback)
        print(_log_line(callback), flush=True)
        if fault is not None:
            return web.Response(status=401, text=f"{fault}\n")
        return web.Response(status=204)

    async def show(self, request: web.Request) -> web.Response:
        return web.Response(
            # A lone surrogate in received JSON must not break the page.
            body=_page(list(self._callbacks)).encode("utf-8", errors="replace"),
            content_type="text/html",
            charset="utf-8",
        )

    async def list(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [asdict(callback) for callback in self._callbacks]})

    def _fault(self, headers: Mapping[str, str], raw: bytes, now: datetime) -> str | None:
        try:
            signing.verify(secrets=self._keys, headers=headers, body=raw, now=now)
        except SignatureInvalid as error:
            return str(error) or "signature invalid"
        return None

    async def _fetch_keys(self) -> bool:
        """Fetch the organisation's public keys: the secret may have been rotated."""
        if not self._jwks_url:
            return False
        timeout = ClientTimeout(total=JWKS_SECONDS)
        try:
            async with (
                ClientSession(timeout=timeout) as client,
                client.get(self._jwks_url) as response,
            ):
                published = signing.keys_from_jwks(await response.json())
        except (ClientError, TimeoutError, ValueError, InvalidInput):
            return False
        self._keys = [*self._secrets, *published]
        return bool(published)


def application(secrets: Sequence[str], jwks_url: str = "") -> web.Application:
    """Return an aiohttp application: GET `/` and `/callbacks.json`, POST to any path."""
    inbox = Inbox(secrets, jwks_url)
    app = web.Application(client_max_size=_MAX_BODY)
    app.add_routes(
        [
            web.get("/", inbox.show),
            web.get("/callbacks.json", inbox.list),
            web.post("/{path:.*}", inbox.receive),
        ]
    )
    return app


def _callback(request: web.Request, raw: bytes, now: datetime, fault: str | None) -> Callback:
    body = _parsed(raw)
    envelope = body if isinstance(body, dict) else {}
    inner = envelope.get("data")
    data: dict[str, Any] = inner if isinstance(inner, dict) else {}
    sequence = data.get("sequence")
    return Callback(
        received_at=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        path=request.path,
        event=str(envelope.get("type", "?")),
        sequence=sequence if isinstance(sequence, int) else None,
        task_id=str(data.get("task_id", "")),
        title=str(data.get("title") or data.get("task_type") or ""),
        verified=fault is None,
        fault=fault,
        headers=_display_headers(request.headers),
        body=body,
    )


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw.decode("utf-8", errors="replace")


def _display_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with lower-case names.

    Of the authorization only the scheme is shown: every user of the machine can open this page.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    if "authorization" in lowered:
        lowered["authorization"] = f"{lowered['authorization'].split(' ', 1)[0]} …"
    return lowered


def _log_line(callback: Callback) -> str:
    number = f"#{callback.sequence}" if callback.sequence is not None else "#?"
    verdict = "signature ok" if callback.verified else f"SIGNATURE REFUSED: {callback.fault}"
    return _printable(f"{callback.event:<17} {number:<4} {callback.title}  {verdict}")


def _printable(text: str) -> str:
    """Replace control characters: anyone can post here, and must not control the terminal."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:300]
    )


# --- the page -------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --ok: #1a7f37; --bad: #cf222e; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.3rem; margin: 0; } header p { margin: .2rem 0 1rem; opacity: .7; }
article { border-top: 1px solid var(--line); padding: .6rem 0; }
article > p { margin: 0; display: flex; flex-wrap: wrap; gap: .1rem .8rem; align-items: baseline; }
b { font-size: 1.05rem; } time, code, small { opacity: .75; font-size: .85rem; }
code, pre { font-family: ui-monospace, monospace; }
.ok { color: var(--ok); } .bad { color: var(--bad); font-weight: 600; }
summary { cursor: pointer; font-size: .9rem; padding: .3rem 0; }
pre { background: #8881; border-radius: .4rem; margin: 0; overflow-x: auto;
  padding: .7rem; font-size: .85rem; }
"""

# Replaces the list without closing the entries that the reader has opened, and only when a callback
# has arrived.
_SCRIPT = """
setInterval(async () => {
  try {
    const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
    const [now, next] = [document.querySelector("main"), page.querySelector("main")];
    if (now.dataset.total === next.dataset.total) return;
    for (const open of now.querySelectorAll("details[open]")) {
      const same = next.querySelector(`#${CSS.escape(open.id)}`);
      if (same) same.open = true;
    }
    now.replaceWith(next);
  } catch { /* the inbox does not answer; try again later */ }
}, 2000);
"""


def _page(callbacks: list[Callback]) -> str:
    items = "".join(_item(callback) for callback in callbacks)
    empty = "<p>Nothing yet. Post a task: its events arrive here.</p>"
    latest = escape(callbacks[0].received_at) if callbacks else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Callback inbox</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>{_STYLE}</style></head>
<body><header><h1>Callback inbox</h1><p>Signed webhooks as they arrive, newest first.</p></header>
<main data-total="{len(callbacks)} {latest}">{items or empty}</main>
<script>{_SCRIPT}</script></body></html>
"""


def _item(callback: Callback) -> str:
    verdict = (
        '<span class="ok">✓ signature verified</span>'
        if callback.verified
        else f'<span class="bad">✗ not verified: {escape(callback.fault or "")}</span>'
    )
    sequence = "" if callback.sequence is None else f"#{callback.sequence}"
    body = escape(json.dumps(callback.body, indent=2, ensure_ascii=False))
    name = escape(f"c-{callback.headers.get('webhook-id', '')}-{callback.received_at}")
    return f"""<article><p><b>{escape(callback.event)}</b> <span>{sequence}</span> {verdict}
<time datetime="{escape(callback.received_at)}">{escape(callback.received_at[11:19])} UTC</time></p>
<p><span>{escape(callback.title)}</span> <code>{escape(callback.task_id)}</code></p>
<details id="{name}"><summary>body</summary><pre>{body}</pre></details></article>
"""


def main() -> None:
    """Serve on the loopback address until SIGTERM."""
    parser = argparse.ArgumentParser(description="Receive, verify and show webhooks.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--secret-file", type=Path, required=True, help="JSON with a `webhook_secret`"
    )
    arguments = parser.parse_args()
    access = json.loads(arguments.secret_file.read_text(encoding="utf-8"))
    jwks_url = f"{access['base_url']}/v1/organisations/{access['org_id']}/webhook-jwks.json"
    secrets = [access["webhook_secret"], access["test_webhook_secret"]]
    app = application(secrets, jwks_url)
    web.run_app(app, host="127.0.0.1", port=arguments.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
