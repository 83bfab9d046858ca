"""The sealed content: body key, body, content hash and the commitment to the content key.

May import `schemas`, `keys.derivation`, `keys.padding` and `cryptography`; `keys.envelope` seals with
it, recipients and auditors open.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keys.derivation import label, sha256_hex
from keys.padding import padme
from schemas.envelope import SealedPart
from schemas.errors import ParseError, Problem
from schemas.limits import BULLETIN_BYTES_MAX, SEALED_PART_BYTES_MAX
from schemas.loader import dump_json, parse

BULLETIN_PADDED_BYTES_MIN: Final = 4096
"""Length, bulletin and zeros take at least this: most bulletins then have one size."""

_LENGTH_BYTES: Final = 4
_ZERO_NONCE: Final = bytes(12)


@dataclass(frozen=True, slots=True)
class OpenedBody:
    """What was sealed: the exact bytes of the bulletin, and the part behind it."""

    bulletin_json: bytes = field(repr=False)
    sealed_part: SealedPart = field(repr=False)


def content_hash(salt: bytes, bulletin_json: bytes) -> str:
    """SHA-256(`barid/v1/content` 00 ‖ salt ‖ bulletin JSON) in hex: `bulletin.content` of a header.

    Args:
        salt: 32 bytes, drawn once for a bulletin.
        bulletin_json: the bulletin's exact bytes.
    """
    return sha256_hex(label("barid/v1/content", b""), salt, bulletin_json)


def verify_content(salt: bytes, bulletin_json: bytes, expected: str) -> None:
    """Check that the bulletin is the content that the header names.

    Raises:
        Problem: `content-mismatch`.
    """
    if not hmac.compare_digest(content_hash(salt, bulletin_json), expected):
        raise Problem("content-mismatch")


def commitment(content_key: bytes, exchange: str, envelope_id: str) -> str:
    """HMAC-SHA-256(CK, `barid/v1/commitment` 00 o 00 id) in hex (Envelope, step 2)."""
    message = label("barid/v1/commitment", exchange, envelope_id)
    return hmac.new(content_key, message, hashlib.sha256).hexdigest()


def verify_commitment(content_key: bytes, exchange: str, envelope_id: str, expected: str) -> None:
    """Check that the content key is the one that the header commits to, in constant time.

    Raises:
        Problem: `commitment`.
    """
    if not hmac.compare_digest(commitment(content_key, exchange, envelope_id), expected):
        raise Problem("commitment")


def body_key(content_key: bytes, exchange: str, envelope_id: str) -> bytes:
    """HKDF-SHA-256 of CK, empty salt, info `barid/v1/body` 00 o 00 id: 32 bytes (step 1)."""
    info = label("barid/v1/body", exchange, envelope_id)
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(content_key)


def encode_body(bulletin_json: bytes, sealed_part: SealedPart) -> bytes:
    """Write the padded plaintext of a body (Envelope, step 1).

    Raises:
        ParseError: the bulletin or the sealed part is over its limit.
    """
    # `release` is the protocol's one null: it is written out, where other absent members are not.
    part_json = dump_json(sealed_part.model_dump(mode="json", by_alias=True))
    return _pad("a bulletin", bulletin_json, BULLETIN_PADDED_BYTES_MIN, BULLETIN_BYTES_MAX) + _pad(
        "a sealed part", part_json, 0, SEALED_PART_BYTES_MAX
    )


def _pad(what: str, data: bytes, size_bytes_min: int, limit_bytes: int) -> bytes:
    if len(data) > limit_bytes:
        raise ParseError(f"{what} of {len(data)} bytes is over the limit of {limit_bytes}")
    block = len(data).to_bytes(_LENGTH_BYTES, "big") + data
    return block.ljust(max(size_bytes_min, padme(len(block))), b"\x00")


def decode_body(plaintext: bytes) -> OpenedBody:
    """Read the padded plaintext of a body; sizes and zeros must be exact.

    Raises:
        Problem: `padding`, or `sealed-part`. The bulletin itself is not looked at.
    """
    bulletin_json, rest = _unpad(plaintext, BULLETIN_PADDED_BYTES_MIN, BULLETIN_BYTES_MAX)
    part_json, rest = _unpad(rest, 0, SEALED_PART_BYTES_MAX)
    if rest:
        raise Problem("padding", f"{len(rest)} bytes follow the sealed part")
    try:
        sealed_part = parse(
            SealedPart, part_json, SEALED_PART_BYTES_MAX, nullable=frozenset({"release"})
        )
    except ParseError as error:
        # The path tells where; the values stay out, since they are sealed content.
        path = error.errors[0].path if error.errors else "$"
        raise Problem("sealed-part", f"the sealed part is not well-formed at {path}") from error
    return OpenedBody(bulletin_json, sealed_part)


def _unpad(data: bytes, size_bytes_min: int, limit_bytes: int) -> tuple[bytes, bytes]:
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
    if end > _LENGTH_BYTES + limit_bytes:
        raise Problem("padding", f"a length is over the limit of {limit_bytes} bytes")
    padded_size_bytes = max(size_bytes_min, padme(end))
    if len(data) < padded_size_bytes:
        raise Problem("padding", "the body ends within its padding")
    if any(data[end:padded_size_bytes]):
        raise Problem("padding", "the padding is not zero")
    return data[_LENGTH_BYTES:end], data[padded_size_bytes:]


def seal_body(
    content_key: bytes,
    exchange: str,
    envelope_id: str,
    bulletin_json: bytes,
    sealed_part: SealedPart,
) -> bytes:
    """Seal the body (Envelope, step 1): AES-256-GCM, zero nonce, AAD the 36 bytes of the id.

    A content key seals one plaintext ever: another plaintext takes another id and another key.

    Args:
        content_key: 32 fresh bytes.
        exchange: the exchange's name.
        envelope_id: the envelope's id.
        bulletin_json: the bulletin's exact bytes, at most 256 KiB.
        sealed_part: what travels behind it.

    Returns:
        Ciphertext ‖ tag (16 bytes).

    Raises:
        ParseError: the bulletin or the sealed part is over its limit.
    """
    key = AESGCM(body_key(content_key, exchange, envelope_id))
    plaintext = encode_body(bulletin_json, sealed_part)
    return key.encrypt(_ZERO_NONCE, plaintext, envelope_id.encode("ascii"))


def open_body(content_key: bytes, exchange: str, envelope_id: str, ciphertext: bytes) -> OpenedBody:
    """Open a body with the committed content key.

    Args:
        content_key: 32 bytes, already compared with the commitment.
        exchange: the exchange's name.
        envelope_id: the envelope's id.
        ciphertext: with its tag, already compared with the header's hash.

    Raises:
        Problem: `body-unreadable`, `padding` or `sealed-part`: the sender's fault.
    """
    key = AESGCM(body_key(content_key, exchange, envelope_id))
    try:
        plaintext = key.decrypt(_ZERO_NONCE, ciphertext, envelope_id.encode("ascii"))
    except InvalidTag as error:
        raise Problem("body-unreadable") from error
    return decode_body(plaintext)
