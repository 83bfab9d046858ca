"""Attachments that arrive: fetched beside the inbox, checked, opened to the end, read by an agency."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

import pytest

from broker.node.files import incoming_folder
from broker.node.home import Home
from broker.node.inbox.attachments import collect, file_of
from broker.node.sync import Sync
from keys.envelope import Outgoing
from keys.streams import CHUNK_BYTES, Sealer, attachment_label
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import HubUnreachable
from tests.unit.node.arriving import LARGE, PLAINTEXT, accept, download, downloader, files, send
from tests.unit.node.paper_files import SealedFile, enclosing
from tests.unit.node.reader import Reader, arrive
from tests.unit.node.test_sync import PACE
from tests.unit.node.world import NodeWorld


def test_an_envelope_is_delivered_once_its_attachments_are_here(reader: Reader) -> None:
    """Passed over, fetched, opened to the end; then stored with keys, and only then answered."""
    outgoing, file = send(reader)
    assert reader.fetch() == 0
    assert (reader.rows("answer"), reader.rows("incoming_envelope")) == ([], [])
    assert download(reader) is True
    assert reader.fetch() == 1
    assert reader.shown() == [outgoing.bulletin_id]
    [row] = reader.rows("incoming_attachment")
    assert (row.attachment_id, row.name, row.media_type) == (file.id, file.name, file.media_type)
    assert (row.size, row.sha256, row.key) == (len(PLAINTEXT), file.sha256, file.key)
    assert files(reader) == [file.ref.sha256]
    reader.answer()
    assert reader.logged() == [("delivered", None, 1)]
    assert reader.alarms() == set()


def test_plaintext_never_touches_the_disk(reader: Reader) -> None:
    """Neither while it is fetched nor after it was opened."""
    send(reader)
    reader.fetch()
    download(reader)
    reader.fetch()
    everything = b"".join(p.read_bytes() for p in reader.home.data.rglob("*") if p.is_file())
    assert PLAINTEXT[:32] not in everything
    assert PLAINTEXT[-32:] not in everything


def test_what_has_no_attachments_is_not_kept_waiting(reader: Reader) -> None:
    """A flash behind a large attachment is stored in the same pass."""
    send(reader)
    flash = arrive(reader, precedence=Precedence.FLASH)
    assert reader.fetch() == 1
    assert reader.shown() == [flash]


def test_a_more_urgent_attachment_overtakes_a_long_download(reader: Reader) -> None:
    """The long one stops where it is, the flash's is fetched whole, then the long one goes on."""
    _, slow = send(reader, LARGE)
    reader.fetch()
    outgoing, urgent = enclosing(reader.world, "ly/main", PLAINTEXT)
    accept(reader, replace(outgoing, precedence=Precedence.FLASH))
    reader.client.put(urgent)
    task, whole = downloader(reader), reader.client.download

    async def interrupted(*asked: Any) -> AsyncGenerator[bytes, None]:
        async for number, piece in aenumerate(whole(*asked)):
            if number == 1 and len(reader.client.downloads) == 1:
                await reader.fetcher.fetch(0, lambda: None)
            yield piece

    async def run() -> list[bool | None]:
        return [await task.step() for _ in range(4)]

    reader.client.download = interrupted  # type: ignore[method-assign,assignment]
    assert asyncio.run(run()) == [False, True, True, None]
    names = [name for name, _ in reader.client.downloads]
    assert names == [slow.ref.sha256, urgent.ref.sha256, slow.ref.sha256]
    assert reader.client.downloads[2][1] > 0
    assert reader.fetch() == 2


def test_a_cut_line_goes_on_where_it_was(reader: Reader) -> None:
    """What came stays through a kill -9; the rest is asked for by its offset."""
    _, file = send(reader, LARGE)
    reader.fetch()
    reader.client.cut_after_bytes = 20 * CHUNK_BYTES
    with pytest.raises(HubUnreachable):
        download(reader)
    stored = reader.client.stored
    reader.restart()
    reader.client.stored = stored
    reader.fetch()
    assert download(reader) is True
    assert reader.client.downloads == [(file.ref.sha256, 20 * CHUNK_BYTES)]
    assert reader.fetch() == 1


async def aenumerate(
    pieces: AsyncGenerator[bytes, None],
) -> AsyncGenerator[tuple[int, bytes], None]:
    """Pieces with their numbers."""
    number = 0
    async for piece in pieces:
        yield number, piece
        number += 1


Break = Callable[[bytes], bytes | None]

BROKEN: dict[str, Break] = {
    "missing": lambda _: None,
    "flipped": lambda data: data[:999] + bytes([data[999] ^ 1]) + data[1000:],
    "cut": lambda data: data[:-1],
    "extended": lambda data: data + b"x",
    "reordered": lambda data: data[:24] + data[70_000:] + data[24:70_000],
}


@pytest.mark.parametrize("name", BROKEN)
def test_wrong_or_missing_bytes_are_the_hubs_fault(reader: Reader, name: str) -> None:
    """Nothing is answered, an alarm names the hub, and right bytes later are taken."""
    outgoing, file = send(reader)
    broken = BROKEN[name](file.sealed)
    del reader.client.stored[file.ref.sha256]
    if broken is not None:
        reader.client.stored[file.ref.sha256] = broken
    for _ in range(2):
        assert reader.fetch() == 0
        assert download(reader) is False
    assert (reader.rows("answer"), reader.rows("incoming_envelope")) == ([], [])
    assert reader.alarms() == {"hub-fault"}
    reader.client.put(file)
    assert download(reader) is True
    assert reader.fetch() == 1
    assert reader.shown() == [outgoing.bulletin_id]


def test_a_file_altered_on_this_disk_is_nobody_elses_fault(reader: Reader) -> None:
    """It is fetched again: the sender is not blamed for it."""
    outgoing, file = send(reader)
    reader.fetch()
    download(reader)
    path = file_of(reader.home, file.ref.sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert reader.fetch() == 0
    assert (reader.rows("answer"), reader.rows("incoming_envelope")) == ([], [])
    assert download(reader) is True
    assert reader.fetch() == 1
    assert reader.shown() == [outgoing.bulletin_id]


def _another_key(world: NodeWorld, outgoing: Outgoing, file: SealedFile) -> Outgoing:
    return replace(outgoing, attachment_keys={file.id: bytes(32)})


def _no_key(world: NodeWorld, outgoing: Outgoing, file: SealedFile) -> Outgoing:
    return replace(outgoing, attachment_keys={})


def _a_key_too_many(world: NodeWorld, outgoing: Outgoing, file: SealedFile) -> Outgoing:
    return replace(outgoing, attachment_keys={file.id: file.key, outgoing.bulletin_id: bytes(32)})


SENDERS = {"another-key": _another_key, "no-key": _no_key, "a-key-too-many": _a_key_too_many}


def rejected(reader: Reader) -> tuple[str, bool]:
    """The reason of the one answer, and whether the content key is kept as proof."""
    [answer] = reader.rows("answer")
    [envelope] = reader.rows("incoming_envelope")
    assert (answer.result, reader.shown()) == ("rejected", [])
    return answer.reason, envelope.content_key is not None


@pytest.mark.parametrize("name", SENDERS)
def test_what_does_not_open_is_the_senders_fault(reader: Reader, name: str) -> None:
    """Rejected with `attachment-unreadable`, provable with the content key."""
    outgoing, file = enclosing(reader.world, "ly/main", PLAINTEXT)
    accept(reader, SENDERS[name](reader.world, outgoing, file))
    reader.client.put(file)
    if reader.fetch() == 0:
        download(reader)
        reader.fetch()
    assert rejected(reader) == ("attachment-unreadable", True)


def resealed(reader: Reader, file: SealedFile, bulletin_id: str, sealed: bytes) -> SealedFile:
    """The same attachment with other sealed bytes."""
    label = attachment_label(reader.world.exchange, bulletin_id, file.id)
    sealer = Sealer(file.key, label, len(sealed))
    return replace(file, sealed=b"".join([*sealer.push(sealed), *sealer.finish()]))


@pytest.mark.parametrize("size", [len(PLAINTEXT), len(PLAINTEXT) * 2])
def test_another_file_than_the_bulletin_names_is_rejected(reader: Reader, size: int) -> None:
    """The sealed file opens, and is not the one of that size and SHA-256."""
    outgoing, file = enclosing(reader.world, "ly/main", PLAINTEXT)
    other = resealed(reader, file, outgoing.bulletin_id, secrets.token_bytes(size))
    accept(reader, replace(outgoing, attachments=(other.ref,)))
    reader.client.put(other)
    if reader.fetch() == 0:
        download(reader)
        reader.fetch()
    assert rejected(reader) == ("attachment-unreadable", True)


def test_a_size_that_cannot_be_right_is_not_downloaded(reader: Reader) -> None:
    """The bulletin says how long the sealed file is: nobody fetches a gibibyte to find out."""
    outgoing, _ = enclosing(reader.world, "ly/main", PLAINTEXT)
    [ref] = outgoing.attachments
    accept(reader, replace(outgoing, attachments=(ref.model_copy(update={"size": 2**30}),)))
    assert reader.fetch() == 1
    assert reader.client.downloads == []
    assert rejected(reader) == ("attachment-unreadable", True)


def test_a_bulletin_that_comes_again_keeps_its_files(reader: Reader) -> None:
    """A second envelope of the same bulletin is answered, and changes nothing."""
    outgoing, _ = send(reader)
    reader.fetch()
    download(reader)
    reader.fetch()
    accept(reader, outgoing)
    assert reader.fetch() == 1
    assert len(reader.rows("incoming_attachment")) == 1
    assert len(reader.rows("answer")) == 2


def test_a_full_disk_is_told_and_loses_nothing(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alarm of this node, none against the hub; with room it goes on."""
    send(reader)
    reader.fetch()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert download(reader) is False
    monkeypatch.undo()
    assert not reader.alarms() & {"hub-fault"}
    assert len(reader.alarms()) == 1
    assert download(reader) is True
    assert reader.fetch() == 1


def test_what_the_hub_serves_no_more_is_not_wanted(reader: Reader) -> None:
    """Expired or withdrawn there: nothing is fetched for it any longer."""
    send(reader, stored=False)
    reader.fetch()
    assert bool(reader.fetcher.wanted)
    reader.serve()
    reader.fetch()
    assert not reader.fetcher.wanted
    assert download(reader) is None


def test_files_that_no_bulletin_has_go_after_a_week(reader: Reader) -> None:
    """Those of stored bulletins stay, however old."""
    _, file = send(reader)
    reader.fetch()
    download(reader)
    reader.fetch()
    folder = incoming_folder(reader.home.data)
    (folder / ("0" * 64)).write_bytes(b"of nobody")
    (folder / "young.part").write_bytes(b"still coming")
    for path in (folder / ("0" * 64), folder / file.ref.sha256):
        os.utime(path, (0, 0))
    collect(reader.home)
    assert files(reader) == sorted([file.ref.sha256, "young.part"])


def test_the_loop_fetches_by_itself(world: NodeWorld, tn: Home) -> None:
    """Inbox and download work side by side until the envelope is answered."""
    reader = Reader(world, tn)
    sync = Sync(tn, reader.line, lambda: world.now, PACE)

    async def run() -> None:
        working = asyncio.create_task(sync.run())
        send(reader, LARGE)
        for _ in range(500):
            if world.answered:
                break
            await asyncio.sleep(0.01)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    asyncio.run(run())
    assert len(reader.shown()) == 1
    assert len(world.answered) == 1
