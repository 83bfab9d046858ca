"""Statements: DSSE in the protocol's strict profile, signed and verified.

May import `schemas` and `keys.signing`; whoever signs or reads envelopes, releases,
acknowledgements and sealing keys calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keys.derivation import sha256_hex
from keys.signing import SigningIdentity, VerifyingIdentity
from schemas.errors import VerificationError
from schemas.limits import SIGNATURES_MAX
from schemas.statements import PayloadType, Signature, Statement


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding that is signed (DSSE v1.0.2, protocol: one line)."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_statement(
    payload_type: PayloadType,
    payload: bytes,
    exchange: str,
    identities: Sequence[SigningIdentity],
) -> Statement:
    """Sign the exact bytes of a payload with each identity, in the order given.

    Args:
        payload_type: what the payload is.
        payload: the exact bytes that will travel.
        exchange: the exchange's name, which the keyids are derived from.
        identities: at least one, none twice.
    """
    message = pae(payload_type, payload)
    return Statement(
        payload_type=payload_type,
        payload=payload,
        signatures=tuple(
            Signature(keyid=identity.keyid(exchange), sig=identity.sign(message))
            for identity in identities
        ),
    )


def join_statements(statements: Sequence[Statement]) -> Statement:
    """Join statements that people signed apart over the same payload; each identity once.

    Raises:
        VerificationError: none are given, they are not over the same bytes, or too many signed.
    """
    if len({(statement.payload_type, statement.payload) for statement in statements}) != 1:
        raise VerificationError("only statements over the same bytes can be joined")
    signatures = {
        signature.keyid: signature for statement in statements for signature in statement.signatures
    }
    if len(signatures) > SIGNATURES_MAX:
        raise VerificationError(f"a statement has at most {SIGNATURES_MAX} signatures")
    return Statement(
        payload_type=statements[0].payload_type,
        payload=statements[0].payload,
        signatures=tuple(signatures.values()),
    )


def verify_statement(
    statement: Statement,
    payload_type: PayloadType,
    identities: Mapping[str, VerifyingIdentity],
) -> bytes:
    """Verify that every signature is of a given identity, and is valid.

    The keyids are not signed: a payload of another exchange passes here under the same keys, so
    that the caller compares the payload's `exchange` after parsing it.

    Args:
        statement: as parsed; its model holds the keyids distinct and the sizes right.
        payload_type: the only type that is taken.
        identities: whose signatures are taken, by keyid.

    Returns:
        The PAE: its SHA-256 is the statement's identity.

    Raises:
        VerificationError: another payload type, an unknown keyid, a signature that does not verify.
    """
    if statement.payload_type is not payload_type:
        raise VerificationError(f"a statement of type {payload_type} is needed here")
    message = pae(statement.payload_type, statement.payload)
    for signature in statement.signatures:
        identity = identities.get(signature.keyid)
        if identity is None:
            raise VerificationError(f"no identity here has the keyid {signature.keyid}")
        identity.verify(message, signature.sig)
    return message


def pae_sha256(statement: Statement) -> str:
    """SHA-256 of the PAE in hex: what a statement is known by, whoever signed it."""
    return sha256_hex(pae(statement.payload_type, statement.payload))


def signatures_sha256(statement: Statement) -> str:
    """SHA-256 in hex of the raw signatures, one after the other in the statement's order."""
    return sha256_hex(*(signature.sig for signature in statement.signatures))
