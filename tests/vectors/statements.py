"""Identities and DSSE statements of the test vectors, with the spellings that every vector uses.

It imports nothing of Barid; `generate_keys.py` builds the vectors with it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from nacl.signing import SigningKey

Object = dict[str, Any]

EXCHANGE = "barid-test"
TYPE = "application/vnd.barid.{}.v1+json"


def b64(data: bytes) -> str:
    """Standard padded base64."""
    return base64.b64encode(data).decode()


def sha256(*chunks: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(b"".join(chunks)).hexdigest()


def secret(name: str, size_bytes: int) -> bytes:
    """Fixed bytes that look random: SHAKE-128 of a name."""
    return hashlib.shake_128(f"barid vectors: {name}".encode()).digest(size_bytes)


def compact(value: Any) -> bytes:
    """JSON without spaces; any other spelling would be as good, since the exact bytes count."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class Identity:
    """A signing identity: Ed25519 and ML-DSA-65."""

    def __init__(self, name: str) -> None:
        self.seeds = secret(f"{name} ed25519", 32), secret(f"{name} ml-dsa-65", 32)
        self.ed25519 = SigningKey(self.seeds[0])
        self.ml_dsa = MLDSA65PrivateKey.from_seed_bytes(self.seeds[1])
        self.ed25519_public = bytes(self.ed25519.verify_key)
        self.ml_dsa_public = self.ml_dsa.public_key().public_bytes_raw()
        self.keyid = sha256(EXCHANGE.encode() + b"\x00" + self.ed25519_public + self.ml_dsa_public)

    def vector(self) -> Object:
        """The whole identity."""
        return {
            "ed25519_seed": self.seeds[0].hex(),
            "ml_dsa_65_seed": self.seeds[1].hex(),
            "ed25519_public": b64(self.ed25519_public),
            "ml_dsa_65_public": b64(self.ml_dsa_public),
            "keyid": self.keyid,
        }


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    head = f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} "
    return head.encode() + payload


def sign(kind: str, payload: bytes, *identities: Identity) -> Object:
    """A statement."""
    message = pae(TYPE.format(kind), payload)
    return {
        "payloadType": TYPE.format(kind),
        "payload": b64(payload),
        "signatures": [
            {
                "keyid": identity.keyid,
                "sig": b64(
                    identity.ed25519.sign(message).signature + identity.ml_dsa.sign(message)
                ),
            }
            for identity in identities
        ],
    }


def statement_vector(description: str, statement: Object) -> Object:
    """A statement, its encoding and its hashes."""
    message = pae(statement["payloadType"], base64.b64decode(statement["payload"]))
    signatures = [base64.b64decode(entry["sig"]) for entry in statement["signatures"]]
    return {
        "description": description,
        "statement": statement,
        "pae": b64(message),
        "pae_sha256": sha256(message),
        "signatures_sha256": sha256(*signatures),
    }
