"""Test that nothing but public addresses is called, however spelled, resolved or redirected to.

Both checks are tested: that of a URL before it is stored, and the sender's, as if the first one had
failed. A spy records every connection that is tried, a listener every one that is made.
"""

import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.webhooks.destination_urls import url_problem
from apps.webhooks.http_client import Outcome, Sender
from apps.webhooks.http_client.addresses import may_connect
from tests.network.certificates import Authority
from tests.network.disguises import OTHERS, of_v4
from tests.network.lab import HEAD, Lab, responds, serving
from tests.network.nameserver import AAAA, A, Nameserver, resolves_to
from tests.network.sending import send
from tests.network.sockets import Spy

LISTS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "outgoing-addresses.json").read_text()
)
BLOCKS = [ipaddress.ip_network(block) for block in LISTS["deny_v4"] + LISTS["except_v6"]]
MORE = [  # metadata services of clouds, among others
    "169.254.170.2",
    "169.254.169.253",
    "192.168.0.1",
    "172.31.255.255",
    "fd00::1",
    "fe80::a9fe:a9fe",
]
DENIED = sorted(
    {*LISTS["denied"], *MORE, *(str(block[place]) for block in BLOCKS for place in (0, -1))}
)
DISGUISED = [
    "127.0.0.1",
    "169.254.169.254",
    "10.0.0.1",
    "192.168.1.1",
    "100.100.100.200",
    "0.0.0.0",
]
VECTORS = {
    **{address: f"[{address}]" if ":" in address else address for address in DENIED},
    **{f"{text} as {name}": host for text in DISGUISED for name, host in of_v4(text)},
    **OTHERS,
}
PUBLIC, OTHER_PUBLIC = "93.184.216.34", "2606:4700:4700::1111"
REFUSALS = {Outcome.ADDRESS_DENIED, Outcome.INVALID, Outcome.DNS}

pytestmark = pytest.mark.usefixtures("production")


@pytest.fixture(scope="module")
def inside() -> Iterator[Lab]:
    """Run a service on this machine that no request may reach."""
    with serving(responds(HEAD + b"Content-Length: 0\r\n\r\n")) as lab:
        yield lab


def test_vectors__are_at_least_300() -> None:
    assert len(VECTORS) >= 300


@pytest.mark.parametrize("vector", VECTORS)
def test_literal(vector: str, sender: Sender, inside: Lab, spy: Spy) -> None:
    url = f"https://{VECTORS[vector]}:{inside.port}/hook"
    assert url_problem(url) is not None
    assert send(sender, url).result.outcome in REFUSALS
    assert (spy.tried, inside.accepted) == ([], 0)


@pytest.mark.parametrize("address", DENIED)
def test_plain_http_to_a_literal(address: str, sender: Sender, inside: Lab, spy: Spy) -> None:
    host = f"[{address}]" if ":" in address else address
    result = send(sender, f"http://{host}:{inside.port}/hook").result
    assert result.outcome is Outcome.ADDRESS_DENIED
    assert (spy.tried, inside.accepted) == ([], 0)


@pytest.mark.parametrize("address", DENIED)
def test_name(address: str, sender: Sender, names: Nameserver, inside: Lab, spy: Spy) -> None:
    host = f"a{ipaddress.ip_address(address).packed.hex()}.test"
    names.zone[host] = [resolves_to(address)]
    url = f"https://{host}:{inside.port}/hook"
    assert url_problem(url) is None
    result = send(sender, url).result
    assert (result.outcome, result.phase) == (Outcome.ADDRESS_DENIED, "connect")
    assert result.error == f"{host} resolves to {address}: no address that may be called"
    assert names.queries[host, A] == names.queries[host, AAAA] == 1
    assert (spy.tried, inside.accepted) == ([], 0)


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("several.test", resolves_to("127.0.0.1", "10.0.0.1", "::1", "fd00::1")),
        ("alias.test", resolves_to("127.0.0.1", alias="localhost")),
        ("alias-in.test", resolves_to("169.254.169.254", alias="metadata.google.internal")),
        ("mapped.test", resolves_to("::ffff:127.0.0.1")),
        ("nat64.test", resolves_to("64:ff9b::a9fe:a9fe", "169.254.169.254")),
    ],
)
def test_name_with_several_records(
    *, host: str, answer: Any, sender: Sender, names: Nameserver, inside: Lab, spy: Spy
) -> None:
    names.zone[host] = [answer]
    result = send(sender, f"https://{host}:{inside.port}/hook").result
    assert result.outcome is Outcome.ADDRESS_DENIED
    assert (spy.tried, inside.accepted) == ([], 0)


@pytest.mark.parametrize("inner", ["127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"])
def test_name_that_rebinds(
    inner: str, sender: Sender, names: Nameserver, inside: Lab, spy: Spy
) -> None:
    """A name first public, then not: only the first attempt connects, to the public address."""
    host = f"rebinds-{ipaddress.ip_address(inner).packed.hex()}.test"
    names.zone[host] = [resolves_to(PUBLIC, OTHER_PUBLIC), resolves_to(inner)]
    url = f"https://{host}:{inside.port}/hook"
    outcomes = [send(sender, url).result.outcome for _ in range(3)]
    assert outcomes == [Outcome.CONNECTION, Outcome.ADDRESS_DENIED, Outcome.ADDRESS_DENIED]
    # One query for each attempt: the socket connects to the address that was checked.
    assert names.queries[host, AAAA if ":" in inner else A] == 3
    assert (sorted(spy.tried), inside.accepted) == ([OTHER_PUBLIC, PUBLIC], 0)


@pytest.mark.parametrize(
    "addresses",
    [
        (PUBLIC, "127.0.0.1"),
        ("127.0.0.1", PUBLIC),
        ("::1", PUBLIC),
        ("10.0.0.1", PUBLIC, "fd00::1", OTHER_PUBLIC, "169.254.169.254"),
    ],
)
def test_name_with_mixed_answers__reaches_the_public_ones_only(
    addresses: tuple[str, ...], sender: Sender, names: Nameserver, inside: Lab, spy: Spy
) -> None:
    host = f"mixed{len(''.join(addresses))}.test"
    names.zone[host] = [resolves_to(*addresses)]
    result = send(sender, f"https://{host}:{inside.port}/hook").result
    assert (result.outcome, result.error) == (Outcome.CONNECTION, "Connection refused")
    assert set(spy.tried) == {address for address in addresses if address in {PUBLIC, OTHER_PUBLIC}}
    assert inside.accepted == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300, 201])
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/",
        "https://127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "https://[::ffff:127.0.0.1]:{port}/",
        "http://localhost:{port}/",
        "https://inside.test:{port}/",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
def test_redirect(
    *,
    status: int,
    location: str,
    sender: Sender,
    names: Nameserver,
    authority: Authority,
    inside: Lab,
    spy: Spy,
) -> None:
    names.zone["receiver.test"] = [resolves_to(PUBLIC)]
    names.zone["inside.test"] = [resolves_to("127.0.0.1")]
    raw = f"HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    answer = responds(raw.format(port=inside.port).encode())
    with serving(answer, authority.context_for("receiver.test")) as outside:
        spy.routes[PUBLIC] = outside.port
        result = send(sender, "https://receiver.test/hook").result
    assert result.status_code == status
    assert result.outcome is (Outcome.OK if status == 201 else Outcome.STATUS)
    assert (spy.tried, outside.accepted, inside.accepted) == ([PUBLIC], 1, 0)


def test_spy_and_listener__see_allowed_connections(
    sender: Sender, inside: Lab, spy: Spy, settings: Any
) -> None:
    """Prove that the zeros of the other tests mean something."""
    settings.ALLOW_LOOPBACK_CALLBACKS = True
    with serving(responds(HEAD + b"Content-Length: 0\r\n\r\n")) as lab:
        assert send(sender, f"http://127.0.0.1:{lab.port}/").result.outcome is Outcome.OK
        assert (spy.tried, lab.accepted) == (["127.0.0.1"], 1)


def test_idle_connection__is_not_used_by_another_pool(
    sender: Sender, inside: Lab, spy: Spy, settings: Any
) -> None:
    """An address allowed once does not stay reachable for others."""
    settings.ALLOW_LOOPBACK_CALLBACKS = True
    with serving(responds(HEAD + b"Content-Length: 0\r\n\r\n")) as lab:
        url = f"http://127.0.0.1:{lab.port}/"
        assert send(sender, url).result.outcome is Outcome.OK
        settings.ALLOW_LOOPBACK_CALLBACKS = False
        assert send(sender, url).result.outcome is Outcome.ADDRESS_DENIED
        assert (spy.tried, lab.accepted) == (["127.0.0.1"], 1)


def test_may_connect__denies_the_addresses_of_the_vectors() -> None:
    assert not any(
        may_connect(address, scheme="https", allows_loopback=False) for address in DENIED
    )
    assert may_connect(PUBLIC, scheme="https", allows_loopback=False)
    assert may_connect(OTHER_PUBLIC, scheme="https", allows_loopback=False)
