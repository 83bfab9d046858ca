"""A desk request is signed by every desk in it, and by nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.desk_requests import exchange_of_request, read_desk_request, sign_desk_request
from keys.dsse import sign_statement
from keys.signing import RequestSigningKey, SigningIdentity
from schemas.directory import Desk, Names, Profile
from schemas.errors import BaridError, ConfigurationError, VerificationError
from schemas.governance import DeskRequest
from schemas.loader import dump_json, parse
from schemas.statements import PayloadType, Statement

EXCHANGE = "tripoli-test"
MAIN, CUSTOMS, OTHER = (SigningIdentity.generate() for _ in range(3))


def desk(identity: SigningIdentity | None, **changes: Any) -> Desk:
    """A desk with a node identity."""
    fields: dict[str, Any] = {
        "names": Names(ar="a", fr="a", en="a"),
        "request": RequestSigningKey.generate().public,
        "node": None if identity is None else identity.public,
        "release": (),
        "release_threshold": 0,
        "bulletin_versions": (1,),
        "profile": Profile(topics=(), area=()),
    }
    return Desk(**(fields | changes))


REQUEST = DeskRequest(
    v=1, exchange=EXCHANGE, member="ne", desks={"customs": desk(CUSTOMS), "main": desk(MAIN)}
)
DATA = sign_desk_request(REQUEST, {"main": MAIN, "customs": CUSTOMS})


def signed(request: DeskRequest, *identities: SigningIdentity) -> bytes:
    """A request signed by whoever is named."""
    return dump_json(
        sign_statement(
            PayloadType.DESK_REQUEST, dump_json(request), request.exchange, list(identities)
        )
    )


def test_a_request_is_read_as_it_was_signed() -> None:
    """All desks come through; the exchange may be asked before anything is verified."""
    assert read_desk_request(DATA, EXCHANGE) == REQUEST
    assert exchange_of_request(DATA) == EXCHANGE


WRONG: dict[str, tuple[Callable[[], bytes], type[BaridError], str]] = {
    "one desk has not signed": (lambda: signed(REQUEST, MAIN), VerificationError, "not every desk"),
    "somebody else has signed too": (
        lambda: signed(REQUEST, MAIN, CUSTOMS, OTHER),
        VerificationError,
        "nobody else",
    ),
    "another exchange": (
        lambda: signed(REQUEST.model_copy(update={"exchange": "another"}), MAIN, CUSTOMS),
        ConfigurationError,
        "is for the exchange another",
    ),
    "no node identity": (
        lambda: signed(REQUEST.model_copy(update={"desks": {"main": desk(None)}}), MAIN),
        VerificationError,
        "names no node identity",
    ),
    "one identity for two desks": (
        lambda: signed(
            REQUEST.model_copy(update={"desks": {"a": desk(MAIN), "b": desk(MAIN)}}), MAIN
        ),
        VerificationError,
        "the same node identity",
    ),
    "a weak request key": (
        lambda: signed(
            REQUEST.model_copy(update={"desks": {"main": desk(MAIN, request=bytes(32))}}), MAIN
        ),
        ConfigurationError,
        "request key of ne/main",
    ),
    "a statement of another type": (
        lambda: dump_json(
            sign_statement(PayloadType.RELEASE, dump_json(REQUEST), EXCHANGE, [MAIN, CUSTOMS])
        ),
        ConfigurationError,
        "is no desk-request.json",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused(name: str) -> None:
    """Each with its own words."""
    make, error, said = WRONG[name]
    with pytest.raises(error, match=said):
        read_desk_request(make(), EXCHANGE)


def test_only_the_own_identity_signs() -> None:
    """A node cannot ask for a desk with a key that it does not hold."""
    with pytest.raises(ConfigurationError, match="needs the identity that it names"):
        sign_desk_request(REQUEST, {"main": MAIN, "customs": OTHER})


@settings(max_examples=60, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), cut=st.booleans())
def test_a_damaged_request_is_refused_or_says_the_same(at: float, cut: bool) -> None:
    """One byte changed, or the end cut off, never lets another desk through."""
    data = bytearray(DATA)
    position = int(at * len(data))
    if cut:
        del data[position:]
    else:
        data[position] ^= 0x11
    try:
        read = read_desk_request(bytes(data), EXCHANGE)
    except BaridError:
        return
    assert read == REQUEST


def test_what_was_changed_after_the_signing_is_refused() -> None:
    """Nobody asks for other keys under the signature of a desk."""
    statement = parse(Statement, DATA, len(DATA))
    changed = dump_json(REQUEST.model_copy(update={"member": "tn"}))
    forged = statement.model_copy(update={"payload": changed})
    with pytest.raises(VerificationError, match="Ed25519 signature does not verify"):
        read_desk_request(dump_json(forged), EXCHANGE)


def test_half_a_signature_is_refused() -> None:
    """Both keys of an identity sign: the ML-DSA half of another says nothing."""
    statement = parse(Statement, DATA, len(DATA))
    first, second = statement.signatures
    mixed = first.model_copy(update={"sig": first.sig[:64] + second.sig[64:]})
    forged = statement.model_copy(update={"signatures": (mixed, second)})
    with pytest.raises(VerificationError, match="ML-DSA-65 signature does not verify"):
        read_desk_request(dump_json(forged), EXCHANGE)
