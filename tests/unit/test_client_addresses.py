"""Test where a call comes from, and which networks allow it."""

from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest

from apps.base.addresses import client_address, is_allowed, is_within, owner_of, parse_address
from biolayer.networks import parse_network

PEER = "192.0.2.1"

COUNTED = [
    # No proxy: the header is the caller's own text.
    (0, None, PEER),
    (0, "10.1.2.3", PEER),
    # One proxy appended the address that it was called from.
    (1, "10.1.2.3", "10.1.2.3"),
    (1, "6.6.6.6, 10.1.2.3", "10.1.2.3"),
    (1, "6.6.6.6,,10.1.2.3", "10.1.2.3"),
    # Two proxies; the last one called us.
    (2, "10.1.2.3, 172.16.0.1", "10.1.2.3"),
    (2, "6.6.6.6, 10.1.2.3, 172.16.0.1", "10.1.2.3"),
    # Fewer hops than proxies: the call did not come through all of them.
    (1, None, None),
    (1, "", None),
    (1, " , ", None),
    (2, "10.1.2.3", None),
    # What a proxy would not write.
    (1, "10.1.2.3, unknown", None),
    (1, "10.1.2.3, _hidden", None),
    (1, "10.1.2.3 6.6.6.6", None),
]


@pytest.mark.parametrize(("proxies", "forwarded", "expected"), COUNTED)
def test_client_address__is_counted_from_the_right(
    settings: Any, proxies: int, forwarded: str | None, expected: str | None
) -> None:
    settings.TRUSTED_PROXIES = proxies
    meta = {"REMOTE_ADDR": PEER}
    if forwarded is not None:
        meta["HTTP_X_FORWARDED_FOR"] = forwarded
    address = client_address(SimpleNamespace(META=meta))
    assert address == (None if expected is None else ip_address(expected))


@pytest.mark.parametrize(
    "header", ["HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_X_CLIENT_IP", "HTTP_TRUE_CLIENT_IP"]
)
def test_client_address__is_read_from_no_other_header(settings: Any, header: str) -> None:
    settings.TRUSTED_PROXIES = 1
    meta = {"REMOTE_ADDR": PEER, "HTTP_X_FORWARDED_FOR": "10.1.2.3", header: "6.6.6.6"}
    assert client_address(SimpleNamespace(META=meta)) == ip_address("10.1.2.3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.2.3", "10.1.2.3"),
        (" 10.1.2.3 ", "10.1.2.3"),
        ("10.1.2.3:4711", "10.1.2.3"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("[::ffff:10.1.2.3]:443", "10.1.2.3"),
        ("fe80::1%eth0", "fe80::1"),
        ("010.1.2.3", None),
        ("10.1.2", None),
        ("0x0a010203", None),
        ("167838211", None),
        ("", None),
        ("[", None),
        ("garbage", None),
    ],
)
def test_parse_address__reads_ports_zones_and_mapped_addresses(
    text: str, expected: str | None
) -> None:
    assert parse_address(text) == (None if expected is None else ip_address(expected))


ALLOWED = [
    ([], "10.1.2.3", True),
    ([], None, True),
    (["10.0.0.0/8"], "10.1.2.3", True),
    (["10.0.0.0/8"], "11.1.2.3", False),
    (["10.0.0.0/8"], None, False),
    (["10.1.2.3"], "10.1.2.3", True),
    (["10.1.2.99/24"], "10.1.2.3", True),
    (["::ffff:10.0.0.0/104"], "10.1.2.3", True),
    (["0.0.0.0/0"], "2001:db8::1", False),
    (["::/0"], "10.1.2.3", False),
    (["2001:db8::/32", "10.0.0.0/8"], "2001:db8::1", True),
]


@pytest.mark.parametrize(("networks", "address", "expected"), ALLOWED)
def test_is_allowed(networks: list[str], address: str | None, expected: bool) -> None:
    parsed = None if address is None else parse_address(address)
    assert is_allowed(parsed, networks) is expected


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("10.1.0.0/16", True),
        ("10.0.0.0/8", True),
        ("10.0.0.0/7", False),
        ("2001:db8:1::/48", True),
        ("2001:db9::/48", False),
        ("::ffff:10.1.0.0/112", True),
        ("::/0", False),
    ],
)
def test_is_within(inner: str, expected: bool) -> None:
    assert is_within(inner, ["10.0.0.0/8", "2001:db8::/32"]) is expected


@pytest.mark.parametrize(
    "text", ["", " ", "10.0.0.0/33", "10.0.0.0/", "10.0.0", "fe80::1%eth0", "a.example", "1/2/3"]
)
def test_parse_network__refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_network(text)


def test_owner__of_ipv6_is_a_network_of_64_bits() -> None:
    names = {owner_of(parse_address(text)) for text in ("2001:db8::1", "2001:db8::ffff:2")}
    assert names == {"2001:db8::/64"}
    assert owner_of(parse_address("10.1.2.3")) == "10.1.2.3"
    assert owner_of(None) == "unknown"
