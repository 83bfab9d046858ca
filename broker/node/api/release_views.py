"""What the agency interface answers about releases: the models of its JSON.

May import pydantic and `schemas`; `release_routes` sends them, the releaser's own tool reads them and
believes none of it before it has recomputed every hash.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from broker.node.api.views import RecipientState
from schemas.bulletin.values import LineMap
from schemas.bulletin.vocabularies import Kind, Precedence, Status
from schemas.limits import RECIPIENTS_MAX, SIGNATURES_MAX
from schemas.scalars import Base64, Count, DeskId, Message, Ordinal, Sha256Hex, UtcTime, Uuid7

Salt = Annotated[Base64, Field(min_length=32, max_length=32)]
Keyids = Annotated[tuple[Sha256Hex, ...], Field(max_length=SIGNATURES_MAX)]


class ReleaseSummary(Message):
    """A bulletin that people have yet to release: `signed` of `needed` have, and `recipients` desks wait."""

    id: Uuid7
    kind: Kind
    status: Status
    title: LineMap
    precedence: Precedence
    queued: UtcTime
    expires: UtcTime
    recipients: Count
    signed: Count
    needed: Ordinal


class ReleaseList(Message):
    """What waits for a release, the most urgent first."""

    releases: tuple[ReleaseSummary, ...]


class ReleaseToSign(Message):
    """What a person signs, and all that the person's own tool needs to check it.

    `payload` is the release, the exact bytes to sign; `document` the bulletin, byte for byte. `salts` and
    `empty_salts` show the name behind every recipient hash. `signers` are the keyids of
    those who have signed, of `needed`.
    """

    payload: Base64
    document: Base64
    salts: Annotated[dict[DeskId, Salt], Field(min_length=1, max_length=RECIPIENTS_MAX)]
    empty_salts: Annotated[tuple[Salt, ...], Field(max_length=RECIPIENTS_MAX)]
    signers: Keyids
    needed: Ordinal


class ReleaseSigned(Message):
    """Where a bulletin stands after somebody signed: with `needed` signers it is released, and queued."""

    id: Uuid7
    signers: Keyids
    needed: Ordinal
    recipients: tuple[RecipientState, ...]


_ID: Final = "019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"
_KEYID: Final = "3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea"
_SALT: Final = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

RELEASE_EXAMPLES: Final[dict[type[BaseModel], dict[str, Any]]] = {
    ReleaseList: {
        "releases": [
            {
                "id": _ID,
                "kind": "threat_bulletin",
                "status": "test",
                "title": {"ar": "تهريب أسلحة", "fr": "Trafic d'armes", "en": "Weapons smuggled"},
                "precedence": "priority",
                "queued": "2026-11-24T22:00:00Z",
                "expires": "2026-12-24T22:00:00Z",
                "recipients": 3,
                "signed": 1,
                "needed": 2,
            }
        ]
    },
    ReleaseToSign: {
        "payload": "eyJ2IjoxfQ==",
        "document": "eyJ2ZXJzaW9uIjoxfQ==",
        "salts": {"tn/main": _SALT},
        "empty_salts": [],
        "signers": [_KEYID],
        "needed": 2,
    },
    ReleaseSigned: {
        "id": _ID,
        "signers": [_KEYID],
        "needed": 2,
        "recipients": [{"desk": "tn/main", "state": "unreleased"}],
    },
}
