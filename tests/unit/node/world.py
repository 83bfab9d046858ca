"""A hub on paper: it judges, logs and proves as the real one does, and lies where a test wants it to.

    world = NodeWorld()
    tn = world.home(tmp_path, "tn", "main")
    world.announce_for(tn)
    index = world.accept(world.envelope("ly/main", "tn/main"))
    item = world.item(index, "tn/main")

Keys, signatures, sealing, log proofs and databases are real; only the transport is missing.
"""

from __future__ import annotations

import atexit
import copy
import functools
import json
import secrets
import shutil
import tempfile
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import uuid_utils
from sqlalchemy import Engine, event

from broker.client import HubClient
from broker.db import migrate, open_sqlcipher
from broker.following import Follower
from broker.node import migrations
from broker.node.api.examples import THREAT_BULLETIN
from broker.node.home import DeskKeys, Home
from broker.node.line import HubClock, Line
from broker.node.outbox.drafts import outgoing_of
from broker.node.sealing_keys import prepare_key
from broker.policy.admission import admit
from broker.policy.rules import default_texts
from broker.settings import Listen, NodeSettings
from broker.tlog.checkpoint import Checkpoint, sign_checkpoint
from broker.tlog.cosignature import MlDsa44CosignatureSigner
from broker.tlog.merkle import inclusion_path, leaf_hash, root
from broker.tlog.note import Ed25519NoteSigner
from broker.tlog.receipt import LogVerifier, exchange_leaf_data, place_hash
from broker.tlog.tiles import append, reader_from_tiles
from keys.dsse import pae_sha256, sign_statement, signatures_sha256
from keys.envelope import Outgoing, address, check_sealed_bytes, parse_header, seal_content
from keys.history import DirectoryHistory, DirectoryState
from keys.keystore import KdfCost, Keystore
from keys.sealing import SealingPublicKey
from schemas.acknowledgements import AcknowledgedItem, Acknowledgement, Result
from schemas.bulletin.vocabularies import Precedence
from schemas.entries import (
    AcceptedRecipient,
    AcknowledgementEntry,
    EnvelopeAccepted,
    EnvelopeRefused,
    ExchangeLogEntry,
    parse_exchange_entry,
)
from schemas.envelope import AttachmentRef, Envelope, Header
from schemas.errors import HubUnreachable, Problem
from schemas.limits import ENVELOPE_BYTES_MAX
from schemas.loader import dump_json, parse, to_plain
from schemas.receipts import (
    AcknowledgementProof,
    EnvelopeStatus,
    InboxItem,
    InboxPage,
    Opening,
    OpeningsPage,
    Place,
    Receipt,
    RecipientStatus,
)
from schemas.statements import PayloadType, Statement
from tests.exchange.trust_world import START, TrustWorld

CHEAP = KdfCost(operations=1, memory_bytes=8 * 1024 * 1024)
PASSPHRASE = b"a passphrase of tests"
DATABASE_KEY = bytes(range(32))


@functools.cache
def _migrated() -> Path:
    """A new node's database, made once: every test starts from its copy."""
    path = Path(tempfile.mkdtemp(prefix="barid-node-")) / "node.db"
    engine = open_sqlcipher(path, DATABASE_KEY)
    migrate(engine, migrations)
    engine.dispose()
    atexit.register(shutil.rmtree, path.parent)
    return path


def open_database(data: Path) -> Engine:
    """Open a node's database; tests kill processes, never the power, so that they need no fsync."""
    engine = open_sqlcipher(data / "node.db", DATABASE_KEY)
    engine.dispose()

    def on_connect(raw: Any, _record: Any) -> None:
        raw.execute("PRAGMA synchronous = OFF")

    event.listen(engine, "connect", on_connect)
    return engine


def copy_home(home: Home, folder: Path) -> Home:
    """The same node once more, on a disk of its own."""
    data = folder / home.settings.member
    shutil.copytree(home.data, data)
    keystore = Keystore(data / "keystore", home.keystore._box)
    return replace(home, data=data, keystore=keystore, engine=open_database(data))


def new_id() -> str:
    """A fresh UUIDv7."""
    return str(uuid_utils.uuid7())


def document(sender: str = "ly/main", bulletin_id: str | None = None, **changed: Any) -> bytes:
    """A valid threat bulletin's JSON."""
    value = dict(THREAT_BULLETIN) | {"id": bulletin_id or new_id()} | changed
    value["originator"] = THREAT_BULLETIN["originator"] | {"desk": sender}
    return json.dumps(value, ensure_ascii=False).encode()


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


class NodeWorld(TrustWorld):
    """The trust world with the shipped access rules, and an exchange log."""

    def __init__(self) -> None:
        self.items: list[LoggedItem] = []
        self.answered: set[tuple[int, str]] = set()
        super().__init__()
        self.policy_text, self.schema_text = default_texts()
        self.change_council(version=1)
        self._history: DirectoryHistory | None = None
        self._places: dict[tuple[str, str], int] = {}
        self.publish()

    def copy(self) -> NodeWorld:
        """An independent world with the same keys and the same past."""
        other = copy.copy(self)
        other.items, other.entries = [*self.items], [*self.entries]
        other.answered, other._places = set(self.answered), dict(self._places)
        other.files, other.current = dict(self.files), dict(self.current)
        other.member_files, other.desks = dict(self.member_files), dict(self.desks)
        other.versions = replace(self.versions, members=dict(self.versions.members))
        other.sealing_secrets = dict(self.sealing_secrets)
        other._history = self.known.copy()
        return other

    # What is known of the directory log.

    @property
    def known(self) -> DirectoryHistory:
        """The history of the directory log so far."""
        if self._history is None:
            self._history = self.empty_history()
        assert self.feed(self._history) == ()
        return self._history

    @property
    def newest(self) -> DirectoryState:
        """The newest state of the directory log."""
        return self.known.newest

    @property
    def log_keys(self) -> LogVerifier:
        """What opens the exchange log's checkpoints."""
        return LogVerifier.from_keys(self.exchange_log.public)

    # Nodes.

    def home(self, folder: Path, member: str, *units: str) -> Home:
        """A node's home with the keys that the directory names; its database is SQLCipher on disk."""
        data = folder / member
        data.mkdir()
        keystore = Keystore.create(data / "keystore", PASSPHRASE, CHEAP)
        settings = NodeSettings(
            exchange=self.exchange,
            member=member,
            desks=units,
            listen=Listen(host="127.0.0.1", port=0),
        )
        shutil.copy(_migrated(), data / "node.db")
        engine = open_database(data)
        desks = {}
        for desk in settings.desk_ids:
            node = self.desks[desk].node
            assert node is not None
            desks[desk] = DeskKeys(node, self.desks[desk].request)
        return Home(data, settings, keystore, engine, desks)

    def announce_for(self, home: Home) -> None:
        """Have the node make and log the sealing keys of its desks."""
        for desk in home.desks:
            statement = prepare_key(home, desk, self.newest, self.now)
            assert statement is not None
            self.announce(statement)
            assert prepare_key(home, desk, self.newest, self.now) is None

    def announce_for_all_but(self, *desks: str) -> None:
        """Log a first sealing key of every other desk that has none."""
        for desk, keys in self.desks.items():
            has_one = self.newest.highest_epoch(desk) > 0
            if keys.node is not None and desk not in desks and not has_one:
                self.announce(self.sealing_statement(desk, 1, not_before=self.now))

    # Senders without a node.

    def outgoing(self, sender: str, content: bytes | None = None, **changed: Any) -> Outgoing:
        """A bulletin that is to leave."""
        made = outgoing_of(
            content or document(sender),
            Precedence.PRIORITY,
            self.now + timedelta(days=7),
            secrets.token_bytes(32),
        )
        return replace(made, sender=sender, **changed)

    def envelope(
        self, sender: str, *recipients: str, outgoing: Outgoing | None = None, **changed: Any
    ) -> Envelope:
        """Seal a bulletin as its sender would; `tamper` changes what `seal_content` made."""
        outgoing = outgoing or self.outgoing(sender)
        tamper = changed.pop("tamper", lambda sealed: sealed)
        envelope_id = changed.pop("envelope_id", None) or new_id()
        sealed = tamper(seal_content(outgoing, self.exchange, envelope_id, recipients))
        slots = {}
        for desk in recipients:
            record = self.newest.sealing_key(desk, self.now)
            assert record is not None
            slots[desk] = (record.keyid, SealingPublicKey.from_bytes(record.public_key))
        in_force = self.newest.in_force
        assert in_force is not None
        arguments: dict[str, Any] = {
            "identity": self.desks[sender].node,
            "directory": in_force,
            "created": self.now,
        }
        return address(outgoing, sealed, self.exchange, slots, **(arguments | changed))

    def resigned(self, envelope: Envelope, header: Header) -> Envelope:
        """The same slots and body under another header, signed by the sender."""
        identity = self.desks[header.from_].node
        assert identity is not None
        signed = sign_statement(PayloadType.ENVELOPE, dump_json(header), self.exchange, [identity])
        return envelope.model_copy(
            update={"payload": signed.payload, "signatures": signed.signatures}
        )

    def with_attachment(self, sender: str, *recipients: str) -> Envelope:
        """An envelope whose bulletin has an attachment, as no hub of this version should take it."""
        attachment = AttachmentRef(id=new_id(), sha256="0" * 64, size=1)
        inside = {"id": attachment.id, "name": "a.pdf", "media_type": "application/pdf"}
        content = document(sender, attachments=[inside | {"size": 1, "sha256": "0" * 64}])
        envelope = self.envelope(sender, *recipients, outgoing=self.outgoing(sender, content))
        header = parse_header(envelope).model_copy(update={"attachments": (attachment,)})
        return self.resigned(envelope, header)

    # The hub.

    def accept(self, envelope: Envelope, **changed: Any) -> int:
        """Judge an envelope as the hub does, and log it; `changed` is what a hostile hub writes."""
        statement = _statement(envelope)
        header = parse_header(statement)
        check = changed.pop("check", True)
        permitted: tuple[str, ...] = ("states-to-states",)
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
        statement = _statement(envelope)
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

    def line(self, home: Home) -> tuple[Line, PaperClient]:
        """The line of a node to this hub."""
        client = PaperClient(self)
        clients = dict.fromkeys(home.desks, cast(HubClient, client))
        follower = cast(Follower, PaperFollower(self))
        return Line(clients, follower, HubClock(lambda: self.now)), client


def _statement(envelope: Envelope) -> Statement:
    return Statement(
        payload_type=envelope.payload_type,
        payload=envelope.payload,
        signatures=envelope.signatures,
    )


class PaperFollower:
    """Follows the hub on paper; a head in `forged` is not one with the log."""

    def __init__(self, world: NodeWorld) -> None:
        self.world = world
        self.forged: set[bytes] = set()
        self.refreshed = 0

    @property
    def history(self) -> DirectoryHistory:
        """The directory log's history."""
        return self.world.known

    @property
    def state(self) -> DirectoryState:
        """Its newest state."""
        return self.world.newest

    @property
    def exchange_log(self) -> LogVerifier:
        """The exchange log's keys."""
        return self.world.log_keys

    @property
    def exchange_checkpoint(self) -> Checkpoint:
        """The newest tree."""
        return self.world.head()

    async def refresh(self) -> tuple[()]:
        """Nothing new."""
        self.refreshed += 1
        return ()

    async def prove_exchange_head(self, checkpoint: Checkpoint) -> None:
        """Compare with the tree of that size."""
        if checkpoint.root in self.forged or checkpoint != self.world.head(checkpoint.size):
            raise Problem("inconsistent-log")


class PaperClient:
    """Calls the hub on paper, for any desk; tests break it with `away` and `refusals`."""

    def __init__(self, world: NodeWorld) -> None:
        self.world = world
        self.away = False
        self.drops_answers = False
        self.refusals: list[Problem] = []
        self.submitted: list[bytes] = []
        self.inbox_items: dict[str, list[InboxItem]] = {}
        self.bodies: dict[str, bytes] = {}
        self.announced: list[Statement] = []

    def _call(self) -> None:
        if self.away:
            raise HubUnreachable("away")
        if self.refusals:
            raise self.refusals.pop(0)

    async def submit(self, sealed: bytes) -> Receipt:
        """Accept an envelope once; the same bytes again get the same entry's receipt."""
        self._call()
        self.submitted.append(sealed)
        envelope = parse(Envelope, sealed, ENVELOPE_BYTES_MAX)
        header = parse_header(_statement(envelope))
        index = self.world.find(header.id)
        if index is None:
            index = self.world.accept(envelope)
        if self.drops_answers:
            raise HubUnreachable("the line was cut after the commit")
        if self.world.items[index].statement != _statement(envelope):
            receipt = self.world.receipt(index, header.from_)
            raise Problem("id-taken", earlier=[to_plain(receipt)])
        return self.world.receipt(index, header.from_)

    async def inbox(self, desk: str, **_options: Any) -> InboxPage:
        """What waits, or what a test put there."""
        self._call()
        if desk in self.inbox_items:
            return InboxPage(items=tuple(self.inbox_items[desk]))
        items = [
            self.world.item(index, desk)
            for index, item in enumerate(self.world.items)
            if item.envelope is not None
            and desk in item.envelope.slots
            and (index, desk) not in self.world.answered
        ]
        return InboxPage(items=tuple(items))

    async def body(self, sender: str, envelope_id: str) -> bytes:
        """A body."""
        self._call()
        return self.bodies[envelope_id]

    async def acknowledge(self, statement: Statement) -> Receipt:
        """Log an acknowledgement once."""
        self._call()
        payload = parse(Acknowledgement, statement.payload, ENVELOPE_BYTES_MAX)
        for index, item in enumerate(self.world.items):
            if pae_sha256(item.statement) == pae_sha256(statement):
                return self.world.receipt(index, payload.desk)
        index = self.world.log_answer(statement)
        if self.drops_answers:
            raise HubUnreachable("the line was cut after the commit")
        return self.world.receipt(index, payload.desk)

    async def status(self, sender: str, envelope_id: str) -> EnvelopeStatus:
        """What became of an envelope."""
        self._call()
        index = self.world.find(envelope_id)
        assert index is not None
        return self.world.status(index)

    async def publish_sealing_key(self, desk: str, statement: Statement) -> None:
        """Log a sealing key once."""
        self._call()
        self.announced.append(statement)
        self.world.announce(statement)

    async def openings(self, log: str, start: int, end: int) -> OpeningsPage:
        """Everything: a desk looks only at what concerns it."""
        self._call()
        return OpeningsPage(
            openings=tuple(
                Opening(index=i, salt=item.salt, entry=item.entry, statement=item.statement)
                for i, item in enumerate(self.world.items)
                if start <= i < end
            )
        )


def at(**later: int) -> datetime:
    """The world's first moment, or some time after it."""
    return START + timedelta(**later)
