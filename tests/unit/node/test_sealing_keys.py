"""Sealing keys: one an epoch, announced until logged, renewed in time, destroyed when nobody needs them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from broker.db import reading, writing
from broker.node import tables
from broker.node.home import Home
from broker.node.sealing_keys import (
    destroy_old_keys,
    destroyed_key_names,
    has_keys,
    prepare_key,
    private_key,
)
from keys.dsse import pae_sha256
from keys.signing import SigningIdentity
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.sealing_keys import SealingKey
from schemas.statements import Statement
from tests.unit.node.world import NodeWorld

DESK = "ly/main"


@pytest.fixture
def world(bare: NodeWorld) -> NodeWorld:
    """An exchange in which the desks of ly have no sealing key."""
    return bare


@pytest.fixture
def home(world: NodeWorld, tmp_path: Path) -> Home:
    """A node of ly that has no sealing key yet."""
    return world.home(tmp_path, "ly", "main")


def prepare(world: NodeWorld, home: Home) -> Statement | None:
    """What has to be announced now."""
    return prepare_key(home, DESK, world.newest, world.now)


def announced(world: NodeWorld, home: Home) -> str:
    """Announce what is due; gives its keyid."""
    statement = prepare(world, home)
    assert statement is not None
    world.announce(statement)
    assert prepare(world, home) is None
    return pae_sha256(statement)


def epoch(statement: Statement | None) -> int:
    """The epoch of a statement."""
    assert statement is not None
    return parse(SealingKey, statement.payload, STATEMENT_BYTES_MAX).epoch


def states(home: Home) -> list[str]:
    """The states of all own keys, by epoch."""
    column = tables.sealing_key.c
    with reading(home.engine) as connection:
        return list(connection.execute(select(column.state).order_by(column.epoch)).scalars())


def alarms(home: Home) -> list[str]:
    """The kinds of all alarms."""
    with reading(home.engine) as connection:
        return list(connection.execute(select(tables.alarm.c.kind)).scalars())


def test_the_first_key_is_made_and_used(world: NodeWorld, home: Home) -> None:
    """Once logged it is the desk's usable key, and its private half opens."""
    keyid = announced(world, home)
    record = world.newest.sealing_key(DESK, world.now)
    assert record is not None
    assert record.keyid == keyid
    private = private_key(home, DESK, keyid)
    assert private is not None
    assert private.public_bytes() == record.public_key
    assert alarms(home) == []


def test_a_key_that_was_not_logged_is_announced_again(world: NodeWorld, home: Home) -> None:
    """A crash or a lost line between storing and logging: the same statement, not another key."""
    assert prepare(world, home) == prepare(world, home)
    assert states(home) == ["made"]


def test_the_secret_is_stored_before_its_statement(
    world: NodeWorld, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash in between leaves a secret that nothing names; the next key takes the same epoch."""

    def crash(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("broker.node.sealing_keys.sign_statement", crash)
    with pytest.raises(KeyboardInterrupt):
        prepare(world, home)
    monkeypatch.undo()
    assert home.keystore.names() == ("desk.main.sealing.1",)
    assert states(home) == []
    announced(world, home)
    assert states(home) == ["logged"]


def test_a_key_is_renewed_after_30_days(world: NodeWorld, home: Home) -> None:
    """Not earlier; the new one has the next epoch."""
    announced(world, home)
    world.later(days=29, hours=23)
    assert prepare(world, home) is None
    world.later(hours=1)
    assert epoch(prepare(world, home)) == 2


def test_an_old_key_opens_until_30_days_after_its_successor(world: NodeWorld, home: Home) -> None:
    """Then it is destroyed: what was recorded before can never be opened again."""
    first = announced(world, home)
    world.later(days=30)
    second = announced(world, home)
    world.later(days=29)
    assert destroy_old_keys(home, DESK, world.now) == ()
    assert private_key(home, DESK, first) is not None
    world.later(days=1)
    assert destroy_old_keys(home, DESK, world.now) == (1,)
    assert private_key(home, DESK, first) is None
    assert private_key(home, DESK, second) is not None
    assert home.keystore.names() == ("desk.main.sealing.2",)
    assert destroy_old_keys(home, DESK, world.now) == ()


def test_a_destruction_that_a_crash_cut_short_is_finished(world: NodeWorld, home: Home) -> None:
    """The secret went, the row did not follow: the next call ends it."""
    announced(world, home)
    world.later(days=30)
    announced(world, home)
    world.later(days=30)
    home.keystore.delete("desk.main.sealing.1")
    assert destroy_old_keys(home, DESK, world.now) == (1,)
    assert states(home) == ["destroyed", "logged"]


def test_a_foreign_key_is_an_alarm_and_is_succeeded(world: NodeWorld, home: Home) -> None:
    """A thief announced a key: the node says so, and takes the next epoch when the rate allows."""
    announced(world, home)
    world.later(days=2)
    world.announce(world.sealing_statement(DESK, 2))
    assert epoch(prepare(world, home)) == 3
    assert alarms(home) == ["foreign-sealing-key"]


def test_a_key_whose_epoch_was_taken_is_passed_over(world: NodeWorld, home: Home) -> None:
    """Another key took the epoch before ours was logged: ours never counts, the next one may."""
    prepare(world, home)
    world.announce(world.sealing_statement(DESK, 1))
    assert prepare(world, home) is None
    assert states(home) == ["passed_over"]
    world.later(days=1)
    assert epoch(prepare(world, home)) == 2


def test_at_most_one_key_a_day(world: NodeWorld, home: Home) -> None:
    """Even when the last one is not usable."""
    announced(world, home)
    world.change_member(
        "ly",
        lambda file: file.model_copy(
            update={
                "revoked": tuple(sorted(record.keyid for record in world.newest.sealing_keys(DESK)))
            }
        ),
    )
    world.publish()
    assert world.newest.sealing_key(DESK, world.now) is None
    world.later(hours=23)
    assert prepare(world, home) is None
    world.later(hours=1)
    assert epoch(prepare(world, home)) == 2


def test_a_slower_clock_at_the_hub_finds_the_key_usable(world: NodeWorld, home: Home) -> None:
    """The key is valid from five minutes ago."""
    announced(world, home)
    earlier = world.now - timedelta(minutes=5)
    assert world.newest.sealing_key(DESK, earlier) is not None
    assert world.newest.sealing_key(DESK, earlier - timedelta(seconds=1)) is None


def test_the_key_of_another_desk_is_not_given(world: NodeWorld, tmp_path: Path) -> None:
    """One desk's slots are not opened with another desk's key."""
    tn = world.home(tmp_path, "tn", "judicial", "main")
    world.announce_for(tn)
    record = world.newest.sealing_key("tn/judicial", world.now)
    assert record is not None
    assert private_key(tn, "tn/main", record.keyid) is None
    assert private_key(tn, "tn/judicial", record.keyid) is not None


def test_keys_of_a_node_before_this_one(world: NodeWorld, home: Home) -> None:
    """A node made anew finds keys of an identity that it never had: no alarm, and the next epoch is free."""
    earlier = announced(world, home)
    identity = SigningIdentity.generate()
    world.desks[DESK] = replace(world.desks[DESK], node=identity)
    world.change_member("ly", lambda _file: world.declare("ly"))
    world.publish()
    with writing(home.engine) as connection:
        connection.execute(tables.sealing_key.delete())
    home.desks[DESK] = replace(home.desks[DESK], node=identity)
    assert not has_keys(home, DESK)
    keyid = announced(world, home)
    assert has_keys(home, DESK)
    assert states(home) == ["earlier", "logged"]
    assert private_key(home, DESK, earlier) is None
    assert private_key(home, DESK, keyid) is not None
    assert alarms(home) == []
    world.later(days=60)
    assert destroy_old_keys(home, DESK, world.now) == ()
    # The member names another node since: that is not this one's past.
    world.desks[DESK] = replace(world.desks[DESK], node=SigningIdentity.generate())
    world.change_member("ly", lambda _file: world.declare("ly"))
    world.publish()
    world.announce(world.sealing_statement(DESK, 3))
    prepare(world, home)
    assert alarms(home) == ["foreign-sealing-key"]


def test_a_thief_before_the_first_look(world: NodeWorld, home: Home) -> None:
    """What the own identity announced, and this node did not make, is an alarm from the first look on."""
    world.announce(world.sealing_statement(DESK, 1))
    prepare(world, home)
    assert alarms(home) == ["foreign-sealing-key"]


def test_what_was_destroyed_is_named(world: NodeWorld, home: Home) -> None:
    """By the names of their secrets: in backups they are called so."""
    announced(world, home)
    world.later(days=30)
    announced(world, home)
    assert destroyed_key_names(home) == frozenset()
    world.later(days=30)
    destroy_old_keys(home, DESK, world.now)
    assert destroyed_key_names(home) == {"desk.main.sealing.1"}
