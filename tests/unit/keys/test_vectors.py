"""The vectors in `tests/vectors/keys.json`, which were made without any code of Barid."""

from __future__ import annotations

import base64
import json
import runpy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keys.content import (
    body_key,
    commitment,
    content_hash,
    encode_body,
    open_body,
    seal_body,
    verify_commitment,
    verify_content,
)
from keys.derivation import sha256_hex
from keys.dsse import pae, pae_sha256, signatures_sha256, verify_statement
from keys.envelope import check_sealed_bytes, parse_header
from keys.padding import padme
from keys.release import ReleaseDraft, recipient_hash, review_release, verify_release
from keys.requests import Request, sign_request, verify_request
from keys.sealing import SealingPrivateKey, check_sealing_key, open_slot, slot_info
from keys.signing import (
    RequestSigningKey,
    SigningIdentity,
    VerifyingIdentity,
    identity_keyid,
    request_keyid,
)
from schemas.directory import IdentityKey
from schemas.envelope import Envelope, SealedPart
from schemas.limits import ENVELOPE_BYTES_MAX, STATEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.release import Release
from schemas.sealing_keys import SealingKey
from schemas.statements import Statement

FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS: dict[str, Any] = json.loads((FOLDER / "keys.json").read_bytes())
EXCHANGE: str = VECTORS["exchange"]
ENVELOPE: dict[str, Any] = VECTORS["envelope"]
STEPS: dict[str, Any] = ENVELOPE["steps"]
IDENTITIES = [
    *VECTORS["keyids"]["identities"],
    ENVELOPE["node"],
    *ENVELOPE["release"]["people"],
    *(key["node"] for key in ENVELOPE["sealing_keys"]),
]
STATEMENTS = [*VECTORS["statements"], ENVELOPE["release"], STEPS]


def raw(text: str) -> bytes:
    """Bytes from base64."""
    return base64.b64decode(text, validate=True)


def verifying(vector: dict[str, Any]) -> VerifyingIdentity:
    """The public half of an identity."""
    return VerifyingIdentity.from_key(
        IdentityKey(
            ed25519=raw(vector["ed25519_public"]), ml_dsa_65=raw(vector["ml_dsa_65_public"])
        )
    )


def read_statement(value: dict[str, Any]) -> Statement:
    """A statement as it travels."""
    return parse(Statement, json.dumps(value).encode(), 2 * STATEMENT_BYTES_MAX)


def read_envelope() -> Envelope:
    """The envelope as it travels."""
    return parse(Envelope, json.dumps(ENVELOPE["envelope"]).encode(), ENVELOPE_BYTES_MAX)


def read_request(vector: dict[str, Any]) -> Request:
    """A request before it is signed."""
    given = vector["request"]
    return Request(
        given["method"],
        given["authority"],
        given["path"],
        given["query"],
        tuple((name, value) for name, value in given["headers"]),
        raw(given["body"]),
    )


@pytest.mark.parametrize("vector", IDENTITIES, ids=lambda vector: vector["keyid"][:8])
def test_identities_follow_from_their_seeds(vector: dict[str, Any]) -> None:
    """Both public keys and the keyid are those of the seeds."""
    identity = SigningIdentity.from_seeds(
        bytes.fromhex(vector["ed25519_seed"]), bytes.fromhex(vector["ml_dsa_65_seed"])
    )
    assert identity.public == verifying(vector).key
    assert identity_keyid(EXCHANGE, identity.public) == vector["keyid"]


def test_padme_table() -> None:
    """Every size is padded to the one in the table."""
    table = VECTORS["padme"]["table"]
    assert [[size, padme(size)] for size, _ in table] == table


@pytest.mark.parametrize("vector", STATEMENTS, ids=lambda v: v["statement"]["payloadType"])
def test_statements_verify(vector: dict[str, Any]) -> None:
    """The encoding and both hashes are right, and every signature verifies."""
    statement = read_statement(vector["statement"])
    known = {identity["keyid"]: verifying(identity) for identity in IDENTITIES}
    message = verify_statement(statement, statement.payload_type, known)
    assert message == raw(vector["pae"]) == pae(statement.payload_type, statement.payload)
    assert pae_sha256(statement) == vector["pae_sha256"]
    assert signatures_sha256(statement) == vector["signatures_sha256"]


@pytest.mark.parametrize("vector", VECTORS["requests"], ids=lambda v: v["request"]["method"])
def test_requests_are_signed_to_the_byte(vector: dict[str, Any]) -> None:
    """Our signer writes exactly these headers over exactly this base, and our verifier takes them."""
    key = RequestSigningKey.from_seed(bytes.fromhex(vector["request_key_seed"]))
    assert key.public == raw(vector["request_key_public"])
    assert request_keyid(EXCHANGE, key.public) == vector["keyid"]
    request = read_request(vector)
    headers = sign_request(request, key, EXCHANGE, vector["created"], vector["nonce"])
    expected = {
        "Content-Digest": vector["content_digest"],
        "Signature-Input": vector["signature_input"],
        "Signature": vector["signature"],
    }
    assert headers == {name: value for name, value in expected.items() if value is not None}
    base = vector["signature_base"].encode()
    assert f"barid=:{base64.b64encode(key.sign(base)).decode()}:" == vector["signature"]
    signed = Request(
        request.method,
        request.authority,
        request.path,
        request.query,
        (*request.headers, *headers.items()),
        request.body,
    )
    verified = verify_request(signed, {vector["keyid"]: key.public}.get, vector["expires"])
    assert (verified.keyid, verified.nonce) == (vector["keyid"], vector["nonce"])


@pytest.mark.parametrize("vector", ENVELOPE["sealing_keys"], ids=lambda v: v["desk"])
def test_sealing_keys_follow_from_their_secrets(vector: dict[str, Any]) -> None:
    """Public bytes come from private ones, the keyid from the statement, which its node signed."""
    private = SealingPrivateKey.from_bytes(raw(vector["private"]))
    assert private.public_bytes() == raw(vector["public"])
    check_sealing_key(private.public_bytes())
    statement = read_statement(vector["statement"])
    node = verifying(vector["node"])
    verify_statement(statement, statement.payload_type, {node.keyid(EXCHANGE): node})
    assert pae_sha256(statement) == vector["keyid"]
    payload = parse(SealingKey, statement.payload, STATEMENT_BYTES_MAX)
    assert (payload.desk, payload.public_key) == (vector["desk"], private.public_bytes())


@pytest.mark.parametrize("number", [0, 1])
def test_slots_open_to_the_content_key(number: int) -> None:
    """The info is right to the byte, and the slot opens with the recipient's private key."""
    key, slot = ENVELOPE["sealing_keys"][number], STEPS["slots"][number]
    binding = {
        "exchange": EXCHANGE,
        "envelope_id": ENVELOPE["envelope_id"],
        "sender": ENVELOPE["sender"],
        "recipient": slot["desk"],
        "keyid": key["keyid"],
    }
    assert slot_info(**binding) == raw(slot["info"])
    assert sha256_hex(raw(slot["slot"])) == slot["slot_sha256"]
    private = SealingPrivateKey.from_bytes(raw(key["private"]))
    assert open_slot(raw(slot["slot"]), private, **binding).hex() == ENVELOPE["content_key"]


def test_the_body_is_sealed_to_the_byte() -> None:
    """Body key, plaintext, ciphertext, commitment and content hash come out as written."""
    content_key = bytes.fromhex(ENVELOPE["content_key"])
    bulletin, id_ = raw(ENVELOPE["bulletin_json"]), ENVELOPE["envelope_id"]
    part = parse(
        SealedPart, raw(STEPS["sealed_part_json"]), 1 << 20, nullable=frozenset({"release"})
    )
    assert body_key(content_key, EXCHANGE, id_).hex() == STEPS["body_key"]
    assert encode_body(bulletin, part) == raw(STEPS["plaintext"])
    assert seal_body(content_key, EXCHANGE, id_, bulletin, part) == raw(STEPS["body"])
    assert sha256_hex(raw(STEPS["body"])) == STEPS["body_sha256"]
    assert commitment(content_key, EXCHANGE, id_) == STEPS["commitment"]
    assert content_hash(bytes.fromhex(ENVELOPE["content_salt"]), bulletin) == STEPS["content"]
    opened = open_body(content_key, EXCHANGE, id_, raw(STEPS["body"]))
    assert (opened.bulletin_json, opened.sealed_part) == (bulletin, part)


def test_release_recipients_are_hashed_to_the_byte() -> None:
    """Each hash is of its salt and desk, and the reviewer finds a name behind every one."""
    vector = ENVELOPE["release"]
    entries = vector["recipients"]
    assert [recipient_hash(raw(e["salt"]), e["desk"]) for e in entries] == [
        e["hash"] for e in entries
    ]
    payload = read_statement(vector["statement"]).payload
    draft = ReleaseDraft(
        parse(Release, payload, STATEMENT_BYTES_MAX),
        {e["desk"]: raw(e["salt"]) for e in entries if e["desk"]},
        tuple(raw(e["salt"]) for e in entries if not e["desk"]),
    )
    review_release(draft, raw(ENVELOPE["bulletin_json"]))


@pytest.mark.parametrize("number", [0, 1])
def test_the_whole_envelope_arrives(number: int) -> None:
    """A recipient goes the protocol's way from the wire to the released bulletin."""
    envelope, key = read_envelope(), ENVELOPE["sealing_keys"][number]
    node = verifying(ENVELOPE["node"])
    verify_statement(envelope, envelope.payload_type, {node.keyid(EXCHANGE): node})
    header = parse_header(envelope)
    assert envelope.payload == raw(STEPS["header_json"])
    assert header.created == datetime(2026, 11, 24, 22, 0, 0, tzinfo=UTC)
    check_sealed_bytes(header, envelope.slots, envelope.body)
    content_key = open_slot(
        envelope.slots[key["desk"]],
        SealingPrivateKey.from_bytes(raw(key["private"])),
        exchange=header.exchange,
        envelope_id=header.id,
        sender=header.from_,
        recipient=key["desk"],
        keyid=header.recipients[number].keyid,
    )
    verify_commitment(content_key, header.exchange, header.id, header.body.commitment)
    opened = open_body(content_key, header.exchange, header.id, envelope.body)
    verify_content(opened.sealed_part.salt, opened.bulletin_json, header.bulletin.content)
    release = verify_release(
        opened.sealed_part.release,
        header,
        opened.bulletin_json,
        opened.sealed_part.release_salts,
        [verifying(person) for person in ENVELOPE["release"]["people"]],
        ENVELOPE["release"]["threshold"],
    )
    assert release is not None
    assert opened.bulletin_json == raw(ENVELOPE["bulletin_json"])


def test_the_generator_still_writes_this_file() -> None:
    """All that is not drawn at random follows from the generator again."""
    again = runpy.run_path(str(FOLDER / "generate_keys.py"))["build"]()
    for name in ("description", "exchange", "keyids", "padme", "requests"):
        assert again[name] == VECTORS[name]
    assert set(again) == set(VECTORS)
    for new, old in zip(again["statements"], VECTORS["statements"], strict=True):
        assert new["pae"] == old["pae"]
    new, old = again["envelope"], ENVELOPE
    assert set(new) == set(old)
    for name in ("node", "envelope_id", "sender", "bulletin_json", "content_key", "content_salt"):
        assert new[name] == old[name]
    for name in ("body_key", "commitment", "content"):
        assert new["steps"][name] == old["steps"][name]
    assert new["release"]["pae"] == old["release"]["pae"]
    assert new["release"]["recipients"] == old["release"]["recipients"]
    for new_key, old_key in zip(new["sealing_keys"], old["sealing_keys"], strict=True):
        assert new_key["keyid"] == old_key["keyid"]
        assert new_key["public"] == old_key["public"]
