"""Labels and SHA-256: the bytes that every derivation of the protocol is made from.

May import `schemas` and the standard library; the rest of `keys` calls it.
"""

from __future__ import annotations

import hashlib

from schemas.errors import ParseError


def label(*parts: str | bytes) -> bytes:
    """Join the parts of a derivation, separated by one 00 byte (the protocol's conventions).

    Args:
        parts: text in ASCII without 00 (one name cannot then pass for two), or raw bytes.

    Raises:
        ParseError: a text that is not ASCII, or that holds 00.
    """
    return b"\x00".join(part if isinstance(part, bytes) else _ascii(part) for part in parts)


def _ascii(text: str) -> bytes:
    if not text.isascii() or "\x00" in text:
        raise ParseError("text inside a derivation is ASCII without 00")
    return text.encode("ascii")


def sha256(*chunks: bytes) -> bytes:
    """SHA-256 (FIPS 180-4) of the chunks one after the other: 32 bytes."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.digest()


def sha256_hex(*chunks: bytes) -> str:
    """SHA-256 of the chunks one after the other: 64 characters of lower-case hex."""
    return sha256(*chunks).hex()
