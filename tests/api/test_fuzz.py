"""Check that no input gives a 500, and that each refusal is a problem. Examples are fixed."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from apps.matching.models import Offer
from apps.matching.services import match_queued
from apps.pools.models import Worker
from apps.reviews.services import verify_submitted
from apps.tasks.models import Run, Task
from apps.tasks.services import queue_created
from tests.api.expect import expect_problem
from tests.api.test_bodies import chunked
from tests.factories import OUTPUT, SCHEMA, Caller, House, contract, page_example, soon
from tests.tables import empty

REFUSALS = {400, 401, 403, 404, 405, 409, 413, 415, 422}


def bounded(examples: int) -> Any:
    return profile(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def expect_no_crash(response: Any) -> None:
    if response.status_code >= 400:
        assert response.status_code in REFUSALS, response.content
        expect_problem(response, response.status_code)


def afresh(house: House) -> None:
    """Remove all tasks and free Bob, so that examples are independent."""
    empty(except_apps=["accounts", "pools"])
    Worker.objects.filter(id=house.bobs_worker.id).update(load=0, presence="available")


@pytest.fixture
def patient(house: House, settings: Any) -> House:
    """Return a house without rate limits."""
    settings.RATE_LIMIT_PER_MINUTE = 10_000_000
    return house


# --- hostile values ------------------------------------------------------------------------


class Token(str):
    """Hold a text that is written into the body without quotes; it need not be JSON."""

    __slots__ = ()


def nested(depth: int, *, of: str) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if of == "[" else {"a": value}
    return value


TOKENS = [
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e308", "1e-400", "-0", "0x10", "01", "1.",
    "18446744073709551615", "18446744073709551616", "-9223372036854775809", "9" * 400, "1e22",
    '"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"\\x00"', '{"\\u0000": 1}', '{"a": 1, "a": 2}',
    "undefined", "'single'", '"\\ud83d\\ude00"',
]  # fmt: skip
TEXTS = [
    "", " ", "\x00", "a\x00b", "\x7f\x1b[31m", "\u0661\u0662\u0663", "\ufeff", "\u202e", "\ufffe",
    "\N{GRINNING FACE}" * 300, "x" * 25_000, "..", "%00", "' OR 1=1 --", "{{7*7}}", "$ref", "null",
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999999999Z",
    "0000-00-00T00:00:00Z", "2026-06-30T23:59:60Z", "2999-01-01T00:00:00-00:00",
    "2999-01-01T00:00:00.9999999999Z", "2999-01-01T24:00:00Z",
    "\u0662\u0669\u0669\u0669-01-01T00:00:00Z",
    "http://[::1", "https://\u2488.com/", "https://a..b/", "https://-a/", "https://\x00/",
    "https://xn--/",
    "https://[fe80::1%25eth0]/", "https://1.2.3.4.5/", "https://0xffffffffffff/",
    "https://a:\u0661/",
    "https://" + "a" * 300 + ".com/", "https://example.com\\@127.0.0.1/",
    "https://%31%32%37.0.0.1/",
    "00000000-0000-0000-0000-000000000000", "{00000000-0000-0000-0000-000000000000}",
    "\u0660" * 36, "----" * 9,
]  # fmt: skip
PLAIN = [
    None, True, False, 0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400, 0.1, 1e300,
    -1e300, 5e-324, [], {}, [[]], {"": ""}, [None], {"$ref": "#"}, {"$ref": "http://a/"},
    {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}},
    {"type": "array", "items": 5},
    {"$id": "\x00", "type": "string"}, {"pattern": "(a+)+$"}, {"pattern": "(?<=a)b"},
    {"$anchor": 1},
    {"$schema": "x"}, {"properties": {"a": {"$schema": "http://a/"}}}, {"multipleOf": 0},
    {"minimum": 1e300}, {"enum": []}, {"$defs": {"a": {"$id": "b"}}, "$ref": "b"},
    {"format": "regex"},
    {"$dynamicRef": "#x"}, {"$vocabulary": {}}, {"contains": {}, "minContains": -1}, {"a/b~c": 1},
]  # fmt: skip
hostile = st.one_of(
    st.sampled_from(PLAIN).map(deepcopy),
    st.sampled_from(TEXTS),
    st.sampled_from(TOKENS).map(Token),
    st.builds(nested, st.sampled_from([7, 60, 130, 250, 260, 500, 1010, 1030]),
    of=st.sampled_from("[{")),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner,
        max_size=4),
        max_leaves=12,
    ),
)  # fmt: skip


def encoded(value: Any) -> bytes:
    """Write JSON as a hostile caller does: raw tokens, floats as Python writes them."""
    return _text(value).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    if isinstance(value, Token):
        return str(value)
    if isinstance(value, dict):
        # A loop instead of recursion: the values nest deeper than json.dumps allows.
        return _unnested(value, "{")
    if isinstance(value, list):
        return _unnested(value, "[")
    return json.dumps(value)


def _unnested(value: Any, kind: str) -> str:
    opened = 0
    while True:
        if kind == "[" and isinstance(value, list) and len(value) == 1:
            (value,) = value
        elif kind == "{" and isinstance(value, dict) and list(value) == ["a"]:
            value = value["a"]
        else:
            break
        opened += 1
    if isinstance(value, Token) or not isinstance(value, dict | list):
        inner = _text(value)
    elif isinstance(value, dict):
        inner = (
            "{" + ",".join(f"{json.dumps(key)}:{_text(item)}" for key, item in value.items()) + "}"
        )
    else:
        inner = "[" + ",".join(_text(item) for item in value) + "]"
    begin, end = ("[", "]") if kind == "[" else ('{"a":', "}")
    return begin * opened + inner + end * opened


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return every path into a document, as deep as the valid ones."""
    yield path
    if len(path) > 8:
        return
    children: Any = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        yield from places(child, (*path, key))


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    """Replace, delete or insert one to three values of `document`."""
    document = deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(document))))
        value = draw(hostile)
        if not path:
            if draw(st.integers(0, 9)) == 0:
                return value
            path = (draw(st.sampled_from(["context", "extra", "\x00", "__proto__"])),)
        *parents, last = path
        parent = document
        for key in parents:
            parent = parent[key]
        match draw(st.sampled_from(["replace", "replace", "replace", "delete", "insert"])):
            case "delete" if isinstance(parent, list) or last in parent:
                del parent[last]
            case "insert" if isinstance(parent, list):
                parent.insert(last, value)
            case "insert":
                parent[draw(st.sampled_from(["extra", "$ref", "a/b~", "\x00", "schema_"]))] = value
            case _:
                parent[last] = value
        assume(isinstance(document, dict | list))
    return document


def send(caller: Caller, method: str, path: str, data: bytes = b"", **headers: str) -> Any:
    return caller.client.generic(
        method,
        path,
        data=data,
        content_type=headers.pop("content_type", "application/json"),
        headers={"Authorization": f"Bearer {caller.key}", **headers},
    )


# --- creates -------------------------------------------------------------------------------


WISHES: dict[str, Any] = {
    "skill_levels": {"phone_verification": 3},
    "preferred_skills": ["german"],
    "languages": ["de-CH"],
    "escalation": {"steps": [{"after_seconds": 60, "notify": True, "widen_to_pools": []}]},
}


@bounded(300)
@given(data=st.data())
def test_create__mutated_body(patient: House, data: st.DataObject) -> None:
    """Check that an accepted task can be read and listed, and that a refusal stores nothing."""
    afresh(patient)
    whole = page_example(
        org_id=patient.organisation.id,
        pool_id=patient.pool.id,
        callback_url="https://example.com/hook",
        deadline=soon(days=1),
    )
    whole["origin"]["request_id"] = str(uuid4())
    whole["requirements"] |= WISHES
    whole["depends_on"] = []
    body = data.draw(mutated(whole))
    answer = send(patient.alice, "POST", "/v1/tasks", encoded(body))
    expect_no_crash(answer)
    assert Task.objects.count() == (answer.status_code == 201)
    if answer.status_code == 201:
        assert patient.alice.get(answer["Location"]).status_code == 200
        assert patient.alice.get("/v1/tasks?limit=1").status_code == 200
        assert patient.alice.get(answer["Location"] + "/events").status_code == 200


@bounded(120)
@given(schema=hostile.filter(lambda value: isinstance(value, dict | Token)) | st.data())
def test_create__accepted_schema_never_crashes_a_submission(patient: House, schema: Any) -> None:
    afresh(patient)
    if not isinstance(schema, dict | Token):
        schema = schema.draw(
            mutated({
                "type": "object",
                "properties": {"a": {"type": "string", "pattern": "^x"},
                "b": {"$ref": "#/$defs/n"}},
                "required": ["a"],
                "additionalProperties": {"anyOf": [{"type": "array", "items": {"minimum": 1}}]},
                "$defs": {"n": {"type": "number", "multipleOf": 2, "format": "date-time"}},
            })
        )  # fmt: skip
    answer = send(patient.alice, "POST", "/v1/tasks", encoded(contract(output={"schema": schema})))
    expect_no_crash(answer)
    if answer.status_code == 201:
        run = _started(patient, answer.json()["task_id"])
        for output in ({"a": "xy", "b": 4}, {"a": 5, "c": [0]}, [], None, "x", 1e300):
            body = encoded({"epoch": run.epoch, "output": output})
            expect_no_crash(send(patient.bob, "POST", f"/v1/runs/{run.id}/submit", body))


def _started(house: House, task_id: str) -> Run:
    """Return Bob's run of the only task."""
    assert queue_created() == 1
    assert match_queued() == 1
    offer = Offer.objects.get(task_id=task_id, status="open")
    assert house.bob.post(f"/v1/offers/{offer.id}/accept").status_code == 200
    run = Run.objects.get(task_id=task_id)
    call = {"epoch": run.epoch}
    assert house.bob.post(f"/v1/runs/{run.id}/start", call).status_code == 200
    return run


@bounded(250)
@given(
    body=st.binary(max_size=200)
    | st.text(alphabet='{}[]",:0123456789eE+-.truefalsn\\u \n', max_size=60).map(str.encode)
    | st.sampled_from(
        [b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0", b"[" * 100_000, b'{"a":' * 5000, b"null"]
    ),
    path=st.sampled_from(["/v1/tasks", "/v1/tasks/{task}/cancel", "/v1/offers/{task}/accept"]),
)
def test_post__raw_bytes(patient: House, body: bytes, path: str) -> None:
    expect_no_crash(send(patient.alice, "POST", path.format(task=uuid4()), body))
    expect_no_crash(send(patient.bob, "POST", path.format(task=uuid4()), body))


# --- times, schemas, framing, parameters ---------------------------------------------------


def _digits(count: int) -> st.SearchStrategy[str]:
    return st.text(alphabet="0123456789", min_size=count, max_size=count)


@st.composite
def times(draw: st.DrawFn) -> str:
    """Draw texts that are RFC 3339 times (5.6), or similar."""
    year = draw(st.sampled_from(["2026", "1998", "2016", "9998"]))
    month, day = draw(
        st.sampled_from(["06-30", "12-31", "02-29", "02-30", "13-01", "00-10"])
    ).split("-")
    hour = draw(st.sampled_from(["00", "15", "22", "23", "24"]))
    minute = draw(st.sampled_from(["00", "29", "59", "60"]))
    second = draw(st.sampled_from(["00", "59", "60", "61"]))
    fraction = draw(
        st.just("") | st.integers(1, 12).flatmap(_digits).map(".".__add__) | st.just(".")
    )
    offset = draw(
        st.sampled_from(
            [
                "Z",
                "z",
                "+00:00",
                "-00:00",
                "+00:60",
                "+24:00",
                "-08:00",
                "+05:30",
                "",
                "+1:00",
                "+0100",
            ]
        )
    )
    separator = draw(st.sampled_from("TTt"))
    return f"{year}-{month}-{day}{separator}{hour}:{minute}:{second}{fraction}{offset}"


JUDGE = Draft202012Validator({"type": "string", "format": "date-time"}, validate_formats=True)


@bounded(200)
@given(text=times())
def test_create__accepts_a_time_if_an_output_may_contain_it(patient: House, text: str) -> None:
    afresh(patient)
    answer = patient.alice.post("/v1/tasks", contract(origin={"created_at": text}))
    assert answer.status_code == (201 if JUDGE.is_valid(text) else 422), (text, answer.content)


NAMES = "abcd"
WAYS = ["#/$defs/{}", "#/%24defs/{}", "#{}", "http://x/{}", "./{}", "http://x/root#/$defs/{}"]
SHAPES: list[Callable[[Callable[[], Any]], Any]] = [
    lambda other: other(),
    lambda other: {"allOf": [other(), other()]},
    lambda other: {"anyOf": [other(), other()]},
    lambda other: {"oneOf": [other(), other()]},
    lambda other: {"properties": {"a": other(), "b": other()}, "required": ["a"]},
    lambda other: {"items": other(), "prefixItems": [other()]},
    lambda other: {"additionalProperties": other(), "unevaluatedProperties": False},
    lambda other: {"if": other(), "then": other(), "not": {"const": {"$ref": "x.json"}}},
    lambda other: {"patternProperties": {"^a": other()}, "propertyNames": {"maxLength": 3}},
    lambda other: {"type": "integer"},
    lambda other: {"type": "object"},
    lambda other: {"enum": [1, {}]},
    lambda other: True,
]


@st.composite
def referring(draw: st.DrawFn) -> dict[str, Any]:
    """Draw schemas whose parts refer to each other in all ways."""
    way = draw(st.sampled_from(WAYS))
    keyword = draw(st.sampled_from(["$ref", "$ref", "$dynamicRef"]))
    names = {
        "#{}": {"$anchor" if keyword == "$ref" else "$dynamicAnchor": "{}"},
        "http://x/{}": {"$id": "http://x/{}"},
        "./{}": {"$id": "http://x/{}"},
    }.get(way, {})

    def reference() -> dict[str, Any]:
        return {keyword: way.format(draw(st.sampled_from(NAMES)))}

    definitions = {name: draw(st.sampled_from(SHAPES))(reference) for name in NAMES}
    for name, part in definitions.items():
        if isinstance(part, dict):
            part |= {word: text.format(name) for word, text in names.items()}
    return {"$id": "http://x/root", "$defs": definitions, **reference()}


OUTPUTS: list[Any] = [
    1,
    {"a": 1},
    {"a": {"a": {"b": [1]}}, "b": [{}]},
    [1, [1, {"a": 1}]],
    {},
    None,
]


@bounded(150)
@given(schema=referring())
def test_create__a_schema_of_references_is_refused_or_judges_as_it_is(
    patient: House, schema: dict[str, Any]
) -> None:
    afresh(patient)
    answer = patient.alice.post("/v1/tasks", contract(output={"schema": schema}))
    expect_no_crash(answer)
    if answer.status_code != 201:
        return
    judge = Draft202012Validator(schema)
    run = _started(patient, answer.json()["task_id"])
    for output in OUTPUTS:
        body = {"epoch": run.epoch, "output": output}
        submitted = patient.bob.post(f"/v1/runs/{run.id}/submit", body)
        expect_no_crash(submitted)
        assert (submitted.status_code == 200) == judge.is_valid(output), (schema, output)
        if submitted.status_code == 200:
            return


@bounded(60)
@given(
    cuts=st.lists(st.integers(0, 400), max_size=8), extra=st.sampled_from([b"", b" ", b"x", b"{}"])
)
def test_chunks__mean_the_same_wherever_they_are_cut(
    patient: House, cuts: list[int], extra: bytes
) -> None:
    afresh(patient)
    body = json.dumps(contract()).encode() + extra
    status, _ = chunked(patient.alice, "POST", "/v1/tasks", body, cuts=cuts)
    whole = send(patient.alice, "POST", "/v1/tasks", body)
    assert status == whole.status_code


@bounded(80)
@given(
    pairs=st.lists(
        st.tuples(
            st.sampled_from(
                ["status", "domain", "pool", "limit", "cursor", "urgency", "x", "", "status[]"]
            ),
            st.sampled_from(
                ["created", "queued", "security", "1", "0", "", "\x00", "high", str(uuid4())]
            ),
        ),
        max_size=5,
    )
)
def test_parameters__in_any_number(patient: House, pairs: list[tuple[str, str]]) -> None:
    answer = patient.alice.get(f"/v1/tasks?{urlencode(pairs)}")
    expect_no_crash(answer)
    names = [name for name, _ in pairs]
    known = {"status", "domain", "pool", "limit", "cursor", "urgency"}
    if not {*names} <= known or names.count("limit") > 1 or names.count("cursor") > 1:
        assert answer.status_code == 422


# --- the worker's calls --------------------------------------------------------------------

RUN_CALLS: list[tuple[str, Mapping[str, Any]]] = [
    ("start", {"epoch": 1}),
    ("heartbeat", {"epoch": 1, "lease_seconds": 3600}),
    ("submit", {"epoch": 1, "output": OUTPUT, "evidence": [str(uuid4())]}),
    ("release", {"epoch": 1, "reason": "none"}),
]


@bounded(100)
@given(data=st.data())
def test_run_calls__mutated_body(patient: House, data: st.DataObject) -> None:
    afresh(patient)
    run = patient.started()
    verb, body = data.draw(st.sampled_from(RUN_CALLS))
    changed = data.draw(mutated(dict(body)))
    answer = send(patient.bob, "POST", f"/v1/runs/{run.id}/{verb}", encoded(changed))
    expect_no_crash(answer)
    assert patient.bob.get("/v1/runs").status_code == 200
    assert patient.alice.get(f"/v1/tasks/{run.task_id}").status_code == 200


@bounded(120)
@given(output=hostile)
def test_submit__an_accepted_output_is_returned(patient: House, output: Any) -> None:
    """Check with a schema that allows anything that the output reaches the caller."""
    afresh(patient)
    task = patient.alice.post("/v1/tasks", contract(output={"schema": {"minProperties": 0}}))
    run = _started(patient, task.json()["task_id"])
    body = encoded({"epoch": run.epoch, "output": output})
    answer = send(patient.bob, "POST", f"/v1/runs/{run.id}/submit", body)
    expect_no_crash(answer)
    if answer.status_code == 200:
        assert verify_submitted() == 1
        shown = patient.alice.get(f"/v1/tasks/{run.task_id}")
        assert shown.status_code == 200
        assert shown.json()["status"] == "completed"


@bounded(150)
@given(
    path=st.sampled_from(["offers/{id}/decline", "offers/{id}/accept", "workers/me"]),
    data=st.data(),
)
def test_offer_and_worker_calls__mutated_body(
    patient: House, path: str, data: st.DataObject
) -> None:
    body = data.draw(mutated({"presence": "available"} if "me" in path else {"reason": "no"}))
    method = "PATCH" if "me" in path else "POST"
    path = "/v1/" + path.format(id=uuid4())
    expect_no_crash(send(patient.bob, method, path, encoded(body)))


POOL = {
    "name": "Desk", "offer_seconds": {"low": 5}, "work_seconds": 5, "offer_mode": "broadcast",
    "offers_per_window": 5, "costs": {"call": 2},
    "escalation": {"steps": [{"after_seconds": 5, "widen_to_pools": [], "notify": True}],
        "at_end": "fail"},
}  # fmt: skip
WORKER = {
    "name": "Dora", "skills": ["phone", "audit"], "skill_levels": {"phone": 2}, "languages": ["en"],
    "hours": {"mon": [["09:00", "17:00"], ["18:00", "24:00"]]}, "time_zone": "Europe/Berlin",
    "certifications": [{"code": "soc", "expires_at": "2030-01-01T00:00:00Z",
            "document_url": "https://a.com/"}],
}  # fmt: skip


@bounded(200)
@given(kind=st.sampled_from(["pools", "workers"]), data=st.data())
def test_pools_and_workers__mutated_body(patient: House, kind: str, data: st.DataObject) -> None:
    one = patient.pool if kind == "pools" else patient.bobs_worker
    for method, path in ("POST", f"/v1/{kind}"), ("PATCH", f"/v1/{kind}/{one.id}"):
        body = data.draw(mutated(deepcopy(POOL if kind == "pools" else WORKER)))
        expect_no_crash(send(patient.alice, method, path, encoded(body)))
    assert patient.alice.get(f"/v1/{kind}").status_code == 200


SIGNATURES = [
    b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"%PDF-", b"RIFF\0\0\0\0WEBP", b"RIFF\0\0\0\0WAVE",
    b"PK\3\4",
    b"ID3", b"OggS", b"\0\0\0\x18ftypmp42", b"\x1aE\xdf\xa3", b"GIF89a",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    b"<?xml ", b"{\\rtf", b"MZ", b"\x7fELF", b"\x1f\x8b", b"BZh", b"\xef\xbb\xbf", b"\xff\xfe",
]  # fmt: skip


@bounded(100)
@given(
    signature=st.sampled_from(SIGNATURES),
    rest=st.binary(max_size=100),
    name=st.sampled_from(["a.png", "", ".", "\x00", "a\r\nb", "../x", "x" * 300, "\u202ea",
            "a;b\"c"]),
    epoch=st.sampled_from(["1", "0", "", "\x00", "\u0661", "1e3", "9" * 50, "-1", " 1"]),
)  # fmt: skip
def test_evidence__odd_files(
    patient: House, signature: bytes, rest: bytes, name: str, epoch: str
) -> None:
    afresh(patient)
    run = patient.started()
    form: dict[str, Any] = {"file": SimpleUploadedFile("x", signature + rest), "epoch": epoch}
    form["file"]._name = name
    headers = {"Authorization": f"Bearer {patient.bob.key}"}
    answer = patient.bob.client.post(f"/v1/runs/{run.id}/evidence", form, headers=headers)
    expect_no_crash(answer)


FIELD = b"--x\r\nContent-Disposition: form-data; name="
FORMS = [
    b"", b"--x", b"--x--", b"--x\r\n\r\n\r\n--x--",
    b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--",
    FIELD + b'"epoch"\r\nContent-Transfer-Encoding: base64\r\n\r\n!\r\n--x--',
    FIELD + b'"file"; filename*=UTF-8\'\'%00%ff\r\n\r\n1\r\n--x--',
    FIELD + b'"file"; filename="a"\r\nContent-Type: text/plain; charset=\xff\r\n\r\n1\r\n--x--',
    b'--x\r\nContent-Disposition: form-data; name="\0"\r\n\r\n\0\r\n--x--',
    (FIELD + b'"a"\r\n\r\n1\r\n') * 1100 + b"--x--",
    (FIELD + b'"f"; filename="a"\r\n\r\n1\r\n') * 150 + b"--x--",
]  # fmt: skip
FORM_TYPES = [
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=" + "x" * 300,
    'multipart/form-data; boundary="\xff"',
    "multipart/form-data; boundary=x; charset=utf-99",
]


@pytest.mark.parametrize("content_type", FORM_TYPES)
def test_evidence__odd_forms(patient: House, content_type: str) -> None:
    run = patient.started()
    for number, form in enumerate(FORMS):
        path = f"/v1/runs/{run.id}/evidence"
        answer = send(patient.bob, "POST", path, form, content_type=content_type)
        assert answer.status_code in REFUSALS, (number, answer.content)
        expect_problem(answer, answer.status_code)


# --- queries, paths, headers ---------------------------------------------------------------

LISTS = ["/v1/tasks", "/v1/tasks/{task}/events", "/v1/offers", "/v1/runs", "/v1/pools",
         "/v1/workers",
         "/v1/skills"]  # fmt: skip
NAMES = ["status", "domain", "urgency", "pool", "presence", "skill", "cursor", "limit", "page", "",
         "\x00", "status[]"]  # fmt: skip
ODD_CURSORS = ["", "=", "AAAA", "A" * 5000, "\u0661", "e30=", "%FF", "....", "-_-_" * 8]
odd_text = st.sampled_from([*TEXTS, *ODD_CURSORS, "0", "101", "-1", "1e1", "\u0665"]) | st.text(
    max_size=20
)


@bounded(300)
@given(
    path=st.sampled_from(LISTS),
    query=st.lists(st.tuples(st.sampled_from(NAMES), odd_text), max_size=3),
)
def test_list__hostile_query(patient: House, path: str, query: list[tuple[str, str]]) -> None:
    from urllib.parse import quote

    task = Task.objects.first() or patient.task()
    text = "&".join(f"{quote(name)}={quote(value, errors='replace')}" for name, value in query)
    for caller in (patient.alice, patient.bob):
        expect_no_crash(send(caller, "GET", path.format(task=task.id) + "?" + text))


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "query",
    ["%", "%ff", "&&&", "=", "a=%00", "&".join("a" for _ in range(1500)), "limit=" + "9" * 5000],
)
def test_list__malformed_query(patient: House, path: str, query: str) -> None:
    task = patient.task()
    for caller in (patient.alice, patient.bob):
        expect_no_crash(send(caller, "GET", path.format(task=task.id) + "?" + query))


PATHS = ["tasks/{}", "tasks/{}/events", "tasks/{}/cancel", "offers/{}/accept", "offers/{}/decline",
         "runs/{}", "runs/{}/start", "runs/{}/submit", "runs/{}/evidence", "workers/{}",
         "{}"]  # fmt: skip
IDS = ["%00", "%ff%fe", "..%2f..", "%2e%2e", "%0a", "{}", "\u0661", "0" * 32, "0" * 5000, "-",
       "null", "me",
       "urn:uuid:00000000-0000-0000-0000-000000000000", "%F0%9F%98%80", "a;b", "a%3Fb",
       "' OR 1=1"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_path__hostile_id(patient: House, path: str) -> None:
    for text in IDS:
        for caller in (patient.alice, patient.bob):
            for method, body in ("GET", b""), ("POST", b'{"epoch": 1, "output": null}'):
                answer = send(caller, method, "/v1/" + path.format(text), body)
                expect_no_crash(answer)
                assert answer.status_code >= 400 or "workers/me" in path.format(text)


ODD_HEADERS = ["", " ", "\x00", "a\x00", "\xff", "\u20ac", "x" * 300, "x" * 20_000, "a\tb", "\x7f",
               "\x1b[2J",
               "'; DROP TABLE x", "null", "0"]  # fmt: skip


@pytest.mark.parametrize("value", ODD_HEADERS)
@pytest.mark.parametrize(
    "name", ["Idempotency-Key", "X-Request-ID", "Accept", "X-Forwarded-For", "Content-Encoding"]
)
def test_header__hostile_value(patient: House, name: str, value: str) -> None:
    expect_no_crash(send(patient.alice, "POST", "/v1/tasks", encoded(contract()), **{name: value}))
    expect_no_crash(send(patient.alice, "GET", "/v1/tasks", **{name: value}))


@pytest.mark.parametrize("value", [*ODD_HEADERS, "application/json; charset=utf-99",
        "application/json;;",
                                   "text/json", "application/x-www-form-urlencoded",
                                   "application/JSON"])  # fmt: skip
def test_header__hostile_content_type(patient: House, value: str) -> None:
    for body in (encoded(contract()), b""):
        expect_no_crash(send(patient.alice, "POST", "/v1/tasks", body, content_type=value))


@pytest.mark.parametrize("value", [*ODD_HEADERS, "Bearer", "Bearer ", "Bearer \x00", "Bearer \xff",
                                   "Basic YTpi", "Bearer bl_live_", "Bearer bl_live_\x00_x",
                                   "bearer  x y"])  # fmt: skip
def test_header__hostile_credential(patient: House, value: str) -> None:
    headers = {"Authorization": value}
    answer = patient.alice.client.get("/v1/tasks", headers=headers)
    expect_problem(answer, 401, "unauthenticated")


@pytest.mark.parametrize("length", ["abc", "-1", "1.5", "\u0661", ""])
def test_header__false_content_length(patient: House, length: str) -> None:
    headers = {"Authorization": f"Bearer {patient.alice.key}"}
    answer = patient.alice.client.generic(
        "POST",
        "/v1/tasks",
        b"{}",
        content_type="application/json",
        headers=headers,
        CONTENT_LENGTH=length,
    )
    expect_no_crash(answer)


def test_encoded__is_json_where_it_should_be() -> None:
    """Test the encoder of this file."""
    value = {"a": [[{"a": {"a": [1, "x", None]}}], []], "b": {"a": {}}}
    assert json.loads(encoded(value)) == value
    assert encoded([Token("NaN")]) == b"[NaN]"
    assert encoded(nested(3, of="{")) == b'{"a":{"a":{"a":1}}}'
    assert json.loads(encoded(SCHEMA)) == SCHEMA
    assert encoded(math.inf) == b"Infinity"
