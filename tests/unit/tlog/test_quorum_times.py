"""Times of entries against those of quorums: what is honest passes, what is false does not; few are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from broker.tlog.quorum_times import APART, CLOCKS, SHOWN, Between, QuorumTimes, misdated

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def _times(*quorums: tuple[int, datetime]) -> QuorumTimes:
    found = QuorumTimes(())
    for size, at in quorums:
        found = found.with_quorum(size, at)
    return found


@pytest.mark.parametrize(
    ("index", "without", "with_"),
    [
        (0, None, NOON),
        (4, None, NOON),
        (5, NOON + HOUR, NOON + 2 * HOUR),
        (8, NOON + HOUR, NOON + 2 * HOUR),
        (9, NOON + 3 * HOUR, None),
        (10_000, NOON + 3 * HOUR, None),
    ],
)
def test_an_entry_lies_between_two_quorums(
    index: int, without: datetime | None, with_: datetime | None
) -> None:
    """The last that does not cover it, at its latest time, and the first that does, at its earliest."""
    sized = [(5, 0), (5, 1), (9, 2), (9, 3)]
    times = _times(*((size, NOON + hours * HOUR) for size, hours in sized))
    assert times.between(index) == Between(without, with_)


def test_nothing_is_known_without_quorums() -> None:
    """Any time can be true."""
    assert QuorumTimes(()).between(7) == Between(None, None)
    assert misdated(NOON, Between(None, None)) is None


@pytest.mark.parametrize(
    ("offset", "is_false"),
    [
        (-(CLOCKS + SHOWN), False),
        (-(CLOCKS + SHOWN) - SECOND, True),
        (timedelta(), False),
        (HOUR, False),
        (HOUR + CLOCKS, False),
        (HOUR + CLOCKS + SECOND, True),
    ],
)
def test_how_far_a_time_may_lie_outside(offset: timedelta, is_false: bool) -> None:
    """A quarter of an hour before the quorum without it; five minutes behind the one with it."""
    between = Between(NOON, NOON + HOUR)
    assert (misdated(NOON + offset, between) is not None) is is_false


def test_few_are_kept_and_the_newest_always() -> None:
    """A quorum every five seconds, over a log that grows: one in five minutes stays, and the bounds hold."""
    every = timedelta(seconds=5)
    times = _times(*((size, NOON + size * every) for size in range(1, 721)))
    assert len(times.times) <= HOUR // APART + 3
    assert (times.times[-1].size, times.times[-1].last) == (720, NOON + HOUR)
    for index in range(720):
        found = times.between(index)
        at = NOON + index * every
        assert found.with_ is not None
        assert at < found.with_ <= at + 2 * APART
        if found.without is not None:
            assert at - 2 * APART <= found.without <= at


def test_an_older_quorum_changes_nothing() -> None:
    """Whoever is shown an old one learns nothing by it."""
    times = _times((5, NOON), (9, NOON + HOUR))
    assert times.with_quorum(5, NOON + 2 * HOUR).times == times.times
