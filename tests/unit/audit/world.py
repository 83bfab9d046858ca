"""An exchange in memory with a hub that logs and serves honestly, until a test tells it otherwise.

    world = AuditWorld()
    index = world.accept(world.envelope("ly/main", "tn/main"))
    world.acknowledge("tn/main", index, Result.DELIVERED)
    report = audit(world.served(), world, directory)

What is logged wrongly on purpose is signed all the same: a hostile hub holds the keys of its logs.
"""

from __future__ import annotations

import asyncio
import copy
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import uuid_utils

from broker.audit.exchange import (
    DirectoryLimits,
    ExchangeAudit,
    ExchangeCounts,
    audit_entries,
)
from broker.audit.leaves import OpenedLeaf
from broker.audit.report import AuditReport
from broker.audit.rules import Finding, Findings
from broker.audit.seen import SeenStore
from broker.audit.verify import verify_exchange
from broker.policy.admission import admit
from broker.policy.rules import default_texts
from broker.tlog.merkle import leaf_hash
from broker.tlog.receipt import exchange_leaf_data, place_hash
from keys.dsse import pae_sha256, sign_statement, signatures_sha256
from keys.envelope import Outgoing, address, parse_header, seal_content
from keys.history import DirectoryHistory, DirectoryState
from keys.sealing import SealingPublicKey
from keys.signing import SigningIdentity
from schemas.acknowledgements import AcknowledgedItem, Acknowledgement, Result
from schemas.bulletin.vocabularies import (
    Classification,
    Kind,
    Precedence,
    Purpose,
    Status,
    Tlp,
    Topic,
)
from schemas.directory import Invitation
from schemas.entries import (
    AcceptedRecipient,
    AcknowledgementEntry,
    DirectoryLogEntry,
    EnvelopeAccepted,
    EnvelopeExpired,
    EnvelopeRefused,
    ExchangeLogEntry,
    TreeHead,
    parse_directory_entry,
    parse_exchange_entry,
)
from schemas.envelope import DirectoryRef, HeaderMarking
from schemas.errors import Problem
from schemas.loader import dump_json
from schemas.receipts import Opening
from schemas.statements import PayloadType, Statement
from tests.exchange.trust_world import Logged, TrustWorld
from tests.unit.audit.fake_hub import FakeHub, ServedLog, grow

CONTENT_SALT = bytes(32)


BULLETIN = b'{"v":1}'


def new_id() -> str:
    """A fresh UUIDv7."""
    return str(uuid_utils.uuid7())


@dataclass(frozen=True)
class LoggedEntry:
    """One entry of the exchange log with its salt, and the statement behind it."""

    salt: bytes
    entry: bytes
    statement: Statement | None

    @property
    def data(self) -> bytes:
        """The leaf's data."""
        return exchange_leaf_data(self.salt, self.entry)


class AuditWorld(TrustWorld):
    """A trust world whose hub keeps an exchange log as well."""

    def __init__(self) -> None:
        self.exchange_entries: list[LoggedEntry] = []
        super().__init__()
        self.policy_text, self.schema_text = default_texts()
        self.change_council(version=1)
        self._history: DirectoryHistory | None = None
        self._places: dict[tuple[str, str], int] = {}
        self.publish()
        self.announce_all()

    def copy(self) -> AuditWorld:
        """An independent world with the same keys and the same past."""
        other = copy.copy(self)
        other.entries, other.exchange_entries = [*self.entries], [*self.exchange_entries]
        other.files, other.current = dict(self.files), dict(self.current)
        other.member_files, other.desks = dict(self.member_files), dict(self.desks)
        other.versions = replace(self.versions, members=dict(self.versions.members))
        other._history = self.known().copy()
        other._places = dict(self._places)
        return other

    # The hub.

    def log(self, entry: DirectoryLogEntry, statement: Statement | None = None) -> Logged:
        """Append to the directory log an entry that names the exchange log as it stands."""
        entry = entry.model_copy(update={"exchange_log": self.exchange_head()})
        return super().log(entry, statement)

    def exchange_head(self) -> TreeHead:
        """Size and root of the exchange log."""
        data = [entry.data for entry in self.exchange_entries]
        return TreeHead(size=len(data), root=grow(data)[0].hex())

    def known(self) -> DirectoryHistory:
        """The history of the directory log so far."""
        if self._history is None:
            self._history = self.empty_history()
        assert self.feed(self._history) == ()
        return self._history

    def append(
        self, entry: ExchangeLogEntry, statement: Statement | None, salt: bytes | None = None
    ) -> int:
        """Log any entry of the exchange log; gives its index."""
        salt = secrets.token_bytes(32) if salt is None else salt
        self.exchange_entries.append(LoggedEntry(salt, dump_json(entry), statement))
        return len(self.exchange_entries) - 1

    def accept(self, statement: Statement, **changed: Any) -> int:
        """Log an accepted envelope; `changed` members of the entry are what a hostile hub writes."""
        header = parse_header(statement)
        try:
            policies = admit(statement, header, self._judging(changed), self.now)
        except Problem:
            policies = dict.fromkeys(header.desks, ("standing-mechanism",))
        recipients = tuple(
            AcceptedRecipient(
                desk=desk, place=self._next_place(header.from_, desk), policies=policies[desk]
            )
            for desk in header.desks
        )
        entry = EnvelopeAccepted(
            type="envelope.accepted",
            at=self.now,
            pae=pae_sha256(statement),
            signatures=signatures_sha256(statement),
            header=statement.payload,
            directory_size=len(self.entries),
            recipients=recipients,
        )
        return self.append(entry.model_copy(update=changed), statement)

    def _judging(self, changed: dict[str, Any]) -> DirectoryState:
        """The state that an entry names; the newest where it names one that is not there."""
        history = self.known()
        size = changed.get("directory_size", history.size)
        return history.at(size) if size <= history.size else history.newest

    def _next_place(self, sender: str, recipient: str) -> str:
        number = self._places.get((sender, recipient), 0) + 1
        self._places[sender, recipient] = number
        return place_hash(secrets.token_bytes(32), number)

    def refuse(self, statement: Statement, problem: str, **changed: Any) -> int:
        """Log a refused envelope."""
        entry = EnvelopeRefused(
            type="envelope.refused",
            at=self.now,
            pae=pae_sha256(statement),
            signatures=signatures_sha256(statement),
            header=statement.payload,
            problem=problem,
            directory_size=len(self.entries),
        )
        return self.append(entry.model_copy(update=changed), statement)

    def acknowledge(self, desk: str, index: int, result: Result, **changed: Any) -> int:
        """Log the acknowledgement of one envelope; `signer` and the payload's members may be changed."""
        signer = changed.pop("signer", None) or self.identity(desk)
        statement = self.answer(desk, index, result, signer, **changed)
        return self.log_answer(statement)

    def log_answer(self, statement: Statement) -> int:
        """Log an acknowledgement's statement."""
        entry = AcknowledgementEntry(
            type="acknowledgement",
            at=self.now,
            pae=pae_sha256(statement),
            signatures=signatures_sha256(statement),
            statement=statement.payload,
            directory_size=len(self.entries),
        )
        return self.append(entry, statement)

    def expire(self, index: int, **changed: Any) -> int:
        """Log the expiry of the envelope at an index."""
        statement = self.exchange_entries[index].statement
        assert statement is not None
        header = parse_header(statement)
        entry = EnvelopeExpired(
            type="envelope.expired",
            at=self.now,
            from_=header.from_,
            id=header.id,
            directory_size=len(self.entries),
        )
        return self.append(entry.model_copy(update=changed), None)

    def alter(self, index: int, **changed: Any) -> None:
        """Log another entry in the place of one, under the same salt and statement."""
        logged = self.exchange_entries[index]
        entry = parse_exchange_entry(logged.entry).model_copy(update=changed)
        self.exchange_entries[index] = replace(logged, entry=dump_json(entry))

    def served(self) -> FakeHub:
        """The hub as it stands, to be asked; later changes of the world do not reach it."""
        directory: list[Opening | None] = [
            Opening(index=index, entry=logged.data, statement=logged.statement)
            for index, logged in enumerate(self.entries)
        ]
        exchange: list[Opening | None] = [
            Opening(index=index, salt=e.salt, entry=e.entry, statement=e.statement)
            for index, e in enumerate(self.exchange_entries)
        ]
        logs = {
            "directory": ServedLog.of(
                self.directory_log, [logged.data for logged in self.entries], directory, self.now
            ),
            "exchange": ServedLog.of(
                self.exchange_log, [e.data for e in self.exchange_entries], exchange, self.now
            ),
        }
        return FakeHub(logs, dict(self.files))

    @property
    def waiting(self) -> list[tuple[int, str]]:
        """Index and desk of every recipient of an accepted envelope, answered or not."""
        found = []
        for index, logged in enumerate(self.exchange_entries):
            entry = parse_exchange_entry(logged.entry)
            if isinstance(entry, EnvelopeAccepted):
                found += [(index, recipient.desk) for recipient in entry.recipients]
        return found

    # The desks.

    def identity(self, desk: str) -> SigningIdentity:
        """A desk's node identity."""
        identity = self.desks[desk].node
        assert identity is not None
        return identity

    def envelope(self, sender: str, *desks: str, **changed: Any) -> Statement:
        """Seal and sign an envelope; `changed` overrides what the sender chooses.

        Beside the fields of `Outgoing` these are `id`, `content_salt`, `created`, `directory`, `signer`,
        and `keyids` by desk.
        """
        identity = changed.pop("signer", None) or self.identity(sender)
        created = changed.pop("created", self.now)
        state = self.known().newest
        directory: DirectoryRef | None = changed.pop("directory", state.in_force)
        assert directory is not None
        keyids: dict[str, str] = changed.pop("keyids", {})
        slots = {}
        for desk in desks:
            key = state.sealing_key(desk, self.now)
            assert key is not None
            public = SealingPublicKey.from_bytes(key.public_key)
            slots[desk] = (keyids.get(desk, key.keyid), public)
        envelope_id = changed.pop("id", None) or new_id()
        outgoing = _outgoing(sender, created, changed)
        sealed = seal_content(outgoing, self.exchange, envelope_id, sorted(desks))
        return _signed_part(
            address(outgoing, sealed, self.exchange, slots, identity, directory, created)
        )

    def answer(
        self, desk: str, index: int, result: Result, signer: SigningIdentity, **changed: Any
    ) -> Statement:
        """Sign an acknowledgement of the envelope at an index."""
        logged = self.exchange_entries[index]
        entry = parse_exchange_entry(logged.entry)
        assert logged.statement is not None
        assert not isinstance(entry, AcknowledgementEntry)
        header = parse_header(logged.statement)
        item = {
            "from_": header.from_,
            "id": header.id,
            "origin": self.exchange_log.origin,
            "index": index,
            "leaf": leaf_hash(logged.data).hex(),
        } | changed.pop("item", {})
        values = {
            "v": 1,
            "exchange": self.exchange,
            "desk": desk,
            "at": self.now,
            "result": result,
            "reason": None,
            "items": (AcknowledgedItem.model_validate(item),),
        }
        payload = Acknowledgement.model_validate(values | changed)
        return sign_statement(
            PayloadType.ACKNOWLEDGEMENT, dump_json(payload), self.exchange, [signer]
        )

    @property
    def invitation(self) -> Invitation:
        """What the governors give an auditor."""
        return Invitation(
            v=1, exchange=self.exchange, hub=self.hub, logs=self.logs, root=self.initial_root
        )


def _outgoing(sender: str, created: datetime, changed: dict[str, Any]) -> Outgoing:
    values: dict[str, Any] = {
        "bulletin_id": new_id(),
        "bulletin_json": BULLETIN,
        "content_salt": CONTENT_SALT,
        "status": Status.EXERCISE,
        "sender": sender,
        "expires": created + timedelta(days=7),
        "precedence": Precedence.ROUTINE,
        "kind": Kind.WITHDRAWAL if "withdraws" in changed else Kind.THREAT_BULLETIN,
        "topics": (Topic.ARMS,),
        "purpose": Purpose.BORDER_MONITORING,
        "personal_data": False,
        "marking": HeaderMarking(
            tlp=Tlp.GREEN, classification=Classification.UNCLASSIFIED, caveats=()
        ),
    }
    return Outgoing(**(values | changed))


def _signed_part(envelope: Statement) -> Statement:
    return Statement(
        payload_type=envelope.payload_type,
        payload=envelope.payload,
        signatures=envelope.signatures,
    )


def audit(hub: FakeHub, world: AuditWorld, data: Path, now: datetime | None = None) -> AuditReport:
    """Run an audit, which keeps in `data` what it verified."""
    return asyncio.run(
        verify_exchange(hub, world.invitation, SeenStore(data), lambda: now or world.now)
    )


def audit_exchange_log(world: AuditWorld) -> tuple[Findings, ExchangeCounts]:
    """Audit the entries of the exchange log alone, against the directory log as it was folded."""
    findings, history = Findings(), world.known()
    heads = [
        (parse_directory_entry(logged.data).exchange_log.size, index)
        for index, logged in enumerate(world.entries)
    ]
    limits = DirectoryLimits(len(world.entries), heads)
    origin = world.exchange_log.origin
    checked = ExchangeAudit(world.exchange, origin, history, limits, None, world.now, findings)
    leaves = [
        OpenedLeaf(index, leaf_hash(e.data), e.entry, e.statement)
        for index, e in enumerate(world.exchange_entries)
    ]
    return findings, audit_entries(checked, leaves)


def found(findings: AuditReport | Findings) -> list[tuple[str, int | None, str]]:
    """Findings without their sentences: log, index, rule."""
    listed: Sequence[Finding]
    listed = findings.listed if isinstance(findings, Findings) else findings.findings
    return [(finding.log, finding.index, finding.rule) for finding in listed]
