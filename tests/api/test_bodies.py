"""Test bodies in chunks, with an encoding, and with numbers of any size."""

import gzip
import io
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from django.conf import settings
from django.core.wsgi import get_wsgi_application

from apps.api.http.framing import accept_chunked_bodies
from apps.api.http.parsing import MAX_FORM_BYTES
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.steps import PDF, act
from tests.factories import OUTPUT, Caller, House, contract

BOUNDARY = "f00d"


class Chunks(io.RawIOBase):
    """Stand for a chunked body, which a server passes on in pieces."""

    def __init__(self, body: bytes, cuts: Sequence[int]) -> None:
        ends = sorted({cut for cut in cuts if 0 < cut < len(body)})
        self._pieces = [body[i:j] for i, j in pairwise([0, *ends, len(body)])]

    def read(self, size: int = -1) -> bytes:
        piece = self._pieces.pop(0) if self._pieces else b""
        if 0 <= size < len(piece):
            self._pieces.insert(0, piece[size:])
            piece = piece[:size]
        return piece


def chunked(
    caller: Caller,
    method: str,
    path: str,
    body: bytes,
    content_type: str = "application/json",
    *,
    cuts: Sequence[int] = (100, 1000),
) -> tuple[int, Any]:
    """Send a body without a length (RFC 9112, 7.1). Return the status and the document."""
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ |= {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "CONTENT_TYPE": content_type,
        "HTTP_AUTHORIZATION": f"Bearer {caller.key}",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input": Chunks(body, cuts),
    }
    environ.pop("CONTENT_LENGTH", None)
    application: Any = accept_chunked_bodies(get_wsgi_application(), limit=MAX_FORM_BYTES)
    statuses: list[str] = []
    answer = application(environ, lambda status, headers: statuses.append(status))
    try:
        return int(statuses[0][:3]), json.loads(b"".join(answer))
    finally:
        answer.close()


def test_chunked__a_task_is_posted_and_cancelled_with_its_reason(house: House) -> None:
    status, task = chunked(house.alice, "POST", "/v1/tasks", json.dumps(contract()).encode())
    assert status == 201
    path = f"/v1/tasks/{task['task_id']}/cancel"
    assert chunked(house.alice, "POST", path, b'{"reason": "No need"}')[0] == 200
    log = house.alice.get(f"/v1/tasks/{task['task_id']}/events").json()["data"]
    assert log[-1]["data"]["reason"] == "No need"


def test_chunked__a_patch_changes_the_sent_fields(house: House) -> None:
    status, me = chunked(house.bob, "PATCH", "/v1/workers/me", b'{"presence": "away"}')
    assert (status, me["presence"]) == (200, "away")


def test_chunked__evidence(house: House) -> None:
    run = house.started()
    parts = [
        f"--{BOUNDARY}\r\n".encode(),
        f'Content-Disposition: form-data; name="epoch"\r\n\r\n{run.epoch}\r\n'.encode(),
        f"--{BOUNDARY}\r\n".encode(),
        b'Content-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n',
        PDF.ljust(3_000_000, b"\0") + f"\r\n--{BOUNDARY}--\r\n".encode(),
    ]
    path, kind = f"/v1/runs/{run.id}/evidence", f"multipart/form-data; boundary={BOUNDARY}"
    status, shown = chunked(house.bob, "POST", path, b"".join(parts), kind)
    assert (status, shown["size"], shown["content_type"]) == (201, 3_000_000, "application/pdf")
    large = [*parts[:2], bytes(MAX_FORM_BYTES)]
    assert chunked(house.bob, "POST", path, b"".join(large), kind)[0] == 413


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "chunked, chunked", "x"])
def test_transfer_coding__that_is_not_known(coding: str) -> None:
    # RFC 9112, 6.1.
    statuses: list[str] = []
    application: Any = accept_chunked_bodies(lambda environ, start: [b"through"], limit=10)
    environ = {"HTTP_TRANSFER_ENCODING": coding}
    (body,) = application(environ, lambda status, headers: statuses.append(status))
    assert statuses == ["501 Not Implemented"]
    assert json.loads(body)["status"] == 501


def test_chunked__too_large_and_empty(house: House) -> None:
    body = json.dumps(contract(title="x" * settings.MAX_BODY_BYTES)).encode()
    assert chunked(house.alice, "POST", "/v1/tasks", body)[0] == 413
    assert chunked(house.alice, "POST", "/v1/tasks", b"")[0] == 422


# RFC 9110, 8.4 and 15.5.16.
@pytest.mark.parametrize(
    "encoding", ["gzip", "br", "deflate", "zstd", "GZIP", "identity, gzip", "x"]
)
def test_content_encoding__is_not_understood(house: House, encoding: str) -> None:
    plain = json.dumps(contract()).encode()
    headers = {"Authorization": f"Bearer {house.alice.key}", "Content-Encoding": encoding}
    for body in plain, gzip.compress(plain):
        with expect_unchanged():
            answer = house.alice.client.generic(
                "POST", "/v1/tasks", body, "application/json", headers=headers
            )
        expect_problem(answer, 415, "unsupported_content_encoding")
        assert answer["Accept-Encoding"] == "identity"


def test_content_encoding__identity_is_none(house: House) -> None:
    headers = {"Content-Encoding": "identity"}
    assert house.alice.post("/v1/tasks", contract(), **headers).status_code == 201


def test_content_encoding__of_a_token_request(house: House) -> None:
    headers = {"Content-Encoding": "gzip"}
    form = gzip.compress(b"grant_type=client_credentials")
    answer = house.alice.client.generic(
        "POST", "/oauth/token", form, "application/x-www-form-urlencoded", headers=headers
    )
    expect_problem(answer, 415, "unsupported_content_encoding")


# Integers of 64 bits are stored; longer ones would be rounded (RFC 8259, 6).
KEPT = [2**53 + 1, 2**63, 2**64 - 1, -(2**63)]
TOO_LONG = [2**64, 2**64 + 1, -(2**63) - 1, 10**400]


@pytest.mark.parametrize("integer", KEPT)
def test_integer__of_64_bits_is_kept(house: House, integer: int) -> None:
    run = house.started(output={"schema": {"type": "object"}})
    assert act(house.bob, run, "submit", output={"count": integer}).status_code == 200
    run.refresh_from_db()
    assert run.output == {"count": integer}
    created = house.alice.post("/v1/tasks", contract(context={"ids": [integer]}))
    assert json.loads(created.content)["context"]["ids"] == [integer]


@pytest.mark.parametrize("integer", TOO_LONG)
def test_integer__of_more_bits_is_refused(house: House, integer: int) -> None:
    run = house.started(output={"schema": {"type": "object"}})
    with expect_unchanged():
        answer = act(house.bob, run, "submit", output={"a/b": ["9" * 30, {"~": integer}]})
        assert faults(answer) == {"/output/a~1b/1/~0": "out_of_range"}
        answer = house.alice.post("/v1/tasks", contract(context={"ids": [1, integer]}))
        assert faults(answer) == {"/context/ids/1": "out_of_range"}


@pytest.mark.parametrize(
    "number",
    ["1e400", "-1e400", "1" + "0" * 400 + ".5", "18446744073709551617.0", "9007199254740993.0"],
)
def test_number__that_no_float_holds_is_refused(house: House, number: str) -> None:
    body = json.dumps(contract(context={"size": "it"})).replace('"it"', number)
    answer = house.alice.client.generic(
        "POST",
        "/v1/tasks",
        body,
        "application/json",
        headers={"Authorization": f"Bearer {house.alice.key}"},
    )
    assert faults(answer) == {"/context/size": "out_of_range"}


def test_integer__may_be_written_with_a_fraction(house: House) -> None:
    sla = {"target_latency_seconds": 600.0}
    answer = house.alice.post("/v1/tasks", contract(sla=sla))
    assert answer.json()["sla"]["target_latency_seconds"] == 600
    assert faults(
        house.alice.post("/v1/tasks", contract(sla={"target_latency_seconds": 600.5}))
    ) == {"/sla/target_latency_seconds": "wrong_type"}


def test_submit__a_float_for_an_epoch(house: House) -> None:
    run = house.started()
    body = {"epoch": float(run.epoch), "output": OUTPUT}
    assert house.bob.post(f"/v1/runs/{run.id}/submit", body).status_code == 200
