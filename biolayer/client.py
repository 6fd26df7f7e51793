"""Call BioLayer from a product backend: a thin client over httpx.

Each POST has an `Idempotency-Key` and is retried after a network error or a 5xx. A call that
returns has taken effect exactly once; a call that raises can be repeated.
"""

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

from biolayer.errors import BioLayerError, Fault

ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.2
IDLE_PAUSE_SECONDS = 1.0


class Problem(BioLayerError):
    """Report a refused call, with `http_status`, `problem_code` and `faults` (RFC 9457)."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.http_status = status
        self.problem_code = str(document.get("code", "unknown"))
        self.document = dict(document)
        self.faults = [
            Fault(fault["pointer"], fault["code"], fault["detail"])
            for fault in document.get("errors", [])
        ]
        super().__init__(f"{status} {self.problem_code}: {document.get('detail', '')}")


class Backend:
    """Call `/v1` as a product backend. Use it as a context manager, or call `close`.

    `timeout` is in seconds, for each attempt. Methods raise `Problem` for a refused call, and
    `httpx.TransportError` if the service cannot be reached in four attempts.
    """

    def __init__(self, base_url: str, api_key: str, *, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._http = httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {api_key}"})

    def create_task(self, **contract: Any) -> dict[str, Any]:
        """Create a task. `contract` are the fields of `biolayer.contract.TaskContract`.

        With `depends_on=[task_id, …]` the task waits until those are completed.
        """
        return self._call("POST", "/v1/tasks", contract)

    def task(self, task_id: str) -> dict[str, Any]:
        """Return a task. `output` is null until it is verified."""
        return self._call("GET", f"/v1/tasks/{task_id}")

    def cancel_task(self, task_id: str, reason: str = "") -> dict[str, Any]:
        """Cancel a task. Raise `Problem` 409 if an output has been submitted."""
        return self._call("POST", f"/v1/tasks/{task_id}/cancel", {"reason": reason})

    def tasks(self, **filters: str) -> Iterator[dict[str, Any]]:
        """Yield all tasks, newest first. Filters: status, domain, urgency, pool."""
        return self._pages("/v1/tasks", filters)

    def messages(self, task_id: str) -> Iterator[dict[str, Any]]:
        """Yield the messages between the callers and the workers of a task, oldest first."""
        return self._pages(f"/v1/tasks/{task_id}/messages", {})

    def post_message(self, task_id: str, text: str) -> dict[str, Any]:
        """Post a message to the worker of an open task."""
        return self._call("POST", f"/v1/tasks/{task_id}/messages", {"text": text})

    def events(self, task_id: str) -> Iterator[dict[str, Any]]:
        """Yield a task's events from the first; verify them with `biolayer.chain.first_broken`."""
        return self._pages(f"/v1/tasks/{task_id}/events", {})

    def events_page(self, *, after: str = "beginning", types: str = "task.*") -> dict[str, Any]:
        """Return one page of the feed, without waiting: `data`, `next_cursor`, `has_more`."""
        return self._call("GET", "/v1/events", query={"after": after, "types": types, "limit": "1"})

    def feed(
        self,
        *,
        after: str = "beginning",
        types: str = "task.*",
        wait: int = 30,
        payload: str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the organisation's events as they happen, without an end.

        Each event has a `cursor`. Store that of the last event you processed, and pass it as
        `after` to continue; `latest` starts with future events. Separate `types` with commas.
        `wait` is the time of a long poll in seconds (0 to 55). With `payload="webhook"` each event
        also has its webhook body.
        """
        while True:
            query = {"after": after, "types": types, "wait": str(wait)}
            query |= {} if payload is None else {"payload": payload}
            requested_at = time.monotonic()
            page = self._call("GET", "/v1/events", query=query, patience=wait)
            yield from page["data"]
            after = page["next_cursor"]
            # A process that holds its maximum of long polls returns at once: do not busy-loop.
            if not page["data"] and time.monotonic() - requested_at < IDLE_PAUSE_SECONDS:
                time.sleep(0 if page["has_more"] else IDLE_PAUSE_SECONDS)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _pages(self, path: str, filters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        cursor: str | None = ""
        while cursor is not None:
            query = {**filters, "limit": "100"} | ({"cursor": cursor} if cursor else {})
            page = self._call("GET", path, query=query)
            yield from page["data"]
            cursor = page["next_cursor"]

    def _call(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        patience: float = 0.0,
    ) -> dict[str, Any]:
        timeout = self._timeout + patience
        headers = {"Idempotency-Key": str(uuid4())} if method == "POST" else {}
        for attempt in range(ATTEMPTS):
            is_last = attempt == ATTEMPTS - 1
            try:
                response = self._http.request(
                    method, path, json=document, params=query, headers=headers, timeout=timeout
                )
            except httpx.TransportError:
                if is_last:
                    raise
            else:
                if response.status_code < 500 or is_last:
                    return _document(response)
            time.sleep(FIRST_PAUSE_SECONDS * 2**attempt)
        raise AssertionError("unreachable")


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        document: dict[str, Any] = response.json()
    except ValueError:
        document = {"detail": response.text[:200]}
    if response.is_success:
        return document
    raise Problem(response.status_code, document)
