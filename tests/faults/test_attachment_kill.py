"""A large attachment whose upload is killed again and again arrives byte for byte, in little memory."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.cli import attaching
from schemas.bulletin import Bulletin, parse_bulletin
from tests.exchange.live import new_id
from tests.exchange.nodes import document, wait_for
from tests.faults.served import ServedExchange, running

MIB = 1024 * 1024
SOAK = bool(os.environ.get("BARID_SOAK"))
SIZE_BYTES = (100 if SOAK else 20) * MIB + 4711
KILLED_BY_AGENCY = ("ly",) * (4 if SOAK else 2)
KILLED_ON_THE_WAY = ("ly", "hub", "ly") if SOAK else ("ly", "hub")
KILLED_AT_THE_END = ("tn", "hub", "tn") if SOAK else ("tn",)
"""Ten kills where there is time, five in every run of the tests."""

EXTRA_BYTES_MAX = 64 * MIB
WAIT_SECONDS = 120.0
DELIVERED = {"tn/main": "delivered"}


def size_of_files(*folders: Path) -> int:
    """Bytes of all files in some folders, whatever they are called; some vanish meanwhile."""
    total = 0
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                total += path.stat().st_size if path.is_file() else 0
            except FileNotFoundError:
                continue
    return total


def kill_while_it_grows(
    chance: random.Random,
    size_now: Callable[[], int],
    restart: Callable[[str], None],
    names: tuple[str, ...],
) -> None:
    """Kill at random moments while a file grows; what happens too fast is killed at its end."""
    before = size_now()
    marks = sorted(chance.uniform(0.02, 0.95) * SIZE_BYTES for _ in names)
    for mark, name in zip(marks, names, strict=True):
        deadline = time.monotonic() + WAIT_SECONDS
        while size_now() - before < mark and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.02))
        restart(name)


def make_recording(path: Path, data: bytes) -> bytes:
    """Write a file; gives the bulletin of ly/main that names it."""
    path.write_bytes(data)
    attachment = {
        "id": new_id(),
        "name": path.name,
        "media_type": "application/octet-stream",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    return document("ly/main", "a recording", attachments=[attachment])[1]


def download(exchange: ServedExchange, bulletin: Bulletin, target: Path) -> None:
    """As an analyst of tn/main."""
    [attachment] = bulletin.attachments
    path = f"/desks/tn/main/inbox/ly/main/{bulletin.id}/attachments/{attachment.id}"
    attaching.download_attachment(exchange.client(exchange.tn), path, attachment, target)


def warm_up(exchange: ServedExchange, source: Path) -> None:
    """Have a small file take the same way, so that what is measured afterwards is the large one's."""
    data = make_recording(source, bytes(1000))
    bulletin = parse_bulletin(data)
    attaching.upload_files(exchange.client(exchange.ly), bulletin, [source])
    wait_for(lambda: exchange.ly.send(data, "tn/main").status_code == 202, WAIT_SECONDS)
    wait_for(lambda: exchange.ly.states(bulletin.id) == DELIVERED, WAIT_SECONDS)
    download(exchange, bulletin, source.with_suffix(".received"))
    for each in exchange.served.values():
        each.is_warm()


@pytest.mark.timeout(900)
def test_an_upload_killed_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Agency to node, node to hub, hub to node: whoever dies, the file arrives, once and whole."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - a failure must be repeatable
    chance = random.Random(seed)
    monkeypatch.setattr(attaching, "FAILURES_MAX", 200)
    monkeypatch.setattr(attaching, "PAUSE_SECONDS", 0.2)
    source, target = tmp_path / "recording.bin", tmp_path / "received.bin"
    data = make_recording(source, chance.randbytes(SIZE_BYTES))
    bulletin = parse_bulletin(data)
    with running(tmp_path) as exchange:
        warm_up(exchange, tmp_path / "small.bin")
        restart = exchange.restart
        outgoing = exchange.ly.data / "attachments" / "out"
        upload = threading.Thread(
            target=attaching.upload_files, args=(exchange.client(exchange.ly), bulletin, [source])
        )
        upload.start()
        kill_while_it_grows(chance, lambda: size_of_files(outgoing), restart, KILLED_BY_AGENCY)
        upload.join(WAIT_SECONDS)
        wait_for(lambda: exchange.ly.send(data, "tn/main").status_code == 202)
        hub_folders = [each for each in exchange.hub.data.iterdir() if each.is_dir()]
        kill_while_it_grows(chance, lambda: size_of_files(*hub_folders), restart, KILLED_ON_THE_WAY)
        incoming = exchange.tn.data / "attachments" / "in"
        kill_while_it_grows(chance, lambda: size_of_files(incoming), restart, KILLED_AT_THE_END)
        wait_for(lambda: exchange.ly.states(bulletin.id) == DELIVERED, WAIT_SECONDS)
        download(exchange, bulletin, target)
        assert target.read_bytes() == source.read_bytes()
        assert [each["id"] for each in exchange.tn.inbox()].count(bulletin.id) == 1
        extra = {name: each.extra_bytes for name, each in exchange.served.items()}
        print({name: f"{size / MIB:.1f} MiB" for name, size in extra.items()})  # noqa: T201
        assert max(extra.values()) < EXTRA_BYTES_MAX, extra
