"""The signed statement behind an entry: it is the one that the entry names, and its desk signed it.

Pure; may import `keys` and `schemas`. Envelopes, refusals and acknowledgements are checked here alike.
"""

from __future__ import annotations

from datetime import datetime

from keys.dsse import pae_sha256, signatures_sha256, verify_statement
from keys.history import DirectoryState
from schemas.entries import (
    AcknowledgementEntry,
    EnvelopeAccepted,
    EnvelopeRefused,
    ExchangeLogEntry,
)
from schemas.errors import VerificationError
from schemas.statements import PayloadType, Statement

SignedEntry = EnvelopeAccepted | EnvelopeRefused | AcknowledgementEntry
"""Entries behind which somebody's statement stands; the others the hub notes by itself."""


def payload_of(entry: SignedEntry) -> bytes:
    """The payload that an entry carries: an envelope's header, or an acknowledgement."""
    return entry.statement if isinstance(entry, AcknowledgementEntry) else entry.header


def difference(entry: ExchangeLogEntry, statement: Statement | None) -> str | None:
    """Say how a statement differs from the one that an entry names; None if it does not."""
    if not isinstance(entry, SignedEntry):
        return None if statement is None else "a statement stands where nobody signs"
    if statement is None:
        return "there is no statement: nobody is shown to have signed this"
    expected = PayloadType.ENVELOPE
    if isinstance(entry, AcknowledgementEntry):
        expected = PayloadType.ACKNOWLEDGEMENT
    if statement.payload_type != expected:
        return f"the statement is of type {statement.payload_type}"
    if statement.payload != payload_of(entry):
        return "the statement has another payload than the entry"
    if pae_sha256(statement) != entry.pae:
        return "the statement hashes to another `pae` than the entry's"
    if signatures_sha256(statement) != entry.signatures:
        return "the statement's signatures hash to another value than the entry's"
    return None


def signature_fault(
    statement: Statement, desk_id: str, exchange: str, state: DirectoryState, at: datetime
) -> str | None:
    """Say why a statement is not signed by a desk's node identity; None if it is.

    Args:
        state: the directory in force at the entry's `directory_size`.
        at: the entry's time, by which expiry is judged.
    """
    desk = None if state.directory is None else state.directory.desk(desk_id, at)
    if desk is None or desk.node is None:
        return f"{desk_id} had no node identity"
    identities = {desk.node.keyid(exchange): desk.node}
    try:
        verify_statement(statement, statement.payload_type, identities)
    except VerificationError as error:
        return str(error)
    return None
