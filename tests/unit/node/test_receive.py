"""The verification plan: whatever is tampered with, the right step fails, and the right party answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from broker.node.home import Home
from broker.node.inbox.receive import (
    Arrived,
    Faulty,
    Opened,
    check_entry,
    check_sealed,
    open_sealed,
)
from broker.node.sealing_keys import private_key
from keys.content import seal_body
from keys.derivation import sha256_hex
from keys.envelope import Sealed, parse_header
from keys.sealing import SealingPrivateKey
from schemas.bulletin.vocabularies import Caveat
from schemas.envelope import SealedPart
from schemas.errors import Fault
from schemas.loader import dump_json
from schemas.receipts import InboxItem
from tests.unit.node.world import NodeWorld, document


def receive(world: NodeWorld, home: Home, item: InboxItem, desk: str = "tn/main") -> Opened:
    """All steps, as the fetcher takes them."""
    arrived = check_entry(item, desk, world.log_keys)
    state = world.known.at(min(arrived.entry.directory_size, world.known.size))
    body = item.body or b""
    check_sealed(arrived, body, state)
    keyid = next(r.keyid for r in arrived.header.recipients if r.desk == desk)
    return open_sealed(arrived, body, private_key(home, desk, keyid), state)


def faulty(
    world: NodeWorld, home: Home, item: InboxItem, desk: str = "tn/main"
) -> tuple[Fault, str]:
    """Who answers, and the problem."""
    with pytest.raises(Faulty) as caught:
        receive(world, home, item, desk)
    return caught.value.fault, caught.value.problem.word


def test_an_honest_envelope_opens(world: NodeWorld, tn: Home) -> None:
    """What the sender sealed comes out, to the byte."""
    content = document("ly/main")
    outgoing = world.outgoing("ly/main", content)
    index = world.accept(world.envelope("ly/main", "tn/main", outgoing=outgoing))
    assert receive(world, tn, world.item(index, "tn/main")).document == content


# Before the slot opens: the hub's fault.


def _of_another(world: NodeWorld, item: InboxItem) -> InboxItem:
    other = world.accept(world.envelope("ly/main", "tn/main"))
    return item.model_copy(update={"receipt": world.receipt(other, "tn/main")})


def _broken_entry(_world: NodeWorld, item: InboxItem) -> InboxItem:
    receipt = item.receipt.model_copy(update={"entry": item.receipt.entry[:-1]})
    return item.model_copy(update={"receipt": receipt})


def _other_salt(_world: NodeWorld, item: InboxItem) -> InboxItem:
    receipt = item.receipt.model_copy(update={"salt": bytes(32)})
    return item.model_copy(update={"receipt": receipt})


def _other_log(world: NodeWorld, item: InboxItem) -> InboxItem:
    text = item.receipt.checkpoint.replace("exchange/1", "exchange/2")
    receipt = item.receipt.model_copy(update={"checkpoint": text})
    return item.model_copy(update={"receipt": receipt})


def _no_place(_world: NodeWorld, item: InboxItem) -> InboxItem:
    return item.model_copy(update={"receipt": item.receipt.model_copy(update={"places": ()})})


def _other_place(_world: NodeWorld, item: InboxItem) -> InboxItem:
    place = item.receipt.places[0].model_copy(update={"n": 2})
    receipt = item.receipt.model_copy(update={"places": (place,)})
    return item.model_copy(update={"receipt": receipt})


def _flipped_signature(_world: NodeWorld, item: InboxItem) -> InboxItem:
    first = item.statement.signatures[0]
    sig = bytes([first.sig[0] ^ 1]) + first.sig[1:]
    changed = first.model_copy(update={"sig": sig})
    return item.model_copy(
        update={"statement": item.statement.model_copy(update={"signatures": (changed,)})}
    )


def _flipped_slot(_world: NodeWorld, item: InboxItem) -> InboxItem:
    return item.model_copy(update={"slot": bytes([item.slot[0] ^ 1]) + item.slot[1:]})


def _flipped_body(_world: NodeWorld, item: InboxItem) -> InboxItem:
    body = item.body or b""
    return item.model_copy(update={"body": body[:-1] + bytes([body[-1] ^ 1])})


def _truncated_body(_world: NodeWorld, item: InboxItem) -> InboxItem:
    return item.model_copy(update={"body": (item.body or b"")[:-1]})


def _no_header(_world: NodeWorld, item: InboxItem) -> InboxItem:
    return item.model_copy(
        update={"statement": item.statement.model_copy(update={"payload": b"{}"})}
    )


@pytest.mark.parametrize(
    ("tamper", "word"),
    [
        (_no_header, "entry-invalid"),
        (_of_another, "entry-invalid"),
        (_broken_entry, "entry-invalid"),
        (_flipped_signature, "entry-invalid"),
        (_other_salt, "inclusion"),
        (_other_log, "inclusion"),
        (_no_place, "place"),
        (_other_place, "place"),
        (_flipped_slot, "slot-hash"),
        (_flipped_body, "body-hash"),
        (_truncated_body, "body-hash"),
    ],
)
def test_tampering_on_the_way_is_the_hubs_fault(
    world: NodeWorld, tn: Home, tamper: Callable[[NodeWorld, InboxItem], InboxItem], word: str
) -> None:
    """Whatever the hub alters, it alone answers, and nothing is acknowledged."""
    index = world.accept(world.envelope("ly/main", "tn/main"))
    item = tamper(world, world.item(index, "tn/main"))
    assert faulty(world, tn, item) == (Fault.HUB, word)


def test_a_signature_that_the_hub_logged_wrongly_is_its_fault(world: NodeWorld, tn: Home) -> None:
    """The entry matches a forged signature, and the signature still does not verify."""
    envelope = world.envelope("ly/main", "tn/main", identity=world.desks["dz/main"].node)
    index = world.accept(envelope, check=False)
    assert faulty(world, tn, world.item(index, "tn/main")) == (Fault.HUB, "statement-signature")


def test_a_directory_size_that_does_not_exist_is_the_hubs_fault(world: NodeWorld, tn: Home) -> None:
    """An entry cannot be judged by a directory that nobody published."""
    index = world.accept(world.envelope("ly/main", "tn/main"), directory_size=1000)
    assert faulty(world, tn, world.item(index, "tn/main")) == (Fault.HUB, "directory-invalid")


def test_an_old_directory_is_the_hubs_fault(world: NodeWorld, tn: Home) -> None:
    """A header that names a directory out of force must not have been accepted."""
    old = world.newest.in_force
    world.change_member("tn")
    world.publish()
    world.later(minutes=11)
    envelope = world.envelope("ly/main", "tn/main", directory=old)
    index = world.accept(envelope, check=False)
    assert faulty(world, tn, world.item(index, "tn/main")) == (Fault.HUB, "stale-directory")


def test_a_key_that_is_not_the_highest_is_the_hubs_fault(world: NodeWorld, tn: Home) -> None:
    """An envelope to yesterday's key must not have been accepted."""
    envelope = world.envelope("ly/main", "tn/main", created=world.now + timedelta(hours=20))
    world.later(days=1, seconds=1)
    world.announce(world.sealing_statement("tn/main", 2))
    index = world.accept(envelope, check=False)
    assert faulty(world, tn, world.item(index, "tn/main")) == (Fault.HUB, "stale-key")


def test_an_envelope_too_long_on_the_way_is_the_hubs_fault(world: NodeWorld, tn: Home) -> None:
    """Created more than 24 hours before it was logged: the hub should have refused it."""
    envelope = world.envelope("ly/main", "tn/main", created=world.now - timedelta(hours=25))
    index = world.accept(envelope, check=False)
    assert faulty(world, tn, world.item(index, "tn/main")) == (Fault.HUB, "created-skew")


def test_a_forbidden_envelope_is_the_hubs_fault(world: NodeWorld, tn: Home) -> None:
    """The rules forbid it, and the hub relayed it all the same."""
    marking = world.outgoing("ly/main").marking.model_copy(
        update={"caveats": (Caveat.RELEASE_TO,), "release_to": ("dz",)}
    )
    outgoing = world.outgoing("ly/main", marking=marking)
    index = world.accept(world.envelope("ly/main", "tn/main", outgoing=outgoing), check=False)
    assert faulty(world, tn, world.item(index, "tn/main")) == (Fault.HUB, "access-denied")


def test_other_policies_than_those_logged_are_the_hubs_fault(world: NodeWorld, tn: Home) -> None:
    """The log must name exactly the policies that permit."""
    envelope = world.envelope("ly/main", "tn/main")
    index = world.accept(envelope)
    entry = world.items[index].parsed
    recipients = [r.model_copy(update={"policies": ("invented",)}) for r in entry.recipients]  # type: ignore[union-attr]
    changed = entry.model_copy(update={"recipients": tuple(recipients)})
    world.items[index].entry = dump_json(changed)
    assert faulty(world, tn, world.item(index, "tn/main")) == (Fault.HUB, "wrong-policies")


def test_an_envelope_for_others_is_the_hubs_fault(world: NodeWorld, tn: Home) -> None:
    """An envelope to another desk of the same node is not this desk's, whatever place is told."""
    index = world.accept(world.envelope("ly/main", "tn/judicial"))
    item = world.item(index, "tn/judicial")
    assert faulty(world, tn, item, "tn/main") == (Fault.HUB, "place")


# Between slot and commitment: nobody's.


def test_a_slot_for_another_key_blames_nobody(world: NodeWorld, tn: Home) -> None:
    """The slot is what was signed, and does not open: no one can say why."""
    index = world.accept(world.envelope("ly/main", "tn/main"))
    arrived, body = _checked(world, index)
    with pytest.raises(Faulty) as caught:
        open_sealed(arrived, body, SealingPrivateKey.generate(), world.newest)
    assert (caught.value.fault, caught.value.problem.word) == (Fault.NOBODY, "cannot_open")
    assert caught.value.content_key is None


def test_a_key_that_is_gone_blames_nobody(world: NodeWorld, tn: Home) -> None:
    """A destroyed or lost sealing key leads to `cannot_open`."""
    index = world.accept(world.envelope("ly/main", "tn/main"))
    arrived, body = _checked(world, index)
    with pytest.raises(Faulty) as caught:
        open_sealed(arrived, body, None, world.newest)
    assert (caught.value.fault, caught.value.problem.word) == (Fault.NOBODY, "cannot_open")


def test_another_content_key_than_the_committed_one_blames_nobody(
    world: NodeWorld, tn: Home
) -> None:
    """Whoever shows a key that is not committed to has shown nothing."""
    envelope = world.envelope("ly/main", "tn/main")
    header = parse_header(envelope)
    body = header.body.model_copy(update={"commitment": "0" * 64})
    forged = world.resigned(envelope, header.model_copy(update={"body": body}))
    index = world.accept(forged)
    assert faulty(world, tn, world.item(index, "tn/main")) == (Fault.NOBODY, "cannot_open")


def _checked(world: NodeWorld, index: int) -> tuple[Arrived, bytes]:
    item = world.item(index, "tn/main")
    arrived = check_entry(item, "tn/main", world.log_keys)
    body = item.body or b""
    check_sealed(arrived, body, world.newest)
    return arrived, body


# After the commitment: the sender's, provable with the content key.


def _sealed_as(make: Callable[[Sealed], bytes]) -> Callable[[Sealed], Sealed]:
    return lambda sealed: replace(sealed, body=make(sealed))


def test_a_body_under_another_key_is_the_senders_fault(world: NodeWorld, tn: Home) -> None:
    """Slots and commitment agree, and the body opens with neither: the content key proves it."""

    def other_key(sealed: Sealed) -> bytes:
        part = SealedPart(salt=bytes(32), release=None, release_salts={}, attachment_keys={})
        return seal_body(bytes(32), world.exchange, sealed.envelope_id, b"{}", part)

    envelope = world.envelope("ly/main", "tn/main", tamper=_sealed_as(other_key))
    index = world.accept(envelope)
    with pytest.raises(Faulty) as caught:
        receive(world, tn, world.item(index, "tn/main"))
    assert (caught.value.fault, caught.value.problem.word) == (Fault.SENDER, "body-unreadable")
    assert caught.value.content_key is not None


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"title": {"en": ""}}, "bulletin-invalid"),
        ({"topics": ["drugs"]}, "bulletin-header"),
        ({"status": "actual"}, "bulletin-header"),
        ({"purpose": "analysis"}, "bulletin-header"),
        ({"id": "019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0c"}, "bulletin-header"),
        (
            {"marking": {"tlp": "green", "classification": "restricted", "caveats": []}},
            "bulletin-header",
        ),
    ],
)
def test_a_bulletin_unlike_its_header_is_the_senders_fault(
    world: NodeWorld, tn: Home, changed: dict[str, object], word: str
) -> None:
    """What the access rules saw must be what was sealed."""
    honest = world.outgoing("ly/main")
    other = json.dumps(json.loads(honest.bulletin_json) | changed).encode()
    outgoing = replace(honest, bulletin_json=other)
    index = world.accept(world.envelope("ly/main", "tn/main", outgoing=outgoing))
    assert faulty(world, tn, world.item(index, "tn/main")) == (Fault.SENDER, word)


def test_another_originator_is_the_senders_fault(world: NodeWorld, tn: Home) -> None:
    """A desk cannot pass on what another desk wrote as if it were its own."""
    outgoing = world.outgoing("ly/main", document("dz/main"))
    index = world.accept(world.envelope("ly/main", "tn/main", outgoing=outgoing))
    assert faulty(world, tn, world.item(index, "tn/main")) == (Fault.SENDER, "bulletin-header")


def test_another_content_is_the_senders_fault(world: NodeWorld, tn: Home) -> None:
    """The content hash binds the bulletin: a sender cannot give two recipients two texts."""

    def other_content(sealed: Sealed) -> Sealed:
        part = SealedPart(salt=bytes(32), release=None, release_salts={}, attachment_keys={})
        body = seal_body(
            sealed.content_key, world.exchange, sealed.envelope_id, outgoing.bulletin_json, part
        )
        return replace(sealed, body=body)

    outgoing = world.outgoing("ly/main")
    envelope = world.envelope("ly/main", "tn/main", outgoing=outgoing, tamper=other_content)
    index = world.accept(envelope)
    assert faulty(world, tn, world.item(index, "tn/main")) == (Fault.SENDER, "content-mismatch")


def test_a_desk_that_demands_a_release_is_not_heard_without_one(world: NodeWorld, tn: Home) -> None:
    """The node of such a desk cannot send alone, even with its own identity."""
    world.desks["dz/main"] = world.make_desk(releasers=2)
    release_threshold = world.desks["dz/main"].declare("dz/main", release_threshold=2)
    world.change_member(
        "dz",
        lambda file: file.model_copy(update={"desks": {**file.desks, "main": release_threshold}}),
    )
    world.publish()
    index = world.accept(world.envelope("dz/main", "tn/main"))
    assert faulty(world, tn, world.item(index, "tn/main")) == (Fault.SENDER, "not-released")


def test_no_detail_of_a_rejection_quotes_the_bulletin(world: NodeWorld, tn: Home) -> None:
    """Reasons are logged and shown: they name paths and rules, never what was sealed."""
    secret = "only-for-tunis"
    honest = world.outgoing("ly/main")
    other = json.dumps(json.loads(honest.bulletin_json) | {"status": secret}).encode()
    outgoing = replace(honest, bulletin_json=other)
    index = world.accept(world.envelope("ly/main", "tn/main", outgoing=outgoing))
    with pytest.raises(Faulty) as caught:
        receive(world, tn, world.item(index, "tn/main"))
    shown = f"{caught.value} {caught.value.problem.detail} {caught.value.problem.extensions}"
    assert secret not in shown
    assert sha256_hex(other) not in shown
