"""Sign in at the pages of a running web process, and time how long they take."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from bench.latencies import Latencies
from bench.load import LoadFailed

LOADS = 200


@contextmanager
def signed_in(port: int, *, email: str, password: str) -> Iterator[httpx.Client]:
    """Provide a client with the session of a person."""
    with httpx.Client(
        base_url=f"http://localhost:{port}", trust_env=False, timeout=30, follow_redirects=True
    ) as client:
        submit(client, "/accounts/login/", "/accounts/login/", login=email, password=password)
        yield client


def submit(client: httpx.Client, page: str, path: str, **fields: str) -> httpx.Response:
    """Send a form with the token of a page."""
    text = client.get(page).raise_for_status().text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', text)
    if token is None:
        raise LoadFailed(f"{page} has no form")
    answer = client.post(path, data={"csrfmiddlewaretoken": token[1], **fields})
    return answer.raise_for_status()


def loaded(client: httpx.Client, path: str, *, loads: int = LOADS) -> Latencies:
    """Return the milliseconds of that many loads of a page, one after the other."""
    return Latencies([load(client, path) for _ in range(loads)])


def load(client: httpx.Client, path: str) -> float:
    """Return how many milliseconds a page took."""
    began = time.perf_counter()
    client.get(path).raise_for_status()
    return (time.perf_counter() - began) * 1000
