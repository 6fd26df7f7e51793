"""Share one installation among all tests of this folder."""

from collections.abc import Iterator

import pytest

from biolayer.client import Backend
from tests.faults.installation import Installation


@pytest.fixture(scope="package")
def installation() -> Iterator[Installation]:
    with Installation.running(is_first_start=True) as running:
        yield running


@pytest.fixture
def backend(installation: Installation) -> Iterator[Backend]:
    with Backend(installation.access["base_url"], installation.access["api_key"]) as backend:
        yield backend
