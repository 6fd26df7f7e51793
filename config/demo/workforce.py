"""The demo's workforce: workers who do whatever task they are offered, over nothing but the public
worker API.

`python3 -m config.demo.workforce --access demo.json`. One process plays all of them. It never exits
by itself: a service that is away is waited for, and open runs are taken up again after a restart.
"""

import argparse
import asyncio
import json
import logging
import random
import uuid
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from config.demo.answers import SENTENCE, answer

logger = logging.getLogger("workforce")

POLL_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 15.0
_ATTEMPTS = 6
_CONNECTIONS = 20


class Refused(Exception):
    """The service said no.

    The offer went to somebody else, or the lease was lost. Nothing is left to do.
    """


RELEASED_SECONDS = 30.0
"""Until a worker looks for offers again that could not do a task: it would be asked for it again."""


class Away(Exception):
    """The service does not answer, or answers that it cannot now.

    `retry_after` is what it asked for, in seconds.
    """

    def __init__(self, reason: str, *, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker of the demo organisation and the API over which they work."""

    name: str
    api_key: str
    http: httpx.AsyncClient
    pause: float

    async def work_forever(self) -> None:
        """Take up open runs, then look for offers.

        Back off while the service is away, and begin again.
        """
        wait = POLL_SECONDS
        while True:
            try:
                await self._resume_runs()
                while True:
                    await self._take_offers()
                    wait = POLL_SECONDS
                    await asyncio.sleep(POLL_SECONDS)
            except Away as away:
                logger.debug("%s waits: %s", self.name, away)
                # All workers find the service back at different moments.
                await asyncio.sleep(max(away.retry_after, wait * random.uniform(0.5, 1.5)))
                wait = min(wait * 2, _LONGEST_WAIT_SECONDS)

    async def _resume_runs(self) -> None:
        for run in (await self._get("/v1/runs")).get("data", []):
            await self._attempt(self._carry_out(run, run["task"]))

    async def _take_offers(self) -> None:
        for offer in (await self._get("/v1/offers")).get("data", []):
            await self._attempt(self._take(offer["offer_id"]))

    async def _attempt(self, work: Coroutine[Any, Any, None]) -> None:
        """Do one task or leave it.

        What nobody foresaw in one schema must not keep a worker from the next task.
        """
        try:
            await work
        except Refused as refused:
            logger.debug("%s was refused: %s", self.name, refused)
        except Away:
            raise
        except Exception as error:
            logger.warning("%s leaves a task that this demo cannot do: %r", self.name, error)

    async def _take(self, offer_id: str) -> None:
        await asyncio.sleep(self.pause)
        accepted = await self._post(f"/v1/offers/{offer_id}/accept", json={})
        await self._carry_out(accepted["run"], accepted["task"])

    async def _carry_out(self, run: Mapping[str, Any], task: Mapping[str, Any]) -> None:
        """Start, give evidence, submit.

        A run that already runs (we were restarted) is not started again.
        """
        path, epoch = f"/v1/runs/{run['run_id']}", run["epoch"]
        if run.get("status", "claimed") == "claimed":
            await asyncio.sleep(self.pause)
            await self._post(f"{path}/start", json={"epoch": epoch})
        await asyncio.sleep(self.pause)
        contract = task.get("output") or {}
        evidence = [await self._give_evidence(path, epoch, task)] if _needs_file(contract) else []
        submission = {"epoch": epoch, "output": _output(contract), "evidence": evidence}
        try:
            await self._post(f"{path}/submit", json=submission)
        except Refused:
            # The next worker would do no better, but the task is free for a person.
            reason = "The demo cannot make up an output for this schema"
            await self._post(f"{path}/release", json={"epoch": epoch, "reason": reason})
            logger.warning("%s released “%s”: %s", self.name, task.get("title"), reason)
            await asyncio.sleep(RELEASED_SECONDS)
            return
        logger.info("%s completed “%s”", self.name, task.get("title") or task.get("task_type"))

    async def _give_evidence(self, path: str, epoch: int, task: Mapping[str, Any]) -> str:
        text = f"{self.name}, on {task.get('title', 'the task')}:\n{SENTENCE}\n"
        file = ("evidence.txt", text.encode(), "text/plain")
        given = await self._post(
            f"{path}/evidence", files={"file": file}, data={"epoch": str(epoch)}
        )
        await asyncio.sleep(self.pause)
        return str(given["evidence_id"])

    async def _get(self, path: str) -> Any:
        try:
            return await self._send("GET", path)
        except Refused as refused:
            raise Away(str(refused)) from refused

    async def _post(self, path: str, **content: Any) -> Any:
        """Post with one idempotency key over all attempts.

        An answer that got lost is given again, not done again.
        """
        key = str(uuid.uuid4())
        for attempt in range(_ATTEMPTS):
            try:
                return await self._send("POST", path, headers={"Idempotency-Key": key}, **content)
            except Away as away:
                if attempt + 1 == _ATTEMPTS:
                    raise
                await asyncio.sleep(max(away.retry_after, 2**attempt * random.uniform(0.1, 0.3)))
        raise AssertionError("unreachable")

    async def _send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **content: Any
    ) -> Any:
        authorization = {"Authorization": f"Bearer {self.api_key}", **(headers or {})}
        try:
            response = await self.http.request(method, path, headers=authorization, **content)
        except httpx.TransportError as error:
            raise Away(repr(error)) from error
        _judge(response)
        try:
            return response.json() if response.content else {}
        except ValueError as error:
            raise Away(f"{path} answered something else than JSON") from error


def _judge(response: httpx.Response) -> None:
    """Raise Away for what may pass, Refused for what will not.

    Warn of the latter unless it is everyday business.
    """
    if response.is_success:
        return
    said = " ".join(response.text.split())[:300]
    problem = (
        f"{response.request.method} {response.request.url.path}: {response.status_code} {said}"
    )
    if response.status_code in {401, 429} or response.is_server_error or _is_in_progress(response):
        raise Away(problem, retry_after=_retry_after(response))
    if response.status_code not in {404, 409, 410}:
        logger.warning("%s", problem)
    raise Refused(problem)


def _is_in_progress(response: httpx.Response) -> bool:
    """Our first attempt is still at work on the same idempotency key."""
    return response.status_code == httpx.codes.CONFLICT and "idempotency" in response.text


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else 0.0


def _needs_file(contract: Mapping[str, Any]) -> bool:
    return bool(contract.get("evidence_required")) or contract.get("expected_format") == "file"


def _output(contract: Mapping[str, Any]) -> Any:
    match contract.get("expected_format"):
        case "text":
            return SENTENCE.strip()
        case "file":
            return None
        case _:
            return answer(contract.get("schema"))


async def work(access: Mapping[str, Any], *, base_url: str, pause: float) -> None:
    """Let every worker of the demo organisation work, until cancelled."""
    limits = httpx.Limits(max_connections=_CONNECTIONS)
    # The service is on this machine: no proxy of the environment is between us.
    async with httpx.AsyncClient(
        base_url=base_url,
        limits=limits,
        timeout=10,
        trust_env=False,
        headers={"User-Agent": "BioLayer-Demo"},
    ) as http:
        workers = [
            Worker(name=worker["name"], api_key=worker["api_key"], http=http, pause=pause)
            for worker in access["workers"]
        ]
        await asyncio.gather(*(worker.work_forever() for worker in workers))


def main() -> None:
    """Work until SIGTERM. A run cut short is resumed, or its lease ends."""
    parser = argparse.ArgumentParser(description="Play the workers of the demo organisation.")
    parser.add_argument(
        "--access", type=Path, required=True, help="demo.json, with `base_url` and `workers`"
    )
    parser.add_argument(
        "--pause", type=float, default=0.3, help="seconds between two steps (default 0.3)"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    access = json.loads(arguments.access.read_text(encoding="utf-8"))
    asyncio.run(work(access, base_url=access["base_url"], pause=arguments.pause))


if __name__ == "__main__":
    main()
