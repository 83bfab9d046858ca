"""Signed notes and their keys (C2SP signed-note), with the Ed25519 signature type.

May import `schemas` and PyNaCl. Checkpoints are notes; timestamped signatures live in
`cosignature`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from schemas.errors import ConfigurationError, ParseError, VerificationError
from schemas.scalars import decode_base64, encode_base64

NOTE_BYTES_MAX: Final = 128 * 1024
"""Bytes of a note: 32 ML-DSA-44 signatures take 107 KB."""

NOTE_SIGNATURES_MAX: Final = 32
"""Signature lines of a note: a log's two, 14 witnesses, and as many again while keys change."""

KEY_NAME_BYTES_MAX: Final = 255
"""Bytes of the name of a key of ours: a cosigned message counts them in one byte."""

VERIFIER_KEY_CHARACTERS_MAX: Final = 2048
"""Characters of a verifier key: 1313 bytes in base64, and the longest name."""

SEED_BYTES: Final = 32
"""Bytes of the seed of an Ed25519 or ML-DSA key."""

KEY_ID_BYTES: Final = 4
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIGNATURE_PREFIX: Final = "— "
ED25519_SIGNATURE_BYTES: Final = 64


class SignatureType(IntEnum):
    """Signature types of C2SP signed-note that Barid knows, by their identifier byte."""

    ED25519 = 0x01
    ED25519_COSIGNATURE = 0x04
    ML_DSA_44_COSIGNATURE = 0x06


PUBLIC_KEY_BYTES: Final = {
    SignatureType.ED25519: 32,
    SignatureType.ED25519_COSIGNATURE: 32,
    SignatureType.ML_DSA_44_COSIGNATURE: 1312,
}
"""Bytes of a public key, by signature type."""


def check_key_name(name: str) -> str:
    """Return a key's name if a note can carry it: not empty, no spaces, plus or control characters.

    Raises:
        ParseError: it cannot.
    """
    if not name or any(c.isspace() or c < " " or c == "+" for c in name):
        raise ParseError("a key's name is not empty, and has no spaces, plus or control characters")
    encode_text(name)
    return name


def encode_text(text: str) -> bytes:
    """Write UTF-8.

    Raises:
        ParseError: a lone surrogate.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ParseError("lone surrogates are not UTF-8") from error


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name and signature type: what verifies a note's signature line.

    Raises:
        ParseError: a bad name, one over 255 bytes, or a public key of the wrong length.
    """

    name: str
    type: SignatureType
    public: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.name.encode()) > KEY_NAME_BYTES_MAX:
            raise ParseError(f"a key's name has at most {KEY_NAME_BYTES_MAX} bytes")
        if len(self.public) != PUBLIC_KEY_BYTES[self.type]:
            raise ParseError(f"a {self.type.name} key has {PUBLIC_KEY_BYTES[self.type]} bytes")

    @property
    def key_id(self) -> bytes:
        """First 4 bytes of SHA-256(name ‖ 0A ‖ type ‖ public key); with the name it finds a key."""
        hashed = self.name.encode() + b"\n" + bytes([self.type]) + self.public
        return hashlib.sha256(hashed).digest()[:KEY_ID_BYTES]

    def render(self) -> str:
        """Write the verifier key (vkey): name+hex(key id)+base64(type ‖ public key)."""
        encoded = encode_base64(bytes([self.type]) + self.public)
        return f"{self.name}+{self.key_id.hex()}+{encoded}"


def parse_verifier_key(text: str) -> VerifierKey:
    """Read a verifier key (vkey); only what `VerifierKey.render` writes is taken.

    Raises:
        ParseError: malformed, of an unknown type, or its key id is not that of its name and key.
    """
    if len(text) > VERIFIER_KEY_CHARACTERS_MAX:
        raise ParseError(f"a verifier key has at most {VERIFIER_KEY_CHARACTERS_MAX} characters")
    name, _, rest = text.partition("+")
    identity, _, encoded = rest.partition("+")
    try:
        material = decode_base64(encoded)
        key = VerifierKey(name, SignatureType(material[0]), material[1:])
    except (ValueError, IndexError) as error:
        raise ParseError("the verifier key's material is not base64 of a known type") from error
    if key.key_id.hex() != identity:
        raise ParseError("the verifier key's id is not that of its name and key")
    return key


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: who says to have signed, and the bytes as the type lays them out."""

    name: str
    key_id: bytes
    signature: bytes

    def render(self) -> str:
        """Write the line, with its newline."""
        return f"{_SIGNATURE_PREFIX}{self.name} {encode_base64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signature lines.

    Nothing of it is trusted before a known key's signature verified. `text` ends with a newline,
    and may contain empty lines.
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def render(self) -> str:
        """Write the note.

        Raises:
            ParseError: the text or a signature is not one that a note can carry.
        """
        written = f"{self.text}\n{''.join(line.render() for line in self.signatures)}"
        # One set of rules: what cannot be read back the same is never written.
        if parse_note(written) != self:
            raise ParseError("the text or a signature is not one that a note can carry")
        return written


def parse_note(data: bytes | str) -> Note:
    """Read a signed note (C2SP signed-note, Format); verifies nothing.

    Args:
        data: the exact note, at most 128 KiB and 32 signatures.

    Raises:
        ParseError: not UTF-8, a control character, no signature, a malformed line, over a limit.
    """
    text = _decode(data)
    body, separator, lines = text.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise ParseError(
            "a note is a text, an empty line, and signature lines, each with a newline"
        )
    signature_lines = lines[:-1].split("\n")
    if len(signature_lines) > NOTE_SIGNATURES_MAX:
        raise ParseError(f"a note has at most {NOTE_SIGNATURES_MAX} signatures")
    return Note(body + "\n", tuple(_parse_signature(line) for line in signature_lines))


def _decode(data: bytes | str) -> str:
    raw = encode_text(data) if isinstance(data, str) else data
    if len(raw) > NOTE_BYTES_MAX:
        raise ParseError(f"a note has at most {NOTE_BYTES_MAX} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ParseError("a note is UTF-8") from error
    if _CONTROL.search(text):
        raise ParseError("a note has no control characters but newlines")
    return text


def _parse_signature(line: str) -> NoteSignature:
    name, separator, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
    if not line.startswith(_SIGNATURE_PREFIX) or not separator:
        raise ParseError("a signature line is an em dash, a key's name and base64")
    try:
        raw = decode_base64(encoded)
    except ValueError as error:
        raise ParseError(f"a signature: {error}") from error
    if len(raw) <= KEY_ID_BYTES:
        raise ParseError("a signature is a key id of 4 bytes, and more")
    return NoteSignature(check_key_name(name), raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])


class NoteSigner(Protocol):
    """Signs the text of a note with one key."""

    @property
    def key(self) -> VerifierKey:
        """The public half, under the name that it signs with."""

    def sign(self, text: str, at: int) -> NoteSignature:
        """Sign a text; `at` is now, in seconds since 1970, for types that say when."""


class NoteVerifier(Protocol):
    """Verifies the signatures of one known key."""

    @property
    def key(self) -> VerifierKey:
        """The key; its name and id decide which lines are its own."""

    def verify(self, text: str, signature: bytes) -> int | None:
        """Return when it was signed (seconds since 1970), or None for a type that does not say.

        Raises:
            VerificationError: the signature is not this key's over this text.
        """


class Ed25519NoteSigner:
    """Signs note texts with Ed25519 (type 0x01).

    Args:
        name: of the key; a log's is its origin.
        seed: 32 bytes, secret.
    """

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ConfigurationError(f"the seed of an Ed25519 key has {SEED_BYTES} bytes")
        self._signing_key = SigningKey(seed)
        self.key = VerifierKey(name, SignatureType.ED25519, bytes(self._signing_key.verify_key))

    def sign(self, text: str, at: int) -> NoteSignature:  # noqa: ARG002 - other types say when
        """Sign the text itself; this type does not say when (`at` is not used)."""
        signature = self._signing_key.sign(encode_text(text)).signature
        return NoteSignature(self.key.name, self.key.key_id, signature)


class Ed25519NoteVerifier:
    """Verifies type 0x01: Ed25519 over the text, accepted exactly where libsodium accepts it.

    Args:
        name: of the key.
        public: 32 bytes.
    """

    def __init__(self, name: str, public: bytes) -> None:
        self.key = VerifierKey(name, SignatureType.ED25519, public)

    def verify(self, text: str, signature: bytes) -> None:
        """Check the signature of 64 bytes.

        Raises:
            VerificationError: it is not this key's over this text.
        """
        verify_ed25519(self.key.public, encode_text(text), signature)


def verify_ed25519(public: bytes, message: bytes, signature: bytes) -> None:
    """Check an Ed25519 signature (RFC 8032) as libsodium does: no small-order keys, canonical S.

    Raises:
        VerificationError: it does not verify.
    """
    if len(signature) != ED25519_SIGNATURE_BYTES:
        raise VerificationError(f"an Ed25519 signature has {ED25519_SIGNATURE_BYTES} bytes")
    try:
        VerifyKey(public).verify(message, signature)
    except BadSignatureError as error:
        raise VerificationError("the Ed25519 signature does not verify") from error
