"""Provide the flow of OAuth 2.0 over HTTP."""

from collections.abc import Iterator

import pytest

from apps.api.http import oauth
from tests.api.oauth_flow import Flow, flowing
from tests.factories import House


@pytest.fixture
def flow(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flow]:
    """Provide a server, a member who is signed in, and the organisation's clients."""
    monkeypatch.setattr(oauth, "CALLS_PER_ADDRESS", 10_000)
    with flowing(house) as flow:
        yield flow
