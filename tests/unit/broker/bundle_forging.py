"""Bundles put together in memory by whoever holds the keys of both logs, of witnesses, and of a desk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from broker.tlog.cosignature import MlDsa44CosignatureSigner
from broker.tlog.merkle import consistency_path, inclusion_path
from broker.tlog.note import Note, parse_note
from broker.tlog.tiles import reader_from_tiles
from keys.envelope import Outgoing, address, seal_content
from keys.sealing import SealingPublicKey
from keys.signing import SigningIdentity
from schemas.bulletin import parse_bulletin
from schemas.bulletin.agreement import header_fields
from schemas.bulletin.vocabularies import Precedence
from schemas.bundle import Bundle, DirectoryLog, ProvedAcceptance, ProvedEntry
from schemas.directory import Witnesses, WitnessKey
from schemas.entries import parse_exchange_entry
from schemas.envelope import Envelope
from schemas.loader import to_plain
from schemas.scalars import encode_base64
from schemas.statements import Statement
from tests.exchange.nodes import document
from tests.unit.audit.fake_hub import grow
from tests.unit.audit.world import CONTENT_SALT, AuditWorld, new_id

CONTENT_KEY = bytes(range(32))


def witness(name: str) -> MlDsa44CosignatureSigner:
    """A witness's key, always the same for a name."""
    return MlDsa44CosignatureSigner(f"{name}.example/witness", name.encode().ljust(32, b"-"))


def witnesses(quorum: int, *members: str) -> Witnesses:
    """Of a council."""
    keys = {
        each: WitnessKey(name=witness(each).key.name, ml_dsa_44=witness(each).key.public)
        for each in members
    }
    return Witnesses(quorum=quorum, keys=keys)


def envelope(
    world: AuditWorld, sender: str, desk: str, signer: SigningIdentity, created: datetime
) -> Envelope:
    """Seal a bulletin of a desk with any node identity."""
    bulletin_id, content = document(sender, "what was said")
    fields = header_fields(parse_bulletin(content))
    outgoing = Outgoing(
        bulletin_id=bulletin_id,
        bulletin_json=content,
        content_salt=CONTENT_SALT,
        status=fields.status,
        sender=sender,
        expires=created + timedelta(days=1),
        precedence=Precedence.ROUTINE,
        kind=fields.kind,
        topics=fields.topics,
        purpose=fields.purpose,
        personal_data=fields.personal_data,
        marking=fields.marking,
    )
    state = world.known().newest
    key = state.sealing_key(desk, world.now)
    assert key is not None
    assert state.in_force is not None
    slots = {desk: (key.keyid, SealingPublicKey.from_bytes(key.public_key))}
    sealed = seal_content(outgoing, world.exchange, new_id(), [desk], CONTENT_KEY)
    return address(outgoing, sealed, world.exchange, slots, signer, state.in_force, created)


def statement_of(sealed: Envelope) -> Statement:
    """The signed part."""
    return Statement(
        payload_type=sealed.payload_type, payload=sealed.payload, signatures=sealed.signatures
    )


class Forger:
    """Proves whatever a world's logs hold.

    Args:
        world: with both logs.
        cosigning: the members whose witnesses cosign both trees now.
    """

    def __init__(self, world: AuditWorld, *cosigning: str) -> None:
        self._world, self._cosigning = world, cosigning
        self._data = {
            "directory": [each.data for each in world.entries],
            "exchange": [each.data for each in world.exchange_entries],
        }

    def bundle(self, sealed: Envelope, index: int, judging: int, witnessing: int | None) -> Bundle:
        """The bundle of an acceptance, judged by a directory entry."""
        world, logged = self._world, self._world.exchange_entries[index]
        return Bundle(
            v=1,
            exchange=world.exchange,
            statement=statement_of(sealed),
            content_key=CONTENT_KEY,
            body=sealed.body,
            acceptance=ProvedAcceptance(
                entry=logged.entry,
                salt=logged.salt,
                index=index,
                path=self._path("exchange", index),
            ),
            exchange_checkpoint=self._note("exchange"),
            directory=self._log(index, judging),
            directory_checkpoint=self._note("directory"),
            witnessing=None if witnessing is None else self._proved(witnessing),
            files=dict(world.files),
        )

    def _log(self, index: int, judging: int) -> DirectoryLog:
        accepted = parse_exchange_entry(self._world.exchange_entries[index].entry)
        data, until = self._data["directory"], accepted.directory_size
        tiles = grow(data)[1]
        read = reader_from_tiles(lambda level, at: tiles[level, at], len(data))
        path = tuple(step.hex() for step in consistency_path(until, len(data), read))
        return DirectoryLog(entries=tuple(data[:until]), judging=judging, path=path)

    def evidence(self, index: int, directories: Sequence[int]) -> dict[str, Any]:
        """What evidence says of an acceptance: its entry and those of the directory log, proved."""
        logged = self._world.exchange_entries[index]
        return {
            "entry": encode_base64(logged.entry),
            "salt": encode_base64(logged.salt),
            "index": index,
            "path": self._path("exchange", index),
            "exchange_checkpoint": self._note("exchange"),
            "directory": [to_plain(self._proved(each)) for each in directories],
            "directory_checkpoint": self._note("directory"),
        }

    def _proved(self, index: int) -> ProvedEntry:
        entry = self._world.entries[index].data
        return ProvedEntry(entry=entry, index=index, path=self._path("directory", index))

    def _path(self, log: str, index: int) -> tuple[str, ...]:
        data = self._data[log]
        tiles = grow(data)[1]
        read = reader_from_tiles(lambda level, at: tiles[level, at], len(data))
        return tuple(step.hex() for step in inclusion_path(index, len(data), read))

    def _note(self, log: str) -> str:
        note = parse_note(self._world.served().logs[log].checkpoint)
        at = int(self._world.now.timestamp())
        lines: list[Any] = [witness(each).sign(note.text, at) for each in self._cosigning]
        return Note(note.text, (*note.signatures, *lines)).render()
