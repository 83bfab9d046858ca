"""Trees, checkpoints and signed notes of the test vectors, from RFC 6962 and C2SP alone.

It imports nothing of Barid; `generate_exchange.py` builds both logs with it.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from nacl.signing import SigningKey

from tests.vectors.statements import Object, b64, secret

ED25519, ML_DSA_44 = 0x01, 0x06


def leaf_hash(leaf_data: bytes) -> bytes:
    """RFC 6962: SHA-256(00 || leaf data)."""
    return hashlib.sha256(b"\x00" + leaf_data).digest()


def root(leaves: list[bytes]) -> bytes:
    """RFC 6962: the root over leaf hashes; of nothing, SHA-256 of nothing."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root(leaves[:split]) + root(leaves[split:])).digest()


class Log:
    """A log's name and its pair of keys."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.seeds = secret(f"{origin} ed25519", 32), secret(f"{origin} ml-dsa-44", 32)
        self.ed25519 = SigningKey(self.seeds[0])
        self.ml_dsa = MLDSA44PrivateKey.from_seed_bytes(self.seeds[1])
        self.ed25519_public = bytes(self.ed25519.verify_key)
        self.ml_dsa_public = self.ml_dsa.public_key().public_bytes_raw()

    def keys(self) -> Object:
        """As council.json names them."""
        return {
            "origin": self.origin,
            "ed25519": b64(self.ed25519_public),
            "ml_dsa_44": b64(self.ml_dsa_public),
        }

    def checkpoint(self, leaves: list[bytes], at: int) -> Object:
        """The newest checkpoint, as the hub serves it (both lines) and as receipts carry it (one)."""
        head = root(leaves)
        text = f"{self.origin}\n{len(leaves)}\n{b64(head)}\n"
        lines = [
            self._line(ED25519, self.ed25519_public, self.ed25519.sign(text.encode()).signature)
        ]
        message = self._cosigned_message(len(leaves), head, at)
        stamped = at.to_bytes(8, "big") + self.ml_dsa.sign(message)
        lines.append(self._line(ML_DSA_44, self.ml_dsa_public, stamped))
        return {
            "size": len(leaves),
            "root": head.hex(),
            "timestamp": at,
            "text": text,
            "cosigned_message": message.hex(),
            "note": text + "\n" + "".join(lines),
            "receipt_note": text + "\n" + lines[0],
        }

    def _line(self, kind: int, public: bytes, signature: bytes) -> str:
        hashed = self.origin.encode() + b"\n" + bytes([kind]) + public
        key_id = hashlib.sha256(hashed).digest()[:4]
        return f"— {self.origin} {b64(key_id + signature)}\n"

    def _cosigned_message(self, size: int, head: bytes, at: int) -> bytes:
        name = bytes([len(self.origin)]) + self.origin.encode()
        place = (0).to_bytes(8, "big") + size.to_bytes(8, "big")
        return b"subtree/v1\n\x00" + name + at.to_bytes(8, "big") + name + place + head
