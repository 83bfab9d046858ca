"""Writes `streams.json`: test vectors of sealed attachments.

Like `generate_keys.py` it imports nothing of Barid; libsodium's secretstream is built here by hand from
ChaCha20 and Poly1305. `python -m tests.vectors.generate_streams` writes the same file again.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.poly1305 import Poly1305

from tests.vectors.generate_keys import BULLETIN_ID, joined, padme
from tests.vectors.statements import EXCHANGE, Object, b64, secret, sha256

PATH = Path(__file__).with_name("streams.json")

ATTACHMENT_ID = "019ab8a0-0000-7000-8000-0000000000aa"
CHUNK_BYTES = 65_536
MESSAGE, FINAL = 0, 3
WRITTEN_OUT_BYTES_MAX = 1000


def chacha20(key: bytes, block: int, nonce: bytes, data: bytes) -> bytes:
    """ChaCha20 (RFC 8439) from a block on."""
    algorithm = ChaCha20(key, struct.pack("<I", block) + nonce)
    return Cipher(algorithm, mode=None).encryptor().update(data)


def hchacha20(key: bytes, nonce: bytes) -> bytes:
    """HChaCha20: ChaCha20's block without its last addition, of which the outer rows are kept."""
    block = struct.unpack("<16I", Cipher(ChaCha20(key, nonce), None).encryptor().update(bytes(64)))
    first = struct.unpack("<4I", b"expand 32-byte k")
    last = struct.unpack("<4I", nonce)
    rows = zip(block[:4] + block[12:], first + last, strict=True)
    return struct.pack("<8I", *((word - added) % 2**32 for word, added in rows))


def seal_chunk(key: bytes, nonce: bytes, associated: bytes, chunk: bytes, tag: int) -> bytes:
    """One chunk: tag byte and plaintext encrypted, authenticated together with the associated data."""
    first = chacha20(key, 1, nonce, bytes([tag]) + bytes(63))
    sealed = chacha20(key, 2, nonce, chunk)
    message = associated + bytes(-len(associated) % 16) + first + sealed
    # libsodium fills up by len % 16 here, where RFC 8439 would fill up to 16.
    message += bytes(len(chunk) % 16) + struct.pack("<QQ", len(associated), 64 + len(chunk))
    poly_key = chacha20(key, 0, nonce, bytes(32))
    return first[:1] + sealed + Poly1305.generate_tag(poly_key, message)


def seal(key: bytes, header: bytes, associated: bytes, plaintext: bytes) -> list[bytes]:
    """Header and chunks of a file."""
    padded = plaintext.ljust(padme(len(plaintext)), b"\x00")
    chunks = [padded[at : at + CHUNK_BYTES] for at in range(0, len(padded), CHUNK_BYTES)] or [b""]
    chunk_key, inner = hchacha20(key, header[:16]), header[16:]
    sealed = [header]
    for number, chunk in enumerate(chunks, 1):
        nonce = struct.pack("<I", number) + inner
        tag = FINAL if number == len(chunks) else MESSAGE
        sealed.append(seal_chunk(chunk_key, nonce, associated, chunk, tag))
        inner = bytes(a ^ b for a, b in zip(inner, sealed[-1][-16:][:8], strict=True))
    return sealed


def vector(description: str, size_bytes: int) -> Object:
    """A file, sealed."""
    name = f"attachment of {size_bytes} bytes"
    plaintext, key, header = secret(name, size_bytes), secret(f"key, {name}", 32), secret(name, 24)
    sealed = seal(
        key, header, joined("barid/v1/attachment", EXCHANGE, BULLETIN_ID, ATTACHMENT_ID), plaintext
    )
    whole = b"".join(sealed)
    return {
        "description": description,
        "name": name,
        "size": size_bytes,
        "sha256": sha256(plaintext),
        "key": key.hex(),
        "header": header.hex(),
        "padded_size": padme(size_bytes),
        "chunk_sizes": [len(chunk) for chunk in sealed[1:]],
        "chunk_macs": [chunk[-16:].hex() for chunk in sealed[1:]],
        "sealed_size": len(whole),
        "sealed_sha256": sha256(whole),
        **({"sealed": b64(whole)} if size_bytes <= WRITTEN_OUT_BYTES_MAX else {}),
    }


def build() -> Object:
    """All vectors."""
    associated = joined("barid/v1/attachment", EXCHANGE, BULLETIN_ID, ATTACHMENT_ID)
    return {
        "description": "Sealed attachments. The plaintext is SHAKE-128('barid vectors: ' || name), "
        "size bytes of it; sealed = header || chunks. Keys, headers, MACs and hashes are hex.",
        "exchange": EXCHANGE,
        "bulletin_id": BULLETIN_ID,
        "attachment_id": ATTACHMENT_ID,
        "associated": b64(associated),
        "attachments": [
            vector("an empty file is one chunk, the last", 0),
            vector("one byte", 1),
            vector("nine bytes, filled up to ten", 9),
            vector("one whole chunk, which is the last", CHUNK_BYTES),
            vector("one byte more: filled up to a second chunk", CHUNK_BYTES + 1),
            vector("padding that fills a chunk of its own", 66 * CHUNK_BYTES + 1),
        ],
    }


if __name__ == "__main__":
    text = json.dumps(build(), ensure_ascii=False, indent=1)
    PATH.write_text(text + "\n", encoding="utf-8")
