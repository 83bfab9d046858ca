"""A member joins from its invitation, adds a desk, revokes a stolen node: by command, m of n people."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from broker.cli.exits import Exit
from broker.client import HubClient
from broker.node.setup import join_node
from keys.endorsing import sign_proposal
from keys.keystore import Keystore
from keys.proposal_reading import read_proposal
from keys.repository import CouncilFiles, sign_targets
from schemas.errors import Problem
from schemas.loader import dump_json
from tests.exchange.live import EXCHANGE, PASSPHRASE, LiveHub, free_port, now, run
from tests.exchange.memberships import beside, in_force
from tests.exchange.nodes import LiveNode, document, live_exchange, wait_for
from tests.unit.cli.conftest import make_barid, make_keystores_cheap
from tests.unit.cli.founding import Barid
from tests.unit.cli.founding import run as command

GOVERNORS_NEEDED = 3
SEED_BYTES = 32
UNKNOWN_DESK = '@id("gone")\nforbid (principal == Desk::"ly/none", action, resource);\n'
PEOPLE = ("amal", "omar", "sami")


class HubWithoutNiger(LiveHub):
    """The exchange before Niger joins: it has its seat in the council, and nobody speaks for it."""

    seats: ClassVar = {m: units for m, units in LiveHub.seats.items() if m != "ne"}


class Enrolled(LiveNode):
    """A node that was made by command, for one desk of Niger."""

    def __init__(self, data: Path, unit: str, port: int) -> None:
        self.data, self.member, self.port, self.unit = data, "ne", port, unit
        self._server, self._thread = None, None

    @property
    def asks(self) -> Path:
        """What it asks its member for."""
        return self.data / "desk-request.json"

    def status(self, unit: str = "") -> dict[str, Any]:
        """How the node is."""
        return super().status(unit or self.unit)

    def reads(self, bulletin_id: str) -> None:
        """Wait until its inbox shows a bulletin."""
        wait_for(lambda: bulletin_id in [each["id"] for each in self.inbox(self.unit)])


@dataclass
class World:
    """The exchange, the command, and a folder for what passes from hand to hand."""

    hub: LiveHub
    tn: LiveNode
    barid: Barid
    folder: Path

    def people(self, *names: str) -> list[object]:
        """The `--key` options of some of Niger's people."""
        return [word for name in names for word in ("--key", self.folder / name)]

    def enrol(self, name: str, unit: str) -> Enrolled:
        """Make a node from the invitation, and start it: it waits until somebody speaks for it."""
        invitation, data, port = self.folder / "invitation.json", self.folder / name, free_port()
        invitation.write_bytes(dump_json(self.hub.invitation))
        command(
            self.barid,
            *("node", "enrol", "--data", data, "--invitation", invitation, "--member", "ne"),
            *("--desk", unit, "--listen", f"127.0.0.1:{port}"),
        )
        node = Enrolled(data, unit, port)
        node.start()
        return node

    def admit(self, request: Path) -> None:
        """The council delegates to Niger's keys: a threshold of governors sign, Tunisia publishes."""
        proposal = self.folder / "joining.json"
        made = ("trust", "propose", "--data", self.tn.data, "--request", request, "--out", proposal)
        command(self.barid, *made)
        read = read_proposal(proposal.read_bytes(), self.hub.invitation.root)
        signatures: list[object] = []
        for number, governor in enumerate(self.hub.governors[:GOVERNORS_NEEDED]):
            path = self.folder / f"joining.{number}"
            path.write_bytes(sign_proposal(read, governor))
            signatures += ["--signature", path]
        command(self.barid, "trust", "publish", proposal, *signatures, "--data", self.tn.data)

    def send(self, *recipients: str) -> str:
        """Tunisia sends a bulletin; gives its id."""
        bulletin_id, content = document("tn/main", "for Niger")
        assert self.tn.send(content, *recipients).status_code == 202
        return bulletin_id

    def state_of(self, bulletin_id: str, desk: str) -> str:
        """What became of it at one desk."""
        return self.tn.states(bulletin_id)[desk]

    def entry(self) -> int:
        """The directory in force at the hub."""
        self.hub.ledger.catch_up()
        return self.hub.directory_ref.index

    def wait_until_in_force(self, *nodes: LiveNode) -> None:
        """Wait until nodes go by the directory that is in force at the hub."""
        entry = self.entry()
        wait_for(lambda: {each.status()["logs"]["directory_entry"] for each in nodes} == {entry})

    def revoked(self) -> tuple[str, ...]:
        """What Niger has revoked."""
        self.entry()
        return in_force(self.hub).members["ne"].revoked

    def is_refused(self, node: LiveNode, desk: str) -> None:
        """What a thief calls for with this node's keys is answered 401."""
        with beside(node) as home:
            keys = home.desks[desk]

        async def call() -> None:
            now = self.hub.now_unix
            async with HubClient(self.hub.invitation.hub, EXCHANGE, keys.request, now) as client:
                with pytest.raises(Problem, match="unknown-key") as problem:
                    await client.inbox(desk, limit=1)
                assert problem.value.type.status == 401
                envelope = self.hub.seal(self.hub.outgoing(desk), "tn/main", identity=keys.node)
                with pytest.raises(Problem, match="unknown-key"):
                    await client.submit(dump_json(envelope))

        run(call())


@pytest.fixture
def cheap_barid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Barid:
    """The command, typed in a folder of one's own; its keystores cost nothing."""
    make_keystores_cheap(monkeypatch)
    (tmp_path / "hands").mkdir()
    monkeypatch.chdir(tmp_path / "hands")
    return make_barid(tmp_path, monkeypatch)


@pytest.fixture
def world(tmp_path: Path, cheap_barid: Barid) -> Iterator[World]:
    """A hub, the node of Tunisia, and three people of Niger with a key each."""
    tn = LiveNode(tmp_path / "tn", "tn")
    hub = HubWithoutNiger(tmp_path / "hub", {"tn": tn.request})
    hub.start()
    invitation = dump_json(hub.invitation)
    join_node(tn.data, invitation)
    tn.start()
    folder = Path.cwd()
    for name in PEOPLE:
        command(
            cheap_barid,
            *("trust", "keygen", "--out", folder / name, "--exchange", EXCHANGE, "--name", name),
        )
    try:
        yield World(hub, tn, cheap_barid, folder)
    finally:
        tn.stop()
        hub.stop()


def blobs(value: Any) -> Iterator[bytes]:
    """Every byte string in a file, whatever it is wrapped in: JSON, base64, hex."""
    if isinstance(value, bytes):
        yield value
        try:
            yield from blobs(json.loads(value))
        except ValueError:
            return
    elif isinstance(value, dict):
        for each in value.values():
            yield from blobs(each)
    elif isinstance(value, list):
        for each in value:
            yield from blobs(each)
    elif isinstance(value, str):
        yield value.encode()
        for decode in (bytes.fromhex, lambda text: base64.b64decode(text, validate=True)):
            try:
                yield from blobs(decode(value))
            except ValueError:
                continue


def seeds_of(keystore: Path) -> list[bytes]:
    """Every secret in a keystore, in pieces of the length of a seed."""
    opened = Keystore.open(keystore, PASSPHRASE)
    whole = [opened.get(name) for name in opened.names()]
    return [
        each[at : at + SEED_BYTES]
        for each in whole
        for at in range(0, len(each) - SEED_BYTES + 1, SEED_BYTES)
    ]


def _joins(world: World, main: Enrolled) -> None:
    """The council admits Niger, two of whose three people sign; its desk reads a bulletin."""
    public, asked = world.folder / "sami" / "trust-public.json", world.folder / "asked"
    command(
        world.barid,
        *("member", "request", "--desk-request", main.asks, "--public", public, "--threshold", 2),
        *(*world.people("amal", "omar"), "--out", asked),
    )
    world.admit(asked / "member-request.json")
    world.wait_until_in_force(world.tn)
    main.reads(world.send("ne/main"))


def _adds_a_desk(world: World, main: Enrolled, customs: Enrolled) -> None:
    """One of its people is too few, two are enough; the council is not asked."""
    before = world.entry()
    add = ("member", "add", "--data", main.data, "--desk-request", customs.asks)
    told = command(world.barid, *add, "--out", "few.json", *world.people("sami"))
    assert ("1 more must sign" in told, world.entry()) == (True, before)
    told = command(world.barid, *add, *world.people("sami", "amal"))
    assert f"In force: entry {world.entry()} of the directory log" in told
    world.wait_until_in_force(world.tn)
    both = world.send("ne/main", "ne/customs")
    customs.reads(both)
    main.reads(both)


def _is_stolen(world: World, main: Enrolled, customs: Enrolled) -> tuple[str, str]:
    """Below two signatures nothing happens, with two it is over everywhere; gives what was sent meanwhile."""
    customs.stop()
    sealed = world.send("ne/customs")
    wait_for(lambda: world.state_of(sealed, "ne/customs") == "accepted")
    before = world.entry()
    revoke = ("member", "revoke", "--data", main.data, "--desk", "customs")
    command(world.barid, *revoke, *world.people("omar"))
    assert world.entry() == before
    told = command(world.barid, *revoke, *world.people("omar", "sami"))
    assert f"In force: entry {world.entry()} of the directory log" in told
    world.is_refused(customs, "ne/customs")
    world.wait_until_in_force(world.tn, main)
    waiting = world.send("ne/main", "ne/customs")
    main.reads(waiting)
    wait_for(lambda: world.state_of(waiting, "ne/customs") == "waiting")
    return sealed, waiting


def _is_replaced(
    world: World, main: Enrolled, stolen: Enrolled, fresh: Enrolled, sent: tuple[str, str]
) -> None:
    """The stolen keys are not taken again; new ones read what waited, and what was sealed to the old."""
    sealed, waiting = sent
    people = world.people("omar", "sami")
    add = ("member", "add", "--data", main.data, *people, "--desk-request")
    again = world.barid(*add, stolen.asks)
    assert (again.exit_code, "was revoked" in again.stderr) == (Exit.CONFIGURATION, True)
    command(world.barid, *add, fresh.asks)
    fresh.reads(waiting)
    fresh.reads(sealed)
    wait_for(lambda: world.state_of(sealed, "ne/customs") == "delivered")


def _has_no_node_left(world: World, main: Enrolled) -> None:
    """Two files and two people are enough; another member publishes what they signed."""
    directory, publication = Path("directory.json"), Path("publication.json")
    command(world.barid, "trust", "fetch", "--data", world.tn.data, "--out", directory)
    command(
        world.barid,
        *("member", "revoke", "--directory", directory, "--member", "ne", "--desk", "main"),
        *("--invitation", "invitation.json", "--out", publication),
        *world.people("amal", "sami"),
    )
    assert len(world.revoked()) == 2
    command(world.barid, "trust", "publish", publication, "--data", world.tn.data)
    assert len(world.revoked()) == 4
    world.is_refused(main, "ne/main")


def _nothing_private_was_passed(world: World, nodes: Sequence[Enrolled]) -> None:
    """What went from hand to hand holds public keys alone: no seed of a node, none of a person."""
    passed = [*(node.asks for node in nodes), *Path.cwd().glob("*.json"), *Path("asked").iterdir()]
    held = [each for path in passed for each in blobs(path.read_bytes())]
    folders = [*(node.data for node in nodes), *(world.folder / name for name in PEOPLE)]
    seeds = [each for folder in folders for each in seeds_of(folder / "keystore")]
    public = in_force(world.hub).members["ne"].desks["customs"].request
    assert any(public in each for each in held)
    assert [each for each in held if any(seed in each for seed in seeds)] == []


def test_from_the_invitation_to_the_stolen_node(world: World) -> None:
    """Niger joins, adds a desk, revokes it while bulletins flow, enrols it anew: nothing sent is lost."""
    nodes: list[Enrolled] = []
    try:
        nodes.append(main := world.enrol("ne", "main"))
        _joins(world, main)
        nodes.append(customs := world.enrol("ne-customs", "customs"))
        _adds_a_desk(world, main, customs)
        sent = _is_stolen(world, main, customs)
        nodes.append(fresh := world.enrol("ne-customs-anew", "customs"))
        _is_replaced(world, main, customs, fresh, sent)
        _has_no_node_left(world, main)
        _nothing_private_was_passed(world, nodes)
    finally:
        for node in nodes:
            node.stop()


def test_what_the_council_did_wrong_stops_no_revocation(tmp_path: Path, cheap_barid: Barid) -> None:
    """Rules in force that governors would have to mend are no reason to leave a stolen key in force."""
    with live_exchange(tmp_path / "exchange", "ly") as (hub, nodes):
        part = in_force(hub).council_part
        files = CouncilFiles(part.council, part.policy_text + UNKNOWN_DESK, part.schema_text)
        keys = {member: [*each.keys.values()] for member, each in part.delegations.items()}
        governors = hub.governors[:GOVERNORS_NEEDED]
        hub.publish(sign_targets(2, files, keys, governors, now() + timedelta(days=365)))
        ly = nodes["ly"].data
        proposal = ("trust", "propose", "--data", ly, "--out", "council.json")
        assert "the council has no desk ly/none" in cheap_barid(*proposal).stderr
        command(cheap_barid, "member", "revoke", "--data", ly, "--desk", "main")
        hub.ledger.catch_up()
        assert len(in_force(hub).members["ly"].revoked) == 2


def test_the_hub_does_not_answer(tmp_path: Path, cheap_barid: Barid) -> None:
    """What people signed is kept in a file, which another node publishes once the hub answers again."""
    with live_exchange(tmp_path / "exchange", "ly", "tn") as (hub, nodes):
        ly, tn = nodes["ly"], nodes["tn"]
        wait_for(lambda: ly.status()["logs"]["directory_entry"] == hub.directory_ref.index)
        ly.stop()
        hub.stop()
        result = cheap_barid("member", "revoke", "--data", ly.data, "--desk", "main")
        kept = Path("ly.publication.json")
        assert (result.exit_code, f"signed, and not in force: {kept}" in result.stderr) == (
            Exit.UNREACHABLE,
            True,
        )
        hub.start()
        assert in_force(hub).members["ly"].revoked == ()
        command(cheap_barid, "trust", "publish", kept, "--data", tn.data)
        hub.ledger.catch_up()
        assert len(in_force(hub).members["ly"].revoked) == 2
