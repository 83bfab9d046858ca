"""Evidence against a hub, judged from the trust root alone: whoever brings it is not believed, either.

May import `broker.tlog`, `broker.policy`, `keys` and `schemas`; pure. Auditors write it; a third party
verifies it. Only the hub's own signatures convict it, and only of what no honest hub signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from broker.bundles import check_included, given, load_published
from broker.policy.admission import admit_by_directory
from broker.tlog.checkpoint import OpenedCheckpoint, open_checkpoint
from broker.tlog.merkle import leaf_hash
from broker.tlog.proof import verify_consistency
from broker.tlog.receipt import LogVerifier, exchange_leaf
from broker.void import check_stays_in_force
from keys.dsse import pae_sha256, signatures_sha256
from keys.envelope import parse_header
from schemas.directory import LogKeys, Logs
from schemas.entries import EnvelopeAccepted, parse_exchange_entry
from schemas.errors import ParseError, Problem, VerificationError
from schemas.evidence import Evidence, TwoTrees, WronglyAccepted
from schemas.limits import BUNDLE_BYTES_MAX
from schemas.loader import parse
from schemas.scalars import format_time

_NOT_SHOWN: Final = frozenset({"directory-invalid"})
"""Problems that a hub need not have known: rules that do not load permit nothing, and accuse nobody here."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What evidence shows: `what` is a stable word, `says` sentences for people."""

    what: str
    origin: str
    says: tuple[str, ...]


def verify_evidence(data: bytes, initial_root: bytes) -> Verdict:
    """Judge evidence.

    1. The council that names the logs' keys descends from the trust root, under k of n governors.
    2. Two trees: both checkpoints are signed by both keys of one log of that council, and either have one
       size and two roots; or the larger one's beginning has another root, which a consistency proof shows;
       or the smaller was signed later than the larger, by the times in the log's own signatures.
    3. A wrong acceptance: the entry stands in a tree that the log signed, and so do the directory entries
       from the one in force to the acceptance, of which none came into force in its place; the statement is
       the one that the entry names; and that directory does not admit it.

    Args:
        data: the exact bytes of `evidence.json`.
        initial_root: the exact bytes of the trust root.

    Returns:
        What the hub did.

    Raises:
        ParseError: it is no evidence.
        VerificationError: it shows nothing against the hub.
    """
    evidence = parse(Evidence, data, BUNDLE_BYTES_MAX)
    directory = load_published(evidence.council_entry, evidence.council, initial_root)
    if directory.council.exchange != evidence.exchange:
        raise VerificationError(f"the council is of {directory.council.exchange}")
    logs = directory.council.logs
    if isinstance(evidence.proof, TwoTrees):
        return _two_trees(evidence.proof, logs)
    return _wrongly_accepted(evidence.proof, logs, initial_root)


def _two_trees(proof: TwoTrees, logs: Logs) -> Verdict:
    keys = logs.directory if proof.log == "directory" else logs.exchange
    smaller, larger = (_signed(text, keys) for text in (proof.smaller, proof.larger))
    first, second = smaller.checkpoint, larger.checkpoint
    if first.size > second.size:
        raise VerificationError("the smaller checkpoint is the larger one")
    signed = tuple(_time(each) for each in (smaller, larger))
    said = tuple(
        f"It signed {tree.size} entries with the root {tree.root.hex()}, {format_time(at)}."
        for tree, at in zip((first, second), signed, strict=True)
    )
    if first.size == second.size:
        if first.root == second.root:
            raise VerificationError("both checkpoints are of one tree")
        return Verdict("two-roots", keys.origin, (*said, "No tree of one size has two roots."))
    if proof.earlier_root is not None:
        root = bytes.fromhex(proof.earlier_root)
        path = [bytes.fromhex(step) for step in proof.path]
        verify_consistency(first.size, root, second.size, second.root, path)
        if root == first.root:
            raise VerificationError("the larger tree has grown from the smaller one")
        why = (
            f"The first {first.size} entries of the larger tree have the root {proof.earlier_root}."
        )
        return Verdict("forked", keys.origin, (*said, why))
    if signed[0] <= signed[1]:
        raise VerificationError("the smaller tree was signed first: nothing is wrong with that")
    return Verdict("shrank", keys.origin, (*said, "It signed the smaller tree after the larger."))


def _signed(text: str, keys: LogKeys) -> OpenedCheckpoint:
    verifier = LogVerifier.from_keys(keys)
    return open_checkpoint(text, keys.origin, (verifier.ed25519, verifier.ml_dsa_44))


def _time(opened: OpenedCheckpoint) -> datetime:
    """When the log signed, by its own ML-DSA-44 line."""
    (at,) = (each.at for each in opened.signatures if each.at is not None)
    return datetime.fromtimestamp(at, UTC)


def _wrongly_accepted(proof: WronglyAccepted, logs: Logs, initial_root: bytes) -> Verdict:
    exchange = _signed(proof.exchange_checkpoint, logs.exchange).checkpoint
    directories = _signed(proof.directory_checkpoint, logs.directory).checkpoint
    check_included(exchange_leaf(proof.salt, proof.entry), proof.index, proof.path, exchange)
    for each in proof.directory:
        check_included(leaf_hash(each.entry), each.index, each.path, directories)
    entry = parse_exchange_entry(proof.entry)
    if not isinstance(entry, EnvelopeAccepted):
        raise ParseError(f"an entry of type {entry.type} accepts no envelope")
    first = proof.directory[0].index
    if [each.index for each in proof.directory] != list(range(first, entry.directory_size)):
        raise VerificationError("the directory entries do not reach to the acceptance")
    statement = proof.statement
    # The payload and the hash of the signatures stand in the entry: the hub logged just these.
    logged = (entry.pae, entry.signatures, entry.header)
    if logged != (pae_sha256(statement), signatures_sha256(statement), statement.payload):
        raise VerificationError("the statement is not the one that was accepted")
    directory = load_published(proof.directory[0].entry, proof.files, initial_root)
    if directory.council.logs != logs:
        raise VerificationError("the directory in force stands in another log")
    check_stays_in_force(
        directory,
        [each.entry for each in proof.directory],
        initial_root,
        given(proof.files),
    )
    try:
        admit_by_directory(statement, parse_header(statement), directory, entry.at)
    except Problem as problem:
        if problem.word in _NOT_SHOWN:
            raise VerificationError(problem.detail) from problem
        says = (
            (
                f"It accepted entry {proof.index} at {format_time(entry.at)}, by the directory entry"
                f" {proof.directory[0].index}."
            ),
            f"That directory refuses it: {problem.word}, {problem.detail}.",
        )
        return Verdict("wrongly-accepted", logs.exchange.origin, says)
    raise VerificationError("the directory in force admits what was accepted")
