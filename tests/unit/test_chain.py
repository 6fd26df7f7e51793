"""Test the hash chain: its input by RFC 8785, and logs of the previous version."""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from biolayer import chain

VECTORS = json.loads((Path(__file__).parents[2] / "docs" / "event-chain-vectors.json").read_text())


# RFC 8785, Appendix B.
@pytest.mark.parametrize(
    ("bits", "spelled"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555556", "333333333.3333334"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_canonical__numbers(bits: str, spelled: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert chain.canonical([number]) == f"[{spelled}]".encode()


# RFC 8785, 3.2.2 and 3.2.3.
@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        (
            (
                r'{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3,'
                r" 0.000000000000000000000000001],"
                r' "string": "\u20ac$\u000F\u000aA\u0027\u0042\u0022\u005c\\\"\/",'
                r' "literals": [null, true, false]}'
            ),
            (
                '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
                '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
            ),
        ),
        (
            (
                r'{"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4,'
                r' "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7}'
            ),
            '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}',
        ),
        (r'{"a\ud83d\ude00": 1, "a\ufb33": 2}', '{"a\U0001f600":1,"a\ufb33":2}'),
        ("9007199254740993", "9007199254740992"),
        ("[18446744073709551615, -0, 600.0]", "[18446744073709552000,0,600]"),
    ],
)
def test_canonical(text: str, spelled: str) -> None:
    assert chain.canonical(json.loads(text)).decode() == spelled


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_canonical__no_number(number: float) -> None:
    with pytest.raises(ValueError, match="not a JSON number"):
        chain.canonical({"a": number})


def test_vectors() -> None:
    prev_hash = chain.GENESIS
    for vector in VECTORS:
        event = {name: vector["event"][name] for name in chain.HASHED}
        assert chain.canonical(event).decode() == vector["canonical"]
        assert chain.link(prev_hash, event).hex() == vector["event"]["hash"]
        prev_hash = bytes.fromhex(vector["event"]["hash"])
    assert chain.first_broken([vector["event"] for vector in VECTORS]) is None


def test_first_broken__accepts_logs_of_version_0_1() -> None:
    event: dict[str, Any] = {
        **VECTORS[0]["event"],
        "data": {"lower_min_rating_by": 1e-7, "seconds": 2.0},
    }
    hashed = {name: event[name] for name in chain.HASHED}
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert "1e-07" in text
    event["hash"] = hashlib.sha256(chain.GENESIS + text.encode()).hexdigest()
    assert chain.first_broken([event]) is None
    assert chain.first_broken([{**event, "data": {**event["data"], "seconds": 3.0}}]) == 1
