"""Envelopes that the hub must take, since only a recipient can see what is wrong with them.

May import the live hub; `test_hostile_senders` sends each to a real node.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.node.outbox.drafts import outgoing_of
from keys.content import body_key, encode_body
from keys.derivation import sha256_hex
from keys.envelope import Outgoing, Sealed, address, seal_content
from keys.release import draft_release, sign_release
from keys.sealing import SealingPublicKey
from keys.signing import SigningIdentity
from keys.streams import Sealer, attachment_label
from schemas.bulletin.vocabularies import Precedence, Status
from schemas.envelope import AttachmentRef, Envelope, SealedPart
from schemas.loader import dump_json, load_json
from tests.exchange.attaching import Sealed as Uploaded
from tests.exchange.attaching import store
from tests.exchange.hostile_crafting import flipped, resigned
from tests.exchange.live import EXCHANGE, LiveHub, new_id
from tests.exchange.nodes import document

SENDER, RECIPIENT, STRANGER = "ly/main", "tn/main", "dz/main"
STRICT: Final = "ma/main"
"""Demands a release by one of its people."""

Tamper = Callable[[Sealed], Sealed]


@dataclass(frozen=True)
class Case:
    """What a hostile sender sends, and the reason that its recipient must give."""

    name: str
    reason: str
    make: Callable[[LiveHub], Envelope]
    sender: str = SENDER


def bulletin(hub: LiveHub, sender: str = SENDER, content: bytes = b"", **changed: Any) -> Outgoing:
    """A valid bulletin that is to leave, but for `changed`."""
    made = outgoing_of(
        content or document(sender, "hostile")[1],
        Precedence.PRIORITY,
        hub.moment() + timedelta(days=7),
        secrets.token_bytes(32),
    )
    return replace(made, sender=sender, **changed)


def seal(
    hub: LiveHub,
    outgoing: Outgoing,
    tamper: Tamper = lambda sealed: sealed,
    keys: Mapping[str, str] | None = None,
) -> Envelope:
    """Seal for the recipient.

    Args:
        tamper: what its sender does to the sealed content before it is addressed.
        keys: by desk, whose key its slot is sealed to instead.
    """
    sealed = tamper(seal_content(outgoing, EXCHANGE, new_id(), [RECIPIENT]))
    slots = {}
    for desk in sealed.desks:
        mine, used = (_record(hub, each) for each in (desk, (keys or {}).get(desk, desk)))
        slots[desk] = (mine.keyid, SealingPublicKey.from_bytes(used.public_key))
    identity, directory = hub.desks[outgoing.sender].node, hub.directory_ref
    return address(outgoing, sealed, EXCHANGE, slots, identity, directory, hub.moment())


def _record(hub: LiveHub, desk: str) -> Any:
    return hub.ledger.state.sealing_key(desk, hub.moment())


def _with_slot(slot: Callable[[LiveHub], bytes]) -> Callable[[LiveHub], Envelope]:
    """The slot is another, and the header says so: its sender signed for it."""

    def make(hub: LiveHub) -> Envelope:
        envelope, data = seal(hub, bulletin(hub)), slot(hub)
        header = load_json(envelope.payload, 10**6)
        header["recipients"][0]["slot_sha256"] = sha256_hex(data)
        changed = envelope.model_copy(update={"slots": {RECIPIENT: data}})
        return resigned(hub, changed, dump_json(header))

    return make


def _with_header(**members: Any) -> Callable[[LiveHub], Envelope]:
    """The header says something else than the bulletin."""

    def make(hub: LiveHub) -> Envelope:
        envelope = seal(hub, bulletin(hub))
        header = load_json(envelope.payload, 10**6)
        for name, value in members.items():
            header[name] = header[name] | value if isinstance(value, dict) else value
        return resigned(hub, envelope, dump_json(header))

    return make


def _with_key(change: Callable[[bytes], bytes]) -> Callable[[LiveHub], Envelope]:
    """The slot holds another content key than the one committed to."""

    def make(hub: LiveHub) -> Envelope:
        envelope = seal(hub, bulletin(hub), lambda s: replace(s, content_key=change(s.content_key)))
        header = load_json(envelope.payload, 10**6)
        header["body"]["commitment"] = "0" * 64
        return resigned(hub, envelope, dump_json(header))

    return make


def _with_body(write: Callable[[Sealed, Outgoing], bytes]) -> Callable[[LiveHub], Envelope]:
    """The body is another; hash and size in the header are right."""

    def make(hub: LiveHub) -> Envelope:
        outgoing = bulletin(hub)
        return seal(hub, outgoing, lambda sealed: replace(sealed, body=write(sealed, outgoing)))

    return make


def _encrypted(plaintext: Callable[[bytes], bytes]) -> Callable[[Sealed, Outgoing], bytes]:
    """The padded plaintext changed, then encrypted under the right key."""

    def write(sealed: Sealed, outgoing: Outgoing) -> bytes:
        part = SealedPart(
            salt=outgoing.content_salt, release=None, release_salts={}, attachment_keys={}
        )
        honest = encode_body(outgoing.bulletin_json, part)
        cipher = AESGCM(body_key(sealed.content_key, EXCHANGE, sealed.envelope_id))
        return cipher.encrypt(bytes(12), plaintext(honest), sealed.envelope_id.encode())

    return write


def _released(**lies: Any) -> Callable[[LiveHub], Envelope]:
    """Released by a person of the desk, but for `lies`: to other desks, by another, or other members."""

    def make(hub: LiveHub) -> Envelope:
        outgoing, told = bulletin(hub, STRICT), dict(lies)
        desks = told.pop("desks", [RECIPIENT])
        person = told.pop("person", None) or releaser(hub)
        draft = draft_release(replace(outgoing, **told), EXCHANGE, desks, hub.moment())
        salts = {**draft.salts, RECIPIENT: draft.salts.get(RECIPIENT, secrets.token_bytes(32))}
        signed = sign_release(draft.release, [person])
        return seal(hub, replace(outgoing, release=signed, release_salts=salts))

    return make


def releaser(hub: LiveHub) -> SigningIdentity:
    """The person who releases for the strict desk, drawn once for a hub."""
    person: SigningIdentity = hub.__dict__.setdefault("releaser", SigningIdentity.generate())
    return person


def _enclosing(
    change: Callable[[bytes], bytes] = lambda sealed: sealed, other_key: bytes = b"", **said: Any
) -> Callable[[LiveHub], Envelope]:
    """A bulletin with an attachment that was stored as its sender made it."""

    def make(hub: LiveHub) -> Envelope:
        plaintext, key, attachment_id = b"a photograph" * 9000, secrets.token_bytes(32), new_id()
        digest = hashlib.sha256(plaintext).hexdigest()
        described = {"id": attachment_id, "name": "a.jpg", "media_type": "image/jpeg"}
        member = described | {"size": len(plaintext), "sha256": digest} | said
        bulletin_id, content = document(SENDER, "with a photograph", attachments=[member])
        label = attachment_label(EXCHANGE, bulletin_id, attachment_id)
        sealer = Sealer(key, label, len(plaintext))
        uploaded = Uploaded(change(b"".join([*sealer.push(plaintext), *sealer.finish()])))
        store(hub, SENDER, uploaded)
        ref = AttachmentRef(id=attachment_id, sha256=uploaded.sha256, size=uploaded.size)
        keys = {attachment_id: other_key or key}
        return seal(hub, bulletin(hub, content=content, attachments=(ref,), attachment_keys=keys))

    return make


def _as_another(hub: LiveHub) -> Envelope:
    """What Niger wrote, passed on as if Libya had."""
    return seal(hub, bulletin(hub, content=document("ne/main", "of another desk")[1]))


def _other_slot(hub: LiveHub) -> bytes:
    return seal(hub, bulletin(hub)).slots[RECIPIENT]


def _misspelt(plaintext: bytes) -> bytes:
    return plaintext.replace(b'"salt"', b'"tlas"')


def _named_twice(hub: LiveHub) -> Outgoing:
    outgoing = bulletin(hub)
    return replace(outgoing, bulletin_json=outgoing.bulletin_json[:-1] + b',"kind":"withdrawal"}')


def _exchanged(sealed: bytes) -> bytes:
    chunk = 65536 + 17
    first, second = sealed[24 : 24 + chunk], sealed[24 + chunk : 24 + 2 * chunk]
    return sealed[:24] + second + first + sealed[24 + len(first) + len(second) :]


CASES: Final[tuple[Case, ...]] = (
    # Nobody can be blamed: the key may have been lost.
    Case("a slot for another", "cannot_open", lambda h: seal(h, bulletin(h), keys={RECIPIENT: STRANGER})),
    Case("a slot of another envelope", "cannot_open", _with_slot(_other_slot)),
    Case("a slot of zeros", "cannot_open", _with_slot(lambda _h: bytes(1168))),
    Case("a slot of noise", "cannot_open", _with_slot(lambda _h: secrets.token_bytes(1168))),
    Case("another key than committed to", "cannot_open", _with_key(lambda key: bytes(len(key)))),
    # From here on its sender is, provably.
    Case("a body of noise", "body-unreadable", _with_body(lambda s, _o: secrets.token_bytes(len(s.body)))),
    Case("a body of one byte", "body-unreadable", _with_body(lambda _s, _o: b"x")),
    Case("padding that is not zero", "padding", _with_body(_encrypted(lambda p: flipped(p, 4000)))),
    Case("a length beyond the end", "padding", _with_body(_encrypted(lambda p: b"\xff" * 4 + p[4:]))),
    Case("bytes behind the sealed part", "padding", _with_body(_encrypted(lambda p: p + bytes(64)))),
    Case("a plaintext cut short", "padding", _with_body(_encrypted(lambda p: p[:100]))),
    Case("a sealed part that is none", "sealed-part", _with_body(_encrypted(_misspelt))),
    Case("no bulletin", "bulletin-invalid", lambda h: seal(h, bulletin(h, bulletin_json=b"{}"))),
    Case("a bulletin with a name twice", "bulletin-invalid", lambda h: seal(h, _named_twice(h))),
    Case("another desk's bulletin", "bulletin-header", _as_another),
    Case("another status in the header", "bulletin-header", _with_header(status=Status.EXERCISE)),
    Case("other topics in the header", "bulletin-header", _with_header(topics=["drugs"])),
    Case("a milder marking in the header", "bulletin-header", _with_header(marking={"tlp": "clear"})),
    Case("personal data denied", "bulletin-header", _with_header(personal_data=True)),
    Case("another bulletin id in the header", "bulletin-header", _with_header(bulletin={"id": new_id()})),
    Case("another content in the header", "content-mismatch", _with_header(bulletin={"content": "0" * 64})),
    Case("unreleased", "not-released", lambda h: seal(h, bulletin(h, STRICT)), STRICT),
    Case("released by a stranger", "not-released", _released(person=SigningIdentity.generate()), STRICT),
    Case("released for others", "release-differs", _released(desks=[STRANGER]), STRICT),
    Case("another bulletin released", "release-differs", _released(bulletin_json=b"{}"), STRICT),
    Case("another precedence released", "release-differs", _released(precedence=Precedence.FLASH), STRICT),
    Case("an attachment altered", "attachment-unreadable", _enclosing(lambda sealed: flipped(sealed, -1))),
    Case("an attachment's chunks exchanged", "attachment-unreadable", _enclosing(_exchanged)),
    Case("another key for the attachment", "attachment-unreadable", _enclosing(other_key=bytes(32))),
    Case("another file than described", "attachment-unreadable", _enclosing(sha256="0" * 64)),
)  # fmt: skip
"""All but the honest one."""
