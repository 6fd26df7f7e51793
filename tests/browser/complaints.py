"""Collect what pages complain of: errors of console and scripts, violations of the policy."""

from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, ConsoleMessage, WebError

# What a test may provoke. The browser reports it, whatever the page does about it.
OFFLINE = "net::ERR_INTERNET_DISCONNECTED"
ABORTED = "net::ERR_FAILED"
KILLED = "net::ERR_"
SIGNED_OUT = "status of 401"
FORBIDDEN = "status of 403"
NOT_FOUND = "status of 404"
UNAVAILABLE = "status of 503"


@dataclass
class Complaints:
    """Hold complaints, and the ones that a test provokes."""

    texts: list[str] = field(default_factory=list)
    provoked: set[str] = field(default_factory=set)

    def follow(self, context: BrowserContext) -> None:
        """Collect what the pages of a window complain of, also in further tabs."""
        context.on("console", self._note)
        context.on("weberror", self._note_error)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.texts.append(f"{message.text} {message.location.get('url', '')}".strip())

    def _note_error(self, error: WebError) -> None:
        self.texts.append(str(error.error))

    def unexpected(self) -> list[str]:
        """Return the complaints that the test has not provoked."""
        return [one for one in self.texts if not self._is_provoked(one)]

    def _is_provoked(self, text: str) -> bool:
        is_of_request = text.startswith("Failed to load resource: ")
        return is_of_request and any(kind in text for kind in self.provoked)
