"""Envelopes in hostile hands: every sealed byte is bound by the signed header."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.content import commitment, open_body
from keys.dsse import sign_statement, verify_statement
from keys.envelope import check_body, check_sealed_bytes, check_slot, parse_header
from keys.sealing import open_slot
from keys.signing import VerifyingIdentity
from schemas.envelope import Envelope, Header
from schemas.errors import BaridError, ParseError, Problem, VerificationError
from schemas.limits import ENVELOPE_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.statements import PayloadType, Statement

if TYPE_CHECKING:
    from tests.unit.keys.conftest import Traffic


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


def test_a_passed_on_slot_does_not_open_as_if_addressed(traffic: Traffic) -> None:
    """A recipient that seals the content key on in its own name commits to another envelope."""
    sealed = traffic.seal()
    other_id = "019ab8a0-0000-7000-8000-0000000000fe"
    assert commitment(sealed.content_key, traffic.exchange, other_id) != commitment(
        sealed.content_key, traffic.exchange, sealed.envelope_id
    )
    with pytest.raises(Problem, match="body-unreadable"):
        open_body(sealed.content_key, traffic.exchange, other_id, sealed.body)


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
