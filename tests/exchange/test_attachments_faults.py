"""Attachments when things break: a hub that dies at any step, a full disk, a store elsewhere."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore
from sqlalchemy import delete

from broker.client import HubClient
from broker.db import writing
from broker.hub import attachment_files
from broker.hub.attachment_files import AttachmentFiles, Objects, Uploads
from broker.hub.attachment_rows import Abandon, Reserve, Store
from broker.hub.attachments import Attachments
from broker.hub.sequencer import Sequencer
from broker.hub.tables import attachment_owner
from broker.settings import HubSettings
from schemas.errors import ConfigurationError
from schemas.receipts import Receipt
from tests.exchange.acting import refusal, submit
from tests.exchange.attaching import (
    PIECE,
    Sealed,
    as_desk,
    downloaded,
    naming,
    objects,
    persist,
    piece,
    spool,
    spools,
    store,
)
from tests.exchange.live import LiveHub, live_hub, run
from tests.exchange.raw import rows

MIB = 1024 * 1024
WAIT_SECONDS = 60.0


class _Died(Exception):
    """Stands for the end of the process: nothing of the hub expects it, or tidies up after it."""


def _die(*_arguments: Any) -> Any:
    raise _Died


def _then_die(act: Callable[..., Any]) -> Callable[..., Any]:
    def acting(*arguments: Any) -> Any:
        act(*arguments)
        raise _Died

    return acting


def _half_a_piece(uploads: Uploads, desk: str, sha256: str, offset: int, data: bytes) -> None:
    with uploads.path(desk, sha256).open("ab") as file:
        file.write(data[: len(data) // 2])
    raise _Died


def _before(work: type) -> Callable[..., Any]:
    submit_work = Sequencer.submit

    async def submitting(self: Sequencer, given: Any) -> Any:
        return _die() if isinstance(given, work) else await submit_work(self, given)

    return submitting


def _behind(work: type) -> Callable[..., Any]:
    submit_work = Sequencer.submit

    async def submitting(self: Sequencer, given: Any) -> Any:
        answer = await submit_work(self, given)
        return _die() if isinstance(given, work) else answer

    return submitting


STEPS: list[tuple[str, type, str, Callable[..., Any], int]] = [
    ("before the size is reserved", Sequencer, "submit", _before(Reserve), 0),
    ("with the size reserved", Sequencer, "submit", _behind(Reserve), 0),
    ("before a piece is written", Uploads, "append", _die, 0),
    ("in the middle of a piece", Uploads, "append", _half_a_piece, 3 * PIECE // 2),
    ("with the piece written", Uploads, "append", _then_die(Uploads.append), 3 * PIECE),
    ("with the hash made", Uploads, "settle", _then_die(Uploads.settle), 3 * PIECE),
    ("before the object is kept", Objects, "keep", _die, 3 * PIECE),
    ("with the object kept", Objects, "keep", _then_die(Objects.keep), 3 * PIECE),
    ("before the entry is logged", Sequencer, "submit", _before(Store), 3 * PIECE),
    ("with the entry logged", Sequencer, "submit", _behind(Store), 3 * PIECE),
]


@pytest.fixture(scope="module")
def dying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub that dies and comes back."""
    with live_hub(tmp_path_factory.mktemp("dying") / "hub") as hub:
        run(hub.announce("tn/main"))
        yield hub


@pytest.mark.parametrize(
    ("owner", "name", "instead", "come"),
    [step[1:] for step in STEPS],
    ids=[step[0] for step in STEPS],
)
def test_a_hub_that_dies_at_a_step(
    dying: LiveHub,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
    instead: Callable[..., Any],
    come: int,
) -> None:
    """Wherever it dies, the upload goes on from what had come, and is logged once."""
    hub, sealed = dying, Sealed(os.urandom(3 * PIECE))
    before = rows(hub)
    with monkeypatch.context() as dies:
        dies.setattr(owner, name, instead)
        assert refusal(piece(hub, "ly/main", sealed, 0, sealed.data)).word == "internal"
    hub.stop()
    hub.start()

    async def offset(client: HubClient) -> int:
        return await client.attachment_offset(sealed.sha256, sealed.size)

    assert as_desk(hub, "ly/main", offset) == come
    store(hub, "ly/main", sealed)
    run(submit(hub, naming(hub, "ly/main", "tn/main", sealed=(sealed,))))
    assert downloaded(hub, "tn/main", sealed) == sealed.data
    assert rows(hub)["attachment"] == before["attachment"] + 1
    assert spool(hub, "ly/main", sealed).exists() is False


def test_a_hub_that_dies_with_the_wrong_bytes(
    dying: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between dropping the file and giving up the row: the upload begins anew."""
    hub, sealed = dying, Sealed()
    with monkeypatch.context() as dies:
        dies.setattr(Sequencer, "submit", _before(Abandon))
        wrong = piece(hub, "ly/main", sealed, 0, bytes(sealed.size))
        assert refusal(wrong).word == "internal"
    store(hub, "ly/main", sealed)


def test_an_upload_that_is_given_up_meanwhile(
    dying: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Collected while its last piece is hashed, it is not logged: its uploader begins anew."""
    hub, sealed = dying, Sealed()

    def keep(objects: Objects, file: Path, sha256: str) -> None:
        with writing(hub.ledger.engine) as connection:
            connection.execute(delete(attachment_owner).where(attachment_owner.c.sha256 == sha256))

    before = rows(hub)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Objects, "keep", keep)
        refused = refusal(piece(hub, "ly/main", sealed, 0, sealed.data))
    assert (refused.word, refused.extensions["offset"], rows(hub)) == ("upload-offset", 0, before)
    store(hub, "ly/main", sealed)


def test_an_upload_that_begins_meanwhile(dying: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the collector took for an orphan is looked at again before it is deleted."""
    hub, sealed = dying, Sealed()
    store(hub, "ly/main", sealed)
    look, looks = Attachments._orphans, 0

    async def late(self: Attachments, names: list[str]) -> list[str]:
        nonlocal looks
        looks += 1
        return names if looks == 1 else await look(self, names)

    hub.stop()
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Attachments, "_orphans", late)
        hub.start()
        _wait_for(lambda: looks == 1 + len(objects(hub)))
    assert downloaded(hub, "ly/main", sealed) == sealed.data


@contextmanager
def _full_disk(monkeypatch: pytest.MonkeyPatch, room_bytes: int) -> Iterator[None]:
    """Let the disk take some bytes of a piece and refuse the rest."""
    opened = Path.open

    class Full:
        def __init__(self, file: Any) -> None:
            self._file = file
            self._left = room_bytes

        def __enter__(self) -> Full:
            self._file.__enter__()
            return self

        def __exit__(self, *error: object) -> None:
            self._file.__exit__(*error)

        def write(self, data: memoryview) -> int:
            if self._left == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            written = self._file.write(data[: self._left])
            self._left -= written
            return int(written)

        def truncate(self, size: int) -> None:
            self._file.truncate(size)

    def opening(path: Path, mode: str = "r", **other: Any) -> Any:
        file = opened(path, mode, **other)
        return Full(file) if path.parent.name == "uploads" and mode == "ab" else file

    with monkeypatch.context() as full:
        full.setattr(Path, "open", opening)
        yield


def test_a_full_disk(dying: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The piece is refused whole, what had come stays, and the upload goes on once there is room."""
    hub, sealed = dying, Sealed()
    run(piece(hub, "ly/main", sealed, 0, sealed.data[:PIECE]))
    before = rows(hub)
    with _full_disk(monkeypatch, 1000):
        refused = refusal(piece(hub, "ly/main", sealed, PIECE, sealed.data[PIECE:]))
        assert (refused.word, refused.type.status) == ("disk-full", 507)
    assert spool(hub, "ly/main", sealed).read_bytes() == sealed.data[:PIECE]
    assert rows(hub) == before
    store(hub, "ly/main", sealed)
    assert downloaded(hub, "ly/main", sealed) == sealed.data


def test_a_disk_that_is_full_at_the_end(dying: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store without room for the whole leaves the upload whole: an empty piece stores it later."""
    hub, sealed = dying, Sealed()

    def full(*_arguments: Any) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    before = rows(hub)
    with monkeypatch.context() as disk:
        disk.setattr(attachment_files, "_link", full)
        refused = refusal(piece(hub, "ly/main", sealed, 0, sealed.data))
        assert refused.word == "disk-full"
    assert rows(hub)["attachment"] == before["attachment"]
    assert isinstance(run(piece(hub, "ly/main", sealed, sealed.size, b"")), Receipt)


def test_a_store_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a store that is no directory attachments are kept, read in ranges and collected as well."""
    remote = MemoryStore()

    def opened(data: Path, settings: HubSettings) -> AttachmentFiles:
        return AttachmentFiles(Uploads(data / "uploads"), Objects(remote), 10**9)

    monkeypatch.setattr(AttachmentFiles, "open", opened)
    sealed = Sealed(os.urandom(9 * MIB + 1))
    with live_hub(tmp_path / "hub") as hub:
        run(hub.announce("tn/main"))
        as_desk(hub, "ly/main", lambda client: persist(client, sealed.data))
        run(submit(hub, naming(hub, "ly/main", "tn/main", sealed=(sealed,))))
        assert downloaded(hub, "tn/main", sealed, 5) == sealed.data[5:]
        assert spools(hub) == {}
        lonely = Sealed()
        remote.put(lonely.sha256, lonely.data)
        hub.stop()
        hub.start()
        _wait_for(lambda: [each["path"] for each in remote.list().collect()] == [sealed.sha256])


def test_a_hub_whose_directories_lie_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload becomes an object by its name alone: two file systems are refused at the start."""
    hub = LiveHub(tmp_path / "hub")
    # Another file system, on every Linux.
    (hub.data / "attachments").symlink_to("/proc")
    with pytest.raises(ConfigurationError, match="two file systems"):
        AttachmentFiles.open(hub.data, hub.settings)


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
