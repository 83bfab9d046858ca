"""Writes `exchange.json`: test vectors of one bulletin's way through both logs, and of what must be refused.

Like `generate_keys.py` it imports nothing of Barid, and follows the text of the protocol alone.
`python -m tests.vectors.generate_exchange` writes the file anew; HPKE and ML-DSA draw randomness, so that
slots, signatures and all that is hashed over them differ then.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.vectors.generate_keys import (
    BULLETIN_ID,
    CREATED,
    ENVELOPE_ID,
    EXPIRES,
    NOW,
    SENDER,
    SealingKey,
    block,
    hkdf_sha256,
    joined,
)
from tests.vectors.hpke import hpke_vector
from tests.vectors.logs import Log, leaf_hash
from tests.vectors.members import cedar_vector, member_request_vector
from tests.vectors.refused import (
    ed25519_vectors,
    padding_vectors,
    statement_vectors,
    text_vectors,
)
from tests.vectors.statements import (
    EXCHANGE,
    Identity,
    Object,
    b64,
    compact,
    pae,
    secret,
    sha256,
    sign,
)

PATH = Path(__file__).with_name("exchange.json")

BULLETIN: Object = {
    "version": 1,
    "id": BULLETIN_ID,
    "kind": "threat_bulletin",
    "status": "test",
    "created": CREATED,
    "originator": {"desk": SENDER, "agency": "Douane", "contact": "Officier de permanence"},
    "purpose": "border_monitoring",
    "personal_data": False,
    "title": {"ar": "تحذير", "fr": "Avis"},
    "summary": {"fr": "Un convoi de trois véhicules est attendu."},
    "topics": ["arms", "smuggling"],
    "marking": {"tlp": "green", "classification": "unclassified", "caveats": []},
}


def statement_hashes(statement: Object) -> Object:
    """What an entry says of a statement: SHA-256 of its PAE and of its raw signatures."""
    message = pae(statement["payloadType"], base64.b64decode(statement["payload"]))
    raw = [base64.b64decode(entry["sig"]) for entry in statement["signatures"]]
    return {"pae": sha256(message), "signatures": sha256(*raw)}


class Exchange:
    """One bulletin from its sealing to its acknowledgement, with both logs."""

    def __init__(self) -> None:
        self.node, self.keys = Identity(f"node of {SENDER}"), [SealingKey("dz/main", 1)]
        self.keys.append(SealingKey("ly/customs", 1))
        self.directory = Log(f"{EXCHANGE}/directory/1")
        self.exchange = Log(f"{EXCHANGE}/exchange/1")
        self.content_key, self.content_salt = secret("key 2", 32), secret("content salt 2", 32)
        self.directory_entries = self._directory_entries()
        self.directory_leaves = [leaf_hash(entry) for entry in self.directory_entries]
        self._seal()
        self._accept()
        self._acknowledge()

    def _directory_entries(self) -> list[bytes]:
        common = {"at": "2026-11-20T08:00:00Z"}
        empty = {"exchange_log": {"size": 0, "root": sha256()}}
        first = {"version": 1, "sha256": sha256(b"root")}
        published = {"root": first, "snapshot": {"version": 1, "sha256": sha256(b"snapshot")}}
        return [
            compact({"type": "hub.operated", **common, **empty, "operation": "start"}),
            compact({"type": "directory.published", **common, **empty, **published}),
            *(
                compact({"type": "desk.sealing_key", **common, **empty, "pae": key.keyid})
                for key in self.keys
            ),
        ]

    def _seal(self) -> None:
        self.bulletin = compact(BULLETIN)
        self.part = compact(
            {
                "salt": b64(self.content_salt),
                "release": None,
                "release_salts": {},
                "attachment_keys": {},
            }
        )
        self.blocks = block(self.bulletin, 4096), block(self.part, 0)
        key = hkdf_sha256(self.content_key, joined("barid/v1/body", EXCHANGE, ENVELOPE_ID))
        plaintext = b"".join(self.blocks)
        self.body = AESGCM(key).encrypt(bytes(12), plaintext, ENVELOPE_ID.encode())
        self.slots = [key.slot(self.content_key) for key in self.keys]
        committed = joined("barid/v1/commitment", EXCHANGE, ENVELOPE_ID)
        self.header = {
            "v": 1,
            "exchange": EXCHANGE,
            "id": ENVELOPE_ID,
            "bulletin": {
                "id": BULLETIN_ID,
                "content": sha256(b"barid/v1/content\x00", self.content_salt, self.bulletin),
            },
            "status": BULLETIN["status"],
            "from": SENDER,
            "created": CREATED,
            "expires": EXPIRES,
            "precedence": "priority",
            "kind": BULLETIN["kind"],
            "topics": BULLETIN["topics"],
            "purpose": BULLETIN["purpose"],
            "personal_data": BULLETIN["personal_data"],
            "marking": BULLETIN["marking"],
            "recipients": [
                {"desk": k.desk, "keyid": k.keyid, "slot_sha256": slot["slot_sha256"]}
                for k, slot in zip(self.keys, self.slots, strict=True)
            ],
            "body": {
                "sha256": sha256(self.body),
                "size": len(self.body),
                "commitment": hmac.digest(self.content_key, committed, "sha256").hex(),
            },
            "attachments": [],
            "directory": {
                "origin": self.directory.origin,
                "index": 1,
                "leaf": self.directory_leaves[1].hex(),
            },
        }
        self.statement = sign("envelope", compact(self.header), self.node)

    def _accept(self) -> None:
        self.places = [
            {"desk": key.desk, "n": n, "place_salt": b64(secret(f"place salt of {key.desk}", 32))}
            for n, key in enumerate(self.keys, start=1)
        ]
        self.accepted = compact(
            {
                "type": "envelope.accepted",
                "at": "2026-11-24T22:00:01Z",
                **statement_hashes(self.statement),
                "header": self.statement["payload"],
                "directory_size": len(self.directory_entries),
                "recipients": [
                    {
                        "desk": place["desk"],
                        "place": place_hash(place),
                        "policies": ["standing-mechanism"],
                    }
                    for place in self.places
                ],
            }
        )
        self.accepted_salt = secret("salt of entry 0", 32)
        self.accepted_leaf = exchange_leaf(self.accepted_salt, self.accepted)

    def _acknowledge(self) -> None:
        item = {
            "from": SENDER,
            "id": ENVELOPE_ID,
            "origin": self.exchange.origin,
            "index": 0,
            "leaf": self.accepted_leaf.hex(),
        }
        self.acknowledgement = {
            "v": 1,
            "exchange": EXCHANGE,
            "desk": self.keys[0].desk,
            "at": "2026-11-24T22:00:05Z",
            "result": "delivered",
            "items": [item],
        }
        self.answer = sign("acknowledgement", compact(self.acknowledgement), self.keys[0].node)
        self.answered = compact(
            {
                "type": "acknowledgement",
                "at": "2026-11-24T22:00:06Z",
                **statement_hashes(self.answer),
                "statement": self.answer["payload"],
                "directory_size": len(self.directory_entries),
            }
        )
        self.answered_salt = secret("salt of entry 1", 32)
        self.answered_leaf = exchange_leaf(self.answered_salt, self.answered)

    def envelope_vector(self) -> Object:
        """The envelope, and every private input."""
        return {
            "description": "a bulletin that its schema takes, sealed for two desks; release null",
            "node": self.node.vector(),
            "bulletin_json": b64(self.bulletin),
            "sealed_part_json": b64(self.part),
            "content_key": self.content_key.hex(),
            "sealing_keys": [key.vector() for key in self.keys],
            "envelope": {
                **self.statement,
                "slots": {slot["desk"]: slot["slot"] for slot in self.slots},
                "body": b64(self.body),
            },
        }

    def exchange_log_vector(self) -> Object:
        """Entry, leaf data, leaf; receipt, opening, acknowledgement."""
        checkpoint = self.exchange.checkpoint([self.accepted_leaf, self.answered_leaf], NOW + 7)
        receipt = {
            "entry": b64(self.accepted),
            "salt": b64(self.accepted_salt),
            "places": self.places[1:],
            "index": 0,
            "path": [self.answered_leaf.hex()],
            "checkpoint": checkpoint["receipt_note"],
        }
        return {
            "description": "leaf data = SHA-256(salt || entry); leaf = SHA-256(00 || leaf data); "
            "place = SHA-256(place_salt || u64be n); the receipt is that of the second desk",
            "keys": self.exchange.keys(),
            "entries": [
                entry_vector(self.accepted_salt, self.accepted),
                entry_vector(self.answered_salt, self.answered),
            ],
            "places": [{**place, "place": place_hash(place)} for place in self.places],
            "empty_checkpoint": self.exchange.checkpoint([], NOW - 86400),
            "checkpoint": checkpoint,
            "receipt": receipt,
            "opening": {
                "index": 0,
                "salt": b64(self.accepted_salt),
                "entry": b64(self.accepted),
                "statement": self.statement,
            },
            "acknowledgement": self.answer,
        }

    def directory_log_vector(self) -> Object:
        """Every kind of entry; leaf data is the entry itself."""
        return {
            "description": "leaf = SHA-256(00 || entry); the header names entry 1",
            "keys": self.directory.keys(),
            "entries": [
                {"entry": b64(entry), "leaf": leaf.hex()}
                for entry, leaf in zip(self.directory_entries, self.directory_leaves, strict=True)
            ],
            "empty_checkpoint": self.directory.checkpoint([], NOW - 86400),
            "checkpoint": self.directory.checkpoint(self.directory_leaves, NOW),
        }


def exchange_leaf(salt: bytes, entry: bytes) -> bytes:
    """The leaf of a blinded entry."""
    return leaf_hash(hashlib.sha256(salt + entry).digest())


def entry_vector(salt: bytes, entry: bytes) -> Object:
    """An entry of the exchange log on its way to a leaf."""
    return {
        "entry": b64(entry),
        "salt": b64(salt),
        "leaf_data": sha256(salt, entry),
        "leaf": exchange_leaf(salt, entry).hex(),
    }


def place_hash(place: Object) -> str:
    """SHA-256(place_salt || u64be n)."""
    return sha256(base64.b64decode(place["place_salt"]), place["n"].to_bytes(8, "big"))


def build() -> Object:
    """All vectors."""
    exchange = Exchange()
    return {
        "description": "Barid protocol, version 1. Binary is standard padded base64 unless said; "
        "seeds, secrets, hashes and keyids are lower-case hex. HPKE and ML-DSA draw randomness.",
        "exchange": EXCHANGE,
        "hpke": hpke_vector(exchange.keys[0], exchange.slots[0], exchange.content_key),
        "envelope": exchange.envelope_vector(),
        "exchange_log": exchange.exchange_log_vector(),
        "directory_log": exchange.directory_log_vector(),
        "member_request": member_request_vector(),
        "cedar": cedar_vector(),
        "refused": {
            "description": "each must be refused; ed25519 values are hex",
            **text_vectors(),
            "ed25519": ed25519_vectors(),
            "padding": padding_vectors(*exchange.blocks, exchange.part),
            "signatures": statement_vectors(
                "acknowledgement", exchange.acknowledgement, exchange.keys[0].node
            ),
        },
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
