"""New keys of a desk: made beside the present ones, taken when the directory names them, whatever crashes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from broker.db import reading
from broker.node import tables
from broker.node.home import DeskKeys, Home, load_desk
from broker.node.rekeying import notice_new_keys, request_new_keys, switch_keys
from broker.node.sealing_keys import prepare_key, private_key
from broker.node.setup import Releasers
from keys.desk_requests import read_desk_request
from keys.dsse import pae_sha256, verify_statement
from keys.envelope import parse_header
from keys.keystore import Keystore
from keys.signing import SigningIdentity, VerifyingIdentity
from schemas.directory import Desk
from schemas.errors import ConfigurationError, Problem
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.sealing_keys import SealingKey
from schemas.statements import PayloadType, Statement
from tests.unit.node.bench import Bench
from tests.unit.node.reader import Reader, arrive
from tests.unit.node.world import NodeWorld

DESK = "ly/main"


@pytest.fixture
def home(world: NodeWorld, ly: Home) -> Home:
    """The node of ly, whose keystore holds its keys as after `init`."""
    return with_secrets(ly)


def with_secrets(home: Home) -> Home:
    """The same home; the keys that it has in memory lie on its disk too."""
    for desk, keys in home.desks.items():
        unit = desk.partition("/")[2]
        home.keystore.put(f"desk.{unit}.node", keys.node.seeds())
        home.keystore.put(f"desk.{unit}.request", keys.request.seed())
    return home


def asked(world: NodeWorld, home: Home, *units: str, **people: Releasers) -> dict[str, Desk]:
    """Make next keys and the request; gives the desks in it."""
    path = request_new_keys(home, units or ("main",), world.newest.directory, people)
    return dict(read_desk_request(path.read_bytes(), world.exchange).desks)


def declare(world: NodeWorld, member: str, desks: dict[str, Desk]) -> None:
    """The member signs what was asked for, and it is published."""
    world.change_member(
        member, lambda file: file.model_copy(update={"desks": {**file.desks, **desks}})
    )
    world.publish()


def rekeyed(world: NodeWorld, home: Home) -> tuple[DeskKeys, DeskKeys]:
    """Change the keys of the main desk; gives the old and the new ones."""
    [desk] = [each for each in home.desks if each.endswith("/main")]
    old = home.desks[desk]
    declare(world, home.settings.member, asked(world, home))
    notice_new_keys(home)
    assert switch_keys(home, world.newest.directory, world.now) == (desk,)
    return old, home.desks[desk]


def signer_of(statement: Statement, kind: PayloadType, keys: DeskKeys, exchange: str) -> bool:
    """Whether an identity signed a statement."""
    identity = VerifyingIdentity.from_key(keys.node.public)
    verify_statement(statement, kind, {identity.keyid(exchange): identity})
    return True


def alarms(home: Home) -> set[str]:
    """The kinds of all alarms."""
    with reading(home.engine) as connection:
        return set(connection.execute(select(tables.alarm.c.kind)).scalars())


class TestAsking:
    """`barid node rekey`: what the member gets, and what stays as it was."""

    def test_only_the_keys_are_others(self, world: NodeWorld, home: Home) -> None:
        """All else is as the directory in force has it; the present keys are still in use."""
        present = world.member_files["ly"].desks["main"]
        desk = asked(world, home)["main"]
        keys = load_desk(home.keystore, DESK)
        assert keys.next is not None
        assert (desk.node, desk.request) == (keys.next.node.public, keys.next.request.public)
        assert desk.node != present.node
        assert desk.request != present.request
        same = {"node": present.node, "request": present.request}
        assert desk.model_copy(update=same) == present
        assert keys.node.public == present.node

    def test_the_same_keys_again(self, world: NodeWorld, home: Home) -> None:
        """A file that got lost is written once more, for the keys that are there."""
        assert asked(world, home) == asked(world, home)

    def test_other_people(self, world: NodeWorld, home: Home) -> None:
        """Those who release from then on are named in it."""
        people = Releasers((SigningIdentity.generate().public,), 1)
        desk = asked(world, home, main=people)["main"]
        assert (desk.release, desk.release_threshold) == (people.keys, 1)

    @pytest.mark.parametrize(
        ("units", "people", "why"),
        [
            (("police",), {}, "no desk of this node"),
            (("main",), {"judicial": 1}, "gets no new keys"),
            (("main",), {"main": 2}, "2 of 1 people"),
        ],
    )
    def test_what_does_not_fit(
        self,
        world: NodeWorld,
        home: Home,
        units: tuple[str, ...],
        people: dict[str, int],
        why: str,
    ) -> None:
        """It is refused before any key is made."""
        before = home.keystore.names()
        named = {
            unit: Releasers((SigningIdentity.generate().public,), threshold)
            for unit, threshold in people.items()
        }
        with pytest.raises(ConfigurationError, match=why):
            request_new_keys(home, units, world.newest.directory, named)
        assert home.keystore.names() == before

    def test_a_desk_that_is_not_in_the_directory(self, world: NodeWorld, home: Home) -> None:
        """It has no keys to renew, and is told so."""
        with pytest.raises(ConfigurationError, match="no keys to renew"):
            request_new_keys(home, ["main"], None)


class TestSwitching:
    """The node takes the next keys when the directory names them, and destroys the others."""

    def test_not_before(self, world: NodeWorld, home: Home) -> None:
        """While the directory names the present keys they sign, and nothing is destroyed."""
        desk = asked(world, home)
        notice_new_keys(home)
        old = home.desks[DESK]
        assert old.next is not None
        assert switch_keys(home, world.newest.directory, world.now) == ()
        assert home.identity(DESK, world.newest.directory, world.now) is old.node
        assert old.requests == (old.request, old.next.request)
        # The identity alone: the request key is not named yet.
        request = world.member_files["ly"].desks["main"].request
        declare(world, "ly", {"main": desk["main"].model_copy(update={"request": request})})
        assert switch_keys(home, world.newest.directory, world.now) == ()
        assert home.identity(DESK, world.newest.directory, world.now) is old.next.node

    def test_from_then_on(self, world: NodeWorld, home: Home) -> None:
        """The old secrets are nowhere any more, and a start finds the new ones."""
        old, new = rekeyed(world, home)
        assert new.requests == (new.request,)
        assert home.identity(DESK, world.newest.directory, world.now) is new.node
        loaded = load_desk(home.keystore, DESK)
        assert (loaded.node.seeds(), loaded.request.seed()) == (
            new.node.seeds(),
            new.request.seed(),
        )
        assert loaded.next is None
        assert not [name for name in home.keystore.names() if name.endswith(".next")]
        held = [home.keystore.get(name) for name in home.keystore.names()]
        assert old.node.seeds() not in held
        assert old.request.seed() not in held

    @pytest.mark.parametrize("step", range(6))
    def test_a_crash_at_any_step_is_healed(
        self, world: NodeWorld, home: Home, monkeypatch: pytest.MonkeyPatch, step: int
    ) -> None:
        """Two secrets go, two come, two names go: after each, a start finds keys, and ends it."""
        declare(world, "ly", asked(world, home))
        notice_new_keys(home)
        new = home.desks[DESK].next
        assert new is not None
        done = 0

        def counting(real: Callable[..., None]) -> Callable[..., None]:
            def call(*arguments: Any) -> None:
                nonlocal done
                if done == step:
                    raise KeyboardInterrupt
                done += 1
                real(*arguments)

            return call

        monkeypatch.setattr(Keystore, "put", counting(Keystore.put))
        monkeypatch.setattr(Keystore, "delete", counting(Keystore.delete))
        with pytest.raises(KeyboardInterrupt):
            switch_keys(home, world.newest.directory, world.now)
        monkeypatch.undo()
        home.desks[DESK] = load_desk(home.keystore, DESK)
        found = home.identity(DESK, world.newest.directory, world.now)
        assert found.seeds() == new.node.seeds()
        assert new.request.seed() in [each.seed() for each in home.desks[DESK].requests]
        switch_keys(home, world.newest.directory, world.now)
        ended = load_desk(home.keystore, DESK)
        assert (ended.node.seeds(), ended.request.seed()) == (
            new.node.seeds(),
            new.request.seed(),
        )
        assert ended.next is None

    def test_next_keys_that_cannot_be_read(self, world: NodeWorld, home: Home) -> None:
        """The node goes on with the present ones, as long as the directory names them."""
        asked(world, home)
        path = home.keystore.directory / "desk.main.node.next.key"
        path.write_bytes(path.read_bytes()[:-1])
        notice_new_keys(home)
        assert home.desks[DESK].next is None


class TestAfterwards:
    """What was signed or sealed under the old identity, and what comes next."""

    def test_a_sealing_key_at_once(self, world: NodeWorld, home: Home) -> None:
        """The old ones are unusable: the next epoch is announced within the day, and nobody is alarmed."""
        before = world.newest.sealing_key(DESK, world.now)
        assert before is not None
        _, new = rekeyed(world, home)
        assert world.newest.sealing_key(DESK, world.now) is None
        statement = prepare_key(home, DESK, world.newest, world.now)
        assert statement is not None
        assert signer_of(statement, PayloadType.SEALING_KEY, new, world.exchange)
        assert parse(SealingKey, statement.payload, STATEMENT_BYTES_MAX).epoch == before.epoch + 1
        world.announce(statement)
        usable = world.newest.sealing_key(DESK, world.now)
        assert usable is not None
        assert usable.keyid == pae_sha256(statement)
        assert prepare_key(home, DESK, world.newest, world.now) is None
        # What was sealed to the old key still opens.
        assert private_key(home, DESK, before.keyid) is not None
        assert alarms(home) == set()

    def test_a_key_that_the_old_identity_announced_too_late(
        self, bare: NodeWorld, tmp_path: Path
    ) -> None:
        """It was made and not logged: the same epoch gets another key, under the new identity."""
        home = with_secrets(bare.home(tmp_path, "ly", "main"))
        first = prepare_key(home, DESK, bare.newest, bare.now)
        assert first is not None
        _, new = rekeyed(bare, home)
        second = prepare_key(home, DESK, bare.newest, bare.now)
        assert second is not None
        assert signer_of(second, PayloadType.SEALING_KEY, new, bare.exchange)
        bare.announce(second)
        assert prepare_key(home, DESK, bare.newest, bare.now) is None
        record = bare.newest.sealing_key(DESK, bare.now)
        assert record is not None
        private = private_key(home, DESK, record.keyid)
        assert private is not None
        assert private.public_bytes() == record.public_key
        assert private_key(home, DESK, pae_sha256(first)) is None
        home.close()

    def test_a_bulletin_that_was_sealed_is_sealed_again(self, world: NodeWorld, home: Home) -> None:
        """Queued, or sealed and on its way: id, key and body stay, and the new identity signs."""
        bench = Bench(world, home)
        bench.follow()
        bench.client.away = True
        sealed = bench.queue("tn/main")
        with pytest.raises(Exception, match="away"):
            bench.send()
        [before] = bench.envelopes()
        _, new = rekeyed(world, bench.home)
        queued = bench.queue("tn/main")
        bench.client.away, bench.client.stale = False, True
        for _ in range(3):
            world.later(minutes=2)
            bench.follow()
            bench.send()
            bench.client.stale = False
        for each in (sealed, queued):
            assert bench.states(each) == {"tn/main": "accepted"}
        [first, second] = [item for item in world.items if item.envelope]
        ids = [parse_header(item.statement).id for item in (first, second)]
        assert before.envelope_id in ids
        for item in (first, second):
            assert signer_of(item.statement, PayloadType.ENVELOPE, new, world.exchange)
        assert "foreign-envelope" not in alarms(bench.home)

    def test_an_answer_that_was_not_handed_in_is_signed_anew(
        self, world: NodeWorld, reader: Reader
    ) -> None:
        """Even in the second in which the identity changed, when it says the very same."""
        with_secrets(reader.home)
        arrive(reader)
        reader.fetch()
        original = reader.client.acknowledge
        handed: list[Statement] = []

        async def acknowledge(statement: Statement) -> Any:
            """The hub knows the new identity before the node does."""
            handed.append(statement)
            if len(handed) == 1:
                rekeyed(world, reader.home)
                raise Problem("statement-signature")
            return await original(statement)

        reader.client.acknowledge = acknowledge  # type: ignore[method-assign]
        reader.answer()
        old, new = handed
        assert old.payload == new.payload
        keys = reader.home.desks["tn/main"]
        assert signer_of(new, PayloadType.ACKNOWLEDGEMENT, keys, world.exchange)
        assert old.signatures != new.signatures
        reader.answer()
        assert len(handed) == 2
