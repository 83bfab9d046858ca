"""The vectors in `tests/vectors/exchange.json`, which were made without any code of Barid."""

from __future__ import annotations

import base64
import json
import runpy
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from broker.policy.context import Party, SendContext, cedar_context, cedar_entity
from broker.policy.rules import AccessRules, Decision, default_texts
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.merkle import leaf_hash
from broker.tlog.receipt import (
    LogVerifier,
    exchange_leaf,
    exchange_leaf_data,
    place_hash,
    verify_receipt,
)
from keys.ceremony import read_member_request
from keys.content import decode_body, open_body, verify_commitment, verify_content
from keys.dsse import pae_sha256, signatures_sha256, verify_statement
from keys.envelope import check_sealed_bytes, parse_header
from keys.sealing import SealingPrivateKey, open_slot
from keys.signing import VerifyingIdentity, verify_request_signature
from schemas.acknowledgements import Acknowledgement
from schemas.bulletin import parse_bulletin
from schemas.bulletin.agreement import check_against_header
from schemas.bulletin.vocabularies import (
    Caveat,
    Classification,
    DeskFunction,
    Kind,
    Precedence,
    Purpose,
    Status,
    Tlp,
    Topic,
)
from schemas.directory import IdentityKey, LogKeys
from schemas.entries import (
    AcknowledgementEntry,
    EnvelopeAccepted,
    parse_directory_entry,
    parse_exchange_entry,
)
from schemas.envelope import Envelope, Header, HeaderMarking
from schemas.errors import BaridError, ParseError, Problem, VerificationError
from schemas.limits import ACKNOWLEDGEMENT_BYTES_MAX, ENVELOPE_BYTES_MAX
from schemas.loader import dump_json, load_json, parse
from schemas.receipts import Opening, Receipt
from schemas.scalars import decode_base64, parse_time
from schemas.statements import PayloadType, Statement

FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS: dict[str, Any] = json.loads((FOLDER / "exchange.json").read_bytes())
EXCHANGE: str = VECTORS["exchange"]
LOG: dict[str, Any] = VECTORS["exchange_log"]
REFUSED: dict[str, Any] = VECTORS["refused"]
LOGS = ["exchange_log", "directory_log"]


def raw(text: str) -> bytes:
    """Bytes from base64."""
    return base64.b64decode(text, validate=True)


def verifying(vector: dict[str, Any]) -> VerifyingIdentity:
    """The public half of an identity."""
    key = IdentityKey(
        ed25519=raw(vector["ed25519_public"]), ml_dsa_65=raw(vector["ml_dsa_65_public"])
    )
    return VerifyingIdentity.from_key(key)


def by_keyid(vector: dict[str, Any]) -> dict[str, VerifyingIdentity]:
    """An identity under its keyid."""
    identity = verifying(vector)
    return {identity.keyid(EXCHANGE): identity}


def read_envelope() -> tuple[Envelope, Header]:
    """The envelope as it travels, and its header."""
    data = json.dumps(VECTORS["envelope"]["envelope"]).encode()
    envelope = parse(Envelope, data, ENVELOPE_BYTES_MAX)
    return envelope, parse_header(envelope)


def verifier(name: str) -> LogVerifier:
    """The keys of a log."""
    return LogVerifier.from_keys(LogKeys.model_validate(VECTORS[name]["keys"], strict=False))


@pytest.mark.parametrize("number", [0, 1])
def test_an_envelope_without_release_arrives(number: int) -> None:
    """Each recipient opens a bulletin that its schema takes, and that agrees with its header."""
    given, (envelope, header) = VECTORS["envelope"], read_envelope()
    verify_statement(envelope, PayloadType.ENVELOPE, by_keyid(given["node"]))
    check_sealed_bytes(header, envelope.slots, envelope.body)
    key = given["sealing_keys"][number]
    content_key = open_slot(
        envelope.slots[key["desk"]],
        SealingPrivateKey.from_bytes(raw(key["private"])),
        exchange=EXCHANGE,
        envelope_id=header.id,
        sender=header.from_,
        recipient=key["desk"],
        keyid=header.recipients[number].keyid,
    )
    assert content_key.hex() == given["content_key"]
    verify_commitment(content_key, EXCHANGE, header.id, header.body.commitment)
    opened = open_body(content_key, EXCHANGE, header.id, envelope.body)
    verify_content(opened.sealed_part.salt, opened.bulletin_json, header.bulletin.content)
    assert opened.bulletin_json == raw(given["bulletin_json"])
    assert (opened.sealed_part.release, opened.sealed_part.release_salts) == (None, {})
    check_against_header(parse_bulletin(opened.bulletin_json), header)


def test_hpke_by_hand_is_the_librarys() -> None:
    """The generator opened this slot step by step; the library opens it to the same content key."""
    given, (envelope, _) = VECTORS["hpke"], read_envelope()
    first = VECTORS["envelope"]["sealing_keys"][0]
    assert given["private"] == first["private"]
    assert raw(given["slot"]) == envelope.slots[first["desk"]]
    assert given["content_key"] == VECTORS["envelope"]["content_key"]


@pytest.mark.parametrize("number", [0, 1])
def test_entries_become_leaves(number: int) -> None:
    """Salt and entry give leaf data, leaf data gives the leaf."""
    vector = LOG["entries"][number]
    salt, entry = raw(vector["salt"]), raw(vector["entry"])
    assert exchange_leaf_data(salt, entry).hex() == vector["leaf_data"]
    assert exchange_leaf(salt, entry).hex() == vector["leaf"]


def test_entries_say_what_was_signed() -> None:
    """The accepted entry is of the envelope, the acknowledgement's of its statement."""
    accepted, answered = [parse_exchange_entry(raw(entry["entry"])) for entry in LOG["entries"]]
    envelope, header = read_envelope()
    assert isinstance(accepted, EnvelopeAccepted)
    assert (accepted.pae, accepted.signatures) == (
        pae_sha256(envelope),
        signatures_sha256(envelope),
    )
    assert accepted.header == envelope.payload
    statement = parse(Statement, json.dumps(LOG["acknowledgement"]).encode(), 1 << 16)
    assert isinstance(answered, AcknowledgementEntry)
    assert (answered.pae, answered.statement) == (pae_sha256(statement), statement.payload)
    node = VECTORS["envelope"]["sealing_keys"][0]["node"]
    verify_statement(statement, PayloadType.ACKNOWLEDGEMENT, by_keyid(node))
    payload = parse(Acknowledgement, statement.payload, ACKNOWLEDGEMENT_BYTES_MAX)
    item = payload.items[0]
    assert (item.from_, item.id) == (header.from_, header.id)
    assert (item.index, item.leaf) == (0, LOG["entries"][0]["leaf"])
    assert (payload.reason_fault(), payload.order_fault(None, is_withdrawn=False)) == (None, None)


@pytest.mark.parametrize("number", [0, 1])
def test_places_are_blinded_to_the_byte(number: int) -> None:
    """The hash told and the hash logged are that of salt and number."""
    vector = LOG["places"][number]
    accepted = parse_exchange_entry(raw(LOG["entries"][0]["entry"]))
    assert isinstance(accepted, EnvelopeAccepted)
    assert place_hash(raw(vector["place_salt"]), vector["n"]) == vector["place"]
    assert accepted.recipients[number].place == vector["place"]


def test_the_receipt_verifies() -> None:
    """The receipt of the second recipient holds, with its place; a changed path does not."""
    receipt = parse(Receipt, json.dumps(LOG["receipt"]).encode(), 1 << 20)
    verified = verify_receipt(receipt, verifier("exchange_log"))
    assert (verified.index, verified.checkpoint.size) == (0, 2)
    assert verified.leaf.hex() == LOG["entries"][0]["leaf"]
    with pytest.raises(Problem, match="inclusion"):
        verify_receipt(receipt.model_copy(update={"path": ("0" * 64,)}), verifier("exchange_log"))


def test_the_opening_is_of_its_leaf() -> None:
    """Salt and entry of the opening give the leaf, and its statement is the one that was logged."""
    opening = parse(Opening, json.dumps(LOG["opening"]).encode(), 1 << 20)
    assert opening.salt is not None
    assert opening.statement is not None
    assert exchange_leaf(opening.salt, opening.entry).hex() == LOG["entries"][opening.index]["leaf"]
    entry = parse_exchange_entry(opening.entry)
    assert isinstance(entry, EnvelopeAccepted)
    assert entry.pae == pae_sha256(opening.statement)


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("which", ["checkpoint", "empty_checkpoint"])
def test_checkpoints_open(name: str, which: str) -> None:
    """Both lines verify, the receipt's one line does, and it is the tree of the entries."""
    vector, log = VECTORS[name][which], verifier(name)
    expected = Checkpoint(log.origin, vector["size"], bytes.fromhex(vector["root"]))
    assert log.open(vector["note"], both=True) == expected
    assert log.open(vector["receipt_note"], both=False) == expected
    assert vector["size"] == (0 if which == "empty_checkpoint" else len(VECTORS[name]["entries"]))
    with pytest.raises(VerificationError):
        log.open(vector["receipt_note"], both=True)


def test_directory_entries_are_their_own_leaf_data() -> None:
    """Each entry is well-formed and gives its leaf; the header names the second."""
    _, header = read_envelope()
    types = []
    for vector in VECTORS["directory_log"]["entries"]:
        types.append(parse_directory_entry(raw(vector["entry"])).type)
        assert leaf_hash(raw(vector["entry"])).hex() == vector["leaf"]
    assert types == ["hub.operated", "directory.published", *["desk.sealing_key"] * 2]
    named = VECTORS["directory_log"]["entries"][header.directory.index]
    assert header.directory.leaf == named["leaf"]


def test_the_member_request_is_read() -> None:
    """A request that was made by hand is taken; one whose file changed is not."""
    vector = VECTORS["member_request"]
    request = read_member_request(json.dumps(vector["request"]).encode())
    assert (request.member, [key.keyid for key in request.keys]) == ("tn", [vector["keyid"]])
    assert request.file.desks["main"].release_threshold == 0
    changed = raw(vector["request"]["file"]).replace(b"Tunisia", b"Tunisie")
    spoilt = {**vector["request"], "file": base64.b64encode(changed).decode()}
    with pytest.raises(VerificationError):
        read_member_request(json.dumps(spoilt).encode())


def party(entity: dict[str, Any]) -> Party:
    """A desk, read back from Cedar's form."""
    given = entity["attrs"]
    return Party(
        desk=entity["uid"]["id"],
        kind=given["kind"]["id"],
        functions=tuple(DeskFunction(word["id"]) for word in given["functions"]),
        tlp_ceiling=Tlp(given["ceiling"]["tlp"]["id"]),
        classification_ceiling=Classification(given["ceiling"]["classification"]["id"]),
        groups=tuple(given["groups"]),
    )


def context() -> SendContext:
    """What is sent, read back from Cedar's form."""
    given = VECTORS["cedar"]["context"]
    at: datetime = parse_time(given["at"])
    return SendContext(
        status=Status(given["status"]["id"]),
        kind=Kind(given["kind"]["id"]),
        topics=tuple(Topic(word["id"]) for word in given["topics"]),
        purpose=Purpose(given["purpose"]["id"]),
        precedence=Precedence(given["precedence"]["id"]),
        personal_data=given["personal_data"],
        marking=HeaderMarking(
            tlp=Tlp(given["marking"]["tlp"]["id"]),
            classification=Classification(given["marking"]["classification"]["id"]),
            caveats=tuple(Caveat(word["id"]) for word in given["marking"]["caveats"]),
            release_to=tuple(given["marking"]["release_to"]),
        ),
        at=at,
    )


@pytest.mark.parametrize(
    "vector", VECTORS["cedar"]["decisions"], ids=lambda v: v["resource"]["uid"]["id"]
)
def test_the_default_rules_decide_so(vector: dict[str, Any]) -> None:
    """Entities and context are written as in the vector, and the decision is the one given."""
    sender, recipient = party(VECTORS["cedar"]["principal"]), party(vector["resource"])
    assert json.loads(cedar_entity(sender)) == VECTORS["cedar"]["principal"]
    assert json.loads(cedar_entity(recipient)) == vector["resource"]
    assert json.loads(cedar_context(context())) == VECTORS["cedar"]["context"]
    decision = AccessRules.load(*default_texts()).decide(sender, recipient, context())
    assert decision == Decision(vector["allowed"], tuple(vector["policies"]))


@pytest.mark.parametrize("text", REFUSED["base64"])
def test_loose_base64_is_refused(text: str) -> None:
    """What does not re-encode to itself is refused."""
    with pytest.raises(ValueError, match="base64"):
        decode_base64(text)


@pytest.mark.parametrize("vector", REFUSED["json"], ids=lambda v: v["description"])
def test_loose_json_is_refused(vector: dict[str, str]) -> None:
    """What two readers could read differently is refused."""
    with pytest.raises(ParseError):
        load_json(vector["text"].encode(), 1 << 10)


@pytest.mark.parametrize("text", REFUSED["time"])
def test_loose_times_are_refused(text: str) -> None:
    """There is one spelling of each moment."""
    with pytest.raises(ValueError, match="RFC 3339"):
        parse_time(text)


@pytest.mark.parametrize("vector", REFUSED["ed25519"], ids=lambda v: v["description"])
def test_loose_ed25519_is_refused(vector: dict[str, str]) -> None:
    """Signatures that other libraries accept are refused."""
    public, message, signature = (
        bytes.fromhex(vector[name]) for name in ("public", "message", "signature")
    )
    with pytest.raises(VerificationError):
        verify_request_signature(public, message, signature)


@pytest.mark.parametrize("vector", REFUSED["padding"], ids=lambda v: v["description"])
def test_wrong_padding_is_refused(vector: dict[str, str]) -> None:
    """Sizes and zeros are exact."""
    with pytest.raises(Problem) as caught:
        decode_body(raw(vector["plaintext"]))
    assert caught.value.word == "padding"


@pytest.mark.parametrize("vector", REFUSED["signatures"], ids=lambda v: v["description"])
def test_half_signatures_are_refused(vector: dict[str, Any]) -> None:
    """Both halves of a pair must be there and verify, under the identity of the keyid."""
    node = by_keyid(VECTORS["envelope"]["sealing_keys"][0]["node"])
    with pytest.raises(BaridError):
        _read_and_verify(dump_json(vector["statement"]), node)


def _read_and_verify(data: bytes, identities: dict[str, VerifyingIdentity]) -> None:
    statement = parse(Statement, data, 1 << 16)
    verify_statement(statement, PayloadType.ACKNOWLEDGEMENT, identities)


def test_the_generator_still_writes_this_file() -> None:
    """All that does not hang on drawn randomness follows from the generator again."""
    again = runpy.run_path(str(FOLDER / "generate_exchange.py"))["build"]()
    assert set(again) == set(VECTORS)
    assert again["cedar"] == VECTORS["cedar"]
    assert again["member_request"] == VECTORS["member_request"]
    for name in REFUSED.keys() - {"signatures"}:
        assert again["refused"][name] == REFUSED[name]
    for name in LOGS:
        assert again[name]["keys"] == VECTORS[name]["keys"]
    directory = again["directory_log"]
    assert directory["entries"] == VECTORS["directory_log"]["entries"]
    assert directory["checkpoint"]["text"] == VECTORS["directory_log"]["checkpoint"]["text"]
    assert again["exchange_log"]["places"] == LOG["places"]
    for name in ("bulletin_json", "sealed_part_json", "content_key", "node"):
        assert again["envelope"][name] == VECTORS["envelope"][name]
    assert again["envelope"]["envelope"]["body"] == VECTORS["envelope"]["envelope"]["body"]
