"""Receipts as files that verify for years without a network: C2SP tlog-proofs with the entry as extra data.

Pure; may import `keys`, `schemas` and `broker.tlog`. The node exports them; a policy verifies one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from broker.tlog.policy import Judged, Policy
from broker.tlog.proof import verify_inclusion
from broker.tlog.quorum_times import CLOCKS
from broker.tlog.receipt import exchange_leaf, verify_place
from broker.tlog.tlog_proof import PROOF_BYTES_MAX, TlogProof, parse_tlog_proof
from keys.dsse import pae_sha256, signatures_sha256
from schemas.entries import (
    AcknowledgementEntry,
    EnvelopeAccepted,
    EnvelopeRefused,
    ExchangeLogEntry,
    parse_exchange_entry,
)
from schemas.errors import ParseError, VerificationError
from schemas.loader import dump_json, parse
from schemas.receipts import Place, ReceiptExtra
from schemas.statements import Statement


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """What a receipt file proves.

    Args:
        entry: stands in the log, at `index`, with this leaf hash.
        judged: the checkpoint in whose tree it stands, and who cosigned that.
        statement: what was signed, if it is there: it is the one that was logged.
        places: those told, each the one that was logged.
    """

    entry: ExchangeLogEntry
    index: int
    leaf: bytes
    judged: Judged
    statement: Statement | None
    places: tuple[Place, ...]


def write_receipt_file(
    entry: bytes,
    salt: bytes,
    proof: TlogProof,
    statement: Statement | None,
    places: Sequence[Place] = (),
) -> str:
    """Write a receipt file.

    Args:
        entry: its exact bytes.
        salt: with which the leaf was blinded, 32 bytes.
        proof: index, path and checkpoint, without extra data.
        statement: what the entry is about, where one was signed.
        places: those that concern the reader.
    """
    extra = ReceiptExtra(v=1, entry=entry, salt=salt, statement=statement, places=tuple(places))
    return TlogProof(proof.index, proof.path, proof.checkpoint, dump_json(extra)).render()


def verify_receipt_file(text: str, policy: Policy) -> VerifiedFile:
    """Verify a receipt file without a network.

    1. It is a tlog-proof, whose extra data is an entry with its salt.
    2. A log of the policy has signed the checkpoint, and a quorum has cosigned it.
    3. The blinded entry is included in that tree, at that index, and claims no later time than the quorum's,
       five minutes allowed.
    4. The statement, if it is there, is the one that the entry names, and says what the entry says that it
       says; so is each place.

    Who signed the statement the directory then in force says: it is verified there, not here. Until then
    what it says is the hub's word.

    Raises:
        ParseError: not a receipt file.
        VerificationError: 2 to 4.
        Problem: `place`: a place told is not the one logged.
    """
    proof = parse_tlog_proof(text)
    extra = parse(ReceiptExtra, proof.extra, PROOF_BYTES_MAX)
    entry = parse_exchange_entry(extra.entry)
    judged = policy.judge(proof.checkpoint)
    leaf = exchange_leaf(extra.salt, extra.entry)
    checkpoint = judged.checkpoint
    verify_inclusion(leaf, proof.index, checkpoint.size, list(proof.path), checkpoint.root)
    if judged.at is not None and entry.at - judged.at > CLOCKS:
        raise VerificationError("the entry claims a later time than the quorum that cosigned it")
    if extra.statement is not None:
        _check_statement(entry, extra.statement)
    if extra.places and not isinstance(entry, EnvelopeAccepted):
        raise ParseError("only an accepted envelope has places")
    if isinstance(entry, EnvelopeAccepted):
        for place in extra.places:
            verify_place(entry, place)
    return VerifiedFile(entry, proof.index, leaf, judged, extra.statement, extra.places)


def _check_statement(entry: ExchangeLogEntry, statement: Statement) -> None:
    if not isinstance(entry, EnvelopeAccepted | EnvelopeRefused | AcknowledgementEntry):
        raise VerificationError(f"an entry of type {entry.type} has no statement")
    payload = entry.statement if isinstance(entry, AcknowledgementEntry) else entry.header
    logged = (entry.pae, entry.signatures, payload)
    if logged != (pae_sha256(statement), signatures_sha256(statement), statement.payload):
        raise VerificationError("the statement is not the one that was logged")
