"""Envelopes: a body sealed once, then slots, header and signature as often as it must be addressed.

May import `schemas` and the rest of this half of `keys`; the sender's node seals, hub and recipients
check the sealed bytes against the header.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from keys.content import commitment, content_hash, seal_body
from keys.derivation import sha256_hex
from keys.dsse import sign_statement
from keys.sealing import CONTENT_KEY_BYTES, SealingPublicKey, seal_slot
from keys.signing import SigningIdentity
from schemas.bulletin.vocabularies import Kind, Precedence, Purpose, Status, Topic
from schemas.envelope import (
    AttachmentRef,
    BodyRef,
    BulletinRef,
    DirectoryRef,
    Envelope,
    Header,
    HeaderMarking,
    Recipient,
    SealedPart,
)
from schemas.errors import ParseError, Problem, VerificationError
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import dump_json, parse_part
from schemas.statements import PayloadType, Statement


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A bulletin that is to leave, and every member of its header that the sender chooses."""

    bulletin_id: str
    bulletin_json: bytes = field(repr=False)
    content_salt: bytes = field(repr=False)
    """32 bytes, drawn once for the bulletin."""
    status: Status
    sender: str
    expires: datetime
    precedence: Precedence
    kind: Kind
    topics: tuple[Topic, ...]
    """Sorted."""
    purpose: Purpose
    personal_data: bool
    marking: HeaderMarking
    supersedes: str | None = None
    withdraws: str | None = None
    attachments: tuple[AttachmentRef, ...] = ()
    """In the bulletin's order: id, SHA-256 and size of the ciphertext."""
    attachment_keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """By attachment id, 32 bytes each."""
    release: Statement | None = None
    release_salts: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Of every desk released to, 32 bytes each; an envelope carries those of its own desks."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What stays when an envelope is addressed again: its id, key and body, for these desks."""

    envelope_id: str
    content: str
    """The content hash of the bulletin inside."""
    desks: tuple[str, ...]
    content_key: bytes = field(repr=False)
    body: bytes = field(repr=False)


def seal_content(
    outgoing: Outgoing,
    exchange: str,
    envelope_id: str,
    desks: Sequence[str],
    content_key: bytes | None = None,
) -> Sealed:
    """Seal the body, once for an envelope id (Envelope, step 1).

    Args:
        outgoing: the bulletin, with its release where the desk demands one.
        exchange: the exchange's name.
        envelope_id: a fresh UUIDv7.
        desks: the recipients.
        content_key: 32 bytes; drawn fresh by default.

    Raises:
        Problem: `release-differs`, a recipient was not released to.
        ParseError: the bulletin or the sealed part is over its limit.
    """
    if content_key is None:
        content_key = secrets.token_bytes(CONTENT_KEY_BYTES)
    sealed_part = SealedPart(
        salt=outgoing.content_salt,
        release=outgoing.release,
        release_salts=_salts_of(outgoing, desks),
        attachment_keys=dict(outgoing.attachment_keys),
    )
    return Sealed(
        envelope_id=envelope_id,
        content=content_hash(outgoing.content_salt, outgoing.bulletin_json),
        desks=tuple(sorted(desks)),
        content_key=content_key,
        body=seal_body(content_key, exchange, envelope_id, outgoing.bulletin_json, sealed_part),
    )


def _salts_of(outgoing: Outgoing, desks: Sequence[str]) -> dict[str, bytes]:
    if outgoing.release is None:
        return {}
    strangers = sorted(set(desks) - set(outgoing.release_salts))
    if strangers:
        raise Problem("release-differs", f"the bulletin was not released to {', '.join(strangers)}")
    return {desk: outgoing.release_salts[desk] for desk in sorted(desks)}


def address(
    outgoing: Outgoing,
    sealed: Sealed,
    exchange: str,
    slots_for: Mapping[str, tuple[str, SealingPublicKey]],
    identity: SigningIdentity,
    directory: DirectoryRef,
    created: datetime,
) -> Envelope:
    """Seal the slots, build the header and sign it (Envelope, steps 2, 3 and 5); may be repeated.

    Args:
        outgoing: as it was given to `seal_content`.
        sealed: what `seal_content` returned.
        exchange: the exchange's name.
        slots_for: by desk, the keyid and the key of its highest usable sealing key.
        identity: the desk's node identity.
        directory: the directory in force.
        created: now, UTC, whole seconds.

    Raises:
        VerificationError: the desks or the bulletin are not those that were sealed, or a key cannot
            be sealed to.
    """
    if tuple(sorted(slots_for)) != sealed.desks:
        raise VerificationError("the desks are not those that the body was sealed for")
    if content_hash(outgoing.content_salt, outgoing.bulletin_json) != sealed.content:
        raise VerificationError("the bulletin is not the one that was sealed")
    slots = {
        desk: seal_slot(
            sealed.content_key,
            public,
            exchange=exchange,
            envelope_id=sealed.envelope_id,
            sender=outgoing.sender,
            recipient=desk,
            keyid=keyid,
        )
        for desk, (keyid, public) in sorted(slots_for.items())
    }
    header = build_header(
        outgoing,
        sealed,
        exchange,
        tuple(
            Recipient(desk=desk, keyid=slots_for[desk][0], slot_sha256=sha256_hex(slot))
            for desk, slot in slots.items()
        ),
        directory,
        created,
    )
    signed = sign_statement(PayloadType.ENVELOPE, dump_json(header), exchange, [identity])
    return Envelope(
        payload_type=signed.payload_type,
        payload=signed.payload,
        signatures=signed.signatures,
        slots=slots,
        body=sealed.body,
    )


def build_header(
    outgoing: Outgoing,
    sealed: Sealed,
    exchange: str,
    recipients: tuple[Recipient, ...],
    directory: DirectoryRef,
    created: datetime,
) -> Header:
    """Write the header of an envelope: the one place where it is put together (Envelope, step 5).

    Args:
        outgoing: the bulletin and its sender's choices.
        sealed: the envelope's id, content, key and body.
        exchange: the exchange's name.
        recipients: sorted by desk.
        directory: the directory in force.
        created: UTC, whole seconds.
    """
    return Header(
        v=1,
        exchange=exchange,
        id=sealed.envelope_id,
        bulletin=BulletinRef(id=outgoing.bulletin_id, content=sealed.content),
        status=outgoing.status,
        from_=outgoing.sender,
        created=created,
        expires=outgoing.expires,
        precedence=outgoing.precedence,
        kind=outgoing.kind,
        topics=outgoing.topics,
        purpose=outgoing.purpose,
        personal_data=outgoing.personal_data,
        marking=outgoing.marking,
        recipients=recipients,
        body=BodyRef(
            sha256=sha256_hex(sealed.body),
            size=len(sealed.body),
            commitment=commitment(sealed.content_key, exchange, sealed.envelope_id),
        ),
        attachments=outgoing.attachments,
        directory=directory,
        supersedes=outgoing.supersedes,
        withdraws=outgoing.withdraws,
    )


def parse_header(statement: Statement) -> Header:
    """Read the header of an envelope's statement. Raises ParseError."""
    if statement.payload_type is not PayloadType.ENVELOPE:
        raise ParseError("a header is the payload of an envelope")
    return parse_part(Header, "payload", statement.payload, STATEMENT_BYTES_MAX)


def check_sealed_bytes(header: Header, slots: Mapping[str, bytes], body: bytes) -> None:
    """Check all sealed bytes of a submission against its header, as the hub does.

    Args:
        header: verified, or about to be.
        slots: by desk, 1168 bytes each.
        body: the ciphertext with its tag.

    Raises:
        Problem: `slots-differ`, `slot-hash` or `body-hash`.
    """
    if set(slots) != set(header.desks):
        raise Problem("slots-differ")
    for desk, slot in slots.items():
        check_slot(header, desk, slot)
    check_body(header, body)


def check_slot(header: Header, desk: str, slot: bytes) -> None:
    """Check one desk's slot against the header, as its recipient does.

    Raises:
        Problem: `not-addressed` or `slot-hash`.
    """
    expected = next((r.slot_sha256 for r in header.recipients if r.desk == desk), None)
    if expected is None:
        raise Problem("not-addressed")
    if not hmac.compare_digest(sha256_hex(slot), expected):
        raise Problem("slot-hash", f"the slot of {desk} does not match its hash in the header")


def check_body(header: Header, body: bytes) -> None:
    """Check the ciphertext of the body against the header's size and hash.

    Raises:
        Problem: `body-hash`.
    """
    if len(body) != header.body.size or not hmac.compare_digest(
        sha256_hex(body), header.body.sha256
    ):
        raise Problem("body-hash")
