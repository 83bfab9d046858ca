"""What a hostile hub does to its exchange log: helpers for the tests of single wrong entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from keys.dsse import pae_sha256, sign_statement, signatures_sha256
from schemas.acknowledgements import Result
from schemas.entries import AcceptedRecipient, EnvelopeAccepted, parse_exchange_entry
from schemas.envelope import Header
from schemas.loader import dump_json, parse
from schemas.statements import PayloadType, Signature, Statement
from tests.unit.audit.world import AuditWorld

Case = Callable[[AuditWorld], object]
"""Makes the hub log something wrong."""


def accepted(world: AuditWorld, index: int) -> EnvelopeAccepted:
    """The accepted envelope logged at an index."""
    entry = parse_exchange_entry(world.exchange_entries[index].entry)
    assert isinstance(entry, EnvelopeAccepted)
    return entry


def recipients(world: AuditWorld, index: int, **changed: Any) -> tuple[AcceptedRecipient, ...]:
    """The recipients of an entry, the first of them changed."""
    first, *others = accepted(world, index).recipients
    return (first.model_copy(update=changed), *others)


def give_statement(world: AuditWorld, index: int, statement: Statement | None) -> None:
    """Serve another statement, or none, behind an entry."""
    world.exchange_entries[index] = replace(world.exchange_entries[index], statement=statement)


def statement_of(world: AuditWorld, index: int) -> Statement:
    """The statement behind an entry."""
    statement = world.exchange_entries[index].statement
    assert statement is not None
    return statement


def other_signature(statement: Statement) -> Statement:
    """The same statement with one bit of its signature turned."""
    (signature,) = statement.signatures
    sig = bytes([signature.sig[0] ^ 1]) + signature.sig[1:]
    return statement.model_copy(update={"signatures": (Signature(keyid=signature.keyid, sig=sig),)})


def resigned(world: AuditWorld, sender: str, *desks: str, **changed: Any) -> Statement:
    """An envelope whose header was changed before its desk signed it."""
    header = parse(Header, world.envelope(sender, *desks).payload, 1_000_000)
    payload = dump_json(header.model_copy(update=changed))
    identity = world.identity(sender)
    return sign_statement(PayloadType.ENVELOPE, payload, world.exchange, [identity])


def prolonged(world: AuditWorld) -> bytes:
    """The header of entry 2 with a later end."""
    header = parse(Header, statement_of(world, 2).payload, 1_000_000)
    return dump_json(header.model_copy(update={"expires": header.expires + timedelta(hours=1)}))


def forge_header(world: AuditWorld) -> None:
    """Log and serve a header of entry 2 that its desk did not sign."""
    payload = prolonged(world)
    forged = statement_of(world, 2).model_copy(update={"payload": payload})
    world.alter(2, header=payload, pae=pae_sha256(forged))
    give_statement(world, 2, forged)


def log_answer_of_another_type(world: AuditWorld) -> None:
    """Log as an answer what its desk signed as a statement of another type."""
    identity = world.identity("dz/main")
    answer = world.answer("dz/main", 6, Result.DELIVERED, identity)
    world.log_answer(
        sign_statement(PayloadType.RELEASE, answer.payload, world.exchange, [identity])
    )


def forge_signature(world: AuditWorld) -> None:
    """Log and serve entry 2 with a signature that does not verify."""
    forged = other_signature(statement_of(world, 2))
    world.alter(2, signatures=signatures_sha256(forged))
    give_statement(world, 2, forged)


def swap_entries(world: AuditWorld) -> None:
    """Log entries 7 and 8 in the wrong order."""
    entries = world.exchange_entries
    entries[7], entries[8] = entries[8], entries[7]


def repeat_place(world: AuditWorld) -> None:
    """Give both recipients of entry 8 one place."""
    one, two = accepted(world, 8).recipients
    twice = (one, two.model_copy(update={"place": one.place}))
    world.alter(8, recipients=twice)


def envelope_to_nobody(world: AuditWorld) -> Statement:
    """An envelope to a desk that does not exist, signed by its sender."""
    header = parse(Header, world.envelope("ly/main", "tn/main").payload, 1_000_000)
    (recipient,) = header.recipients
    strangers = (recipient.model_copy(update={"desk": "zz/main"}),)
    return resigned(world, "ly/main", "tn/main", recipients=strangers)


def late_envelope(world: AuditWorld) -> Statement:
    """An envelope under a directory that went out of force 11 minutes before."""
    before = world.known().newest.in_force
    world.change_member("ly")
    world.publish()
    world.later(minutes=11)
    return world.envelope("ly/main", "tn/main", directory=before)
