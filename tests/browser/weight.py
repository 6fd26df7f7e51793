"""Weigh what a browser without a cache fetches for a page, as it goes over the wire."""

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page


@dataclass
class Weight:
    """Hold the addresses of all requests, and the bytes of all finished answers with headers."""

    addresses: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def requests(self) -> list[str]:
        return list(self.addresses.values())

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())

    def table(self) -> str:
        return "\n".join(
            f"{self.sizes.get(number, 0):7} {address}" for number, address in self.addresses.items()
        )


def weigh(page: Page) -> Weight:
    """Weigh what `page` fetches from now on."""
    weight = Weight()
    session = page.context.new_cdp_session(page)

    def sent(event: Any) -> None:
        # That the page is visible is told later, and is no part of loading it.
        if not event["request"]["url"].endswith("/portal/seen/"):
            weight.addresses[event["requestId"]] = event["request"]["url"]

    def finished(event: Any) -> None:
        weight.sizes[event["requestId"]] = int(event["encodedDataLength"])

    session.on("Network.requestWillBeSent", sent)
    session.on("Network.loadingFinished", finished)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    return weight
