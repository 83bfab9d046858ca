"""The hub's timestamp: signed, never older than one seen, not expired, and for the snapshot in force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from keys.directory import Directory
from keys.repository import TrustSigner
from keys.timestamps import TIMESTAMP_BYTES_MAX, TimestampCheck, TimestampFault, judge_timestamp
from tests.exchange.timestamps import sign
from tests.exchange.trust_crafting import load
from tests.exchange.trust_world import START, TrustWorld

EXPIRES = START + timedelta(hours=24)


@dataclass(frozen=True)
class Stage:
    """A directory in force, and what a hub says with its timestamp."""

    world: TrustWorld
    directory: Directory
    snapshot: bytes

    def stamp(
        self,
        version: int = 5,
        *,
        snapshot: bytes | None = None,
        number: int | None = None,
        expires: datetime = EXPIRES,
        key: TrustSigner | None = None,
    ) -> bytes:
        """A timestamp that is right but for what is named."""
        return sign(
            self.snapshot if snapshot is None else snapshot,
            number or self.directory.versions["snapshot"],
            version,
            expires,
            key or self.world.online,
        )

    def judged(
        self, data: bytes, seen: bytes | None = None, now: datetime = START
    ) -> TimestampCheck:
        """What a node makes of it."""
        return judge_timestamp(data, seen, self.directory, len(self.snapshot), now)


@pytest.fixture
def stage() -> Stage:
    """A directory in force."""
    world = TrustWorld.fresh()
    directory = load(world)
    name = f"metadata/{directory.versions['snapshot']}.snapshot.json"
    return Stage(world, directory, world.files[name])


def test_a_good_timestamp(stage: Stage) -> None:
    """It vouches for the directory until the second in which it expires."""
    assert stage.judged(stage.stamp()) == TimestampCheck(START)
    last = EXPIRES - timedelta(seconds=1)
    assert stage.judged(stage.stamp(), now=last) == TimestampCheck(last)
    assert len(stage.stamp()) < TIMESTAMP_BYTES_MAX


Lie = Callable[[Stage], bytes]

LIES: dict[str, tuple[TimestampFault, Lie]] = {
    "not JSON": (TimestampFault.SIGNATURE, lambda _s: b"{"),
    "another type": (TimestampFault.SIGNATURE, lambda s: s.snapshot),
    "cut": (TimestampFault.SIGNATURE, lambda s: s.stamp()[:-9]),
    "another key": (TimestampFault.SIGNATURE, lambda s: s.stamp(key=TrustSigner.generate())),
    "a governor's key": (TimestampFault.SIGNATURE, lambda s: s.stamp(key=s.world.governors[0])),
    "changed": (
        TimestampFault.SIGNATURE,
        lambda s: s.stamp().replace(b'"version":5', b'"version":6'),
    ),
    "expired": (TimestampFault.EXPIRED, lambda s: s.stamp(expires=START)),
    "other bytes": (TimestampFault.OTHER_SNAPSHOT, lambda s: s.stamp(snapshot=s.snapshot[::-1])),
    "other length": (TimestampFault.OTHER_SNAPSHOT, lambda s: s.stamp(snapshot=s.snapshot + b" ")),
    "other version": (TimestampFault.OTHER_SNAPSHOT, lambda s: s.stamp(number=99)),
}


@pytest.mark.parametrize(("fault", "lie"), LIES.values(), ids=LIES)
def test_each_fault_has_its_own_word_and_sentence(
    stage: Stage, fault: TimestampFault, lie: Lie
) -> None:
    """What does not vouch for the directory in force, now and by the online key, is told apart."""
    data = lie(stage)
    assert data != stage.stamp()
    check = stage.judged(data)
    assert (check.at, check.fault) == (START, fault)
    assert check.detail


@pytest.mark.parametrize("with_length", [False, True])
def test_a_length_that_is_absent_or_wrong(stage: Stage, with_length: bool) -> None:
    """The hash alone is not enough: the snapshot is listed with its length, and that is right."""
    size = len(stage.snapshot) + with_length
    check = judge_timestamp(stage.stamp(), None, stage.directory, size, START)
    assert check.fault == (TimestampFault.OTHER_SNAPSHOT if with_length else None)


def test_an_older_one_than_was_seen_is_rolled_back(stage: Stage) -> None:
    """The same version is none; what was seen counts though it has expired since."""
    seen = stage.stamp(7, expires=START)
    assert stage.judged(stage.stamp(7), seen).fault is None
    assert stage.judged(stage.stamp(8), seen).fault is None
    check = stage.judged(stage.stamp(6), seen)
    assert check.fault is TimestampFault.ROLLED_BACK
    assert "version 7" in check.detail


def test_a_stolen_online_key_does_not_stop_its_successor(stage: Stage) -> None:
    """Once the council names another key, the highest version that the old one signed counts no more."""
    jumped = stage.stamp(2**53 - 1)
    assert stage.judged(stage.stamp(), jumped).fault is TimestampFault.ROLLED_BACK
    stage.world.online = TrustSigner.generate()
    stage.world.change_root()
    stage.world.put({})
    directory = load(stage.world)
    name = f"metadata/{directory.versions['snapshot']}.snapshot.json"
    after = replace(stage, directory=directory, snapshot=stage.world.files[name])
    assert after.judged(after.stamp(1), jumped).fault is None


@pytest.mark.parametrize(
    ("fault", "newest"),
    [
        (None, True),
        (TimestampFault.EXPIRED, True),
        (TimestampFault.OTHER_SNAPSHOT, True),
        (TimestampFault.ROLLED_BACK, False),
        (TimestampFault.SIGNATURE, False),
        (TimestampFault.MISSING, False),
    ],
)
def test_which_are_remembered(fault: TimestampFault | None, newest: bool) -> None:
    """What the online key signed, and is not older than the last."""
    assert TimestampCheck(START, fault).is_newest == newest
