"""No connection to what is not public, however it is spelled, looked up or redirected to.

Both doors are tried: the check of a URL that is given to us, and the sender, as if the first had let
it pass. A spy sees every connection that is tried, a listener every one that is made.
"""

import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.webhooks.callback_urls import url_problem
from apps.webhooks.http_client import Outcome, Sender
from apps.webhooks.http_client.addresses import may_connect
from tests.network.certificates import Authority
from tests.network.disguises import OTHERS, of_v4
from tests.network.lab import HEAD, Lab, answers, serving
from tests.network.nameserver import AAAA, A, Nameserver, leads_to
from tests.network.sending import send
from tests.network.sockets import Spy

LISTS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "outgoing-addresses.json").read_text()
)
BLOCKS = [ipaddress.ip_network(block) for block in LISTS["deny_v4"] + LISTS["except_v6"]]
MORE = [  # what clouds answer on, among others
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
    """A service on this machine that nobody may reach."""
    with serving(answers(HEAD + b"Content-Length: 0\r\n\r\n")) as lab:
        yield lab


def test_there_are_enough_vectors() -> None:
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
    names.zone[host] = [leads_to(address)]
    url = f"https://{host}:{inside.port}/hook"
    assert url_problem(url) is None
    result = send(sender, url).result
    assert (result.outcome, result.phase) == (Outcome.ADDRESS_DENIED, "connect")
    assert result.error == f"{host} resolves to {address}: no address that may be called"
    assert names.asked[host, A] == names.asked[host, AAAA] == 1
    assert (spy.tried, inside.accepted) == ([], 0)


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("several.test", leads_to("127.0.0.1", "10.0.0.1", "::1", "fd00::1")),
        ("alias.test", leads_to("127.0.0.1", alias="localhost")),
        ("alias-in.test", leads_to("169.254.169.254", alias="metadata.google.internal")),
        ("mapped.test", leads_to("::ffff:127.0.0.1")),
        ("nat64.test", leads_to("64:ff9b::a9fe:a9fe", "169.254.169.254")),
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
    """First public, then not: the first attempt goes to the public address, the second nowhere."""
    host = f"rebinds-{ipaddress.ip_address(inner).packed.hex()}.test"
    names.zone[host] = [leads_to(PUBLIC, OTHER_PUBLIC), leads_to(inner)]
    url = f"https://{host}:{inside.port}/hook"
    outcomes = [send(sender, url).result.outcome for _ in range(3)]
    assert outcomes == [Outcome.CONNECTION, Outcome.ADDRESS_DENIED, Outcome.ADDRESS_DENIED]
    # One look-up for each attempt: what was checked is what the socket connects to.
    assert names.asked[host, AAAA if ":" in inner else A] == 3
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
    names.zone[host] = [leads_to(*addresses)]
    result = send(sender, f"https://{host}:{inside.port}/hook").result
    assert (result.outcome, result.error) == (Outcome.CONNECTION, "Connection refused")
    assert set(spy.tried) == {one for one in addresses if one in {PUBLIC, OTHER_PUBLIC}}
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
    names.zone["receiver.test"] = [leads_to(PUBLIC)]
    names.zone["inside.test"] = [leads_to("127.0.0.1")]
    raw = f"HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    answer = answers(raw.format(port=inside.port).encode())
    with serving(answer, authority.context_for("receiver.test")) as outside:
        spy.routes[PUBLIC] = outside.port
        result = send(sender, "https://receiver.test/hook").result
    assert result.status_code == status
    assert result.outcome is (Outcome.OK if status == 201 else Outcome.STATUS)
    assert (spy.tried, outside.accepted, inside.accepted) == ([PUBLIC], 1, 0)


def test_the_spy_and_the_listener_see_what_is_allowed(
    sender: Sender, inside: Lab, spy: Spy, settings: Any
) -> None:
    """The proof that the zeros above say something."""
    settings.ALLOW_LOOPBACK_CALLBACKS = True
    with serving(answers(HEAD + b"Content-Length: 0\r\n\r\n")) as lab:
        assert send(sender, f"http://127.0.0.1:{lab.port}/").result.outcome is Outcome.OK
        assert (spy.tried, lab.accepted) == (["127.0.0.1"], 1)


def test_a_kept_connection__is_of_no_use_to_another_pool(
    sender: Sender, inside: Lab, spy: Spy, settings: Any
) -> None:
    """What was allowed to one does not become reachable for others."""
    settings.ALLOW_LOOPBACK_CALLBACKS = True
    with serving(answers(HEAD + b"Content-Length: 0\r\n\r\n")) as lab:
        url = f"http://127.0.0.1:{lab.port}/"
        assert send(sender, url).result.outcome is Outcome.OK
        settings.ALLOW_LOOPBACK_CALLBACKS = False
        assert send(sender, url).result.outcome is Outcome.ADDRESS_DENIED
        assert (spy.tried, lab.accepted) == (["127.0.0.1"], 1)


def test_may_connect__is_asked_of_the_vectors_addresses() -> None:
    assert not any(
        may_connect(address, scheme="https", allows_loopback=False) for address in DENIED
    )
    assert may_connect(PUBLIC, scheme="https", allows_loopback=False)
    assert may_connect(OTHER_PUBLIC, scheme="https", allows_loopback=False)
