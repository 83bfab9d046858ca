"""Statements: DSSE envelopes in the protocol's strict profile, and the payload types that exist.

May import pydantic and `schemas`; `keys.dsse` signs and verifies them, the hub and the nodes carry them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from schemas.limits import SIGNATURES_MAX
from schemas.scalars import Base64, Message, Sha256Hex

SIGNATURE_BYTES = 64 + 3309
"""Ed25519 (RFC 8032), then ML-DSA-65 (FIPS 204)."""


class PayloadType(StrEnum):
    """The payload types of version 1."""

    ENVELOPE = "application/vnd.barid.envelope.v1+json"
    RELEASE = "application/vnd.barid.release.v1+json"
    ACKNOWLEDGEMENT = "application/vnd.barid.acknowledgement.v1+json"
    SEALING_KEY = "application/vnd.barid.sealing-key.v1+json"
    DESK_REQUEST = "application/vnd.barid.desk-request.v1+json"


class Signature(Message):
    """One identity's signature pair over the pre-authentication encoding."""

    keyid: Sha256Hex
    sig: Annotated[Base64, Field(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


def _distinct_keyids(signatures: tuple[Signature, ...]) -> tuple[Signature, ...]:
    if len({signature.keyid for signature in signatures}) != len(signatures):
        raise ValueError("each identity signs once")
    return signatures


Signatures = Annotated[
    tuple[Signature, ...],
    Field(min_length=1, max_length=SIGNATURES_MAX),
    AfterValidator(_distinct_keyids),
]


class Statement(Message):
    """A signed payload; `payload` is the exact bytes that were signed."""

    payload_type: Annotated[PayloadType, Field(alias="payloadType")]
    payload: Base64
    signatures: Signatures
