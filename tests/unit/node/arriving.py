"""Attachments sent to tn/main, and the task that downloads them, for the tests of incoming attachments."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from broker.node.files import incoming_folder
from broker.node.inbox.attachments import Downloader
from keys.envelope import Outgoing
from keys.streams import CHUNK_BYTES
from tests.unit.node.paper_files import SealedFile, enclosing
from tests.unit.node.reader import Reader

PLAINTEXT = secrets.token_bytes(5 * CHUNK_BYTES + 1000)
LARGE = secrets.token_bytes(60 * CHUNK_BYTES)


def send(
    reader: Reader, plaintext: bytes = PLAINTEXT, *, stored: bool = True, **changed: Any
) -> tuple[Outgoing, SealedFile]:
    """A bulletin with an attachment is accepted for tn/main."""
    outgoing, file = enclosing(reader.world, "ly/main", plaintext, **changed)
    accept(reader, outgoing)
    if stored:
        reader.client.put(file)
    return outgoing, file


def accept(reader: Reader, outgoing: Outgoing) -> None:
    """The hub takes it."""
    reader.world.accept(reader.world.envelope("ly/main", "tn/main", outgoing=outgoing))


def downloader(reader: Reader) -> Downloader:
    """The task beside the inbox, without a pause after failures."""
    made = Downloader(
        reader.home, reader.line, "tn/main", lambda: reader.world.now, reader.fetcher.wanted
    )
    made._pauses._base_seconds = 0.0
    return made


def download(reader: Reader) -> bool | None:
    """One step of it."""
    return asyncio.run(downloader(reader).step())


def files(reader: Reader) -> list[str]:
    """The names of all incoming files."""
    return sorted(path.name for path in incoming_folder(reader.home.data).iterdir())
