"""Every key of a desk changes while bulletins flow: nothing is lost, the old keys are good for nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from sqlalchemy import select

from broker.client import HubClient
from broker.db import reading
from broker.hub.tables import entry, slot
from broker.node.home import DeskKeys, sealing_key_name
from broker.node.setup import Releasers
from keys.dsse import sign_statement
from keys.sealing import SealingPrivateKey, open_slot
from keys.signing import SigningIdentity
from schemas.acknowledgements import AcknowledgedItem, Acknowledgement, Result
from schemas.entries import EnvelopeAccepted, parse_exchange_entry
from schemas.envelope import Header
from schemas.errors import Problem, VerificationError
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.sealing_keys import SealingKey
from schemas.statements import PayloadType
from tests.exchange.live import EXCHANGE, LiveHub, new_id, now, run
from tests.exchange.memberships import beside, has_switched, in_force, publish_file, rekey
from tests.exchange.nodes import LiveNode, document, live_exchange, wait_for
from tests.exchange.test_releases import sign

DESK = "ly/main"
OLD_PEOPLE = tuple(SigningIdentity.generate() for _ in range(2))
NEW_PEOPLE = tuple(SigningIdentity.generate() for _ in range(2))

Exchange = tuple[LiveHub, dict[str, LiveNode]]


def people(*identities: SigningIdentity) -> dict[str, Releasers]:
    """These release for the main desk, two of them each time."""
    return {"main": Releasers(tuple(each.public for each in identities), 2)}


@pytest.fixture
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A hub with the nodes of Libya, whose main desk demands two people, and of Tunisia."""
    folder = tmp_path_factory.mktemp("rekeying")
    with live_exchange(folder, "ly", "tn", releasers={"ly": people(*OLD_PEOPLE)}) as running:
        yield running


@dataclass
class Traffic:
    """Bulletins both ways between ly/main and tn/main; those of ly are released by `signers`."""

    nodes: dict[str, LiveNode]
    signers: tuple[SigningIdentity, ...] = OLD_PEOPLE
    sent: dict[str, list[str]] = field(default_factory=lambda: {"ly": [], "tn": []})
    _ending: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Send from both sides."""
        for member, other in (("ly", "tn/main"), ("tn", "ly/main")):
            thread = threading.Thread(target=self._flow, args=(member, other))
            self._threads.append(thread)
            thread.start()

    def _flow(self, member: str, other: str) -> None:
        node = self.nodes[member]
        while not self._ending.is_set():
            bulletin_id, content = document(f"{member}/main", f"on the way from {member}")
            if node.send(content, other).status_code != 202:
                continue
            if member == "ly" and sign(node, bulletin_id, *self.signers) != 200:
                # The people changed in between: the others release it.
                sign(node, bulletin_id, *NEW_PEOPLE)
            self.sent[member].append(bulletin_id)
            time.sleep(0.2)

    def more(self, count: int = 4) -> None:
        """Wait until so many more were sent from each side."""
        wanted = {member: len(ids) + count for member, ids in self.sent.items()}
        wait_for(lambda: all(len(self.sent[each]) >= wanted[each] for each in wanted))

    def stop(self) -> None:
        """End it."""
        self._ending.set()
        for thread in self._threads:
            thread.join()


def old_keys(node: LiveNode) -> tuple[DeskKeys, dict[int, SealingPrivateKey]]:
    """What a thief has who took the keys of ly/main before they were changed."""
    with beside(node) as home:
        names = set(home.keystore.names())
        epochs = [epoch for epoch in range(1, 9) if sealing_key_name(DESK, epoch) in names]
        private = {
            epoch: SealingPrivateKey.from_bytes(home.keystore.get(sealing_key_name(DESK, epoch)))
            for epoch in epochs
        }
        return home.desks[DESK], private


def alarms(node: LiveNode) -> set[str]:
    """The kinds of all alarms that a node ever raised, but that a bulletin waited for its people."""
    shown = node.call_node("GET", "/alarms?all=true").json()["alarms"]
    return {alarm["kind"] for alarm in shown} - {"awaiting-release"}


def test_every_key_changes_while_bulletins_flow(exchange: Exchange) -> None:
    """All arrive, each is shown once, nobody is alarmed; and no new slot opens with an old key."""
    hub, nodes = exchange
    ly, tn = nodes["ly"], nodes["tn"]
    thieves, private = old_keys(ly)
    traffic = Traffic(nodes)
    traffic.start()
    try:
        traffic.more()
        # For a while both the old and the new people may release: what is on its way stays released.
        both = people(*OLD_PEOPLE, *NEW_PEOPLE)
        publish_file(hub, ly, rekey(hub, ly, "main", releasers=both))
        wait_for(lambda: has_switched(ly, "main"))
        epoch = max(private) + 1
        wait_for(lambda: _usable_epoch(hub) == epoch)
        traffic.signers = NEW_PEOPLE
        traffic.more()
        under_way = list(traffic.sent["ly"])
        wait_for(lambda: all(_delivered(ly, each) for each in under_way))
        desk = in_force(hub).members["ly"].desks["main"]
        released_by = {"release": people(*NEW_PEOPLE)["main"].keys}
        publish_file(hub, ly, {"main": desk.model_copy(update=released_by)})
        began = hub.ledger.heads()[1].size
        traffic.more()
    finally:
        traffic.stop()
    for member, node in nodes.items():
        wait_for(lambda: all(_delivered(node, each) for each in traffic.sent[member]))  # noqa: B023
    assert sorted(traffic.sent["ly"]) == sorted(each["id"] for each in tn.inbox())
    assert sorted(traffic.sent["tn"]) == sorted(each["id"] for each in ly.inbox())
    # People are told of what waits for them, as always.
    assert (alarms(ly) - {"awaiting-release"}, alarms(tn)) == (set(), set())
    # What a thief of the old keys has from now on.
    slots = _slots_since(hub, began)
    assert len(slots) >= 4
    for sent, keyid, data in slots:
        for key in private.values():
            with pytest.raises(VerificationError, match="does not open"):
                open_slot(
                    data,
                    key,
                    exchange=EXCHANGE,
                    envelope_id=sent.id,
                    sender=sent.from_,
                    recipient=DESK,
                    keyid=keyid,
                )
    run(_refused(hub, thieves, ly))
    waiting, content = document(DESK, "for the old people")
    ly.send(content, "tn/main")
    assert sign(ly, waiting, *OLD_PEOPLE) == 422


def _usable_epoch(hub: LiveHub) -> int | None:
    record = hub.ledger.state.sealing_key(DESK, now())
    return None if record is None else record.epoch


def _delivered(node: LiveNode, bulletin_id: str) -> bool:
    return set(node.states(bulletin_id).values()) == {"delivered"}


def _slots_since(hub: LiveHub, index: int) -> list[tuple[Header, str, bytes]]:
    """Header, keyid and slot of every envelope to ly/main from an index of the exchange log on."""
    found = []
    query = (
        select(entry.c.entry, slot.c.slot)
        .join(slot, slot.c.entry_index == entry.c.entry_index)
        .where(entry.c.log == "exchange", entry.c.entry_index >= index, slot.c.desk == DESK)
    )
    with reading(hub.ledger.engine) as connection:
        for row in connection.execute(query):
            accepted = parse_exchange_entry(row.entry)
            assert isinstance(accepted, EnvelopeAccepted)
            header = parse(Header, accepted.header, STATEMENT_BYTES_MAX)
            [keyid] = [each.keyid for each in header.recipients if each.desk == DESK]
            found.append((header, keyid, row.slot))
    return found


async def _refused(hub: LiveHub, old: DeskKeys, node: LiveNode) -> None:
    """Whatever the old keys call for or sign is refused."""
    address = hub.invitation.hub
    async with HubClient(address, EXCHANGE, old.request, hub.now_unix) as client:
        with pytest.raises(Problem, match="unknown-key") as unknown:
            await client.inbox(DESK, limit=1)
    assert unknown.value.type.status == 401
    with beside(node) as home:
        request = home.desks[DESK].request
    async with HubClient(address, EXCHANGE, request, hub.now_unix) as client:
        envelope = hub.seal(hub.outgoing(DESK), "tn/main", identity=old.node)
        with pytest.raises(Problem, match="statement-signature"):
            await client.submit(dump_json(envelope))
        private, began = SealingPrivateKey.generate(), hub.moment()
        key = SealingKey(
            v=1,
            exchange=EXCHANGE,
            desk=DESK,
            epoch=hub.ledger.state.highest_epoch(DESK) + 1,
            public_key=private.public_bytes(),
            not_before=began,
            not_after=began + timedelta(days=59),
        )
        announced = sign_statement(PayloadType.SEALING_KEY, dump_json(key), EXCHANGE, [old.node])
        with pytest.raises(Problem, match="statement-signature"):
            await client.publish_sealing_key(DESK, announced)
        item = AcknowledgedItem(
            from_="tn/main", id=new_id(), origin="x/exchange", index=1, leaf="0" * 64
        )
        answer = Acknowledgement(
            v=1, exchange=EXCHANGE, desk=DESK, at=now(), result=Result.READ, items=(item,)
        )
        said = sign_statement(PayloadType.ACKNOWLEDGEMENT, dump_json(answer), EXCHANGE, [old.node])
        with pytest.raises(Problem, match="statement-signature"):
            await client.acknowledge(said)
