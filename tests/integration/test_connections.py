"""Persistent connections: a restart of PostgreSQL between two requests causes no error."""

import time

import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client

from apps.base.connections import close_ended_connections
from tests.concurrency.together import together
from tests.factories import House

END = "SELECT pg_terminate_backend(%s)"


def own_backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def end(backend: int) -> None:
    """As a restart or a failover does; returns once the end has come to our side."""

    def terminate() -> None:
        with connection.cursor() as cursor:
            cursor.execute(END, [backend])
            for _ in range(500):
                cursor.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [backend])
                if cursor.fetchone() is None:
                    return
                time.sleep(0.01)
            pytest.fail("the backend lives on")

    together(terminate)


def test_a_request__after_postgresql_ended_its_connection(house: House) -> None:
    # Given a connection that an earlier request left behind, and that PostgreSQL has ended since
    house.alice.get("/v1/tasks")
    before = own_backend()
    end(before)
    # When the next request comes, then it is answered over a new one
    assert house.alice.get("/v1/tasks").status_code == 200
    assert own_backend() != before


def test_a_connection_that_is_well__is_kept(house: House) -> None:
    before = own_backend()
    assert Client().get("/v1/me", headers={"Authorization": f"Bearer {house.alice.key}"}).json()
    assert own_backend() == before


def test_an_open_transaction__fails_as_a_whole(house: House) -> None:
    @transaction.atomic
    def cut_off() -> None:
        end(own_backend())
        close_ended_connections()
        own_backend()

    # When a connection ends under its transaction, then the rest of it does not go to a new one
    with pytest.raises(OperationalError, match=r"terminating|closed|lost"):
        cut_off()
    assert own_backend()
