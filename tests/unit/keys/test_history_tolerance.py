"""The tolerance: a directory that was replaced is still taken for ten minutes, by those it suits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from schemas.directory import MemberFile
from schemas.entries import HubOperated, TreeHead
from schemas.errors import VerificationError
from tests.exchange.trust_world import START, TrustWorld


@pytest.fixture
def world() -> TrustWorld:
    """An exchange whose first directory is in force."""
    world = TrustWorld.fresh()
    world.publish()
    return world


def revoke(keyid: str) -> Callable[[MemberFile], MemberFile]:
    """A change of a member's file that others can see."""
    return lambda file: file.model_copy(update={"revoked": (keyid,)})


MINUTES = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("after", "members", "expected"),
    [
        (0 * MINUTES, {"ly", "tn"}, True),
        (10 * MINUTES, {"ly", "tn"}, True),
        (10 * MINUTES + timedelta(seconds=1), {"ly", "tn"}, False),
        (1 * MINUTES, {"ly", "td"}, False),
    ],
    ids=["at-once", "ten-minutes", "a-second-later", "a-member-concerned"],
)
def test_a_directory_is_still_taken_for_ten_minutes(
    world: TrustWorld, after: timedelta, members: set[str], expected: bool
) -> None:
    """A directory that was replaced is taken for ten minutes by those whose files did not change."""
    world.later(days=3)
    world.change_member("td", revoke("0" * 64))
    world.publish()
    state = world.state()
    assert state.acceptable(world.ref(0), world.now + after, members) is expected
    assert state.acceptable(world.ref(1), world.now + after, members)


def test_new_rules_end_the_tolerance_at_once(world: TrustWorld) -> None:
    """Where the council changed its rules, nobody may go on by the old ones."""
    world.policy_text += "// amended\n"
    world.change_council()
    world.publish()
    assert not world.state().acceptable(world.ref(0), world.now, {"ly", "tn"})


def test_the_tolerance_reaches_over_several_publications(world: TrustWorld) -> None:
    """One member that publishes every minute starves nobody; all within ten minutes are taken."""
    for minute in range(1, 13):
        world.now = START + minute * MINUTES
        world.change_member("td", revoke(f"{minute:064x}"))
        world.publish()
    state = world.state()
    # Directory n ended when n + 1 was published, in minute n + 1; now it is minute 12.
    taken = [n for n in range(13) if state.acceptable(world.ref(n), world.now, {"ly", "tn"})]
    assert taken == list(range(1, 13))
    assert len(state.recent) == 11


@pytest.mark.parametrize(
    "change", [{"origin": "another/log"}, {"index": 5}, {"leaf": "0" * 64}], ids=str
)
def test_a_reference_is_exact(world: TrustWorld, change: dict[str, object]) -> None:
    """Origin, index and leaf must all be those of the entry."""
    ref = world.ref(0).model_copy(update=change)
    assert not world.state().acceptable(ref, world.now, {"ly"})


def test_an_old_directory_is_not_revived(world: TrustWorld) -> None:
    """Once a directory entry names 5 exchange entries, the sixth is judged by nothing older."""
    for size in (3, 3, 5):
        world.log(
            HubOperated(
                type="hub.operated",
                at=world.now,
                exchange_log=TreeHead(size=size, root="ab" * 32),
                operation="start",
            )
        )
    history = world.history()
    judged = {0: 0, 2: 0, 3: 1, 4: 1, 5: 3, 100: 3}
    for exchange_index, least in judged.items():
        assert history.judging(least, exchange_index).size == least
        if least:
            with pytest.raises(VerificationError, match="an old directory is revived"):
                history.judging(least - 1, exchange_index)
    with pytest.raises(VerificationError, match="was read to 4 entries"):
        history.judging(5, 0)
