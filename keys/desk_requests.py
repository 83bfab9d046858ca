"""Desk requests: desks whose keys a node made, signed by those keys, for their member to put into its file.

May import `schemas`, `keys.dsse` and `keys.signing`; pure. The node writes `desk-request.json`, and whoever
signs for the member reads it on a machine of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from keys.dsse import sign_statement, verify_statement
from keys.signing import SigningIdentity, VerifyingIdentity, check_ed25519
from schemas.directory import Desk
from schemas.errors import ConfigurationError, ParseError, VerificationError
from schemas.governance import DeskRequest
from schemas.limits import SIGNATURES_MAX, TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.statements import PayloadType, Statement

DESK_REQUEST_FILE: Final = "desk-request.json"


def sign_desk_request(
    payload: DeskRequest, identities_by_unit: Mapping[str, SigningIdentity]
) -> bytes:
    """Sign a request with the node identity of every desk in it.

    Args:
        payload: what is asked for; each desk has a node identity.
        identities_by_unit: the private halves, by desk (`main`).

    Returns:
        The bytes of `desk-request.json`.

    Raises:
        ConfigurationError: over 16 desks, or an identity is not the one that its desk names.
    """
    if len(payload.desks) > SIGNATURES_MAX:
        raise ConfigurationError(
            f"one request is for at most {SIGNATURES_MAX} desks: make another one for the rest"
        )
    for unit, desk in payload.desks.items():
        identity = identities_by_unit.get(unit)
        if identity is None or identity.public != desk.node:
            raise ConfigurationError(f"{payload.member}/{unit} needs the identity that it names")
    signers = [identities_by_unit[unit] for unit in payload.desks]
    statement = sign_statement(
        PayloadType.DESK_REQUEST, dump_json(payload), payload.exchange, signers
    )
    return dump_json(statement)


def read_desk_request(data: bytes, exchange: str) -> DeskRequest:
    """Read a request, and verify that every desk in it asks for itself.

    Whose keys they are, people compare by their fingerprints; this says only that who made the file
    holds the private halves.

    Args:
        data: the exact bytes of `desk-request.json`.
        exchange: the exchange that the reader belongs to.

    Raises:
        ConfigurationError: it is no request, is for another exchange, or a key in it is weak.
        VerificationError: a desk names no node identity, has not signed, or somebody else has.
    """
    try:
        statement = parse(Statement, data, TRUST_FILE_BYTES_MAX)
        if statement.payload_type is not PayloadType.DESK_REQUEST:
            raise ParseError(f"it is a statement of type {statement.payload_type}")
        request = parse(DeskRequest, statement.payload, TRUST_FILE_BYTES_MAX)
    except ParseError as error:
        raise ConfigurationError(f"this is no {DESK_REQUEST_FILE}: {error}") from error
    if request.exchange != exchange:
        raise ConfigurationError(
            f"the request is for the exchange {request.exchange}, not for {exchange}"
        )
    check_desk_keys(request.member, request.desks)
    identities: dict[str, VerifyingIdentity] = {}
    for unit, desk in request.desks.items():
        if desk.node is None:
            raise VerificationError(f"{request.member}/{unit} names no node identity")
        identity = VerifyingIdentity.from_key(desk.node)
        identities[identity.keyid(exchange)] = identity
    if len(identities) != len(request.desks):
        raise VerificationError("two desks of the request name the same node identity")
    if identities.keys() != {signature.keyid for signature in statement.signatures}:
        raise VerificationError("not every desk of the request, and nobody else, has signed it")
    verify_statement(statement, PayloadType.DESK_REQUEST, identities)
    return request


def check_desk_keys(member: str, desks: Mapping[str, Desk]) -> None:
    """Refuse desks one of whose keys is weak: anybody could sign for them.

    Args:
        member: whose desks, for the message.
        desks: by unit.

    Raises:
        ConfigurationError: names the key, and says what to do.
    """
    for unit, desk in desks.items():
        name = f"{member}/{unit}"
        check_ed25519(f"the request key of {name}", desk.request)
        if desk.node is not None:
            check_ed25519(f"the node key of {name}", desk.node.ed25519)
        for identity in desk.release:
            check_ed25519(f"a release key of {name}", identity.ed25519)


def exchange_of_request(data: bytes) -> str:
    """The exchange that a request names; nothing of it is verified yet.

    Raises:
        ConfigurationError: it is no request.
    """
    try:
        statement = parse(Statement, data, TRUST_FILE_BYTES_MAX)
        return parse(DeskRequest, statement.payload, TRUST_FILE_BYTES_MAX).exchange
    except ParseError as error:
        raise ConfigurationError(f"this is no {DESK_REQUEST_FILE}: {error}") from error
