"""Checkpoints: the signed size and root of a log (C2SP tlog-checkpoint).

May import `schemas` and `broker.tlog.note`. The hub signs, nodes, witnesses and auditors open.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from broker.tlog.merkle import EMPTY_ROOT, HASH_BYTES, TREE_SIZE_MAX
from broker.tlog.note import (
    KEY_NAME_BYTES_MAX,
    Note,
    NoteSigner,
    NoteVerifier,
    VerifierKey,
    check_key_name,
    parse_note,
)
from schemas.errors import ParseError, VerificationError
from schemas.scalars import decode_base64, encode_base64

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Size and root of a log, without extension lines.

    Raises:
        ParseError: an origin that is no key's name, a size or root that no tree has.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        # A log's key has the origin as its name, so that an origin is written as a key's name is.
        if len(check_key_name(self.origin).encode()) > KEY_NAME_BYTES_MAX:
            raise ParseError(f"an origin has at most {KEY_NAME_BYTES_MAX} bytes")
        if not 0 <= self.size <= TREE_SIZE_MAX:
            raise ParseError(f"no tree has {self.size} leaves")
        if len(self.root) != HASH_BYTES:
            raise ParseError(f"a root has {HASH_BYTES} bytes")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise ParseError("this is not the root of an empty tree")

    def render_text(self) -> str:
        """Write the note's text: origin, size and root, each with a newline."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"


def parse_checkpoint_text(text: str) -> Checkpoint:
    """Read a note's text as a checkpoint; only what `Checkpoint.render_text` writes is taken.

    Raises:
        ParseError: another number of lines, a leading zero, base64 that re-encodes differently.
    """
    match text.split("\n"):
        case [origin, size, encoded_root, ""]:
            pass
        case _:
            raise ParseError("a checkpoint has three lines, and no extension lines")
    if not _SIZE.fullmatch(size):
        raise ParseError("the size of a checkpoint is decimal, without leading zeros")
    try:
        root = decode_base64(encoded_root)
    except ValueError as error:
        raise ParseError(f"the root of a checkpoint: {error}") from error
    return Checkpoint(origin, int(size), root)


@dataclass(frozen=True, slots=True)
class VerifiedSignature:
    """A signature that verified: by which key, and when (seconds since 1970), if its type says."""

    key: VerifierKey
    at: int | None


@dataclass(frozen=True, slots=True)
class OpenedCheckpoint:
    """A checkpoint whose required signatures verified, and all signatures of known keys on it."""

    checkpoint: Checkpoint
    signatures: tuple[VerifiedSignature, ...]


def sign_checkpoint(checkpoint: Checkpoint, signers: Sequence[NoteSigner], at: int) -> str:
    """Sign a checkpoint with each signer, in this order.

    Args:
        checkpoint: one that extends every checkpoint signed before; the caller answers for that.
        signers: one or more.
        at: now, in seconds since 1970.

    Returns:
        The note.

    Raises:
        ParseError: no signer, or too many.
    """
    text = checkpoint.render_text()
    return Note(text, tuple(signer.sign(text, at) for signer in signers)).render()


def open_checkpoint(
    data: bytes | str,
    origin: str,
    required: Sequence[NoteVerifier],
    known: Sequence[NoteVerifier] = (),
) -> OpenedCheckpoint:
    """Read a checkpoint and verify its signatures.

    1. It is a note, and its text a checkpoint of this origin.
    2. Lines of unknown keys are ignored, even if they share name or id with a known key.
    3. Every line of a known key verifies, and no known key signs twice.
    4. Every required key signed.

    Args:
        data: the note.
        origin: of the log that the caller asked.
        required: keys that must all have signed; at least one.
        known: further keys whose signatures must verify where they occur, as witnesses'.

    Raises:
        ParseError: not a checkpoint (step 1).
        VerificationError: another origin, or step 3 or 4.
    """
    if not required:
        raise VerificationError("a checkpoint that no key must have signed proves nothing")
    verifiers = _by_identity([*required, *known])
    note = parse_note(data)
    checkpoint = parse_checkpoint_text(note.text)
    if checkpoint.origin != origin:
        raise VerificationError("the checkpoint is of another log")
    verified: dict[tuple[str, bytes], VerifiedSignature] = {}
    for line in note.signatures:
        identity = (line.name, line.key_id)
        verifier = verifiers.get(identity)
        if verifier is None:
            continue
        if identity in verified:
            raise VerificationError(f"the key {line.name} signed twice")
        at = verifier.verify(note.text, line.signature)
        verified[identity] = VerifiedSignature(verifier.key, at)
    for verifier in required:
        if (verifier.key.name, verifier.key.key_id) not in verified:
            raise VerificationError(f"the key {verifier.key.name} did not sign")
    return OpenedCheckpoint(checkpoint, tuple(verified.values()))


def _by_identity(verifiers: Sequence[NoteVerifier]) -> dict[tuple[str, bytes], NoteVerifier]:
    found = {(verifier.key.name, verifier.key.key_id): verifier for verifier in verifiers}
    if len(found) != len(verifiers):
        # Two keys of one name and id: somebody searched for the second, since ids are short.
        raise VerificationError("two known keys have the same name and id")
    return found
