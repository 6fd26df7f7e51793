"""Provide senders, which resolve names at a scripted name server."""

from collections.abc import Iterator

import pytest
from django.test import override_settings

from apps.webhooks.destination_urls import allows_loopback
from apps.webhooks.http_client import Sender
from tests.network.certificates import Authority
from tests.network.nameserver import Nameserver, answering
from tests.network.sockets import Spy, spying


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def names() -> Iterator[Nameserver]:
    with answering() as server:
        yield server


@pytest.fixture(scope="module")
def sender(authority: Authority, names: Nameserver) -> Iterator[Sender]:
    started = Sender(
        nameservers=[names.address], allows_loopback=allows_loopback, authorities=authority.pem
    )
    yield started
    started.close()


@pytest.fixture
def spy() -> Iterator[Spy]:
    with spying() as watching:
        yield watching


@pytest.fixture
def production() -> Iterator[None]:
    """Deny loopback addresses, as in production."""
    with override_settings(ALLOW_LOOPBACK_CALLBACKS=False):
        yield
