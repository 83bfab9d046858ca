"""Signed notes: known answers, and a table of notes and keys that are refused."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.tlog import note
from schemas.errors import ConfigurationError, ParseError, VerificationError

# The example of the documentation of golang.org/x/mod/sumdb/note, with its keys.
NEUMANN_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
NEUMANN_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
NEUMANN_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZ"
    "SNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ov"
    "TG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
NEUMANN_NOTE = f"{NEUMANN_TEXT}\n{NEUMANN_LINE}{ENOCH_LINE}"

# The example of C2SP signed-note, section Verifier keys.
C2SP_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZ"
    "XsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)

# A checkpoint of the Go checksum database, from the tests of FiloSottile/torchwood
# (cmd/litewitness/testdata/sumdb.txt).
SUMDB_VKEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
SUMDB_NOTE = (
    "go.sum database tree\n35225469\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n\n"
    "— sum.golang.org Az3grpukl5AXaVfYkLiDGORx/DN2nlcS5kZHR5uYOBV2KA2HgXpD+gu9HHONebHL"
    "AyaKbbTM75QTtPydhKCExixSfwQ=\n"
)

GOOD = "text\n\n— name AAAAAAA=\n"


def verifier(vkey: str) -> note.Ed25519NoteVerifier:
    """Make the verifier of a verifier key."""
    key = note.parse_verifier_key(vkey)
    assert key.type == note.SignatureType.ED25519
    return note.Ed25519NoteVerifier(key.name, key.public)


@pytest.mark.parametrize(
    ("vkey", "text"),
    [(NEUMANN_VKEY, NEUMANN_NOTE), (C2SP_VKEY, C2SP_NOTE), (SUMDB_VKEY, SUMDB_NOTE)],
)
def test_known_notes_verify(vkey: str, text: str) -> None:
    """Notes that others published verify with their keys, and are written back the same."""
    parsed = note.parse_note(text.encode())
    known = verifier(vkey)
    assert (parsed.signatures[0].name, parsed.signatures[0].key_id) == (
        known.key.name,
        known.key.key_id,
    )
    known.verify(parsed.text, parsed.signatures[0].signature)
    assert parsed.render() == text
    assert known.key.render() == vkey


def test_signing_gives_the_known_note() -> None:
    """The key of Go's example signs exactly its line."""
    signer = note.Ed25519NoteSigner("PeterNeumann", NEUMANN_SEED)
    signed = note.Note(NEUMANN_TEXT, (signer.sign(NEUMANN_TEXT, 0),))
    assert signed.render() == f"{NEUMANN_TEXT}\n{NEUMANN_LINE}"
    assert signer.key.render() == NEUMANN_VKEY


def test_type_0x04_key_id_is_the_known_one() -> None:
    """A witness's key of type 0x04 (tests of transparency-dev/formats) has the id it publishes."""
    vkey = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
    key = note.parse_verifier_key(vkey)
    assert (key.type, key.render()) == (note.SignatureType.ED25519_COSIGNATURE, vkey)


def test_altered_signature_text_or_key_is_refused() -> None:
    """Any byte of the signature, another text, another key: none verifies."""
    parsed = note.parse_note(C2SP_NOTE)
    known, signature = verifier(C2SP_VKEY), parsed.signatures[0].signature
    for at in range(len(signature)):
        altered = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
        with pytest.raises(VerificationError):
            known.verify(parsed.text, altered)
    for text, altered in (
        (parsed.text[:-1], signature),
        (parsed.text, signature[:-1]),
        (parsed.text, signature + b"\x00"),
        (parsed.text, b""),
    ):
        with pytest.raises(VerificationError):
            known.verify(text, altered)
    with pytest.raises(VerificationError):
        verifier(NEUMANN_VKEY).verify(parsed.text, signature)


@pytest.mark.parametrize(
    "public", [b"\x01" + bytes(31), bytes(32), b"\xec" + b"\xff" * 30 + b"\x7f"]
)
def test_small_order_key_verifies_nothing(public: bytes) -> None:
    """A key of small order, for which one signature fits every text, is refused (libsodium)."""
    weak = note.Ed25519NoteVerifier("weak", public)
    identity = b"\x01" + bytes(31)
    for signature in (identity + bytes(32), bytes(64), public + bytes(32)):
        with pytest.raises(VerificationError):
            weak.verify("any\n", signature)


def test_signature_with_unreduced_scalar_is_refused() -> None:
    """Adding the group's order to S gives no second valid signature (RFC 8032 section 5.1.7)."""
    order = 2**252 + 27742317777372353535851937790883648493
    signature = note.parse_note(C2SP_NOTE).signatures[0].signature
    scalar = int.from_bytes(signature[32:], "little") + order
    with pytest.raises(VerificationError):
        verifier(C2SP_VKEY).verify(
            "This is an example message.\n", signature[:32] + scalar.to_bytes(32, "little")
        )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        b"text\n",
        b"text\n\n",
        b"text\n\n\n",
        GOOD.removesuffix("\n").encode(),
        GOOD.encode() + b"\n",
        GOOD.encode() + b"\x00",
        GOOD.replace("\n\n", "\n").encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.replace("text", "te\txt").encode(),
        GOOD.replace("text", "te\x00xt").encode(),
        GOOD.replace("text", "te\x1fxt").encode(),
        b"te\xffxt" + GOOD.encode(),
        b"\xed\xa0\x80" + GOOD.encode(),
        b"\xc0\x80" + GOOD.encode(),
        "te\udc80xt\n\n— name AAAAAAA=\n",
        GOOD.replace("— ", "- ").encode(),
        GOOD.replace("— ", "—").encode(),
        GOOD.replace("— ", "—  ").encode(),
        GOOD.replace("— ", " — ").encode(),
        GOOD.replace("— ", "").encode(),
        GOOD.replace("name AAAAAAA=", "name").encode(),
        GOOD.replace("name AAAAAAA=", "name ").encode(),
        GOOD.replace("name AAAAAAA=", "AAAAAAA=").encode(),
        GOOD.replace("name", "na+me").encode(),
        GOOD.replace("name", "na\u00a0me").encode(),
        GOOD.replace("name", "na\u3000me").encode(),
        GOOD.replace("name", "na\u2028me").encode(),
        GOOD.replace("name", "na\u0085me").encode(),
        GOOD.replace("name ", "name  ").encode(),
        GOOD.replace("AAAAAAA=", "AAAAAA==").encode(),
        GOOD.replace("AAAAAAA=", "AAAAAAB=").encode(),
        GOOD.replace("AAAAAAA=", "AAAAAAA").encode(),
        GOOD.replace("AAAAAAA=", "AAAAAAA= ").encode(),
        GOOD.replace("AAAAAAA=", "AAAA AAA=").encode(),
        GOOD.replace("AAAAAAA=", "AAAAA-A=").encode(),
        GOOD.replace("AAAAAAA=", "AAAAAAA==").encode(),
        GOOD.encode() + b"trailing\n",
        b"text\n\n" + "— name AAAAAAA=\n".encode() * 33,
        b"x" * (128 * 1024) + GOOD.encode(),
    ],
)
def test_malformed_note_is_refused(data: bytes | str) -> None:
    """What C2SP does not call a note, or is over a limit, is refused."""
    with pytest.raises(ParseError):
        note.parse_note(data)


@pytest.mark.parametrize(
    ("data", "text", "count"),
    [
        (GOOD, "text\n", 1),
        ("\n" + GOOD, "\ntext\n", 1),
        ("a\n\n— name AAAAAAA=\n\n— name AAAAAAA=\n", "a\n\n— name AAAAAAA=\n", 1),
        ("a\n\n\n— name AAAAAAA=\n", "a\n\n", 1),
        ("\n\n— name AAAAAAA=\n", "\n", 1),
        ("نص\n\n— اسم AAAAAAA=\n", "نص\n", 1),
        ("a\x7f\u0085\n\n— name AAAAAAA=\n", "a\x7f\u0085\n", 1),
        ("text\n\n" + "— name AAAAAAA=\n" * 32, "text\n", 32),
    ],
)
def test_unusual_note_is_read(data: str, text: str, count: int) -> None:
    """The last empty line divides text from signatures, whatever the text is."""
    parsed = note.parse_note(data)
    assert (parsed.text, len(parsed.signatures), parsed.render()) == (text, count, data)


@settings(deadline=None, max_examples=60)
@given(
    text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.just("\n")),
    signature=st.binary(min_size=1, max_size=80),
    key_id=st.binary(min_size=4, max_size=4),
)
def test_notes_round_trip(text: str, signature: bytes, key_id: bytes) -> None:
    """A note of any text is read back the same."""
    made = note.Note(text + "\n", (note.NoteSignature("example.com/log", key_id, signature),))
    assert note.parse_note(made.render()) == made


@settings(deadline=None, max_examples=60)
@given(data=st.binary(max_size=60) | st.text(max_size=60))
def test_any_bytes_parse_or_raise(data: bytes | str) -> None:
    """Nothing but ParseError comes out of bytes that are no note."""
    for candidate in (
        data,
        (data if isinstance(data, bytes) else data.encode("utf-8", "ignore")) + GOOD.encode(),
    ):
        try:
            parsed = note.parse_note(candidate)
        except ParseError:
            continue
        assert note.parse_note(parsed.render()) == parsed


@pytest.mark.parametrize(
    "made",
    [
        note.Note("no newline", (note.NoteSignature("name", b"1234", b"s"),)),
        note.Note("text\n", ()),
        note.Note("te\rxt\n", (note.NoteSignature("name", b"1234", b"s"),)),
        note.Note("text\n", (note.NoteSignature("na me", b"1234", b"s"),)),
        note.Note("text\n", (note.NoteSignature("", b"1234", b"s"),)),
        note.Note("text\n", (note.NoteSignature("na\nme", b"1234", b"s"),)),
        note.Note("text\n", (note.NoteSignature("name", b"123", b"s"),)),
        note.Note("text\n", (note.NoteSignature("name", b"12345", b"s"),)),
        note.Note("text\n", (note.NoteSignature("name", b"1234", b""),)),
        note.Note("text\n", (note.NoteSignature("a\n\n— b", b"1234", b"s"),)),
    ],
)
def test_impossible_note_is_not_written(made: note.Note) -> None:
    """What could not be read back the same is never written."""
    with pytest.raises(ParseError):
        made.render()


def test_every_mangled_verifier_key_is_refused() -> None:
    """No part of a verifier key, and none with one character changed, is a verifier key."""
    mangled = {
        NEUMANN_VKEY[start:end]
        for start in range(len(NEUMANN_VKEY))
        for end in range(start + 1, len(NEUMANN_VKEY) + 1)
    } - {NEUMANN_VKEY}
    mangled |= {
        NEUMANN_VKEY[:at] + chr(ord(NEUMANN_VKEY[at]) + 1) + NEUMANN_VKEY[at + 1 :]
        for at in range(len(NEUMANN_VKEY))
    }
    mangled |= {
        NEUMANN_VKEY.replace("c74f20a3", "C74F20A3"),
        NEUMANN_VKEY + "\n",
        NEUMANN_VKEY + "=",
        NEUMANN_VKEY + "+",
        "n" * 3000 + NEUMANN_VKEY,
        # From Go's tests: a key too long, and an unknown type, each with a matching id.
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    }
    for text in mangled:
        with pytest.raises(ParseError):
            note.parse_verifier_key(text)


def test_one_key_has_an_id_for_each_type_and_name() -> None:
    """Type and name go into the id, so that a key used for two purposes is two keys."""
    public = bytes(range(32))
    ids = {
        note.VerifierKey(name, kind, public).key_id
        for name in ("a", "b")
        for kind in (note.SignatureType.ED25519, note.SignatureType.ED25519_COSIGNATURE)
    }
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("", bytes(32)),
        ("a b", bytes(32)),
        ("a+b", bytes(32)),
        ("a\n", bytes(32)),
        ("é" * 128, bytes(32)),
        ("\udc80", bytes(32)),
        ("a", bytes(31)),
        ("a", bytes(33)),
    ],
)
def test_impossible_key_is_refused(name: str, public: bytes) -> None:
    """A key needs a name that a note can carry, and a public key of its type's length."""
    with pytest.raises(ParseError):
        note.Ed25519NoteVerifier(name, public)


def test_seed_of_another_length_is_refused() -> None:
    """A seed has 32 bytes."""
    with pytest.raises(ConfigurationError):
        note.Ed25519NoteSigner("name", bytes(64))


def test_signer_shows_no_secret() -> None:
    """A signer printed by mistake shows no seed."""
    shown = repr(note.Ed25519NoteSigner("name", b"S" * 32))
    assert "SSSS" not in shown
    assert b"S".hex() * 4 not in shown
