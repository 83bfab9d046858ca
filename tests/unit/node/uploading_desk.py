"""An agency of ly/main that uploads attachments, and the node's work with the hub on paper.

The tests of outgoing attachments share it.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from sqlalchemy import select

from broker.client import HubClient
from broker.db import reading
from broker.node import tables
from broker.node.files import outgoing_folder
from broker.node.home import Home
from broker.node.outbox.attachments import Announced, Uploads
from broker.node.outbox.checking import Order
from broker.node.outbox.queueing import queue
from broker.node.uploading import Uploader
from keys.envelope import parse_header
from keys.streams import CHUNK_BYTES, attachment_label, open_stream
from schemas.envelope import Envelope, Header
from schemas.errors import Problem
from schemas.limits import ENVELOPE_BYTES_MAX
from schemas.loader import parse
from tests.unit.node.bench import Bench
from tests.unit.node.world import NodeWorld, document, new_id

SIZE = 5 * CHUNK_BYTES + 1000
PLAINTEXT = secrets.token_bytes(SIZE)


class Desk:
    """An agency of ly/main that uploads, and the node's work with the hub on paper."""

    def __init__(self, world: NodeWorld, home: Home) -> None:
        self.world = world
        self.bench = Bench(world, home)
        self._start()

    def _start(self) -> None:
        line, _ = self.world.line(self.home)
        client = self.bench.client
        line = replace(line, clients={"ly/main": cast(HubClient, client)})
        self.uploads = Uploads(self.home, lambda: self.world.now)
        self.uploader = Uploader(self.home, line, "ly/main", lambda: self.world.now)

    @property
    def home(self) -> Home:
        """The node's home."""
        return self.bench.home

    def restart(self) -> None:
        """Kill the process: only the disk is left."""
        stored = self.bench.client.stored, self.bench.client.partial
        self.bench.restart()
        self.bench.client.stored, self.bench.client.partial = stored
        self._start()

    def announce(self, plaintext: bytes = PLAINTEXT, bulletin_id: str = "") -> Announced:
        """An attachment that is to be uploaded."""
        digest = hashlib.sha256(plaintext).hexdigest()
        return Announced("ly/main", bulletin_id or new_id(), new_id(), len(plaintext), digest)

    def upload(
        self, announced: Announced, plaintext: bytes = PLAINTEXT, piece: int = 2 * CHUNK_BYTES
    ) -> None:
        """Upload to the end, from where it stands."""
        offset = self.uploads.offset(announced)
        while True:
            offset = self.uploads.take(announced, offset, plaintext[offset : offset + piece])
            if offset == announced.size_bytes:
                return

    def queue(self, announced: Announced, *to: str, **changed: Any) -> None:
        """Hand in the bulletin that names it."""
        member = {
            "id": announced.attachment_id,
            "name": "photograph.jpg",
            "media_type": "image/jpeg",
            "size": announced.size_bytes,
            "sha256": announced.sha256,
        }
        content = document("ly/main", announced.bulletin_id, attachments=[member])
        order = Order("ly/main", content, to or ("tn/main",), **changed)
        queue(self.home, order, self.world.newest, self.world.now)

    def carry(self) -> list[bool | None]:
        """Upload to the hub until nothing is left to do."""

        async def run() -> list[bool | None]:
            steps: list[bool | None] = []
            while (step := await self.uploader.step()) is not None:
                steps.append(step)
            return steps

        return asyncio.run(run())

    def row(self) -> Any:
        """The one row of an attachment."""
        with reading(self.home.engine) as connection:
            return connection.execute(select(tables.outgoing_attachment)).one()

    def headers(self) -> list[Header]:
        """Of everything that was submitted."""
        sealed = [parse(Envelope, s, ENVELOPE_BYTES_MAX) for s in self.bench.client.submitted]
        return [parse_header(each) for each in sealed]

    def files(self) -> list[bytes]:
        """The contents of all outgoing files."""
        return [path.read_bytes() for path in sorted(outgoing_folder(self.home.data).iterdir())]


def opened(desk: Desk, sealed: bytes) -> bytes:
    """What a recipient with the key makes of a sealed file."""
    row = desk.row()
    label = attachment_label(desk.home.exchange, row.bulletin_id, row.attachment_id)
    return b"".join(open_stream([sealed], row.key, label, row.size, row.sha256))


def refusal(take: Callable[[], object]) -> Problem:
    """The problem that something is answered with."""
    with pytest.raises(Problem) as caught:
        take()
    return caught.value
