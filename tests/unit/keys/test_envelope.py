"""Envelopes from sender to recipient: sealed once, addressed often, opened by each desk."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.content import content_hash, open_body, verify_commitment, verify_content
from keys.derivation import sha256_hex
from keys.dsse import verify_statement
from keys.envelope import address, check_body, check_slot, parse_header, seal_content
from keys.release import verify_release
from keys.sealing import SealingPrivateKey, SealingPublicKey, open_slot
from keys.signing import VerifyingIdentity
from schemas.envelope import Envelope, Header
from schemas.errors import Problem, VerificationError
from schemas.limits import ENVELOPE_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.statements import PayloadType

if TYPE_CHECKING:
    from tests.unit.keys.conftest import Traffic


def open_as(traffic: Traffic, envelope: Envelope, desk: str) -> bytes:
    """What a recipient does, in the protocol's order: the bulletin's bytes."""
    node = VerifyingIdentity.from_key(traffic.node.public)
    verify_statement(envelope, PayloadType.ENVELOPE, {node.keyid(traffic.exchange): node})
    header = parse_header(envelope)
    check_slot(header, desk, envelope.slots[desk])
    check_body(header, envelope.body)
    content_key = open_slot(
        envelope.slots[desk],
        traffic.private_keys[desk],
        exchange=header.exchange,
        envelope_id=header.id,
        sender=header.from_,
        recipient=desk,
        keyid=next(r.keyid for r in header.recipients if r.desk == desk),
    )
    verify_commitment(content_key, header.exchange, header.id, header.body.commitment)
    opened = open_body(content_key, header.exchange, header.id, envelope.body)
    verify_content(opened.sealed_part.salt, opened.bulletin_json, header.bulletin.content)
    people = [VerifyingIdentity.from_key(person.public) for person in traffic.people]
    verify_release(
        opened.sealed_part.release,
        header,
        opened.bulletin_json,
        opened.sealed_part.release_salts,
        people,
        2 if opened.sealed_part.release else 0,
    )
    return opened.bulletin_json


def test_every_recipient_opens_the_same_bulletin(traffic: Traffic, envelope: Envelope) -> None:
    """Three desks, three slots, one bulletin."""
    for desk in traffic.desks:
        assert open_as(traffic, envelope, desk) == traffic.outgoing.bulletin_json


def test_a_released_bulletin_arrives_with_its_release(traffic: Traffic) -> None:
    """The release travels inside, and verifies at the recipient."""
    outgoing = traffic.released(traffic.draft())
    envelope = traffic.envelope(outgoing)
    for desk in traffic.desks:
        assert open_as(traffic, envelope, desk) == outgoing.bulletin_json


def test_the_header_says_what_was_sealed(
    traffic: Traffic, envelope: Envelope, header: Header
) -> None:
    """Each member of the header is the sender's choice or follows from the sealed bytes."""
    out = traffic.outgoing
    value = json.loads(envelope.payload)
    assert value == {
        "v": 1,
        "exchange": traffic.exchange,
        "id": traffic.envelope_id,
        "bulletin": {
            "id": out.bulletin_id,
            "content": content_hash(out.content_salt, out.bulletin_json),
        },
        "status": "exercise",
        "from": "tn/main",
        "created": "2026-11-24T22:00:00Z",
        "expires": "2026-12-01T00:00:00Z",
        "precedence": "priority",
        "kind": "threat_bulletin",
        "topics": ["arms", "smuggling"],
        "purpose": "border_monitoring",
        "personal_data": False,
        "marking": {"tlp": "amber", "classification": "restricted", "caveats": []},
        "recipients": [
            {
                "desk": desk,
                "keyid": traffic.keyids[desk],
                "slot_sha256": sha256_hex(envelope.slots[desk]),
            }
            for desk in traffic.desks
        ],
        "body": {
            "sha256": sha256_hex(envelope.body),
            "size": len(envelope.body),
            "commitment": header.body.commitment,
        },
        "attachments": [],
        "directory": {"origin": "hub.example/directory", "index": 7, "leaf": "d" * 64},
    }


def test_sealing_again_keeps_id_key_and_body(traffic: Traffic) -> None:
    """A second address of the same sealed content has new slots, header and signature alone."""
    sealed = traffic.seal()
    first, second = (
        address(
            traffic.outgoing,
            sealed,
            traffic.exchange,
            traffic.slots_for(),
            traffic.node,
            traffic.directory.model_copy(update={"index": index}),
            traffic.created + timedelta(minutes=index),
        )
        for index in (8, 9)
    )
    assert first.body == second.body == sealed.body
    headers = parse_header(first), parse_header(second)
    assert headers[0].id == headers[1].id == sealed.envelope_id
    assert headers[0].body == headers[1].body
    assert set(first.slots.values()).isdisjoint(second.slots.values())
    assert (headers[0].directory.index, headers[1].directory.index) == (8, 9)
    assert open_as(traffic, second, traffic.desks[0]) == traffic.outgoing.bulletin_json


def test_each_envelope_draws_its_own_content_key(traffic: Traffic) -> None:
    """Sealed twice, a bulletin has two content keys and bodies, and one content hash."""
    first, second = traffic.seal(), traffic.seal()
    assert first.content_key != second.content_key
    assert first.body != second.body
    assert first.content == second.content
    given = seal_content(
        traffic.outgoing, traffic.exchange, traffic.envelope_id, traffic.desks, bytes(32)
    )
    assert given.content_key == bytes(32)


def test_addressing_other_desks_than_those_sealed_for_is_refused(traffic: Traffic) -> None:
    """The release salts inside are of the desks sealed for: neither fewer nor more are addressed."""
    sealed = traffic.seal()
    fewer = traffic.slots_for(*traffic.desks[:2])
    more = {**traffic.slots_for(), "ne/main": fewer[traffic.desks[0]]}
    for slots_for in (fewer, more, {}):
        with pytest.raises(VerificationError):
            address(
                traffic.outgoing,
                sealed,
                traffic.exchange,
                slots_for,
                traffic.node,
                traffic.directory,
                traffic.created,
            )


def test_addressing_another_bulletin_than_the_sealed_one_is_refused(traffic: Traffic) -> None:
    """A mix-up at the sender would be signed evidence against it."""
    other = replace(traffic.outgoing, bulletin_json=b"{}")
    with pytest.raises(VerificationError):
        address(
            other,
            traffic.seal(),
            traffic.exchange,
            traffic.slots_for(),
            traffic.node,
            traffic.directory,
            traffic.created,
        )


def test_a_desk_not_released_to_is_not_sealed_for(traffic: Traffic) -> None:
    """The sender's node stops before it seals."""
    outgoing = traffic.released(traffic.draft(*traffic.desks[:2]))
    with pytest.raises(Problem, match="release-differs"):
        traffic.seal(outgoing)


def test_only_salts_of_the_envelopes_own_desks_travel(traffic: Traffic) -> None:
    """A recipient learns of no desk that its envelope does not name."""
    outgoing = traffic.released(traffic.draft())
    desk = traffic.desks[1]
    sealed = seal_content(outgoing, traffic.exchange, traffic.envelope_id, [desk])
    opened = open_body(sealed.content_key, traffic.exchange, traffic.envelope_id, sealed.body)
    assert set(opened.sealed_part.release_salts) == {desk}


def test_a_key_that_cannot_be_sealed_to_stops_the_address(traffic: Traffic) -> None:
    """A small-order key counts as none: nothing is sealed to it by mistake."""
    raw = traffic.private_keys[traffic.desks[0]].public_bytes()[:1184] + b"\x01" + bytes(31)
    slots_for = {
        **traffic.slots_for(),
        traffic.desks[0]: ("ab" * 32, SealingPublicKey.from_bytes(raw)),
    }
    with pytest.raises(VerificationError):
        address(
            traffic.outgoing,
            traffic.seal(),
            traffic.exchange,
            slots_for,
            traffic.node,
            traffic.directory,
            traffic.created,
        )


@settings(deadline=None, max_examples=15)
@given(
    bulletin=st.binary(max_size=6000),
    seed=st.binary(min_size=96, max_size=96),
    salt=st.binary(min_size=32, max_size=32),
)
def test_every_bulletin_survives_the_way(
    traffic: Traffic, bulletin: bytes, seed: bytes, salt: bytes
) -> None:
    """Whatever the bulletin, key and salt, the recipient opens what the sender sealed."""
    outgoing = replace(traffic.outgoing, bulletin_json=bulletin, content_salt=salt)
    private = SealingPrivateKey.from_bytes(seed)
    sealed = seal_content(outgoing, traffic.exchange, traffic.envelope_id, ["ly/main"])
    envelope = address(
        outgoing,
        sealed,
        traffic.exchange,
        {"ly/main": ("ab" * 32, SealingPublicKey.from_bytes(private.public_bytes()))},
        traffic.node,
        traffic.directory,
        traffic.created,
    )
    recipient = replace(traffic, private_keys={"ly/main": private}, keyids={"ly/main": "ab" * 32})
    read = parse(Envelope, dump_json(envelope), ENVELOPE_BYTES_MAX)
    assert open_as(recipient, read, "ly/main") == bulletin
