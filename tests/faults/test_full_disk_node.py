"""A node whose disk is full or whose database takes nothing: clear words, nothing that it took is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from broker.node import app
from broker.node.home import Home
from broker.node.setup import join_node
from schemas.errors import TYPE_PREFIX
from schemas.loader import dump_json
from tests.exchange.live import LiveHub, now
from tests.exchange.nodes import UNITS, LiveNode, document, wait_for
from tests.faults.small_disk import fill, small_disk

ROOM_BYTES = 600 * 1024
BULLETINS_MAX = 200
DELIVERED = {"tn/main": "delivered"}
WAIT_SECONDS = 60.0


class Exchange:
    """Libya's node on a small disk; Tunisia's and the hub have room."""

    def __init__(self, folder: Path, disk: Path) -> None:
        self.disk = disk
        self.ly, self.tn = LiveNode(disk / "ly", "ly"), LiveNode(folder / "tn", "tn")
        self.hub = LiveHub(folder / "hub", {"ly": self.ly.request, "tn": self.tn.request})
        self.hub.start()
        for node in (self.ly, self.tn):
            join_node(node.data, dump_json(self.hub.invitation))
            node.start()
        desks = [f"{member}/{unit}" for member in ("ly", "tn") for unit in UNITS]
        wait_for(lambda: all(self.hub.ledger.state.sealing_key(desk, now()) for desk in desks))

    def stop(self) -> None:
        """End all."""
        for node in (self.ly, self.tn):
            node.stop()
        self.hub.stop()


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """Both nodes serve."""
    with small_disk(tmp_path / "disk") as disk:
        running = Exchange(tmp_path, disk)
        yield running
        running.stop()


def _problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["type"]).removeprefix(TYPE_PREFIX)


def _hand_in_until_refused(node: LiveNode) -> tuple[dict[str, bytes], tuple[str, bytes], Any]:
    """What was taken, what was not, and how that was answered."""
    taken: dict[str, bytes] = {}
    for number in range(BULLETINS_MAX):
        bulletin_id, content = document("ly/main", f"number {number}")
        answer = node.send(content, "tn/main")
        if answer.status_code != httpx.codes.ACCEPTED:
            return taken, (bulletin_id, content), answer
        taken[bulletin_id] = content
    pytest.fail("the disk never was full")


def test_a_full_disk_refuses_and_goes_on_once_there_is_room(exchange: Exchange) -> None:
    """The agency hears `disk-full`; what was taken before arrives once, what comes meanwhile too."""
    ly, tn = exchange.ly, exchange.tn
    filler = fill(exchange.disk, ROOM_BYTES)
    taken, (refused_id, refused), answer = _hand_in_until_refused(ly)
    assert _problem(answer) == (507, "disk-full")
    assert ly.call("GET", f"/bulletins/{refused_id}").status_code == 404
    meanwhile, content = document("tn/main", "to a full disk")
    assert tn.send(content, "ly/main").status_code == 202
    wait_for(lambda: tn.states(meanwhile) == {"ly/main": "accepted"})
    filler.unlink()
    wait_for(lambda: ly.send(refused, "tn/main").status_code == 202)
    sent = [*taken, refused_id]
    wait_for(lambda: all(ly.states(each) == DELIVERED for each in sent), WAIT_SECONDS)
    assert Counter(each["id"] for each in tn.inbox()) == Counter(sent)
    wait_for(lambda: tn.states(meanwhile) == {"ly/main": "delivered"}, WAIT_SECONDS)
    assert [each["id"] for each in ly.inbox()] == [meanwhile]


@contextmanager
def _read_only(home: Home) -> Iterator[None]:
    """The database as a disk that was mounted read-only would have it."""

    def on_connect(raw: Any, _record: Any) -> None:
        raw.execute("PRAGMA query_only = ON")

    event.listen(home.engine, "connect", on_connect)
    home.engine.dispose()
    try:
        yield
    finally:
        event.remove(home.engine, "connect", on_connect)
        home.engine.dispose()


def test_a_read_only_database_is_busy(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken in, what is there can be read, and all goes on once it can be written."""
    ly = exchange.ly
    homes: list[Home] = []
    opened = app.wire

    def wire(home: Home, *more: Any) -> Any:
        homes.append(home)
        return opened(home, *more)

    monkeypatch.setattr("tests.exchange.nodes.wire", wire)
    ly.stop()
    ly.start()
    bulletin_id, content = document("ly/main", "before")
    wait_for(lambda: ly.send(content, "tn/main").status_code == 202)
    wait_for(lambda: ly.states(bulletin_id) == DELIVERED)
    later_id, later = document("ly/main", "later")
    with _read_only(homes[0]):
        assert _problem(ly.send(later, "tn/main")) == (503, "busy")
        assert ly.states(bulletin_id) == DELIVERED
    wait_for(lambda: ly.send(later, "tn/main").status_code == 202)
    wait_for(lambda: ly.states(later_id) == DELIVERED)
