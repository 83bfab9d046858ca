"""How often a sealing key may be announced, and what a revocation reaches."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keys.history import DirectoryHistory
from keys.signing import SigningIdentity
from schemas.directory import MemberFile
from tests.exchange.trust_world import START, TrustWorld

DESK = "ly/main"
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@pytest.fixture
def world() -> TrustWorld:
    """An exchange whose first directory is in force, without any sealing key."""
    world = TrustWorld.fresh()
    world.publish()
    return world


def announce(world: TrustWorld, epoch: int, **options: object) -> str:
    """Log a key of the desk; gives its keyid."""
    return world.announce(world.sealing_statement(DESK, epoch, **options))  # type: ignore[arg-type]


def usable(history: DirectoryHistory, world: TrustWorld) -> str | None:
    """The keyid of the key to which senders seal now."""
    record = history.newest.sealing_key(DESK, world.now)
    return record.keyid if record else None


def replace_node(world: TrustWorld, revoked: tuple[str, ...] = ()) -> SigningIdentity:
    """Give the desk a new node identity, in force at once; returns the old one."""
    old = world.desks[DESK].node
    assert old is not None
    world.desks[DESK] = type(world.desks[DESK])(
        world.desks[DESK].request, SigningIdentity.generate()
    )
    file: MemberFile = world.declare("ly").model_copy(update={"revoked": revoked})
    world.change_member("ly", lambda _: file)
    world.publish()
    return old


# Rates.


@pytest.mark.parametrize(
    ("gap", "rules"), [(DAY - SECOND, ["sealing-key-rate"]), (DAY, [])], ids=["too-soon", "a-day"]
)
def test_an_identity_announces_once_in_a_day(
    world: TrustWorld, gap: timedelta, rules: list[str]
) -> None:
    """A second key within 24 hours does not count, and uses up its epoch."""
    first = announce(world, 1)
    history = world.history()
    world.now = START + gap
    second = announce(world, 2)
    assert world.rules(history) == rules
    assert usable(history, world) == (first if rules else second)
    assert history.newest.highest_epoch(DESK) == 2


def test_a_revocation_has_a_rate_of_its_own(world: TrustWorld) -> None:
    """Minutes after its daily key a desk can still revoke it, once."""
    first = announce(world, 1)
    world.later(minutes=1)
    second = announce(world, 2, revokes=(first,))
    history = world.history()
    assert usable(history, world) == second
    world.later(minutes=1)
    announce(world, 3, revokes=(second,))
    assert world.rules(history) == ["sealing-key-rate"]
    assert usable(history, world) == second


def test_a_new_identity_has_a_rate_of_its_own(world: TrustWorld) -> None:
    """Whoever replaced a stolen identity announces a key at once."""
    announce(world, 1)
    world.later(minutes=1)
    replace_node(world)
    second = announce(world, 2)
    assert usable(world.history(), world) == second


# Revocations.


def test_a_revocation_covers_all_lower_epochs(world: TrustWorld) -> None:
    """Revoking the second key revokes the first as well, in states from then on."""
    announce(world, 1)
    world.later(days=1)
    second = announce(world, 2)
    world.later(days=1)
    third = announce(world, 3, revokes=(second,))
    history = world.history()
    revoked = [record.revoked for record in history.newest.sealing_keys(DESK)]
    assert revoked == [True, True, False]
    assert usable(history, world) == third
    earlier = history.at(history.size - 1)
    assert [record.revoked for record in earlier.sealing_keys(DESK)] == [False, False]


def test_a_revocation_spares_higher_epochs(world: TrustWorld) -> None:
    """Revoking the first key leaves the second in use when the third lapses."""
    first = announce(world, 1)
    world.later(days=1)
    second = announce(world, 2)
    world.later(days=1)
    announce(world, 3, revokes=(first,), not_after=world.now + DAY)
    history = world.history()
    world.later(days=2)
    assert usable(history, world) == second


def test_a_revocation_outlives_the_identity_that_signed_it(world: TrustWorld) -> None:
    """A key revoked under an old identity stays revoked when that identity comes back."""
    first = announce(world, 1)
    world.later(days=1)
    announce(world, 2, revokes=(first,))
    original = world.member_files["ly"]
    replace_node(world)
    world.change_member("ly", lambda _: original)
    world.publish()
    record = world.state().sealing_keys(DESK)[0]
    assert record.revoked
    assert not record.usable(world.now, record.signer)


@pytest.mark.parametrize("stranger", ["another-desk", "unknown"])
def test_a_revocation_reaches_own_keys_only(world: TrustWorld, stranger: str) -> None:
    """A statement that would revoke another desk's key, or no key at all, does not count."""
    own = announce(world, 1)
    other = world.announce(world.sealing_statement("tn/main", 1))
    history = world.history()
    world.later(days=1)
    revokes = tuple(sorted({own, other if stranger == "another-desk" else "0" * 64}))
    announce(world, 2, revokes=revokes)
    assert world.rules(history) == ["sealing-key-revokes"]
    assert usable(history, world) == own
    record = history.newest.sealing_key("tn/main", world.now)
    assert record is not None
    assert record.keyid == other


def test_a_weak_key_still_revokes(world: TrustWorld) -> None:
    """The desk signed the revocation: that the new key is weak does not bring the old one back."""
    first = announce(world, 1)
    history = world.history()
    world.later(days=1)
    announce(world, 2, revokes=(first,), public_key=bytes(1216))
    assert world.rules(history) == ["sealing-key-unusable"]
    assert usable(history, world) is None
