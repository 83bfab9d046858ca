"""Leaves and receipts of the exchange log: how an entry is blinded into a leaf, and proved to stand there.

May import `schemas` and `broker.tlog`; pure. The hub builds receipts with it, nodes and auditors verify them.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from broker.tlog.checkpoint import Checkpoint, open_checkpoint
from broker.tlog.cosignature import MlDsa44CosignatureVerifier
from broker.tlog.merkle import leaf_hash
from broker.tlog.note import Ed25519NoteVerifier
from broker.tlog.proof import verify_inclusion
from schemas.directory import LogKeys
from schemas.entries import EnvelopeAccepted, ExchangeLogEntry, parse_exchange_entry
from schemas.errors import ParseError, Problem, VerificationError
from schemas.receipts import Place, Receipt

PLACE_BYTES: Final = 8


def exchange_leaf_data(salt: bytes, entry: bytes) -> bytes:
    """Blind an entry: SHA-256(salt ‖ entry), 32 bytes, is what the exchange log's tiles carry."""
    return hashlib.sha256(salt + entry).digest()


def exchange_leaf(salt: bytes, entry: bytes) -> bytes:
    """The RFC 6962 leaf hash of a blinded entry, 32 bytes."""
    return leaf_hash(exchange_leaf_data(salt, entry))


def place_hash(place_salt: bytes, n: int) -> str:
    """Blind the number of an envelope between two desks: SHA-256(place_salt ‖ u64be n), hex."""
    return hashlib.sha256(place_salt + n.to_bytes(PLACE_BYTES, "big")).hexdigest()


def verify_place(entry: EnvelopeAccepted, place: Place) -> None:
    """Check that a place is the one that was logged for its desk.

    Raises:
        Problem: `place`.
    """
    logged = [recipient.place for recipient in entry.recipients if recipient.desk == place.desk]
    told = place_hash(place.place_salt, place.n)
    if len(logged) != 1 or not hmac.compare_digest(logged[0], told):
        raise Problem("place", f"the place told to {place.desk} is not the one logged")


@dataclass(frozen=True, slots=True)
class LogVerifier:
    """Opens the checkpoints of one log: the Ed25519 line must be there, the ML-DSA-44 line must hold.

    A checkpoint that leaves the hub for a witness or auditor carries both lines; a receipt's carries
    the Ed25519 line alone (`both` false).
    """

    origin: str
    ed25519: Ed25519NoteVerifier
    ml_dsa_44: MlDsa44CosignatureVerifier

    @classmethod
    def from_keys(cls, keys: LogKeys) -> LogVerifier:
        """Load the keys that council.json gives for a log."""
        return cls(
            keys.origin,
            Ed25519NoteVerifier(keys.origin, keys.ed25519),
            MlDsa44CosignatureVerifier(keys.origin, keys.ml_dsa_44),
        )

    def open(self, text: str, *, both: bool) -> Checkpoint:
        """Read and verify a checkpoint.

        Raises:
            ParseError: not a checkpoint.
            VerificationError: another log's, or a signature is missing or wrong.
        """
        if both:
            return open_checkpoint(text, self.origin, (self.ed25519, self.ml_dsa_44)).checkpoint
        return open_checkpoint(text, self.origin, (self.ed25519,), (self.ml_dsa_44,)).checkpoint


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """An entry that is proved to stand in the log: its exact bytes, index, leaf, and the tree."""

    entry: ExchangeLogEntry
    entry_bytes: bytes
    index: int
    leaf: bytes
    checkpoint: Checkpoint


def verify_receipt(receipt: Receipt, log: LogVerifier) -> VerifiedReceipt:
    """Verify a receipt without trusting who gave it.

    1. The entry is well-formed.
    2. The checkpoint is signed by the log.
    3. The blinded entry is included in that tree, at that index.
    4. Every place told is the one logged.

    Raises:
        Problem: `entry-invalid` (1), `inclusion` (2, 3), `place` (4).
    """
    try:
        entry = parse_exchange_entry(receipt.entry)
    except ParseError as error:
        raise Problem("entry-invalid", str(error)) from error
    leaf = exchange_leaf(receipt.salt, receipt.entry)
    try:
        checkpoint = log.open(receipt.checkpoint, both=False)
        path = [bytes.fromhex(step) for step in receipt.path]
        verify_inclusion(leaf, receipt.index, checkpoint.size, path, checkpoint.root)
    except (ParseError, VerificationError) as error:
        raise Problem("inclusion", str(error)) from error
    if receipt.places and not isinstance(entry, EnvelopeAccepted):
        raise Problem("place", "only an accepted envelope has places")
    if isinstance(entry, EnvelopeAccepted):
        for place in receipt.places:
            verify_place(entry, place)
    return VerifiedReceipt(entry, receipt.entry, receipt.index, leaf, checkpoint)
