"""Hostile submissions that are well-formed envelopes, and claim what is not so.

May import the crafting of hostile envelopes; `test_hostile_submissions` sends each.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keys.dsse import pae, sign_statement
from keys.signing import SigningIdentity, identity_keyid
from schemas.bulletin.vocabularies import Caveat, Kind, Purpose
from schemas.directory import IdentityKey
from schemas.envelope import AttachmentRef, DirectoryRef, Envelope
from schemas.loader import dump_json, load_json
from schemas.statements import PayloadType, Signature
from tests.exchange.acting import envelope_id, refusal, submit
from tests.exchange.attaching import Sealed, naming, store
from tests.exchange.hostile_crafting import SENDER, Row, flipped, header, honest, put, resigned
from tests.exchange.live import EXCHANGE, LiveHub, new_id, run

EXERCISE: Final = "tripoli-exercise"
SMALL_ORDER: Final = bytes([1]) + bytes(31)
"""The neutral point of Ed25519: lenient libraries take a signature of zeros under it for any message."""

SECOND_ORDER: Final = bytes([0xEC]) + bytes([0xFF]) * 30 + bytes([0x7F])
"""The point of order two: the same holds for every second message."""


def sent(hub: LiveHub, envelope: Envelope) -> Envelope:
    """An envelope that its sender has had accepted. Makers are called outside of any loop."""
    run(submit(hub, envelope))
    return envelope


# Sealed bytes that are not those of the header.


def _wrong_slot(hub: LiveHub) -> Envelope:
    envelope = honest(hub, "ne/main", "tn/main")
    slots = {**envelope.slots, "tn/main": envelope.slots["ne/main"]}
    return envelope.model_copy(update={"slots": slots})


def _slot_missing(hub: LiveHub) -> Envelope:
    envelope = honest(hub, "ne/main", "tn/main")
    return envelope.model_copy(update={"slots": {"tn/main": envelope.slots["tn/main"]}})


def _slot_extra(hub: LiveHub) -> Envelope:
    envelope = honest(hub)
    slots = {**envelope.slots, "ne/main": envelope.slots["tn/main"]}
    return envelope.model_copy(update={"slots": slots})


def _wrong_recipient(hub: LiveHub) -> Envelope:
    envelope = honest(hub)
    return envelope.model_copy(update={"slots": {"ne/main": envelope.slots["tn/main"]}})


def _body(change: Any) -> Any:
    def make(hub: LiveHub) -> Envelope:
        envelope = honest(hub)
        return envelope.model_copy(update={"body": change(envelope.body)})

    return make


def _bodies_exchanged(hub: LiveHub) -> Envelope:
    return honest(hub).model_copy(update={"body": honest(hub).body})


SEALED: Final[tuple[Row, ...]] = (
    Row("the slot of another recipient", "slot-hash", _wrong_slot),
    Row("a slot is missing", "slots-differ", _slot_missing),
    Row("a slot too many", "slots-differ", _slot_extra),
    Row("the slot's desk is no recipient", "slots-differ", _wrong_recipient),
    Row("a bit of the body", "body-hash", _body(flipped)),
    Row("the body cut", "body-hash", _body(lambda body: body[:-1])),
    Row("the body longer", "body-hash", _body(lambda body: body + b"\x00")),
    Row("an empty body", "body-hash", _body(lambda _body: b"")),
    Row("the body of another envelope", "body-hash", _bodies_exchanged),
    Row("the body's size is a lie", "body-hash", header(put("body.size", 1))),
    Row("the slot's hash is a lie", "slot-hash", header(put("recipients.0.slot_sha256", "0" * 64))),
)  # fmt: skip


# Signatures.


def _sig(change: Any) -> Any:
    def make(hub: LiveHub) -> Envelope:
        envelope = honest(hub)
        (signature,) = envelope.signatures
        signature = Signature(**(signature.model_dump() | change(hub, signature)))
        return envelope.model_copy(update={"signatures": (signature,)})

    return make


def _node(hub: LiveHub, desk: str = SENDER) -> SigningIdentity:
    return hub.desks[desk].node


def _signed_by(identity: Callable[[LiveHub], SigningIdentity]) -> Any:
    return lambda hub: hub.seal(hub.outgoing(SENDER), "tn/main", identity=identity(hub))


def _altered(hub: LiveHub) -> Envelope:
    envelope = honest(hub)
    return envelope.model_copy(update={"payload": envelope.payload.replace(b'"amber"', b'"green"')})


def _written_otherwise(hub: LiveHub) -> Envelope:
    envelope = honest(hub)
    return envelope.model_copy(update={"payload": envelope.payload.replace(b'"v":1', b'"v": 1')})


def _other_type(hub: LiveHub) -> Envelope:
    envelope = honest(hub)
    again = sign_statement(
        PayloadType.RELEASE, envelope.payload, EXCHANGE, [hub.desks[SENDER].node]
    )
    return envelope.model_copy(update={"signatures": again.signatures})


def _weak_node(hub: LiveHub) -> Envelope:
    """Morocco's main desk declared an identity whose Ed25519 half signs for anybody, as OpenSSL sees it."""
    node = hub.desks["ma/main"].node
    weak, zeros = weakened(node.public), SMALL_ORDER + bytes(32)
    for _ in range(64):  # Every second message will do.
        envelope = honest(hub, sender="ma/main")
        message = pae(envelope.payload_type, envelope.payload)
        with suppress(InvalidSignature):
            Ed25519PublicKey.from_public_bytes(weak.ed25519).verify(zeros, message)
            signature = Signature(
                keyid=identity_keyid(EXCHANGE, weak), sig=zeros + node.sign(message)[64:]
            )
            return envelope.model_copy(update={"signatures": (signature,)})
    raise RuntimeError("no lenient library takes what this test is about")


def weakened(key: IdentityKey) -> IdentityKey:
    """The same identity with a small-order Ed25519 half."""
    return IdentityKey(ed25519=SECOND_ORDER, ml_dsa_65=key.ml_dsa_65)


SIGNED: Final[tuple[Row, ...]] = tuple(
    Row(name, "statement-signature", make)
    for name, make in (
        ("zeros for ML-DSA", _sig(lambda _h, s: {"sig": s.sig[:64] + bytes(3309)})),
        ("zeros for Ed25519", _sig(lambda _h, s: {"sig": bytes(64) + s.sig[64:]})),
        ("a bit of Ed25519", _sig(lambda _h, s: {"sig": flipped(s.sig)})),
        ("a bit of ML-DSA", _sig(lambda _h, s: {"sig": flipped(s.sig, 3000)})),
        ("the keyid of another desk", _sig(lambda h, _s: {"keyid": _node(h, "tn/main").keyid(EXCHANGE)})),
        ("the keyid of another exchange", _sig(lambda h, _s: {"keyid": _node(h).keyid(EXERCISE)})),
        ("the header altered", _altered),
        ("the header written otherwise", _written_otherwise),
        ("signed as another type", _other_type),
        ("a stranger's identity", _signed_by(lambda _h: SigningIdentity.generate())),
        ("another desk's identity", _signed_by(lambda h: _node(h, "tn/main"))),
    )
)  # fmt: skip


# What was true elsewhere, at another time, or never.


def _directory(**changes: Any) -> Any:
    def make(hub: LiveHub) -> Envelope:
        ref = hub.directory_ref.model_copy(update=changes)
        return hub.seal(hub.outgoing(SENDER), "tn/main", directory=ref)

    return make


def _log_of(hub: LiveHub) -> Envelope:
    ref = hub.directory_ref
    named = DirectoryRef(origin=hub.invitation.logs.exchange.origin, index=ref.index, leaf=ref.leaf)
    return hub.seal(hub.outgoing(SENDER), "tn/main", directory=named)


def _created(**ago: float) -> Any:
    def make(hub: LiveHub) -> Envelope:
        return hub.seal(hub.outgoing(SENDER), "tn/main", created=hub.moment() - timedelta(**ago))

    return make


def _expires(**later: float) -> Any:
    return lambda hub: honest(hub, expires=hub.moment() + timedelta(**later))


def _unknown_desk(hub: LiveHub) -> Envelope:
    made = header(put("recipients.0.desk", "tn/ghost"))(hub)
    return made.model_copy(update={"slots": {"tn/ghost": made.slots["tn/main"]}})


def _revoked(hub: LiveHub) -> Envelope:
    return honest(hub, sender="mr/main")


def _attachment(hub: LiveHub) -> Envelope:
    return naming(hub, SENDER, "tn/main", sealed=(Sealed(),))


def _anothers_attachment(hub: LiveHub) -> Envelope:
    sealed = Sealed()
    store(hub, "ne/main", sealed)
    return naming(hub, SENDER, "tn/main", sealed=(sealed,))


def _attachments_size(hub: LiveHub) -> Envelope:
    sealed = Sealed()
    store(hub, SENDER, sealed)
    ref = AttachmentRef(id=new_id(), sha256=sealed.sha256, size=sealed.size + 1)
    return honest(hub, attachments=(ref,), attachment_keys={ref.id: bytes(32)})


UNTRUE: Final[tuple[Row, ...]] = (
    Row("a small-order identity", "statement-signature", _weak_node, "ma/main"),
    Row("a directory that never was", "stale-directory", _directory(index=7)),
    Row("another leaf for the directory", "stale-directory", _directory(leaf="0" * 64)),
    Row("a directory of another log", "stale-directory", _directory(origin="another/directory/1")),
    Row("the exchange log for a directory", "stale-directory", _log_of),
    Row("another desk's sealing key", "stale-key", header(put("recipients.0.keyid", "0" * 64))),
    Row("created yesterday", "created-skew", _created(hours=25)),
    Row("created tomorrow", "created-skew", _created(hours=-25)),
    Row("created in the year 9999", "created-skew", header(put("created", "9999-12-31T23:59:59Z"))),
    Row("an attachment that is not there", "attachments-missing", _attachment),
    Row("another desk's attachment", "attachments-missing", _anothers_attachment),
    Row("the attachment's size is a lie", "attachments-missing", _attachments_size),
    Row("a revoked identity", "statement-signature", _revoked, "mr/main"),
    Row("another submits it", "not-sender", honest, "tn/main"),
    Row("its recipient submits it again", "not-sender", lambda h: sent(h, honest(h)), "tn/main"),
    Row("from a desk that does not exist", "not-sender", header(put("from", "ly/ghost"))),
)  # fmt: skip


# What an authenticated sender may not do: logged as refused.


def _for_judges(hub: LiveHub) -> Envelope:
    kind, purpose = Kind.JUDICIAL_REQUEST, Purpose.JUDICIAL_COOPERATION
    return honest(hub, "tn/judicial", "tn/main", kind=kind, purpose=purpose)


def _released_to_another(hub: LiveHub) -> Envelope:
    marking = hub.outgoing(SENDER).marking.model_copy(
        update={"caveats": (Caveat.RELEASE_TO,), "release_to": ("dz",)}
    )
    return honest(hub, marking=marking)


def _other_content(hub: LiveHub) -> Envelope:
    outgoing = hub.outgoing(SENDER)
    sent(hub, hub.seal(outgoing, "tn/main"))
    return hub.seal(replace(outgoing, bulletin_json=b'{"title":"another"}'), "ne/main")


def _same_bulletin_other_salt(hub: LiveHub) -> Envelope:
    outgoing = hub.outgoing(SENDER)
    sent(hub, hub.seal(outgoing, "tn/main"))
    return hub.seal(replace(outgoing, content_salt=bytes(32)), "tn/main")


def _follows(word: str, sender: str = SENDER, *desks: str, withdrawn: bool = False) -> Any:
    """An envelope that withdraws or supersedes what a desk sent to tn/main, or its withdrawal."""

    def make(hub: LiveHub) -> Envelope:
        original = hub.outgoing(sender)
        sent(hub, hub.seal(original, "tn/main"))
        if withdrawn:
            original = hub.outgoing(sender, withdraws=original.bulletin_id)
            sent(hub, hub.seal(original, "tn/main"))
        return honest(hub, *desks, **{word: original.bulletin_id})

    return make


FORBIDDEN: Final[tuple[Row, ...]] = (
    Row("of another exchange", "wrong-exchange", header(put("exchange", EXERCISE))),
    Row("expired", "lifetime", _expires(seconds=-1)),
    Row("expires before it was created", "lifetime", header(put("expires", "2020-01-01T00:00:00Z"))),
    Row("lives 31 days", "lifetime", _expires(days=31)),
    Row("to a desk that does not exist", "unknown-recipient", _unknown_desk),
    Row("a judicial request for a main desk", "access-denied", _for_judges),
    Row("marked for another member", "access-denied", _released_to_another),
    Row("other content under its bulletin's id", "bulletin-differs", _other_content),
    Row("the same content under another salt", "bulletin-differs", _same_bulletin_other_salt),
    Row("withdraws what nobody sent", "original-unknown", lambda h: honest(h, withdraws=new_id())),
    Row("supersedes what nobody sent", "original-unknown", lambda h: honest(h, supersedes=new_id())),
    Row("another's bulletin withdrawn", "original-unknown", _follows("withdraws", "ne/main")),
    Row("another's bulletin superseded", "original-unknown", _follows("supersedes", "ne/main")),
    Row("withdrawn from a stranger to it", "original-desks", _follows("withdraws", SENDER, "ne/main")),
    Row("superseded for a stranger to it", "original-desks", _follows("supersedes", SENDER, "ne/main")),
    Row("a withdrawal withdrawn", "original-withdrawal", _follows("withdraws", withdrawn=True)),
    Row("a withdrawal superseded", "original-withdrawal", _follows("supersedes", withdrawn=True)),
)  # fmt: skip


def _id_again(hub: LiveHub) -> Envelope:
    first = sent(hub, honest(hub))
    return hub.seal(hub.outgoing(SENDER), "ne/main", envelope_id=envelope_id(first))


def _burnt_id(hub: LiveHub) -> Envelope:
    refused = honest(hub, withdraws=new_id())
    refusal(submit(hub, refused))
    return hub.seal(hub.outgoing(SENDER), "tn/main", envelope_id=envelope_id(refused))


def _same_header_resealed(hub: LiveHub) -> Envelope:
    first = sent(hub, honest(hub))
    value = load_json(first.payload, 10**6) | {"precedence": "flash"}
    return resigned(hub, first, dump_json(value))


TAKEN: Final[tuple[Row, ...]] = (
    Row("its id has another bulletin", "id-taken", _id_again),
    Row("the same envelope at another precedence", "id-taken", _same_header_resealed),
    Row("the id of a refused envelope", "id-taken", _burnt_id),
)

CLAIMS: Final = (*SEALED, *SIGNED, *UNTRUE, *FORBIDDEN, *TAKEN)
