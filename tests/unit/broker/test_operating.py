"""The operator's address: health, readiness and metrics, and nothing else."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.registry import Collector
from sqlalchemy.exc import OperationalError

from broker.health import ask_ready
from broker.operating import operator_served
from broker.settings import Listen

ANY = Listen(host="127.0.0.1", port=0)


def get(port: int, path: str) -> tuple[int, str]:
    """Ask for a path: status and text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_health_and_readiness() -> None:
    """A process that runs is healthy; it is ready when there is no reason against it."""
    why = [""]
    with operator_served(ANY, lambda: why[0], CollectorRegistry()) as port:
        assert get(port, "/healthz") == (200, "the process runs")
        assert get(port, "/readyz") == (200, "ready")
        why[0] = "no directory is in force"
        assert get(port, "/readyz") == (503, "no directory is in force")
        assert get(port, "/healthz")[0] == 200
        assert ask_ready(Listen(host="127.0.0.1", port=port)) == (False, "no directory is in force")


def test_metrics() -> None:
    """What is counted is shown in the text format of Prometheus."""
    registry = CollectorRegistry()
    counter = Counter("barid_hub_works", "Works.", ["work"], registry=registry)
    counter.labels("envelope").inc(3)
    with operator_served(ANY, str, registry) as port:
        status, text = get(port, "/metrics")
    assert status == 200
    assert 'barid_hub_works_total{work="envelope"} 3.0\n' in text


def test_metrics_of_a_database_that_does_not_answer() -> None:
    """They are missing for the moment, and the error's words, which may quote, are not told."""

    class Broken(Collector):
        def describe(self) -> Iterator[Any]:
            return iter(())

        def collect(self) -> Iterator[Any]:
            raise OperationalError("SELECT secret", {}, Exception("locked"))

    registry = CollectorRegistry()
    registry.register(Broken())
    with operator_served(ANY, str, registry) as port:
        assert get(port, "/metrics") == (503, "the database does not answer")
        assert get(port, "/readyz")[0] == 200


@pytest.mark.parametrize("path", ["/", "/metrics/../secret", "/v1/envelopes", "/readyz/"])
def test_nothing_else_is_there(path: str) -> None:
    """Other paths say what there is."""
    with operator_served(ANY, str, CollectorRegistry()) as port:
        assert get(port, path) == (404, "there are /healthz, /readyz and /metrics")


def test_it_ends_with_the_block() -> None:
    """Afterwards nobody answers, and the address is free."""
    with operator_served(ANY, str, CollectorRegistry()) as port:
        listen = Listen(host="127.0.0.1", port=port)
    with pytest.raises(OSError, match="refused"):
        ask_ready(listen)
    with operator_served(listen, str, CollectorRegistry()) as again:
        assert again == port


def test_nothing_is_served_where_no_address_is_set() -> None:
    """A node whose settings name none opens no port."""
    with operator_served(None, str, CollectorRegistry()) as port:
        assert port == 0


def test_who_asks_nothing_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection on which nothing comes is closed, and keeps nobody else waiting."""
    monkeypatch.setattr("broker.operating.REQUEST_SECONDS", 0.2)
    with (
        operator_served(ANY, str, CollectorRegistry()) as port,
        socket.create_connection(("127.0.0.1", port), timeout=5) as silent,
    ):
        assert get(port, "/healthz")[0] == 200
        assert silent.recv(1) == b""
