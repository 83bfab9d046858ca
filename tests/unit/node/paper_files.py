"""Attachments at the hub on paper, and files sealed as a sender without a node would seal them.

`PaperClient` stores and serves with it; tests break it where they want to.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keys.envelope import Outgoing
from keys.streams import Sealer, attachment_label
from schemas.entries import AttachmentStored
from schemas.envelope import AttachmentRef, Header
from schemas.errors import HubUnreachable, ParseError, Problem
from schemas.receipts import Receipt
from tests.unit.node.documents import document, new_id
from tests.unit.node.paper_log import LoggingWorld

DOWNLOAD_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class SealedFile:
    """A file, and what its sender made of it."""

    id: str
    plaintext: bytes
    key: bytes
    sealed: bytes
    name: str = "photograph.jpg"
    media_type: str = "image/jpeg"

    @property
    def sha256(self) -> str:
        """Of the plaintext."""
        return hashlib.sha256(self.plaintext).hexdigest()

    @property
    def member(self) -> dict[str, Any]:
        """How the bulletin names it."""
        return {
            "id": self.id,
            "name": self.name,
            "media_type": self.media_type,
            "size": len(self.plaintext),
            "sha256": self.sha256,
        }

    @property
    def ref(self) -> AttachmentRef:
        """How the header names it."""
        digest = hashlib.sha256(self.sealed).hexdigest()
        return AttachmentRef(id=self.id, sha256=digest, size=len(self.sealed))


def seal_file(exchange: str, bulletin_id: str, plaintext: bytes, **changed: Any) -> SealedFile:
    """Seal a file for a bulletin."""
    attachment_id, key = new_id(), secrets.token_bytes(32)
    label = attachment_label(exchange, bulletin_id, attachment_id)
    sealer = Sealer(key, label, len(plaintext))
    sealed = b"".join([*sealer.push(plaintext), *sealer.finish()])
    return SealedFile(attachment_id, plaintext, key, sealed, **changed)


def enclosing(
    world: LoggingWorld, sender: str, plaintext: bytes, **changed: Any
) -> tuple[Outgoing, SealedFile]:
    """A bulletin with one attachment; `changed` is what its sender does otherwise."""
    bulletin_id = new_id()
    file = replace(seal_file(world.exchange, bulletin_id, plaintext), **changed)
    content = document(sender, bulletin_id, attachments=[file.member])
    refs, keys = (file.ref,), {file.id: file.key}
    outgoing = world.outgoing(sender, content, attachments=refs, attachment_keys=keys)
    return outgoing, file


class PaperFiles:
    """What the hub on paper has of attachments; a test may cut the line after so many bytes."""

    def __init__(self, world: LoggingWorld) -> None:
        self.world = world
        self.stored: dict[str, bytes] = {}
        self.partial: dict[str, bytes] = {}
        self.pieces: list[tuple[str, int]] = []
        self.cut_after_bytes: int | None = None
        self.downloads: list[tuple[str, int]] = []
        self.refused: dict[str, Problem] = {}

    def put(self, file: SealedFile) -> None:
        """Have it, as if its sender had uploaded it."""
        self.stored[file.ref.sha256] = file.sealed

    def check_stored(self, header: Header) -> None:
        """Refuse what names an attachment that is not here."""
        missing = [each.sha256 for each in header.attachments if each.sha256 not in self.stored]
        if missing:
            raise Problem("attachments-missing", missing=missing)

    async def attachment_offset(self, sha256: str, size: int) -> int:
        """How much is here."""
        if sha256 in self.refused:
            raise self.refused[sha256]
        return size if sha256 in self.stored else len(self.partial.get(sha256, b""))

    async def upload_piece(self, sha256: str, size: int, offset: int, data: bytes) -> int | Receipt:
        """Take a piece."""
        have = self.stored.get(sha256, self.partial.get(sha256, b""))
        if offset != len(have):
            raise Problem("upload-offset", offset=len(have))
        self.pieces.append((sha256, offset))
        have += data
        if len(have) < size:
            self.partial[sha256] = have
            return len(have)
        if hashlib.sha256(have).hexdigest() != sha256:
            self.partial.pop(sha256, None)
            raise Problem("attachment-hash")
        self.stored[sha256] = have
        entry = AttachmentStored(
            type="attachment.stored",
            at=self.world.now,
            sha256=sha256,
            size=size,
            directory_size=len(self.world.entries),
        )
        return self.world.receipt(self.world.log_entry(entry), "")

    async def download(
        self, sha256: str, offset: int = 0, size_bytes: int = 2**30
    ) -> AsyncGenerator[bytes, None]:
        """Give what is here from `offset` on."""
        self.downloads.append((sha256, offset))
        if sha256 not in self.stored:
            raise Problem("not-found")
        data = self.stored[sha256]
        if len(data) > size_bytes:
            raise ParseError("the hub sends more than the attachment has")
        for at in range(offset, len(data), DOWNLOAD_PIECE_BYTES):
            if self.cut_after_bytes is not None and at - offset >= self.cut_after_bytes:
                raise HubUnreachable("the line was cut")
            yield data[at : at + DOWNLOAD_PIECE_BYTES]


@contextmanager
def flipped(path: Path) -> Iterator[None]:
    """One bit of a file is another while the block runs."""
    data = path.read_bytes()
    path.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
    yield
    path.write_bytes(data)
