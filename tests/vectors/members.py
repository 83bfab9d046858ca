"""Test vectors of the directory: a member's request, and questions to the default access rules.

It imports nothing of Barid; `generate_exchange.py` puts them into its file.
"""

from __future__ import annotations

import json

from nacl.signing import SigningKey

from tests.vectors.generate_keys import SENDER
from tests.vectors.statements import EXCHANGE, Identity, Object, b64, compact, secret, sha256


def member_request_vector() -> Object:
    """What a member gives the governors; its TUF metadata is in canonical JSON."""
    node = Identity(f"node of {SENDER}")
    file = compact(
        {
            "v": 1,
            "exchange": EXCHANGE,
            "member": "tn",
            "desks": {
                "main": {
                    "names": {"ar": "تونس", "fr": "Tunisie", "en": "Tunisia"},
                    "request": b64(bytes(SigningKey(secret("request key", 32)).verify_key)),
                    "node": {
                        "ed25519": b64(node.ed25519_public),
                        "ml_dsa_65": b64(node.ml_dsa_public),
                    },
                    "release": [],
                    "release_threshold": 0,
                    "bulletin_versions": [1],
                    "profile": {"topics": [], "area": []},
                }
            },
            "classification_names": {},
            "revoked": [],
        }
    )
    signer = SigningKey(secret("member key of tn", 32))
    public = bytes(signer.verify_key).hex()
    key = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public}}
    signed = {
        "_type": "targets",
        "spec_version": "1.0.31",
        "version": 1,
        "expires": "2027-11-24T22:00:00Z",
        "targets": {
            "members/tn.json": {"length": len(file), "hashes": {"sha256": sha256(file)}},
        },
    }
    keyid = sha256(canonical(key))
    signature = signer.sign(canonical(signed)).signature.hex()
    metadata = compact({"signatures": [{"keyid": keyid, "sig": signature}], "signed": signed})
    return {
        "description": "keyid = SHA-256 of TUF's canonical JSON of the key; metadata and file are "
        "exact bytes",
        "seed": bytes(signer).hex(),
        "keyid": keyid,
        "canonical_signed": b64(canonical(signed)),
        "request": {
            "v": 1,
            "member": "tn",
            "signers": {"keys": [key], "threshold": 1},
            "metadata": b64(metadata),
            "file": b64(file),
        },
    }


def canonical(value: Object) -> bytes:
    """TUF's canonical JSON; of ASCII without escapes, plain JSON with sorted names is the same."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def desk_entity(desk: str, kind: str, functions: list[str], tlp: str, rank: int) -> Object:
    """A desk as Cedar gets it."""
    return {
        "uid": {"type": "Desk", "id": desk},
        "attrs": {
            "member": desk.split("/", maxsplit=1)[0],
            "kind": {"type": "MemberKind", "id": kind},
            "functions": [{"type": "Function", "id": name} for name in functions],
            "groups": ["tripoli"],
            "channels": [],
            "operations": [],
            "ceiling": {
                "tlp": {"type": "Tlp", "id": tlp},
                "tlp_rank": rank,
                "classification": {"type": "Classification", "id": "restricted"},
                "classification_rank": 1,
            },
        },
        "parents": [],
    }


def cedar_vector() -> Object:
    """Three questions to the default rules."""
    context = {
        "status": {"type": "Status", "id": "test"},
        "kind": {"type": "Kind", "id": "threat_bulletin"},
        "topics": [{"type": "Topic", "id": "arms"}, {"type": "Topic", "id": "smuggling"}],
        "purpose": {"type": "Purpose", "id": "border_monitoring"},
        "precedence": {"type": "Precedence", "id": "priority"},
        "personal_data": False,
        "marking": {
            "tlp": {"type": "Tlp", "id": "amber+strict"},
            "tlp_rank": 3,
            "classification": {"type": "Classification", "id": "restricted"},
            "classification_rank": 1,
            "caveats": [{"type": "Caveat", "id": "release_to"}],
            "release_to": ["dz"],
        },
        "at": "2026-11-24T22:00:01Z",
    }
    observer = ["observers-clear-and-green-only", "release-to-listed-members-only"]
    return {
        "description": "the rules of broker/policy/default.cedar; policies are those that permit, "
        "or else those that forbid",
        "principal": desk_entity(SENDER, "state", ["main"], "red", 4),
        "context": context,
        "decisions": [
            {
                "resource": desk_entity("dz/main", "state", ["main"], "red", 4),
                "allowed": True,
                "policies": ["standing-mechanism"],
            },
            {
                "resource": desk_entity("ly/customs", "state", ["customs"], "green", 1),
                "allowed": False,
                "policies": ["release-to-listed-members-only", "tlp-above-recipient-ceiling"],
            },
            {
                "resource": desk_entity("au/main", "organisation", ["observer"], "red", 4),
                "allowed": False,
                "policies": observer,
            },
            {
                "resource": desk_entity("dz/archive", "state", [], "red", 4),
                "allowed": False,
                "policies": ["no-function-no-bulletin"],
            },
        ],
    }
