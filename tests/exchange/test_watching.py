"""What an operator sees of a running exchange: metrics, readiness, logs; and what he never sees."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from broker.db import writing
from broker.hub.watching import HubGauges
from broker.hub.watching import why_not_ready as why_hub_not_ready
from broker.logs import configure_logs
from broker.node.alarms.book import raise_alarm
from broker.node.alarms.kinds import AlarmKind
from broker.node.clock import utc_now
from broker.node.follow_store import NodeFollowStore
from broker.node.home import Home, load_invitation, look_home
from broker.node.line import Line, open_line
from broker.node.watching import node_metrics, why_not_ready
from keys.keystore import Keystore
from schemas.bulletin.vocabularies import Kind
from schemas.envelope import Envelope
from schemas.errors import Problem
from schemas.loader import dump_json
from tests.exchange.live import EXCHANGE, PASSPHRASE, LiveHub, now, run
from tests.exchange.nodes import LiveNode, document, live_exchange, wait_for

Exchange = tuple[LiveHub, dict[str, LiveNode], io.StringIO]

MARKER = "what no log may show"


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """Hub and two nodes in this process, all of whose logging goes to one stream, at every level."""
    root, own = logging.getLogger(), logging.getLogger("barid")
    before = [*root.handlers], root.level, own.level, sys.excepthook, threading.excepthook
    stream = io.StringIO()
    configure_logs("debug", stream)
    try:
        with live_exchange(tmp_path_factory.mktemp("watched"), "ly", "tn") as (hub, nodes):
            _happen(hub, nodes)
            yield hub, nodes, stream
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        own.setLevel(before[2])
        sys.excepthook, threading.excepthook = before[3], before[4]


def _happen(hub: LiveHub, nodes: dict[str, LiveNode]) -> None:
    """Bulletins delivered, read, waiting, refused, not even well-formed; an alarm."""
    bulletin_id, sent = document("ly/main", MARKER)
    assert nodes["ly"].send(sent, "tn/main").status_code == 202
    wait_for(lambda: nodes["ly"].states(bulletin_id) == {"tn/main": "delivered"})
    nodes["tn"].call("GET", f"/inbox/ly/main/{bulletin_id}")
    wait_for(lambda: nodes["ly"].states(bulletin_id) == {"tn/main": "read"})
    _, unread = document("ly/main", MARKER)
    waiting, without_key = document("ly/main", MARKER)
    nodes["ly"].send(unread, "tn/main")
    nodes["ly"].send(without_key, "ne/main")
    wait_for(lambda: nodes["ly"].states(waiting) == {"ne/main": "waiting"})
    wait_for(lambda: len(nodes["tn"].inbox()) == 2)
    assert nodes["ly"].send(b'{"title": "' + MARKER.encode() + b'"', "tn/main").status_code == 400
    assert nodes["ly"].call("GET", "/inbox", headers={"Authorization": "no"}).status_code == 401
    run(hub.announce("dz/main", "dz/judicial"))
    refused = hub.seal(hub.outgoing("dz/judicial", kind=Kind.JUDICIAL_REQUEST), "dz/main")
    with pytest.raises(Problem, match="access-denied"):
        run(_submit(hub, "dz/judicial", refused))


async def _submit(hub: LiveHub, desk: str, envelope: Envelope) -> None:
    async with hub.client(desk) as client:
        await client.submit(dump_json(envelope))


def read_metrics(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """Every sample: its name with the values of its labels, by the labels' names, and its value."""
    text = generate_latest(registry).decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def hub_registry(hub: LiveHub) -> CollectorRegistry:
    """What the hub counts, and its gauges."""
    registry = CollectorRegistry()
    registry.register(hub.app.state.watched.registry)
    registry.register(HubGauges(hub.app.state.hub, hub.data))
    return registry


def test_metrics_of_the_hub(exchange: Exchange) -> None:
    """They say what came, how it ended, what waits; and name no desk."""
    hub, _, _ = exchange
    found = read_metrics(hub_registry(hub))
    directory, exchange_log = hub.ledger.heads()
    assert found["barid_hub_log_entries", "exchange"] == exchange_log.size
    assert found["barid_hub_log_entries", "directory"] == directory.size
    assert found["barid_hub_works_total", "done", "envelope"] == 2
    assert found["barid_hub_works_total", "done", "operation"] == 1
    assert found["barid_hub_works_total", "access-denied", "envelope"] == 1
    assert found["barid_hub_problems_total", "access-denied"] == 1
    assert found["barid_hub_commit_seconds_count",] == found["barid_hub_batch_works_count",] > 5
    assert found["barid_hub_queue_works",] == 0
    assert found["barid_hub_halted",] == 0
    assert 0 <= found["barid_hub_timestamp_age_seconds",] < 600
    assert 0 <= found["barid_hub_snapshot_age_seconds",] < 600
    assert found["barid_hub_inbox_items",] == 0
    assert found["barid_hub_disk_free_bytes",] > 0
    assert found["barid_hub_event_streams",] + found["barid_hub_held_requests",] > 0
    assert not any("/" in part for name in found for part in name)


@pytest.fixture
def tunisia(exchange: Exchange) -> Iterator[tuple[Home, Line]]:
    """The node of Tunisia, opened beside the running one, with a line that called the hub once."""
    data = exchange[1]["tn"].data
    home = look_home(data, PASSPHRASE)
    line = open_line(home, load_invitation(data, EXCHANGE), NodeFollowStore(home.engine), utc_now)
    yield home, line
    run(line.close())
    home.close()


def test_metrics_of_a_node(exchange: Exchange, tunisia: tuple[Home, Line]) -> None:
    """They say what leaves, what nobody opened, which alarms stand, and how it is with the hub."""
    home, line = tunisia
    with writing(home.engine) as connection:
        raise_alarm(connection, AlarmKind.INCONSISTENT_LOG, "exchange", "a trial", now())
    found = read_metrics(node_metrics(home, line, utc_now))
    assert found["barid_node_unread", "routine"] == 1
    assert found["barid_node_unread", "flash"] == 0
    assert found["barid_node_alarms", "no", "critical"] == 1
    assert found["barid_node_hub_reachable",] == 0
    assert ("barid_node_hub_answered_seconds",) not in found
    assert found["barid_node_log_entries", "exchange"] > 0
    assert found["barid_node_database_bytes",] > 0
    line.reach.answered(now())
    found = read_metrics(node_metrics(home, line, utc_now))
    assert found["barid_node_hub_reachable",] == 1
    assert found["barid_node_hub_answered_seconds",] <= 2


def test_metrics_of_what_has_not_left(exchange: Exchange) -> None:
    """A bulletin that the hub does not have yet is counted, and its age tells of a line that is cut."""
    home = look_home(exchange[1]["ly"].data, PASSPHRASE)
    line = open_line(
        home, load_invitation(home.data, EXCHANGE), NodeFollowStore(home.engine), utc_now
    )
    found = read_metrics(node_metrics(home, line, lambda: now() + timedelta(hours=2)))
    assert found["barid_node_deliveries", "waiting"] == 1
    assert found["barid_node_deliveries", "read"] == 1
    assert 7200 <= found["barid_node_oldest_queued_seconds", "routine"] < 7300
    assert found["barid_node_oldest_queued_seconds", "flash"] == 0
    run(line.close())
    home.close()


def test_every_metric_is_documented(exchange: Exchange, tunisia: tuple[Home, Line]) -> None:
    """The operator's table has each metric with its type, and no other."""
    home, line = tunisia
    line.reach.answered(now())
    text = "".join(
        generate_latest(each).decode()
        for each in (hub_registry(exchange[0]), node_metrics(home, line, utc_now))
    )
    families = {
        family.name + "_total" * (family.type == "counter"): family.type
        for family in text_string_to_metric_families(text)
        if not family.name.endswith("_created")
    }
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `(barid_\w+)` \| (\w+) \|", page, re.MULTILINE)) == families


def test_readiness_of_a_node(tunisia: tuple[Home, Line], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ready when the hub answered within some minutes, and says why it is not."""
    home, line = tunisia
    assert "hub does not answer" in why_not_ready(home, line, utc_now)
    line.reach.answered(now())
    assert why_not_ready(home, line, utc_now) == ""
    assert "hub does not answer" in why_not_ready(home, line, lambda: now() + timedelta(minutes=4))
    monkeypatch.setattr(type(line), "state", property(lambda _: _Nothing))
    assert "no directory" in why_not_ready(home, line, utc_now)


class _Nothing:
    directory = None


def test_readiness_of_a_node_without_its_database(tunisia: tuple[Home, Line]) -> None:
    """A database that is gone is told by the kind of its error alone."""
    home, line = tunisia
    home.engine.dispose()
    database = home.data / "node.db"
    database.rename(home.data / "away.db")
    database.mkdir()
    try:
        assert why_not_ready(home, line, utc_now).startswith("the database does not answer (")
    finally:
        home.engine.dispose()
        database.rmdir()
        (home.data / "away.db").rename(database)


def test_readiness_of_the_hub(exchange: Exchange) -> None:
    """It is ready while it takes envelopes, and says why it is halted."""
    hub, _, _ = exchange
    assert why_hub_not_ready(hub.ledger) == ""
    hub.ledger._halted = "the disk failed"
    try:
        assert why_hub_not_ready(hub.ledger) == "the disk failed"
    finally:
        hub.ledger._halted = ""


def test_no_log_shows_content_or_keys(exchange: Exchange) -> None:
    """Of a whole exchange at every level neither text nor token, passphrase or key is logged."""
    hub, nodes, stream = exchange
    for word in ("barid.hub", "barid.node", "barid.serving"):
        logging.getLogger(word).info("the stream is alive")
    logged = stream.getvalue()
    lines = [json.loads(line) for line in logged.splitlines()]
    assert {"barid.hub", "barid.node", "barid.serving"} <= {line["logger"] for line in lines}
    refused = [line for line in lines if line["event"] == "an envelope was refused for good"]
    assert [line["sender"] for line in refused] == ["dz/judicial"]
    kept = [MARKER, PASSPHRASE.decode(), *nodes["ly"].tokens.values(), *nodes["tn"].tokens.values()]
    for data in (hub.data, *(node.data for node in nodes.values())):
        keystore = Keystore.open(Path(data) / "keystore", PASSPHRASE)
        for name in keystore.names():
            secret = keystore.get(name)
            kept += [secret.hex(), base64.b64encode(secret).decode()]
    assert [secret for secret in kept if secret in logged] == []
    assert "Traceback" not in logged
