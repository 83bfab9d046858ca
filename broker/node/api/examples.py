"""Examples of the agency interface's answers, as its OpenAPI document shows them.

May import the node's views; `routes` declares with it, and a test reads each example as its model.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from pydantic import BaseModel

from broker.node.api.alarm_views import ALARM_EXAMPLES
from broker.node.api.freshness_views import ConfirmedView
from broker.node.api.inbox_views import ExportView, Inbox, ThreadView
from broker.node.api.receipt_views import ReceiptsView
from broker.node.api.release_views import RELEASE_EXAMPLES
from broker.node.api.views import (
    CheckView,
    DirectoryView,
    QueuedView,
    SentList,
    SentView,
    StatusView,
    UploadView,
)
from schemas.bundle import Bundle
from schemas.scalars import encode_base64
from schemas.statements import SIGNATURE_BYTES

_ID: Final = "019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"
_ENVELOPE: Final = "019ab5f0-2d3e-7f4a-9b5c-6d7e8f9a0b1c"
_HASH: Final = "3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea"
_TITLE: Final = {"ar": "تهريب أسلحة", "fr": "Trafic d'armes", "en": "Weapons smuggled"}
_TIMES: Final = {"queued": "2026-11-24T22:00:00Z", "expires": "2026-12-24T22:00:00Z"}

THREAT_BULLETIN: Final[dict[str, Any]] = {
    "version": 1,
    "id": _ID,
    "kind": "threat_bulletin",
    "status": "test",
    "created": "2026-11-24T21:55:00Z",
    "originator": {
        "desk": "ly/main",
        "agency": "Border Guard, Directorate of Analysis",
        "contact": "duty officer, day and night",
    },
    "purpose": "border_monitoring",
    "personal_data": False,
    "title": _TITLE,
    "summary": {"ar": "شوهدت قافلتان.", "fr": "Deux convois vus.", "en": "Two convoys were seen."},
    "topics": ["arms", "smuggling"],
    "marking": {"tlp": "amber", "classification": "restricted", "caveats": []},
}

_STATES: Final = [
    {"desk": "ne/main", "state": "waiting"},
    {"desk": "tn/main", "state": "delivered"},
]

_SUMMARY: Final = {
    "id": _ID,
    "kind": "threat_bulletin",
    "status": "test",
    "title": _TITLE,
    "precedence": "priority",
}

_VERIFIED: Final = {
    "sender": "ly/main",
    "signer": _HASH,
    "envelope": _ENVELOPE,
    "content": _HASH,
    "precedence": "priority",
    "created": "2026-11-24T22:00:01Z",
    "expires": "2026-12-24T22:00:00Z",
    "logged": "2026-11-24T22:00:01Z",
    "origin": "tripoli-demo/exchange/1",
    "index": 17,
    "leaf": _HASH,
    "policies": ["standing-mechanism"],
    "witnessed": True,
    "received": "2026-11-24T22:00:02Z",
    "read": "2026-11-24T22:05:00Z",
}

_MARKS: Final = {"superseded_by": _ENVELOPE}

RECEIVED: Final[dict[str, Any]] = {
    "verified": _VERIFIED,
    "marks": _MARKS,
    "bulletin": THREAT_BULLETIN,
}

_STEPS: Final = [
    {"state": "queued", "at": "2026-11-24T22:00:00Z", "policies": []},
    {
        "state": "accepted",
        "at": "2026-11-24T22:00:01Z",
        "policies": ["standing-mechanism"],
        "envelope": _ENVELOPE,
    },
]

EXAMPLES: Final[dict[type[BaseModel], dict[str, Any]]] = {
    **ALARM_EXAMPLES,
    **RELEASE_EXAMPLES,
    QueuedView: {
        "id": _ID,
        "desk": "ly/main",
        "witnessed": True,
        "recipients": [{"desk": "tn/main", "state": "queued"}],
    },
    ConfirmedView: {
        "id": _ID,
        "desk": "ly/main",
        "confirmation": {
            "by": "Salma B.",
            "token": "duty officer",
            "token_id": "9f2c4e6a8b0d",
            "at": "2026-11-24T22:10:00Z",
            "directory_verified": "2026-11-23T21:50:00Z",
        },
    },
    CheckView: {
        "id": _ID,
        "allowed": False,
        "recipients": [
            {"desk": "auc/main", "allowed": False, "policies": ["observers-clear-and-green-only"]},
            {"desk": "tn/main", "allowed": True, "policies": ["standing-mechanism"]},
        ],
    },
    SentList: {
        "witnessed": True,
        "bulletins": [{**_SUMMARY, **_TIMES, "recipients": _STATES}],
        "next": 41,
    },
    SentView: {
        **_SUMMARY,
        **_TIMES,
        "desk": "ly/main",
        "content": _HASH,
        "witnessed": True,
        "recipients": [{"desk": "tn/main", "state": "accepted", "steps": _STEPS}],
        "envelopes": [
            {
                "id": _ENVELOPE,
                "state": "accepted",
                "recipients": ["tn/main"],
                "sealed": "2026-11-24T22:00:01Z",
            }
        ],
    },
    Inbox: {
        "witnessed": True,
        "bulletins": [
            {
                **_SUMMARY,
                "sender": "ly/main",
                "topics": ["arms", "smuggling"],
                "marking": {"tlp": "amber", "classification": "restricted"},
                "received": "2026-11-24T22:00:02Z",
            }
        ],
        "next": "2-7",
    },
    ExportView: {
        "verified": _VERIFIED,
        "marks": {"exported": "2026-11-24T22:06:00Z"},
        "document": "eyJ2ZXJzaW9uIjoxfQ==",
        "statement": {
            "payloadType": "application/vnd.barid.envelope.v1+json",
            "payload": "eyJ2IjoxfQ==",
            "signatures": [{"keyid": _HASH, "sig": base64.b64encode(bytes(3373)).decode()}],
        },
        "receipt": {
            "entry": "eyJ0eXBlIjoiZW52ZWxvcGUuYWNjZXB0ZWQifQ==",
            "salt": base64.b64encode(bytes(32)).decode(),
            "places": [],
            "index": 17,
            "path": [_HASH],
            "checkpoint": "tripoli-demo/exchange/1\n18\n",
        },
    },
    Bundle: {
        "v": 1,
        "exchange": "tripoli-demo",
        "statement": {
            "payloadType": "application/vnd.barid.envelope.v1+json",
            "payload": "eyJ2IjoxfQ==",
            "signatures": [{"keyid": _HASH, "sig": encode_base64(bytes(SIGNATURE_BYTES))}],
        },
        "content_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "body": "AAAA",
        "acceptance": {
            "entry": "e30=",
            "salt": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "index": 17,
            "path": [],
        },
        "exchange_checkpoint": "tripoli-demo/exchange/1\n18\n…",
        "directory": {"entries": ["e30="] * 6, "judging": 4, "path": []},
        "directory_checkpoint": "tripoli-demo/directory/1\n6\n…",
        "files": {"metadata/1.root.json": "e30="},
    },
    ReceiptsView: {
        "receipts": [
            {
                "name": f"accepted.{_ENVELOPE}.tlog-proof",
                "witnessed": True,
                "text": "c2sp.org/tlog-proof@v1\nextra eyJ2IjoxfQ==\nindex 17\n\n…",
            }
        ]
    },
    ThreadView: {
        "bulletins": [
            {
                **_SUMMARY,
                "direction": "received",
                "desk": "ly/main",
                "at": "2026-11-24T22:00:02Z",
                "read": "2026-11-24T22:05:00Z",
            },
            {
                **_SUMMARY,
                "direction": "sent",
                "desk": "tn/main",
                "id": _ENVELOPE,
                "at": "2026-11-24T22:30:00Z",
                "in_reply_to": {"desk": "ly/main", "id": _ID},
            },
        ],
        "complete": True,
    },
    DirectoryView: {
        "exchange": "tripoli-demo",
        "entry": 3,
        "since": "2026-11-24T21:00:00Z",
        "desks": [
            {
                "desk": "tn/main",
                "names": {"ar": "المكتب الرئيسي", "fr": "Bureau central", "en": "Main desk"},
                "member_names": {"ar": "تونس", "fr": "Tunisie", "en": "Tunisia"},
                "kind": "state",
                "functions": ["main"],
                "receives": True,
                "may_send": ["threat_bulletin"],
            }
        ],
        "groups": [
            {
                "group": "sahel",
                "names": {"ar": "الساحل", "fr": "Sahel", "en": "Sahel"},
                "desks": ["ml/main", "ne/main"],
            }
        ],
    },
    UploadView: {"offset": 4194304, "size": 20971520},
    StatusView: {
        "exchange": "tripoli-demo",
        "test": True,
        "witnessed": True,
        "member": "ly",
        "desks": ["ly/judicial", "ly/main"],
        "hub": {
            "reachable_since": "2026-11-24T21:30:00Z",
            "last_answer": "2026-11-24T22:00:00Z",
        },
        "logs": {
            "directory_size": 9,
            "exchange_size": 18,
            "directory_entry": 3,
            "directory_since": "2026-11-24T21:00:00Z",
            "directory_versions": {"root": 1, "snapshot": 4, "targets": 2, "member-ly": 1},
        },
        "freshness": {
            "standing": "fresh",
            "verified": "2026-11-24T22:00:00Z",
            "age_seconds": 4,
            "council_expires": "2027-11-24T00:00:00Z",
        },
        "outbox": {"delivered": 12, "waiting": 1},
        "held": 0,
        "unread": 2,
        "alarms": [
            {
                "kind": "gap",
                "subject": "tn/main > ly/main",
                "text": "in tripoli-demo/exchange/1 1 of the places up to the last are missing",
                "first_seen": "2026-11-24T21:40:00Z",
                "last_seen": "2026-11-24T21:45:00Z",
                "times": 3,
            }
        ],
    },
}


def example_of(view: type[BaseModel], description: str) -> dict[str, Any]:
    """Write the `responses` entry of a route's success: its description and the view's example."""
    example = {"value": EXAMPLES[view]}
    content = {"application/json": {"examples": {"example": example}}}
    return {"description": description, "content": content}
