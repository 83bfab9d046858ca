"""Bulletins between real nodes through a real hub: from an agency's call to the reader and back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.bulletin.vocabularies import Kind
from tests.exchange.live import LiveHub, run
from tests.exchange.nodes import LiveNode, document, live_exchange, wait_for

Exchange = tuple[LiveHub, dict[str, LiveNode]]


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A hub with the nodes of Libya and Tunisia; the other states' nodes never started."""
    with live_exchange(tmp_path_factory.mktemp("nodes"), "ly", "tn") as running:
        yield running


def test_sent_delivered_read(exchange: Exchange) -> None:
    """What an agency hands in arrives byte for byte, and the sender sees it delivered, then read."""
    _, nodes = exchange
    bulletin_id, sent = document("ly/main", "a convoy near Ghat")
    assert nodes["ly"].send(sent, "tn/main").status_code == 202
    wait_for(lambda: any(each["id"] == bulletin_id for each in nodes["tn"].inbox()))
    wait_for(lambda: nodes["ly"].states(bulletin_id) == {"tn/main": "delivered"})
    read = nodes["tn"].call("GET", f"/inbox/ly/main/{bulletin_id}").json()
    assert read["bulletin"]["title"] == {"en": "a convoy near Ghat"}
    wait_for(lambda: nodes["ly"].states(bulletin_id) == {"tn/main": "read"})


def test_a_desk_without_a_key_waits_and_the_others_do_not(exchange: Exchange) -> None:
    """A state whose node never started is shown as waiting; it gets its own envelope once it has a key."""
    hub, nodes = exchange
    bulletin_id, sent = document("ly/main", "one of them has no key yet")
    assert nodes["ly"].send(sent, "tn/main", "ne/main").status_code == 202
    expected = {"tn/main": "delivered", "ne/main": "waiting"}
    wait_for(lambda: nodes["ly"].states(bulletin_id) == expected)
    run(hub.announce("ne/main"))
    expected = {"tn/main": "delivered", "ne/main": "accepted"}
    wait_for(lambda: nodes["ly"].states(bulletin_id) == expected)


def test_a_forbidden_recipient_is_refused_at_once(exchange: Exchange) -> None:
    """The node names the rule to its own agency, and nothing leaves."""
    hub, nodes = exchange
    bulletin_id, sent = document("ly/judicial", "a warrant", Kind.JUDICIAL_REQUEST)
    size = hub.ledger.heads()[1].size
    answer = nodes["ly"].send(sent, "tn/main", unit="judicial")
    assert answer.status_code == 403
    assert "judicial-requests-to-judicial-desks-only" in answer.json()["policies"]
    assert nodes["ly"].call("GET", f"/bulletins/{bulletin_id}", "judicial").status_code == 404
    assert hub.ledger.heads()[1].size == size


def test_the_hub_never_holds_a_word(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    """Property 1: no file of the hub and no log line has a word of a bulletin, or a key that opens it."""
    hub, nodes = exchange
    marker = "Wadi-Zamzam-rendezvous-4711"
    caplog.set_level(logging.DEBUG)
    bulletin_id, sent = document("ly/main", marker)
    assert nodes["ly"].send(sent, "tn/main").status_code == 202
    wait_for(lambda: nodes["ly"].states(bulletin_id) == {"tn/main": "delivered"})
    hub_bytes = _files(hub.data)
    assert bulletin_id.encode() in hub_bytes  # It is this exchange's database that was searched.
    assert marker.encode() not in hub_bytes
    assert marker not in caplog.text
    assert marker.encode() not in _files(nodes["ly"].data)
    assert marker.encode() not in _files(nodes["tn"].data)


def _files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_node_that_was_off_gets_everything_once(exchange: Exchange) -> None:
    """What was sent while a node was off arrives when it comes back, each bulletin once."""
    _, nodes = exchange
    nodes["tn"].stop()
    sent = [document("ly/main", f"while you were away {number}") for number in range(5)]
    for _, data in sent:
        assert nodes["ly"].send(data, "tn/main").status_code == 202
    wait_for(lambda: all(nodes["ly"].states(i) == {"tn/main": "accepted"} for i, _ in sent))
    nodes["tn"].start()
    wait_for(lambda: {i for i, _ in sent} <= {each["id"] for each in nodes["tn"].inbox()})
    ids = [each["id"] for each in nodes["tn"].inbox()]
    assert len(ids) == len(set(ids))


def test_the_hub_comes_back(exchange: Exchange) -> None:
    """A bulletin handed in while the hub is away leaves once it is back."""
    hub, nodes = exchange
    hub.stop()
    bulletin_id, sent = document("ly/main", "while the hub was away")
    assert nodes["ly"].send(sent, "tn/main").status_code == 202
    assert nodes["ly"].states(bulletin_id) == {"tn/main": "queued"}
    hub.start()
    wait_for(lambda: nodes["ly"].states(bulletin_id) == {"tn/main": "delivered"}, 40)
