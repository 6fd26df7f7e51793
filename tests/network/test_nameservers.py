"""Test `BIOLAYER_NAMESERVERS`: which name servers the environment sets."""

import pytest

from config.settings.environment import read


@pytest.mark.parametrize(
    ("given", "servers"),
    [
        ("", []),
        ("9.9.9.9", ["9.9.9.9:53"]),
        ("127.0.0.1:5353, 9.9.9.9", ["127.0.0.1:5353", "9.9.9.9:53"]),
        ("2620:fe::fe", ["[2620:fe::fe]:53"]),
        ("[2620:fe::fe]", ["[2620:fe::fe]:53"]),
        ("[2620:fe::fe]:5353", ["[2620:fe::fe]:5353"]),
    ],
)
def test_read__takes_addresses_with_or_without_port(given: str, servers: list[str]) -> None:
    environment = read({"BIOLAYER_NAMESERVERS": given}).model_dump()
    assert environment["BIOLAYER_NAMESERVERS"] == servers


@pytest.mark.parametrize(
    "given", ["dns.example.com", "127.0.0.1:99999", "127.0.0.1:x", "[::1", ":53"]
)
def test_read__refuses_an_invalid_address(given: str) -> None:
    with pytest.raises(SystemExit, match="BIOLAYER_NAMESERVERS"):
        read({"BIOLAYER_NAMESERVERS": given})
