"""Valid examples of every message, as plain JSON values that a test may change."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from schemas.bulletin import Kind
from schemas.errors import Problem
from schemas.problems import to_document
from schemas.samples import sample

UUID = "019ab5c0-2a00-7a11-8c01-5f0e6d7a0001"
OTHER_UUID = "019ab5c0-2a00-7a11-8c01-5f0e6d7a0002"
SHA = "ab" * 32
OTHER_SHA = "cd" * 32
TIME = "2026-11-24T22:00:00Z"
LATER = "2026-12-24T22:00:00Z"

_V: dict[str, Any] = {"v": 1, "exchange": "tripoli-test"}
_NAMES = {"ar": "مكتب", "fr": "bureau", "en": "desk"}


def b64(size_bytes: int, fill: int = 1) -> str:
    """Write that many equal bytes in base64."""
    return base64.b64encode(bytes([fill]) * size_bytes).decode()


def _signed(payload: bytes = b"{}") -> dict[str, Any]:
    return {
        "payloadType": "application/vnd.barid.envelope.v1+json",
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": SHA, "sig": b64(64 + 3309)}],
    }


_RECEIPT: dict[str, Any] = {
    "entry": b64(10),
    "salt": b64(32),
    "places": [{"desk": "ly/main", "n": 1, "place_salt": b64(32)}],
    "index": 0,
    "path": [SHA],
    "checkpoint": "tripoli-test/exchange/1\n1\nq80=\n\n— x AAAA\n",
}
_MARKING: dict[str, Any] = {
    "tlp": "amber",
    "classification": "restricted",
    "caveats": ["orcon", "release_to"],
    "release_to": ["dz", "tn"],
}
_ATTACHMENT_REF: dict[str, Any] = {"id": OTHER_UUID, "sha256": SHA, "size": 4096}
_HEADER: dict[str, Any] = _V | {
    "id": UUID,
    "bulletin": {"id": OTHER_UUID, "content": SHA},
    "status": "test",
    "from": "ly/main",
    "created": TIME,
    "expires": LATER,
    "precedence": "routine",
    "kind": "threat_bulletin",
    "topics": ["arms", "smuggling"],
    "purpose": "border_operation",
    "personal_data": False,
    "marking": _MARKING,
    "recipients": [
        {"desk": "dz/main", "keyid": SHA, "slot_sha256": SHA},
        {"desk": "tn/main", "keyid": OTHER_SHA, "slot_sha256": SHA},
    ],
    "body": {"sha256": SHA, "size": 8208, "commitment": OTHER_SHA},
    "attachments": [_ATTACHMENT_REF],
    "directory": {"origin": "tripoli-test/directory/1", "index": 3, "leaf": SHA},
    "supersedes": UUID,
}
_HUB: dict[str, Any] = {
    "authority": "localhost:8443",
    "url": "https://localhost:8443",
    "tls_trust": "-----BEGIN CERTIFICATE-----",
}
_LOGS: dict[str, Any] = {
    "generation": 1,
    "directory": {"origin": "tripoli-test/directory/1", "ed25519": b64(32), "ml_dsa_44": b64(1312)},
    "exchange": {"origin": "tripoli-test/exchange/1", "ed25519": b64(32), "ml_dsa_44": b64(1312)},
    "previous": [],
}
_IDENTITY: dict[str, Any] = {"ed25519": b64(32, 2), "ml_dsa_65": b64(1952, 2)}

EXAMPLES: dict[str, dict[str, Any]] = {
    **{kind.value: json.loads(sample(kind, "ar")) for kind in Kind},
    "judicial_request": json.loads(sample(Kind.JUDICIAL_REQUEST, "fr")),
    "header": _HEADER,
    "statement": _signed(),
    "envelope": _signed() | {"slots": {"dz/main": b64(1168)}, "body": b64(8208)},
    "sealed_part": {
        "salt": b64(32),
        "release": None,
        "release_salts": {"dz/main": b64(32)},
        "attachment_keys": {OTHER_UUID: b64(32)},
    },
    "release": _V
    | {
        "bulletin": {"id": UUID, "sha256": SHA},
        "from": "ly/main",
        "recipients": [SHA, OTHER_SHA],
        "precedence": "flash",
        "expires": LATER,
        "released": TIME,
        "withdraws": OTHER_UUID,
    },
    "sealing_key": _V
    | {
        "desk": "ly/main",
        "epoch": 1,
        "public_key": b64(1216),
        "not_before": TIME,
        "not_after": LATER,
        "revokes": [SHA],
    },
    "acknowledgement": _V
    | {
        "desk": "dz/main",
        "at": TIME,
        "result": "rejected",
        "reason": "padding",
        "items": [
            {
                "from": "ly/main",
                "id": UUID,
                "origin": "tripoli-test/exchange/1",
                "index": 7,
                "leaf": SHA,
            }
        ],
    },
    "exchange_entry": {
        "type": "envelope.accepted",
        "at": TIME,
        "pae": SHA,
        "signatures": SHA,
        "header": b64(8),
        "directory_size": 3,
        "recipients": [{"desk": "dz/main", "place": SHA, "policies": ["p1", "p2"]}],
    },
    "directory_entry": {
        "type": "directory.published",
        "at": TIME,
        "exchange_log": {"size": 0, "root": SHA},
        "root": {"version": 1, "sha256": SHA},
        "snapshot": {"version": 1, "sha256": SHA},
    },
    "receipt": _RECEIPT,
    "opening": {"index": 0, "salt": b64(32), "entry": b64(8), "statement": _signed()},
    "openings_page": {"openings": [{"index": 0, "entry": b64(8)}]},
    "inbox_page": {
        "items": [
            {
                "statement": _signed(),
                "slot": b64(1168),
                "receipt": _RECEIPT,
                "body": b64(16),
                "withdrawn": False,
            }
        ],
        "tombstones": [{"statement": _signed(), "receipt": _RECEIPT, "expired": _RECEIPT}],
        "next": "0-12",
    },
    "envelope_status": {
        "receipt": _RECEIPT,
        "recipients": [
            {
                "desk": "dz/main",
                "acknowledgements": [{"statement": _signed(), "receipt": _RECEIPT}],
            }
        ],
    },
    "publication": {
        "v": 1,
        "exchange": "tripoli-test",
        "files": {"metadata/2.targets.json": "e30="},
    },
    "given_back": {"directory": 7, "exchange": 12},
    "lost_entries": _V
    | {
        "generation": 1,
        "checkpoints": {"directory": "a checkpoint"},
        "openings": [],
        "files": {"metadata/2.targets.json": "e30="},
        "envelopes": [],
    },
    "purge_orders": {
        "exchange": "tripoli-test",
        "v": 1,
        "orders": [
            {
                "origin": "tripoli-test/exchange/1",
                "index": 7,
                "leaf": SHA,
                "reason": _NAMES,
                "ordered": TIME,
            }
        ],
    },
    "published": {"index": 7, "snapshot": {"version": 2, "sha256": "ab" * 32}},
    "sealing_key_statements": {"statements": [_signed()]},
    "council": _V
    | {
        "test": True,
        "members": {
            "ly": {
                "kind": "state",
                "suspended": False,
                "names": _NAMES,
                "ceiling": {"tlp": "red", "classification": "secret"},
                "desks": {"main": ["border_guard", "main"]},
            }
        },
        "groups": {
            "neighbours": {
                "names": _NAMES,
                "kind": "grouping",
                "members": ["ly"],
                "function": "main",
            }
        },
        "governors": {"ab" * 32: "ly"},
        "logs": _LOGS,
        "witnesses": "none",
        "hub": _HUB,
        "deadlines_seconds": {"flash": 900, "immediate": 3600, "priority": 21600, "routine": 86400},
        "grace_seconds": 86400,
    },
    "member": _V
    | {
        "member": "ly",
        "desks": {
            "main": {
                "names": _NAMES,
                "request": b64(32, 3),
                "node": _IDENTITY,
                "release": [{"ed25519": b64(32, 4), "ml_dsa_65": b64(1952, 4)}],
                "release_threshold": 1,
                "bulletin_versions": [1],
                "profile": {"topics": ["arms", "drugs"], "area": ["DZ", "LY"]},
                "deputy": "ly/ops",
            }
        },
        "classification_names": {"restricted": _NAMES},
        "revoked": [SHA],
    },
    "invitation": _V | {"hub": _HUB, "logs": _LOGS, "root": b64(8)},
    "hub_description": _V | {"hub": _HUB, "logs": _LOGS, "online": b64(32, 5)},
    "problem": to_document(Problem("schema-violation", errors=[])),
}


@pytest.fixture(params=sorted(EXAMPLES))
def message_name(request: pytest.FixtureRequest) -> str:
    """The name of each message in turn."""
    name: str = request.param
    return name


@pytest.fixture
def example() -> Callable[[str], dict[str, Any]]:
    """Give a valid message by its name, a copy that may be changed."""

    def copied(name: str) -> dict[str, Any]:
        return copy.deepcopy(EXAMPLES[name])

    return copied
