"""Statements: the exact encoding, and every signature of a known identity."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import pytest

from keys.derivation import sha256_hex
from keys.dsse import (
    join_statements,
    pae,
    pae_sha256,
    sign_statement,
    signatures_sha256,
    verify_statement,
)
from keys.signing import SigningIdentity, VerifyingIdentity
from schemas.errors import ParseError, VerificationError
from schemas.loader import dump_json, parse
from schemas.statements import PayloadType, Statement

EXCHANGE = "barid-test"
PAYLOAD = b'{"v":1,"exchange":"barid-test"}'


@dataclass(frozen=True)
class Signers:
    """Two identities, and what verifies them."""

    first: SigningIdentity
    second: SigningIdentity

    def known(self, *identities: SigningIdentity) -> dict[str, VerifyingIdentity]:
        """Keyid to verifier."""
        return {
            identity.keyid(EXCHANGE): VerifyingIdentity.from_key(identity.public)
            for identity in identities
        }


@pytest.fixture(scope="module")
def signers() -> Signers:
    """Two identities from fixed seeds."""
    return Signers(
        SigningIdentity.from_seeds(b"\x01" * 32, b"\x02" * 32),
        SigningIdentity.from_seeds(b"\x03" * 32, b"\x04" * 32),
    )


@pytest.fixture(scope="module")
def statement(signers: Signers) -> Statement:
    """A release signed by both."""
    return sign_statement(PayloadType.RELEASE, PAYLOAD, EXCHANGE, [signers.first, signers.second])


def changed(statement: Statement, **members: Any) -> Statement:
    """The statement with other members, through JSON as it travels."""
    value = json.loads(dump_json(statement))
    value.update(members)
    return parse(Statement, json.dumps(value).encode(), 1 << 20)


def test_pae_is_that_of_the_specification() -> None:
    """The encoding equals the example of the DSSE specification."""
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pae("http://example.com/HelloWorld", b"hello world") == expected


def test_a_statement_verifies_after_travelling(signers: Signers, statement: Statement) -> None:
    """Signed by both, sent as JSON, read and verified: the PAE comes back."""
    read = parse(Statement, dump_json(statement), 1 << 20)
    message = verify_statement(
        read, PayloadType.RELEASE, signers.known(signers.first, signers.second)
    )
    assert message == pae(PayloadType.RELEASE, PAYLOAD)
    assert pae_sha256(read) == sha256_hex(message)
    assert signatures_sha256(read) == sha256_hex(b"".join(s.sig for s in statement.signatures))


def test_another_payload_is_refused(signers: Signers, statement: Statement) -> None:
    """One flipped bit of the payload, and no signature verifies."""
    altered = base64.b64encode(PAYLOAD.replace(b"1", b"2")).decode()
    with pytest.raises(VerificationError):
        verify_statement(
            changed(statement, payload=altered),
            PayloadType.RELEASE,
            signers.known(signers.first, signers.second),
        )


def test_a_payload_signed_as_another_type_is_refused(signers: Signers) -> None:
    """The type is signed: an acknowledgement's signatures are none under a release."""
    signed = sign_statement(PayloadType.ACKNOWLEDGEMENT, PAYLOAD, EXCHANGE, [signers.first])
    known = signers.known(signers.first)
    with pytest.raises(VerificationError):
        verify_statement(signed, PayloadType.RELEASE, known)
    with pytest.raises(VerificationError):
        verify_statement(
            changed(signed, payloadType=PayloadType.RELEASE), PayloadType.RELEASE, known
        )


def test_a_signature_of_a_stranger_spoils_the_good_one(
    signers: Signers, statement: Statement
) -> None:
    """Every signature must be of a given identity."""
    with pytest.raises(VerificationError):
        verify_statement(statement, PayloadType.RELEASE, signers.known(signers.first))


def test_a_bad_signature_spoils_the_good_one(signers: Signers, statement: Statement) -> None:
    """Every signature must verify: the second one's signature under the first one's name fails."""
    first, second = json.loads(dump_json(statement))["signatures"]
    crossed = [{**first, "sig": second["sig"]}, second]
    with pytest.raises(VerificationError):
        verify_statement(
            changed(statement, signatures=crossed),
            PayloadType.RELEASE,
            signers.known(signers.first, signers.second),
        )


def test_the_same_keyid_twice_is_refused(statement: Statement) -> None:
    """Each identity signs once."""
    first = json.loads(dump_json(statement))["signatures"][0]
    with pytest.raises(ParseError):
        changed(statement, signatures=[first, first])


@pytest.mark.parametrize(
    "members",
    [
        {"signatures": []},
        {"payload": base64.b64encode(PAYLOAD).decode().rstrip("=")},
        {"payload": "QR=="},
        {"payload": "Q Q="},
        {"payloadType": "application/vnd.barid.envelope.v2+json"},
        {"extra": 1},
        {"payload": None},
    ],
    ids=str,
)
def test_the_profile_is_strict(statement: Statement, members: dict[str, Any]) -> None:
    """No signature, other base64, an unknown type or member, and null are refused."""
    with pytest.raises(ParseError):
        changed(statement, **members)


@pytest.mark.parametrize("member", ["payload", "payloadType", "signatures"])
def test_a_missing_member_is_refused(statement: Statement, member: str) -> None:
    """A statement has its three members."""
    value = json.loads(dump_json(statement))
    del value[member]
    with pytest.raises(ParseError):
        parse(Statement, json.dumps(value).encode(), 1 << 20)


def test_non_canonical_base64_of_a_signature_is_refused(statement: Statement) -> None:
    """A second spelling of the same signature bytes is refused."""
    first = json.loads(dump_json(statement))["signatures"][0]
    # 3373 bytes end in a character with four spare bits before "==".
    spelled = first["sig"][:-3] + chr(ord(first["sig"][-3]) + 1) + "=="
    assert base64.b64decode(spelled) == base64.b64decode(first["sig"])
    with pytest.raises(ParseError):
        changed(statement, signatures=[{**first, "sig": spelled}])


def test_statements_signed_apart_are_joined(signers: Signers, statement: Statement) -> None:
    """Two people who signed the same bytes apart make one statement; twice the same counts once."""
    apart = [
        sign_statement(PayloadType.RELEASE, PAYLOAD, EXCHANGE, [identity])
        for identity in (signers.first, signers.second, signers.first)
    ]
    joined = join_statements(apart)
    verify_statement(joined, PayloadType.RELEASE, signers.known(signers.first, signers.second))
    assert [s.keyid for s in joined.signatures] == [s.keyid for s in statement.signatures]


def test_statements_over_other_bytes_are_not_joined(signers: Signers) -> None:
    """Another payload or another type is not joined, nor is nothing."""
    one = sign_statement(PayloadType.RELEASE, PAYLOAD, EXCHANGE, [signers.first])
    for other in (
        sign_statement(PayloadType.RELEASE, PAYLOAD + b" ", EXCHANGE, [signers.second]),
        sign_statement(PayloadType.ENVELOPE, PAYLOAD, EXCHANGE, [signers.second]),
    ):
        with pytest.raises(VerificationError):
            join_statements([one, other])
    with pytest.raises(VerificationError):
        join_statements([])
