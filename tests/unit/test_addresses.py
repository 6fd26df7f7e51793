"""Test which addresses may be called: every form of the shared list, in both modes."""

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest

from apps.webhooks.destination_urls import url_problem
from apps.webhooks.http_client.addresses import may_connect

LISTS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "outgoing-addresses.json").read_text()
)


def edges(block: str) -> list[str]:
    network = ipaddress.ip_network(block)
    return [str(network[0]), str(network[-1])]


DENIED = LISTS["denied"] + [
    address for block in LISTS["deny_v4"] + LISTS["except_v6"] for address in edges(block)
]
LITERALS = [f"[{text}]" if ":" in text else text for text in DENIED]


@pytest.fixture
def production(settings: Any) -> None:
    settings.ALLOW_LOOPBACK_CALLBACKS = False


@pytest.mark.parametrize("address", DENIED)
def test_may_connect__refuses_non_public_addresses(address: str) -> None:
    assert not may_connect(address, scheme="https", allows_loopback=False)


@pytest.mark.parametrize("address", LISTS["allowed"])
def test_may_connect__allows_public_addresses_by_https_only(address: str) -> None:
    assert may_connect(address, scheme="https", allows_loopback=False)
    assert not may_connect(address, scheme="http", allows_loopback=False)


@pytest.mark.parametrize("host", [*LITERALS, *LISTS["names_that_resolve_to_loopback"]])
def test_url_problem__refuses_a_literal_private_address(host: str, production: None) -> None:
    problem = url_problem(f"https://{host}/hook")
    assert problem is not None
    assert problem[0] == "address_not_allowed"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://hooks.example.com/x", "scheme_not_allowed"),
        ("ftp://hooks.example.com/x", "scheme_not_allowed"),
        ("hooks.example.com/x", "scheme_not_allowed"),
        ("https://user:secret@hooks.example.com/x", "credentials_in_url"),
        ("https://user@hooks.example.com/x", "credentials_in_url"),
        ("https://", "invalid_url"),
        ("https:///path", "invalid_url"),
        ("https://hooks.example.com:0/", "invalid_url"),
        ("https://hooks.example.com:99999/", "invalid_url"),
        ("https://hooks.example.com:https/", "invalid_url"),
        ("https://hooks .example.com/", "invalid_url"),
        ("https://hooks.example.com/a\r\nX-Evil: 1", "invalid_url"),
        ("https://[::1", "invalid_url"),
        ("https://999.999.999.999/", "invalid_url"),
        ("https://" + "a" * 64 + ".example.com/", "invalid_url"),
        ("https://hooks.example.com\\@127.0.0.1/", "invalid_url"),
        ("https://[v1.8]/", "invalid_url"),
        ("https://[8.8.8.8]/", "invalid_url"),
        ("https://134744072/", "invalid_url"),
        ("https://8.8.2056/", "invalid_url"),
        ("https://010.8.8.8/", "invalid_url"),
    ],
)
def test_url_problem__names_the_problem(url: str, code: str, production: None) -> None:
    problem = url_problem(url)
    assert problem is not None
    assert problem[0] == code


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/webhooks?team=7#x",
        "https://hooks.example.com:8443/",
        "https://bücher.example/",
        "https://8.8.8.8/hook",
        "https://[2606:4700:4700::1111]/hook",
        "https://[2606:4700:4700:0:0:0:0:1111]/hook",
    ],
)
def test_url_problem__allows_public_hosts(url: str, production: None) -> None:
    assert url_problem(url) is None


def test_embedded__allows_loopback_and_nothing_else_by_http(settings: Any) -> None:
    settings.ALLOW_LOOPBACK_CALLBACKS = True
    for url in ("http://127.0.0.1:9000/", "http://localhost:9000/", "http://[::1]:9000/"):
        assert url_problem(url) is None
    assert may_connect("127.0.0.1", scheme="http", allows_loopback=True)
    assert url_problem("http://hooks.example.com/") is not None
    assert url_problem("http://10.0.0.1/") is not None
    assert not may_connect("10.0.0.1", scheme="http", allows_loopback=True)
    assert not may_connect("::ffff:127.0.0.1", scheme="http", allows_loopback=True)
