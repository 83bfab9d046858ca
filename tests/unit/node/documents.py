"""Bulletins and envelopes as senders without a node make them: sealed and signed with real keys.

The tests of the node import it, and `world.py` builds on it.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Any

import uuid_utils

from broker.node.api.examples import THREAT_BULLETIN
from broker.node.outbox.drafts import outgoing_of
from broker.policy.rules import default_texts
from keys.dsse import sign_statement
from keys.envelope import Outgoing, address, seal_content
from keys.history import DirectoryHistory, DirectoryState
from keys.sealing import SealingPublicKey
from schemas.bulletin.vocabularies import Precedence
from schemas.envelope import Envelope, Header
from schemas.loader import dump_json
from schemas.statements import PayloadType
from tests.exchange.trust_world import TrustWorld


def new_id() -> str:
    """A fresh UUIDv7."""
    return str(uuid_utils.uuid7())


def document(sender: str = "ly/main", bulletin_id: str | None = None, **changed: Any) -> bytes:
    """A valid threat bulletin's JSON."""
    value = dict(THREAT_BULLETIN) | {"id": bulletin_id or new_id()} | changed
    value["originator"] = THREAT_BULLETIN["originator"] | {"desk": sender}
    return json.dumps(value, ensure_ascii=False).encode()


def withdrawal(sender: str, original: str, bulletin_id: str | None = None, **changed: Any) -> bytes:
    """A valid withdrawal's JSON."""
    reason = {"en": "The report was wrong."}
    members = {"kind": "withdrawal", "withdraws": original, "reason": reason} | changed
    return document(sender, bulletin_id, **members)


class SendingWorld(TrustWorld):
    """The trust world with the shipped access rules, in which any desk can seal a bulletin."""

    def __init__(self) -> None:
        super().__init__()
        self.policy_text, self.schema_text = default_texts()
        self.change_council(version=1)
        self._history: DirectoryHistory | None = None
        self.publish()

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
