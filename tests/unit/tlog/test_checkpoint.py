"""Checkpoints: strict text, and the rules by which signatures count."""

from __future__ import annotations

import hashlib

import pytest

from broker.tlog import note
from broker.tlog.checkpoint import (
    Checkpoint,
    OpenedCheckpoint,
    VerifiedSignature,
    open_checkpoint,
    parse_checkpoint_text,
    sign_checkpoint,
)
from broker.tlog.cosignature import MlDsa44CosignatureSigner, MlDsa44CosignatureVerifier
from broker.tlog.merkle import EMPTY_ROOT
from schemas.errors import ParseError, VerificationError

ORIGIN = "hub.example/exchange"
AT = 1_795_000_000
ROOT = hashlib.sha256(b"root").digest()
CHECKPOINT = Checkpoint(ORIGIN, 20852163, ROOT)
TEXT = f"{ORIGIN}\n20852163\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n"

LOG = note.Ed25519NoteSigner(ORIGIN, b"\x01" * 32)
LOG_VERIFIER = note.Ed25519NoteVerifier(ORIGIN, LOG.key.public)
LOG_PQ = MlDsa44CosignatureSigner(ORIGIN, b"\x02" * 32)
LOG_PQ_VERIFIER = MlDsa44CosignatureVerifier(ORIGIN, LOG_PQ.key.public)
WITNESS = MlDsa44CosignatureSigner("witness.example/tn", b"\x03" * 32)
WITNESS_VERIFIER = MlDsa44CosignatureVerifier("witness.example/tn", WITNESS.key.public)
STRANGER = note.Ed25519NoteSigner("stranger.example", b"\x04" * 32)


def with_line(text: str, line: note.NoteSignature) -> str:
    """Add a signature line to a note."""
    return text + line.render()


def test_text_is_the_specified_one() -> None:
    """Origin, size and root stand on three lines, written and read alike."""
    assert CHECKPOINT.render_text() == TEXT
    assert parse_checkpoint_text(TEXT) == CHECKPOINT


def test_specification_example_is_read() -> None:
    """The example of C2SP tlog-checkpoint is a checkpoint."""
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    parsed = parse_checkpoint_text(text)
    assert (parsed.origin, parsed.size) == ("example.com/behind-the-sofa", 20852163)
    assert parsed.render_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT[:-1],
        TEXT + "\n",
        TEXT + "extension\n",
        "\n" + TEXT,
        TEXT.replace("\n", "\r\n"),
        TEXT.replace(ORIGIN, ""),
        TEXT.replace(ORIGIN, "hub example"),
        TEXT.replace(ORIGIN, "hub+example"),
        TEXT.replace(ORIGIN, "h" * 256),
        TEXT.replace("20852163", ""),
        TEXT.replace("20852163", "020852163"),
        TEXT.replace("20852163", "00"),
        TEXT.replace("20852163", "+1"),
        TEXT.replace("20852163", "-1"),
        TEXT.replace("20852163", "1.0"),
        TEXT.replace("20852163", "1_000"),
        TEXT.replace("20852163", " 1"),
        TEXT.replace("20852163", "1 "),
        TEXT.replace("20852163", "\u0661"),
        TEXT.replace("20852163", "1\u0661"),
        TEXT.replace("20852163", "9007199254740992"),
        TEXT.replace("20852163", "9" * 5000),
        TEXT.replace("20852163", "0"),
        TEXT.replace("=", ""),
        TEXT.replace("d7I=", "d7J="),
        TEXT.replace("d7I=", "dw=="),
        TEXT.replace("d7I=", "d7IA"),
        TEXT.replace("+", "-"),
        TEXT.replace("SBNJ", "SBNJ "),
    ],
)
def test_malformed_text_is_refused(text: str) -> None:
    """Whatever is not exactly a checkpoint's text is refused."""
    with pytest.raises(ParseError):
        parse_checkpoint_text(text)


def test_empty_tree_has_one_root() -> None:
    """Size 0 goes with the root of the empty tree alone."""
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert parse_checkpoint_text(empty.render_text()) == empty
    with pytest.raises(ParseError):
        Checkpoint(ORIGIN, 0, ROOT)


@pytest.mark.parametrize(("size", "root"), [(-1, ROOT), (2**53, ROOT), (1, ROOT[:-1]), (1, b"")])
def test_impossible_checkpoint_is_refused(size: int, root: bytes) -> None:
    """A size or root that no tree has makes no checkpoint."""
    with pytest.raises(ParseError):
        Checkpoint(ORIGIN, size, root)


def test_signed_checkpoint_opens() -> None:
    """All known signatures are returned, with the time where the type says one."""
    text = sign_checkpoint(CHECKPOINT, [LOG, LOG_PQ, WITNESS], AT)
    opened = open_checkpoint(text, ORIGIN, [LOG_VERIFIER, LOG_PQ_VERIFIER], [WITNESS_VERIFIER])
    assert opened == OpenedCheckpoint(
        CHECKPOINT,
        (
            VerifiedSignature(LOG.key, None),
            VerifiedSignature(LOG_PQ.key, AT),
            VerifiedSignature(WITNESS.key, AT),
        ),
    )
    assert open_checkpoint(text.encode(), ORIGIN, [LOG_VERIFIER]).checkpoint == CHECKPOINT


def test_missing_known_signature_is_no_fault() -> None:
    """A witness that has not signed yet is simply not among the signatures."""
    text = sign_checkpoint(CHECKPOINT, [LOG], AT)
    opened = open_checkpoint(text, ORIGIN, [LOG_VERIFIER], [WITNESS_VERIFIER])
    assert opened.signatures == (VerifiedSignature(LOG.key, None),)


def test_unknown_signatures_are_ignored() -> None:
    """Lines of unknown keys do not count, even under a known name or a known id."""
    text = sign_checkpoint(CHECKPOINT, [LOG, STRANGER], AT)
    text = with_line(text, note.NoteSignature(ORIGIN, b"\x00\x00\x00\x00", b"junk"))
    text = with_line(text, note.NoteSignature("other.example", LOG.key.key_id, b"junk"))
    opened = open_checkpoint(text, ORIGIN, [LOG_VERIFIER])
    assert opened.signatures == (VerifiedSignature(LOG.key, None),)


@pytest.mark.parametrize("signers", [[STRANGER], [LOG_PQ], [WITNESS, LOG_PQ]])
def test_missing_required_signature_is_refused(signers: list[note.NoteSigner]) -> None:
    """Without the required key's line nothing else helps."""
    text = sign_checkpoint(CHECKPOINT, signers, AT)
    with pytest.raises(VerificationError, match="did not sign"):
        open_checkpoint(text, ORIGIN, [LOG_VERIFIER], [LOG_PQ_VERIFIER, WITNESS_VERIFIER])


def test_every_required_key_must_sign() -> None:
    """One required key of two is not enough."""
    text = sign_checkpoint(CHECKPOINT, [LOG], AT)
    with pytest.raises(VerificationError, match="did not sign"):
        open_checkpoint(text, ORIGIN, [LOG_VERIFIER, LOG_PQ_VERIFIER])


def test_bad_signature_of_a_known_key_refuses_all() -> None:
    """A known key's line that does not verify spoils the checkpoint, though others are good."""
    text = sign_checkpoint(CHECKPOINT, [LOG], AT)
    good = WITNESS.sign(TEXT, AT)
    bad = note.NoteSignature(good.name, good.key_id, good.signature[:-1] + b"\x00")
    spoiled = with_line(text, bad)
    with pytest.raises(VerificationError):
        open_checkpoint(spoiled, ORIGIN, [LOG_VERIFIER], [WITNESS_VERIFIER])
    assert open_checkpoint(spoiled, ORIGIN, [LOG_VERIFIER]).checkpoint == CHECKPOINT


@pytest.mark.parametrize(("old", "new"), [("20852163", "20852164"), ("SBNJ", "SBNK")])
def test_altered_checkpoint_is_refused(old: str, new: str) -> None:
    """Another size or root is not what was signed, by either kind of key."""
    for signer, verifier in ((LOG, LOG_VERIFIER), (LOG_PQ, LOG_PQ_VERIFIER)):
        text = sign_checkpoint(CHECKPOINT, [signer], AT).replace(old, new, 1)
        with pytest.raises(VerificationError):
            open_checkpoint(text, ORIGIN, [verifier])


def test_checkpoint_of_another_log_is_refused() -> None:
    """A key that signs two logs does not make one pass for the other."""
    other = Checkpoint("hub.example/directory", 1, ROOT)
    text = sign_checkpoint(other, [LOG], AT)
    with pytest.raises(VerificationError, match="another log"):
        open_checkpoint(text, ORIGIN, [LOG_VERIFIER])


def test_truncated_checkpoint_is_refused() -> None:
    """No beginning of a signed checkpoint opens."""
    text = sign_checkpoint(CHECKPOINT, [LOG], AT)
    for end in range(len(text)):
        with pytest.raises(ParseError):
            open_checkpoint(text[:end], ORIGIN, [LOG_VERIFIER])


def test_extension_line_is_refused() -> None:
    """ML-DSA-44 does not sign extension lines, so that none is taken, though Ed25519 signed it."""
    text = TEXT + "extension\n"
    signed = note.Note(text, (LOG.sign(text, AT),)).render()
    with pytest.raises(ParseError):
        open_checkpoint(signed, ORIGIN, [LOG_VERIFIER])


def test_one_key_signs_once() -> None:
    """Two lines of one key are refused: nobody can count them twice."""
    text = sign_checkpoint(CHECKPOINT, [LOG, WITNESS], AT)
    again = with_line(text, WITNESS.sign(TEXT, AT + 1))
    with pytest.raises(VerificationError, match="twice"):
        open_checkpoint(again, ORIGIN, [LOG_VERIFIER], [WITNESS_VERIFIER])


def test_two_known_keys_of_one_identity_are_refused() -> None:
    """A verifier given twice, as required and as known, is a mistake of the caller."""
    text = sign_checkpoint(CHECKPOINT, [LOG], AT)
    with pytest.raises(VerificationError, match="same name and id"):
        open_checkpoint(text, ORIGIN, [LOG_VERIFIER], [LOG_VERIFIER])


def test_nothing_opens_without_a_required_key() -> None:
    """A checkpoint that no key must have signed proves nothing."""
    text = sign_checkpoint(CHECKPOINT, [LOG], AT)
    with pytest.raises(VerificationError, match="proves nothing"):
        open_checkpoint(text, ORIGIN, [], [LOG_VERIFIER])


def test_unsigned_checkpoint_is_not_written() -> None:
    """A checkpoint without signers is no note."""
    with pytest.raises(ParseError):
        sign_checkpoint(CHECKPOINT, [], AT)
