"""The exchange log of a hub on paper: it judges, logs and proves as the real one does.

Receipts and proofs are real; the tests make it lie through `changed`. `paper_hub.py` calls it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from broker.policy.admission import admit
from broker.tlog.checkpoint import Checkpoint, sign_checkpoint
from broker.tlog.cosignature import MlDsa44CosignatureSigner
from broker.tlog.merkle import inclusion_path, leaf_hash, root
from broker.tlog.note import Ed25519NoteSigner
from broker.tlog.receipt import LogVerifier, exchange_leaf_data, place_hash
from broker.tlog.tiles import append, reader_from_tiles
from keys.dsse import pae_sha256, sign_statement, signatures_sha256
from keys.envelope import check_sealed_bytes, parse_header
from schemas.acknowledgements import AcknowledgedItem, Acknowledgement, Result
from schemas.entries import (
    AcceptedRecipient,
    AcknowledgementEntry,
    EnvelopeAccepted,
    EnvelopeExpired,
    EnvelopeRefused,
    ExchangeLogEntry,
    parse_exchange_entry,
)
from schemas.envelope import Envelope
from schemas.errors import Problem
from schemas.limits import ENVELOPE_BYTES_MAX
from schemas.loader import dump_json, parse, to_plain
from schemas.receipts import (
    AcknowledgementProof,
    EnvelopeStatus,
    InboxItem,
    Place,
    Receipt,
    RecipientStatus,
    Tombstone,
)
from schemas.statements import PayloadType, Statement
from tests.unit.node.documents import SendingWorld


@dataclass
class LoggedItem:
    """One entry of the exchange log with what lies behind it."""

    salt: bytes
    entry: bytes
    statement: Statement
    places: dict[str, Place]
    envelope: Envelope | None = None

    @property
    def parsed(self) -> ExchangeLogEntry:
        """The entry."""
        return parse_exchange_entry(self.entry)


def statement_of(envelope: Envelope) -> Statement:
    """The signed statement of an envelope."""
    return Statement(
        payload_type=envelope.payload_type,
        payload=envelope.payload,
        signatures=envelope.signatures,
    )


class LoggingWorld(SendingWorld):
    """A world of senders whose hub has an exchange log."""

    def __init__(self) -> None:
        self.items: list[LoggedItem] = []
        self.answered: set[tuple[int, str]] = set()
        self._places: dict[tuple[str, str], int] = {}
        super().__init__()

    @property
    def log_keys(self) -> LogVerifier:
        """What opens the exchange log's checkpoints."""
        return LogVerifier.from_keys(self.exchange_log.public)

    # The hub.

    def accept(self, envelope: Envelope, **changed: Any) -> int:
        """Judge an envelope as the hub does, and log it; `changed` is what a hostile hub writes."""
        statement = statement_of(envelope)
        header = parse_header(statement)
        check = changed.pop("check", True)
        permitted: tuple[str, ...] = ("standing-mechanism",)
        policies = dict.fromkeys(header.desks, permitted)
        if check:
            check_sealed_bytes(header, envelope.slots, envelope.body)
            policies = admit(statement, header, self.newest, self.now)
        places = {desk: self._next_place(header.from_, desk) for desk in header.desks}
        entry = EnvelopeAccepted(
            type="envelope.accepted",
            at=self.now,
            pae=pae_sha256(statement),
            signatures=signatures_sha256(statement),
            header=statement.payload,
            directory_size=len(self.entries),
            recipients=tuple(
                AcceptedRecipient(
                    desk=desk,
                    place=place_hash(places[desk].place_salt, places[desk].n),
                    policies=policies[desk],
                )
                for desk in header.desks
            ),
        )
        return self._append(entry.model_copy(update=changed), statement, places, envelope)

    def _next_place(self, sender: str, recipient: str) -> Place:
        number = self._places.get((sender, recipient), 0) + 1
        self._places[sender, recipient] = number
        return Place(desk=recipient, n=number, place_salt=secrets.token_bytes(32))

    def refuse(self, envelope: Envelope, word: str, **extensions: Any) -> Problem:
        """Refuse an envelope for good; what its sender is told."""
        statement = statement_of(envelope)
        entry = EnvelopeRefused(
            type="envelope.refused",
            at=self.now,
            pae=pae_sha256(statement),
            signatures=signatures_sha256(statement),
            header=statement.payload,
            problem=word,
            directory_size=len(self.entries),
        )
        index = self._append(entry, statement, {})
        receipt = self.receipt(index, parse_header(statement).from_)
        return Problem(word, **extensions, receipt=to_plain(receipt))

    def answer(self, who: str, entry: int, result: Result, **changed: Any) -> Statement:
        """A desk's signed answer to one envelope; `signer` and members of the payload may differ."""
        signer = changed.pop("signer", self.desks[who].node)
        header = parse_header(self.items[entry].statement)
        item: dict[str, Any] = {
            "from_": header.from_,
            "id": header.id,
            "origin": self.exchange_log.origin,
            "index": entry,
            "leaf": self.leaf(entry).hex(),
        }
        item |= {name: changed.pop(name) for name in tuple(changed) if name in item}
        fields: dict[str, Any] = {
            "v": 1,
            "exchange": self.exchange,
            "desk": who,
            "at": self.now,
            "result": result,
            "items": (AcknowledgedItem(**item),),
        }
        payload = Acknowledgement(**(fields | changed))
        return sign_statement(
            PayloadType.ACKNOWLEDGEMENT, dump_json(payload), self.exchange, [signer]
        )

    def log_answer(self, statement: Statement) -> int:
        """Log an acknowledgement; gives its index."""
        payload = parse(Acknowledgement, statement.payload, ENVELOPE_BYTES_MAX)
        self.answered |= {(item.index, payload.desk) for item in payload.items}
        entry = AcknowledgementEntry(
            type="acknowledgement",
            at=self.now,
            pae=pae_sha256(statement),
            signatures=signatures_sha256(statement),
            statement=statement.payload,
            directory_size=len(self.entries),
        )
        return self._append(entry, statement, {})

    def expire(self, index: int, **changed: Any) -> int:
        """Log that an envelope expired; `changed` is what a hostile hub writes. Gives its index."""
        statement = self.items[index].statement
        header = parse_header(statement)
        entry = EnvelopeExpired(
            type="envelope.expired",
            at=max(self.now, header.expires),
            from_=header.from_,
            id=header.id,
            directory_size=len(self.entries),
        )
        return self._append(entry.model_copy(update=changed), statement, {})

    def log_entry(self, entry: ExchangeLogEntry) -> int:
        """Log what no party signed; gives its index."""
        node = self.desks["ly/main"].node
        assert node is not None
        signed = sign_statement(PayloadType.ENVELOPE, b"{}", self.exchange, [node])
        return self._append(entry, signed, {})

    def _append(
        self,
        entry: ExchangeLogEntry,
        statement: Statement,
        places: dict[str, Place],
        envelope: Envelope | None = None,
    ) -> int:
        salt = secrets.token_bytes(32)
        self.items.append(LoggedItem(salt, dump_json(entry), statement, places, envelope))
        return len(self.items) - 1

    # What it shows.

    def leaf(self, index: int) -> bytes:
        """The leaf hash of an entry."""
        item = self.items[index]
        return leaf_hash(exchange_leaf_data(item.salt, item.entry))

    def head(self, size: int | None = None) -> Checkpoint:
        """The tree of the first `size` entries."""
        count = len(self.items) if size is None else size
        tiles = append(0, lambda *_: b"", [self.leaf(i) for i in range(count)]).tiles
        read = reader_from_tiles(lambda level, index: tiles[level, index], count)
        return Checkpoint(self.exchange_log.origin, count, root(count, read))

    def receipt(self, index: int, desk: str, size: int | None = None) -> Receipt:
        """The receipt of an entry, as `desk` gets it."""
        item = self.items[index]
        count = len(self.items) if size is None else size
        tiles = append(0, lambda *_: b"", [self.leaf(i) for i in range(count)]).tiles
        read = reader_from_tiles(lambda level, position: tiles[level, position], count)
        signers = (
            Ed25519NoteSigner(self.exchange_log.origin, self.exchange_log.ed25519),
            MlDsa44CosignatureSigner(self.exchange_log.origin, self.exchange_log.ml_dsa_44),
        )
        is_sender = item.envelope is not None and parse_header(item.statement).from_ == desk
        told = (
            item.places.values()
            if is_sender
            else [place for name, place in item.places.items() if name == desk]
        )
        return Receipt(
            entry=item.entry,
            salt=item.salt,
            places=tuple(told),
            index=index,
            path=tuple(step.hex() for step in inclusion_path(index, count, read)),
            checkpoint=sign_checkpoint(self.head(count), signers, int(self.now.timestamp())),
        )

    def item(self, index: int, desk: str, *, inline: bool = True) -> InboxItem:
        """A waiting envelope, as its recipient gets it."""
        item = self.items[index]
        assert item.envelope is not None
        return InboxItem(
            statement=item.statement,
            slot=item.envelope.slots[desk],
            receipt=self.receipt(index, desk),
            body=item.envelope.body if inline else None,
        )

    def tombstone(self, index: int, expired: int, desk: str) -> Tombstone:
        """What is left of an expired envelope, as its recipient gets it."""
        return Tombstone(
            statement=self.items[index].statement,
            receipt=self.receipt(index, desk),
            expired=self.receipt(expired, desk),
        )

    def ends(self) -> dict[int, int]:
        """By the index of an expired envelope, that of the first entry which says so."""
        found: dict[int, int] = {}
        for index, item in enumerate(self.items):
            if isinstance(item.parsed, EnvelopeExpired):
                accepted = self.find(item.parsed.id)
                if accepted is not None:
                    found.setdefault(accepted, index)
        return found

    def proof(self, index: int, desk: str) -> AcknowledgementProof:
        """A logged acknowledgement with its receipt."""
        statement = self.items[index].statement
        return AcknowledgementProof(statement=statement, receipt=self.receipt(index, desk))

    def status(self, index: int) -> EnvelopeStatus:
        """What became of an envelope, for its sender."""
        header = parse_header(self.items[index].statement)
        answers: dict[str, list[AcknowledgementProof]] = {desk: [] for desk in header.desks}
        for number, item in enumerate(self.items):
            if isinstance(item.parsed, AcknowledgementEntry):
                payload = parse(Acknowledgement, item.statement.payload, ENVELOPE_BYTES_MAX)
                if payload.desk in answers and any(i.index == index for i in payload.items):
                    answers[payload.desk].append(self.proof(number, header.from_))
        return EnvelopeStatus(
            receipt=self.receipt(index, header.from_),
            recipients=tuple(
                RecipientStatus(desk=desk, acknowledgements=tuple(proofs))
                for desk, proofs in answers.items()
            ),
        )

    def find(self, envelope_id: str) -> int | None:
        """The index at which an envelope of this id was accepted."""
        for index, item in enumerate(self.items):
            if item.envelope is not None and parse_header(item.statement).id == envelope_id:
                return index
        return None
