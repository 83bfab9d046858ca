"""The crash table: the hub fails at each call by which it changes the disk or answers, and nothing is lost.

Which calls there are is found out by a round in which none fails. A run takes some of each kind, by chance,
with some of the faults that it can have; `BARID_SOAK` takes every call with every fault.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.crash_case import Case, Prepared
from tests.faults.failing_calls import ANSWER, FAULTS, SYNC, Call, Fault, build
from tests.faults.failing_hub import Spawner

SOAK = bool(os.environ.get("BARID_SOAK"))

FAULTS_OF_EACH_KIND = 2
COMMITS = 5

EXPECTED = frozenset(
    {
        ("write", "hub.db-wal"),
        (SYNC, "hub.db-wal"),
        ("write", "hub.db"),
        (SYNC, "hub.db"),
        ("create", "anchor.json.new"),
        ("write", "anchor.json.new"),
        (SYNC, "anchor.json.new"),
        ("rename", "anchor.json.new"),
        (SYNC, "elsewhere"),
        (ANSWER, "caller"),
    }
)
"""Kinds of calls that a round makes for certain; those that it makes as well are found."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """What each case begins with a copy of."""
    return Prepared(tmp_path_factory.mktemp("crash"))


@pytest.fixture(scope="module")
def spawner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spawner]:
    """Starts hubs that fail."""
    spawner = Spawner(build(tmp_path_factory.mktemp("library")))
    yield spawner
    spawner.close()


def _chosen(calls: list[Call], chance: random.Random) -> list[tuple[Fault, Call]]:
    """Which call is to suffer which fault."""
    following = [*calls[1:], calls[0]]
    by_kind: dict[object, dict[str, list[tuple[Fault, Call]]]] = {}
    for fault in FAULTS:
        for call, after in zip(calls, following, strict=True):
            if call.name in fault.calls:
                # The last of several writes makes them true: it is a kind of its own.
                found = by_kind.setdefault((call.kind, call.kind == after.kind), {})
                found.setdefault(fault.name, []).append((fault, call))
    if SOAK:
        return [each for found in by_kind.values() for all_ in found.values() for each in all_]
    return [
        chance.choice(found[name])
        for found in by_kind.values()
        for name in chance.sample(sorted(found), min(len(found), FAULTS_OF_EACH_KIND))
    ]


def test_every_write_is_counted(prepared: Prepared, spawner: Spawner, tmp_path: Path) -> None:
    """What was counted makes the files that are there, byte for byte: no write goes past the table."""
    case = Case(prepared, spawner, tmp_path / "case")
    calls = case.fail()
    assert {call.kind for call in calls} >= EXPECTED
    assert case.replayed().seen() == case.seen()
    assert case.go_on().findings == ()


@pytest.mark.timeout(4 * 3600 if SOAK else 400)
def test_fails_at_every_call(prepared: Prepared, spawner: Spawner, tmp_path: Path) -> None:
    """Whatever fails where: nothing told is lost, there is one tree of each size, and no finding."""
    seed = random.SystemRandom().randrange(2**32)
    chosen = _chosen(Case(prepared, spawner, tmp_path / "case").fail(), random.Random(seed))
    suffered = 0
    for fault, call in chosen:
        case = Case(prepared, spawner, tmp_path / "case")
        try:
            suffered += _suffers(case, fault, call.number)
        except Exception as error:
            where = f"{call.name} of {Path(call.path).name}"
            error.add_note(f"seed {seed}: {fault.name}, at call {call.number}, {where}")
            error.add_note(case.words())
            raise
    print(f"\nseed {seed}, {suffered} cases")  # noqa: T201 - a failure must be repeatable
    # What two submit at once is one commit or two: the last calls are not always reached.
    assert suffered > len(chosen) * 9 // 10


def test_a_failed_sync_is_made_good_at_the_next_start(
    prepared: Prepared, spawner: Spawner, tmp_path: Path
) -> None:
    """The disk lacks what a new process still reads, and the power goes once that one has answered."""
    calls = Case(prepared, spawner, tmp_path / "case").fail()
    (fault,) = (each for each in FAULTS if each.name == "EIO, then killed")
    commits = [call for call in calls if call.kind == (SYNC, "hub.db-wal")]
    for call in commits if SOAK else commits[:COMMITS]:
        assert _suffers(Case(prepared, spawner, tmp_path / "case"), fault, call.number)


def _suffers(case: Case, fault: Fault, at: int) -> bool:
    """Play one case; whether the call was made at all."""
    calls = case.fail(fault, at)
    assert case.go_on().findings == ()
    if fault.cut_later:
        case.cut_power()
        assert case.go_on().findings == ()
    return any(call.number == at for call in calls)
