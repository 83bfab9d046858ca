"""Writes `keys.json`: test vectors for every construction of the protocol in `keys/`.

Like `statements.py` beside it, it imports nothing of Barid: both follow the text of the protocol with the
standard library, `cryptography` and PyNaCl alone, as an implementation in another language would.
`python -m tests.vectors.generate_keys` writes the file anew; HPKE and ML-DSA draw randomness, so that
slots and signatures differ then.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    Suite,
)
from nacl.signing import SigningKey

from tests.vectors.statements import (
    EXCHANGE,
    TYPE,
    Identity,
    Object,
    b64,
    compact,
    pae,
    secret,
    sha256,
    sign,
    statement_vector,
)

PATH = Path(__file__).with_name("keys.json")

SENDER = "tn/main"
ENVELOPE_ID = "019ab8a0-0000-7000-8000-000000000001"
BULLETIN_ID = "019ab8a0-0000-7000-8000-00000000000b"
CREATED, EXPIRES = "2026-11-24T22:00:00Z", "2026-12-01T00:00:00Z"
NOW = 1795557600


def joined(*parts: str) -> bytes:
    """Text parts separated by one 00 byte."""
    return b"\x00".join(part.encode("ascii") for part in parts)


def padme(size_bytes: int) -> int:
    """Padmé: up to the next multiple of 2^(E - S), E = floor(log2 n), S = floor(log2 E) + 1."""
    if size_bytes < 2:
        return size_bytes
    e = size_bytes.bit_length() - 1
    s = e.bit_length()
    step = 1 << (e - s)
    return (size_bytes + step - 1) // step * step


def request_vector(description: str, request: Object) -> Object:
    """A signed request, with its signature base."""
    key = SigningKey(secret("request key", 32))
    keyid = sha256(EXCHANGE.encode() + b"\x00" + bytes(key.verify_key))
    nonce = secret(description, 16).hex()
    body = base64.b64decode(request["body"])
    values = {
        "@method": request["method"],
        "@authority": request["authority"],
        "@path": request["path"],
        "@query": "?" + request["query"],
    }
    if body:
        values["content-digest"] = f"sha-256=:{b64(hashlib.sha256(body).digest())}:"
    values |= {name.lower(): value for name, value in request["headers"]}
    parameters = (
        "({names});created={now};expires={end};nonce={nonce};keyid={keyid};tag={tag}".format(
            names=" ".join(f'"{name}"' for name in values),
            now=NOW,
            end=NOW + 60,
            nonce=f'"{nonce}"',
            keyid=f'"{keyid}"',
            tag='"barid-v1"',
        )
    )
    lines = [f'"{name}": {value}' for name, value in values.items()]
    base = "\n".join([*lines, f'"@signature-params": {parameters}'])
    return {
        "description": description,
        "request": request,
        "request_key_seed": bytes(key).hex(),
        "request_key_public": b64(bytes(key.verify_key)),
        "keyid": keyid,
        "created": NOW,
        "expires": NOW + 60,
        "nonce": nonce,
        "content_digest": values.get("content-digest"),
        "signature_base": base,
        "signature_input": f"barid={parameters}",
        "signature": f"barid=:{b64(key.sign(base.encode()).signature)}:",
    }


def request_vectors() -> list[Object]:
    """A body, a query with an escaped slash, and an upload."""
    plain = {"authority": "hub.example", "query": "", "headers": [], "body": ""}
    return [
        request_vector(
            "a POST with a body: content-digest is signed",
            {**plain, "method": "POST", "path": "/v1/envelopes", "body": b64(b'{"slots":{}}')},
        ),
        request_vector(
            "a GET with a query; path and query are signed as they travel, %2F and all",
            {
                **plain,
                "method": "GET",
                "path": "/v1/log/exchange/1/tile%2F0",
                "query": "limit=10&after=a%2Fb",
            },
        ),
        request_vector(
            "an upload: upload-offset is signed behind content-digest",
            {
                **plain,
                "method": "PUT",
                "path": "/v1/attachments/" + "ab" * 32,
                "headers": [["Upload-Offset", "65536"]],
                "body": b64(b"chunk"),
            },
        ),
    ]


class SealingKey:
    """A recipient's sealing key of one epoch, announced by its node."""

    def __init__(self, desk: str, epoch: int) -> None:
        self.desk = desk
        self.raw = secret(f"sealing key of {desk}", 96)
        ml_kem = MLKEM768PrivateKey.from_seed_bytes(self.raw[:64])
        x25519 = X25519PrivateKey.from_private_bytes(self.raw[64:])
        self.hybrid = MLKEM768X25519PrivateKey(ml_kem, x25519)
        self.public = (
            ml_kem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        )
        self.node = Identity(f"node of {desk}")
        payload = {
            "v": 1,
            "exchange": EXCHANGE,
            "desk": desk,
            "epoch": epoch,
            "public_key": b64(self.public),
            "not_before": "2026-11-01T00:00:00Z",
            "not_after": "2026-12-31T00:00:00Z",
        }
        self.statement = sign("sealing-key", compact(payload), self.node)
        self.keyid = sha256(pae(TYPE.format("sealing-key"), compact(payload)))

    def vector(self) -> Object:
        """Private and public bytes, statement and keyid."""
        return {
            "description": "keyid = SHA-256 of the PAE of the statement; private = ML-KEM-768 seed "
            "(64) || X25519 (32), public = ML-KEM-768 (1184) || X25519 (32)",
            "desk": self.desk,
            "private": b64(self.raw),
            "public": b64(self.public),
            "node": self.node.vector(),
            "statement": self.statement,
            "keyid": self.keyid,
        }

    def slot(self, content_key: bytes) -> Object:
        """The content key, sealed to this desk."""
        info = joined("barid/v1/slot", EXCHANGE, ENVELOPE_ID, SENDER, self.desk, self.keyid)
        suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
        slot = suite.encrypt(content_key, self.hybrid.public_key(), info)
        return {
            "description": "HPKE (RFC 9180) mode Base, KEM 0x647A, KDF 0x0001, AEAD 0x0002, empty "
            "AAD; enc (ML-KEM-768 1088 || X25519 32) || ciphertext (32) || tag (16)",
            "desk": self.desk,
            "info": b64(info),
            "slot": b64(slot),
            "slot_sha256": sha256(slot),
        }


def release_vector(bulletin: bytes, people: list[Identity], desks: list[str]) -> Object:
    """A release to three desks, filled to four with an empty name."""
    names = [*desks, ""]
    salts = [secret(f"release salt of {name!r}", 32) for name in names]
    hashes = [
        sha256(b"barid/v1/release\x00", salt, name.encode())
        for name, salt in zip(names, salts, strict=True)
    ]
    payload = {
        "v": 1,
        "exchange": EXCHANGE,
        "bulletin": {"id": BULLETIN_ID, "sha256": sha256(bulletin)},
        "from": SENDER,
        "recipients": sorted(hashes),
        "precedence": "priority",
        "expires": EXPIRES,
        "released": CREATED,
    }
    return {
        "description": "recipient hash = SHA-256('barid/v1/release' 00 || salt || desk); the last "
        "name is empty and fills up; two of three people sign",
        "recipients": [
            {"desk": name, "salt": b64(salt), "hash": digest}
            for name, salt, digest in zip(names, salts, hashes, strict=True)
        ],
        "people": [person.vector() for person in people],
        "threshold": 2,
        **statement_vector("", sign("release", compact(payload), *people[:2])),
    }


def hkdf_sha256(secret_bytes: bytes, info: bytes) -> bytes:
    """RFC 5869 with an empty salt, one block of 32 bytes."""
    extracted = hmac.digest(bytes(32), secret_bytes, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def block(data: bytes, size_bytes_min: int) -> bytes:
    """u32be length, data, zeros."""
    size_bytes = max(size_bytes_min, padme(4 + len(data)))
    return (len(data).to_bytes(4, "big") + data).ljust(size_bytes, b"\x00")


def envelope_vector() -> Object:
    """A released bulletin for two of the three desks it was released to, all steps."""
    node, people = Identity("node of tn/main"), [Identity(f"person {n}") for n in (1, 2, 3)]
    keys = [SealingKey("dz/main", 4), SealingKey("ly/customs", 1)]
    desks = [key.desk for key in keys]
    bulletin = compact({"title": {"ar": "تحذير", "fr": "Avis"}, "text": {"fr": "x" * 700}})
    content_key, content_salt = secret("content key", 32), secret("content salt", 32)
    release = release_vector(bulletin, people, [*desks, "ml/main"])
    sealed_part = compact(
        {
            "salt": b64(content_salt),
            "release": release["statement"],
            "release_salts": {
                entry["desk"]: entry["salt"]
                for entry in release["recipients"]
                if entry["desk"] in desks
            },
            "attachment_keys": {},
        }
    )
    plaintext = block(bulletin, 4096) + block(sealed_part, 0)
    key = hkdf_sha256(content_key, joined("barid/v1/body", EXCHANGE, ENVELOPE_ID))
    body = AESGCM(key).encrypt(bytes(12), plaintext, ENVELOPE_ID.encode())
    committed = hmac.digest(
        content_key, joined("barid/v1/commitment", EXCHANGE, ENVELOPE_ID), "sha256"
    )
    content = sha256(b"barid/v1/content\x00", content_salt, bulletin)
    slots = [sealing_key.slot(content_key) for sealing_key in keys]
    header = {
        "v": 1,
        "exchange": EXCHANGE,
        "id": ENVELOPE_ID,
        "bulletin": {"id": BULLETIN_ID, "content": content},
        "status": "exercise",
        "from": SENDER,
        "created": CREATED,
        "expires": EXPIRES,
        "precedence": "priority",
        "kind": "threat_bulletin",
        "topics": ["arms", "smuggling"],
        "purpose": "border_monitoring",
        "personal_data": False,
        "marking": {
            "tlp": "amber",
            "classification": "restricted",
            "caveats": ["h2", "release_to"],
            "release_to": ["dz", "ly"],
        },
        "recipients": [
            {"desk": k.desk, "keyid": k.keyid, "slot_sha256": slot["slot_sha256"]}
            for k, slot in zip(keys, slots, strict=True)
        ],
        "body": {"sha256": sha256(body), "size": len(body), "commitment": committed.hex()},
        "attachments": [],
        "directory": {"origin": "hub.example/directory", "index": 7, "leaf": "d" * 64},
    }
    statement = sign("envelope", compact(header), node)
    return {
        "description": "one released bulletin, sealed for two desks; every private input is given",
        "node": node.vector(),
        "envelope_id": ENVELOPE_ID,
        "sender": SENDER,
        "bulletin_json": b64(bulletin),
        "content_key": content_key.hex(),
        "content_salt": content_salt.hex(),
        "sealing_keys": [sealing_key.vector() for sealing_key in keys],
        "release": release,
        "steps": {
            "content": content,
            "sealed_part_json": b64(sealed_part),
            "plaintext": b64(plaintext),
            "body_key": key.hex(),
            "body": b64(body),
            "body_sha256": sha256(body),
            "commitment": committed.hex(),
            "slots": slots,
            "header_json": b64(compact(header)),
            **statement_vector("the header's statement, signed by the node", statement),
        },
        "envelope": {
            **statement,
            "slots": {slot["desk"]: slot["slot"] for slot in slots},
            "body": b64(body),
        },
    }


def build() -> Object:
    """All vectors."""
    both = [Identity("node of tn/main"), Identity("person 1")]
    sizes = [*range(10), 17, 100, 1000, 4095, 4096, 4097, 65535, 65537, 262148, 2**30 + 1]
    return {
        "description": "Barid protocol, version 1. Binary is standard padded base64; seeds, 32-byte "
        "secrets, hashes and keyids are lower-case hex. HPKE and ML-DSA draw randomness: open the "
        "slots and verify the signatures; all else is deterministic.",
        "exchange": EXCHANGE,
        "keyids": {
            "description": "identity: SHA-256(o || 00 || Ed25519 || ML-DSA-65); request key: "
            "SHA-256(o || 00 || raw), see requests",
            "identities": [identity.vector() for identity in both],
        },
        "padme": {
            "description": "size in bytes, padded size in bytes",
            "table": [[size, padme(size)] for size in sizes],
        },
        "statements": [
            statement_vector(
                "an acknowledgement by one identity: sig = Ed25519 (64) || ML-DSA-65 (3309), both "
                "over PAE; ML-DSA pure, empty context",
                sign("acknowledgement", compact({"v": 1, "exchange": EXCHANGE}), both[0]),
            ),
            statement_vector(
                "two identities; the payload is bytes and not read here",
                sign("release", "ليس JSON".encode(), *both),
            ),
        ],
        "requests": request_vectors(),
        "envelope": envelope_vector(),
    }


if __name__ == "__main__":
    text = json.dumps(build(), ensure_ascii=False, indent=1)
    PATH.write_text(text + "\n", encoding="utf-8")
