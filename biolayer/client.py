"""What a product backend calls BioLayer with: a thin client over httpx.

Every POST carries an `Idempotency-Key` and is sent again after a network error or a 5xx, so that a
call that returns has had its effect once, and one that raises may be called again.
"""

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

from biolayer.errors import BioLayerError, Fault

TRIES = 4
FIRST_PAUSE_SECONDS = 0.2
IDLE_PAUSE_SECONDS = 1.0


class Problem(BioLayerError):
    """The service refused a call. `http_status`, `problem_code` and `faults` are its answer's
    (RFC 9457)."""

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
    """The calls of `/v1` for product backends. Use it as a context manager, or `close` it.

    `timeout` is in seconds and bounds each try. Raises `Problem` for what the service refuses and
    `httpx.TransportError` when it cannot be reached after four tries.
    """

    def __init__(self, base_url: str, api_key: str, *, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._http = httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {api_key}"})

    def create_task(self, **contract: Any) -> dict[str, Any]:
        """Post a task; `contract` is the body, field by field (see biolayer.contract.TaskContract).

        With `depends_on=[task_id, …]` it waits for their results.
        """
        return self._call("POST", "/v1/tasks", contract)

    def task(self, task_id: str) -> dict[str, Any]:
        """One task; `output` is there once it is verified."""
        return self._call("GET", f"/v1/tasks/{task_id}")

    def cancel_task(self, task_id: str, reason: str = "") -> dict[str, Any]:
        """Call a task off. Raises `Problem` 409 once an output was submitted."""
        return self._call("POST", f"/v1/tasks/{task_id}/cancel", {"reason": reason})

    def tasks(self, **filters: str) -> Iterator[dict[str, Any]]:
        """All tasks, newest first, page by page. Filters: status, domain, urgency, pool."""
        return self._pages("/v1/tasks", filters)

    def events(self, task_id: str) -> Iterator[dict[str, Any]]:
        """A task's log from its first event; `biolayer.chain.first_broken` checks it."""
        return self._pages(f"/v1/tasks/{task_id}/events", {})

    def events_page(self, *, after: str = "beginning", types: str = "task.*") -> dict[str, Any]:
        """One page of the feed as it is now: `data`, `next_cursor`, `has_more`."""
        return self._call("GET", "/v1/events", query={"after": after, "types": types, "limit": "1"})

    def feed(
        self,
        *,
        after: str = "beginning",
        types: str = "task.*",
        wait: int = 30,
        payload: str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The organisation's events as they happen, for ever.

        Each has a `cursor`; keep that of the last one you dealt with, and go on with it as `after`
        (or with `latest`, from now on). `types` are parted by commas; `wait` is how many seconds each
        question may wait for an answer (0 to 55). With `payload="webhook"` each has the body that
        webhooks tell of it.
        """
        while True:
            query = {"after": after, "types": types, "wait": str(wait)}
            query |= {} if payload is None else {"payload": payload}
            asked_at = time.monotonic()
            page = self._call("GET", "/v1/events", query=query, patience=wait)
            yield from page["data"]
            after = page["next_cursor"]
            # A process whose places to wait are taken answers at once: not to be asked in a rush.
            if not page["data"] and time.monotonic() - asked_at < IDLE_PAUSE_SECONDS:
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
        for attempt in range(TRIES):
            is_last = attempt == TRIES - 1
            try:
                response = self._http.request(
                    method, path, json=document, params=query, headers=headers, timeout=timeout
                )
            except httpx.TransportError:
                if is_last:
                    raise
            else:
                if response.status_code < 500 or is_last:
                    return _answer(response)
            time.sleep(FIRST_PAUSE_SECONDS * 2**attempt)
        raise AssertionError("unreachable")


def _answer(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        document = {"detail": response.text[:200]}
    if response.is_success:
        answer: dict[str, Any] = document
        return answer
    raise Problem(response.status_code, document)
