"""Envelopes: sealed once, addressed often, and every sealed byte bound by the header."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.content import commitment, content_hash, open_body, verify_commitment, verify_content
from keys.derivation import sha256_hex
from keys.dsse import sign_statement, verify_statement
from keys.envelope import (
    address,
    check_body,
    check_sealed_bytes,
    check_slot,
    parse_header,
    seal_content,
)
from keys.release import verify_release
from keys.sealing import SealingPrivateKey, SealingPublicKey, open_slot
from keys.signing import VerifyingIdentity
from schemas.envelope import Envelope, Header
from schemas.errors import BaridError, ParseError, Problem, VerificationError
from schemas.limits import ENVELOPE_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.statements import PayloadType, Statement

if TYPE_CHECKING:
    from tests.unit.keys.conftest import Traffic


@pytest.fixture(scope="module")
def envelope(traffic: Traffic) -> Envelope:
    """The bulletin for three desks, as it was read from the wire."""
    return parse(Envelope, dump_json(traffic.envelope()), ENVELOPE_BYTES_MAX)


@pytest.fixture(scope="module")
def header(envelope: Envelope) -> Header:
    """Its header."""
    return parse_header(envelope)


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


@pytest.mark.parametrize("swapped", [(0, 1), (1, 2), (0, 2)])
def test_a_slot_given_to_another_recipient_is_the_hubs_fault(
    traffic: Traffic, envelope: Envelope, header: Header, swapped: tuple[int, int]
) -> None:
    """Two swapped slots do not match their hashes, and would not open either."""
    one, two = (traffic.desks[index] for index in swapped)
    slots = {**envelope.slots, one: envelope.slots[two], two: envelope.slots[one]}
    with pytest.raises(Problem, match="slot-hash"):
        check_sealed_bytes(header, slots, envelope.body)
    with pytest.raises(Problem, match="slot-hash"):
        check_slot(header, one, slots[one])
    with pytest.raises(VerificationError):
        open_slot(
            envelope.slots[one],
            traffic.private_keys[two],
            exchange=header.exchange,
            envelope_id=header.id,
            sender=header.from_,
            recipient=two,
            keyid=traffic.keyids[two],
        )


def test_sealed_bytes_that_match_pass(envelope: Envelope, header: Header) -> None:
    """What was sent passes."""
    check_sealed_bytes(header, envelope.slots, envelope.body)


def test_slots_are_exactly_those_of_the_recipients(envelope: Envelope, header: Header) -> None:
    """A missing slot and one too many are refused."""
    slots = dict(envelope.slots)
    first = slots.pop(header.desks[0])
    for wrong in (slots, {**envelope.slots, "ne/main": first}, {**slots, "ne/main": first}, {}):
        with pytest.raises(Problem, match="slots-differ"):
            check_sealed_bytes(header, wrong, envelope.body)


def test_a_desk_that_is_not_addressed_has_no_slot(envelope: Envelope, header: Header) -> None:
    """A slot shown to a stranger is not its own."""
    with pytest.raises(Problem, match="not-addressed"):
        check_slot(header, "ne/main", envelope.slots[header.desks[0]])


@pytest.mark.parametrize("change", ["flip", "cut", "longer", "empty"])
def test_another_body_is_refused(envelope: Envelope, header: Header, change: str) -> None:
    """A flipped bit, a missing and an added byte are seen without opening."""
    body = {
        "flip": bytes([envelope.body[0] ^ 1]) + envelope.body[1:],
        "cut": envelope.body[:-1],
        "longer": envelope.body + b"\x00",
        "empty": b"",
    }[change]
    with pytest.raises(Problem, match="body-hash"):
        check_sealed_bytes(header, envelope.slots, body)


def test_a_body_of_another_size_than_the_header_says_is_refused(
    envelope: Envelope, header: Header
) -> None:
    """A sender whose header lies about the size is caught, though the hash is right."""
    lying = header.body.model_copy(update={"size": len(envelope.body) + 1})
    with pytest.raises(Problem, match="body-hash"):
        check_body(header.model_copy(update={"body": lying}), envelope.body)


# One change for each member of the header: the signature must notice every one.
MEMBERS: dict[str, Any] = {
    "v": 1.0,
    "exchange": "barid-exercise",
    "id": "019ab8a0-0000-7000-8000-0000000000ff",
    "bulletin": {"id": "019ab8a0-0000-7000-8000-0000000000ff", "content": "a" * 64},
    "status": "actual",
    "from": "dz/main",
    "created": "2026-11-24T22:00:01Z",
    "expires": "2026-12-24T00:00:00Z",
    "precedence": "flash",
    "kind": "judicial_request",
    "topics": ["arms"],
    "purpose": "analysis",
    "personal_data": True,
    "marking": {"tlp": "clear", "classification": "restricted", "caveats": []},
    "recipients": [],
    "body": {"sha256": "a" * 64, "size": 1, "commitment": "b" * 64},
    "attachments": [{"id": "019ab8a0-0000-7000-8000-0000000000ff", "sha256": "a" * 64, "size": 1}],
    "directory": {"origin": "hub.example/directory", "index": 6, "leaf": "d" * 64},
    "supersedes": "019ab8a0-0000-7000-8000-0000000000ff",
    "withdraws": "019ab8a0-0000-7000-8000-0000000000ff",
}


def test_the_table_of_changes_names_every_member() -> None:
    """A new member of the header must come with its change."""
    names = {field.alias or name for name, field in Header.model_fields.items()}
    assert set(MEMBERS) == names


@pytest.mark.parametrize("member", MEMBERS)
def test_a_changed_header_does_not_verify(
    traffic: Traffic, envelope: Envelope, member: str
) -> None:
    """Whatever member the hub changes, the signature does not cover it."""
    before = json.loads(envelope.payload)
    assert json.dumps(before, separators=(",", ":")).encode() == envelope.payload
    after = json.dumps({**before, member: MEMBERS[member]}, separators=(",", ":")).encode()
    tampered = envelope.model_copy(update={"payload": after})
    node = VerifyingIdentity.from_key(traffic.node.public)
    with pytest.raises(VerificationError):
        verify_statement(tampered, PayloadType.ENVELOPE, {node.keyid(traffic.exchange): node})


def test_the_same_header_in_other_bytes_does_not_verify(
    traffic: Traffic, envelope: Envelope
) -> None:
    """The exact bytes are signed: the same JSON with a space is another statement."""
    respelled = json.dumps(json.loads(envelope.payload)).encode()
    node = VerifyingIdentity.from_key(traffic.node.public)
    with pytest.raises(VerificationError):
        verify_statement(
            envelope.model_copy(update={"payload": respelled}),
            PayloadType.ENVELOPE,
            {node.keyid(traffic.exchange): node},
        )


def test_an_envelope_replayed_into_another_exchange_shows(
    traffic: Traffic, envelope: Envelope
) -> None:
    """Under the other exchange's keyid it is refused; with the keyid rewritten, its `exchange` tells."""
    node = VerifyingIdentity.from_key(traffic.node.public)
    known = {node.keyid("barid-real"): node}
    with pytest.raises(VerificationError):
        verify_statement(envelope, PayloadType.ENVELOPE, known)
    rewritten = envelope.signatures[0].model_copy(update={"keyid": node.keyid("barid-real")})
    replayed = envelope.model_copy(update={"signatures": (rewritten,)})
    verify_statement(replayed, PayloadType.ENVELOPE, known)
    assert parse_header(replayed).exchange == "barid-test"


@pytest.mark.parametrize("member", ["slots", "body", "payload", "payloadType", "signatures"])
def test_an_envelope_with_a_missing_member_is_refused(envelope: Envelope, member: str) -> None:
    """An envelope has its five members."""
    value = json.loads(dump_json(envelope))
    del value[member]
    with pytest.raises(ParseError):
        parse(Envelope, json.dumps(value).encode(), ENVELOPE_BYTES_MAX)


def test_an_envelope_has_one_signature(traffic: Traffic, envelope: Envelope) -> None:
    """A second identity under an envelope is refused, though its signature is good."""
    two = sign_statement(
        PayloadType.ENVELOPE,
        envelope.payload,
        traffic.exchange,
        [traffic.node, traffic.people[0]],
    )
    value = {**json.loads(dump_json(envelope)), **json.loads(dump_json(two))}
    with pytest.raises(ParseError):
        parse(Envelope, json.dumps(value).encode(), ENVELOPE_BYTES_MAX)


@pytest.mark.parametrize("change", [b"", b"\x00"], ids=["cut", "longer"])
def test_a_slot_of_another_size_is_refused(envelope: Envelope, change: bytes) -> None:
    """A slot has 1168 bytes on the wire."""
    value = json.loads(dump_json(envelope))
    desk = next(iter(value["slots"]))
    data = base64.b64decode(value["slots"][desk])
    value["slots"][desk] = base64.b64encode(data + change if change else data[:-1]).decode()
    with pytest.raises(ParseError):
        parse(Envelope, json.dumps(value).encode(), ENVELOPE_BYTES_MAX)


def test_two_slots_of_one_desk_are_refused(envelope: Envelope) -> None:
    """A desk named twice among the slots is refused before anyone chooses one."""
    text = dump_json(envelope).decode()
    desk = next(iter(envelope.slots))
    doubled = text.replace('"slots":{', f'"slots":{{"{desk}":"QQ==",', 1)
    with pytest.raises(ParseError):
        parse(Envelope, doubled.encode(), ENVELOPE_BYTES_MAX)


def test_a_header_of_another_statement_type_is_refused(traffic: Traffic) -> None:
    """An acknowledgement's payload is no header, whatever it holds."""
    other = sign_statement(
        PayloadType.ACKNOWLEDGEMENT, traffic.envelope().payload, traffic.exchange, [traffic.node]
    )
    with pytest.raises(ParseError):
        parse_header(other)


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


def test_a_passed_on_slot_does_not_open_as_if_addressed(traffic: Traffic) -> None:
    """A recipient that seals the content key on in its own name commits to another envelope."""
    sealed = traffic.seal()
    other_id = "019ab8a0-0000-7000-8000-0000000000fe"
    assert commitment(sealed.content_key, traffic.exchange, other_id) != commitment(
        sealed.content_key, traffic.exchange, sealed.envelope_id
    )
    with pytest.raises(Problem, match="body-unreadable"):
        open_body(sealed.content_key, traffic.exchange, other_id, sealed.body)


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


@settings(deadline=None, max_examples=60)
@given(data=st.binary(max_size=300), position=st.integers(0, 1000))
def test_parsers_raise_nothing_but_barids_errors(
    envelope: Envelope, data: bytes, position: int
) -> None:
    """Arbitrary bytes, alone or within a real header, parse or raise BaridError."""
    payload = envelope.payload[:position] + data + envelope.payload[position + len(data) :]
    for candidate in (data, payload):
        try:
            parse_header(
                Statement(
                    payload_type=PayloadType.ENVELOPE,
                    payload=candidate,
                    signatures=envelope.signatures,
                )
            )
        except BaridError:
            continue
        assert candidate
