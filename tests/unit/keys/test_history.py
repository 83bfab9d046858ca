"""The directory log folded: which directory is in force, what is void, what waits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.derivation import sha256_hex
from keys.tuf_files import TrustFileMissing
from schemas.directory import MemberFile
from schemas.entries import DirectoryPublished, FileVersion, HubOperated, TreeHead
from schemas.errors import BaridError, VerificationError
from schemas.limits import INTEGER_MAX
from tests.exchange.trust_world import EMPTY_TREE, START, Logged, TrustWorld


@pytest.fixture
def world() -> TrustWorld:
    """An exchange whose first directory is in force."""
    world = TrustWorld.fresh()
    world.publish()
    return world


def revoke(keyid: str) -> Callable[[MemberFile], MemberFile]:
    """A change of a member's file that others can see."""
    return lambda file: file.model_copy(update={"revoked": (keyid,)})


# What is in force.


def test_before_the_first_entry_nothing_is_in_force() -> None:
    """A history that has read nothing has no directory, no keys, and accepts nothing."""
    world = TrustWorld.fresh()
    world.publish()
    state = world.empty_history().newest
    assert (state.size, state.in_force, state.in_force_since, state.directory) == (
        0,
        None,
        None,
        None,
    )
    assert state.sealing_key("ly/main", START) is None
    assert not state.acceptable(world.ref(0), START, {"ly"})


def test_the_last_published_directory_is_in_force(world: TrustWorld) -> None:
    """Each valid publication takes the place of the one before, from its `at` on."""
    world.later(hours=1)
    world.change_member("ly", revoke("0" * 64))
    world.publish()
    state = world.state()
    assert state.size == 2
    assert state.in_force == world.ref(1)
    assert state.in_force_since == START + timedelta(hours=1)
    assert state.directory is not None
    assert state.directory.members["ly"].revoked == ("0" * 64,)
    assert state.highest["member-ly"].version == 2


def test_the_state_at_an_earlier_size_stays_what_it_was(world: TrustWorld) -> None:
    """An old envelope is judged by the directory of its own `directory_size`."""
    world.change_member("ly", revoke("0" * 64))
    world.publish()
    world.announce_all()
    history = world.history()
    assert history.at(0).directory is None
    first, last = history.at(1).directory, history.at(history.size).directory
    assert first is not None
    assert last is not None
    assert first.members["ly"].revoked == ()
    assert last.members["ly"].revoked == ("0" * 64,)
    assert history.at(2).sealing_key("ly/main", START) is None
    assert history.at(history.size).sealing_key("ly/main", START) is not None
    assert history.newest is history.at(history.size)


@pytest.mark.parametrize("size", [-1, 2, INTEGER_MAX])
def test_a_size_that_was_not_read_is_refused(world: TrustWorld, size: int) -> None:
    """A `directory_size` beyond what was read means reading on, never guessing."""
    with pytest.raises(VerificationError, match="was read to 1 entries"):
        world.history().at(size)


def test_an_entry_of_the_hub_changes_nothing(world: TrustWorld) -> None:
    """What the operator did is counted, and leaves the directory in force."""
    world.log(
        HubOperated(type="hub.operated", at=world.now, exchange_log=EMPTY_TREE, operation="start")
    )
    state = world.state()
    assert (state.size, state.in_force) == (2, world.ref(0))


def test_unchanged_files_are_not_read_again(world: TrustWorld) -> None:
    """A history that goes on fetches what is new, and nothing of the nine other members."""
    history = world.history()
    world.change_member("ly")
    world.publish()
    world.fetched.clear()
    assert world.rules(history) == []
    assert len(world.fetched) == 3


def test_a_copy_goes_its_own_way(world: TrustWorld) -> None:
    """Trying an entry on a copy leaves the history as it was, sealing keys included."""
    history = world.history()
    trial = history.copy()
    world.announce_all()
    assert world.rules(trial) == []
    assert trial.newest.highest_epoch("ly/main") == 1
    assert (history.size, history.newest.highest_epoch("ly/main")) == (1, 0)
    assert world.rules(history) == []
    assert history.newest.highest_epoch("ly/main") == 1


# The order of the log.


def test_entries_are_read_in_order(world: TrustWorld) -> None:
    """An entry out of its turn is no entry: nothing changes."""
    history = world.history()
    entry = world.publish()
    for index in (0, 2):
        with pytest.raises(VerificationError, match="the next entry"):
            history.apply(index, entry.leaf, entry.data, None, world.fetch)
    assert history.size == 1


def test_bytes_that_are_not_the_leaf_are_refused(world: TrustWorld) -> None:
    """The bytes of an entry hash to its leaf, else they were never logged."""
    history = world.history()
    entry = world.publish()
    with pytest.raises(VerificationError, match="not the bytes of entry 1"):
        history.apply(1, entry.leaf, entry.data + b" ", None, world.fetch)
    assert history.size == 1


@pytest.mark.parametrize("data", [b"", b"{}", b'{"type":"something.else"}', b"\xff"])
def test_an_entry_that_is_not_well_formed_is_counted(world: TrustWorld, data: bytes) -> None:
    """What the log holds is an entry, however strange: a finding, and nothing else changes."""
    history = world.history()
    world.entries.append(Logged(data))
    assert world.rules(history) == ["entry-invalid"]
    assert (history.size, history.newest.in_force) == (2, world.ref(0))


def test_time_never_runs_backwards(world: TrustWorld) -> None:
    """A directory published a second before the last entry is a finding, and not in force."""
    history = world.history()
    world.now = START - timedelta(seconds=1)
    world.change_member("ly")
    world.publish()
    assert world.rules(history) == ["entry-invalid"]
    assert history.newest.in_force == world.ref(0)
    assert history.newest.highest["member-ly"].version == 1


@pytest.mark.parametrize(
    "head",
    [TreeHead(size=6, root="1" * 64), TreeHead(size=7, root="2" * 64)],
    ids=["smaller", "same-size-other-root"],
)
def test_the_exchange_log_never_runs_backwards(world: TrustWorld, head: TreeHead) -> None:
    """A directory entry names an exchange log that extends the one named before it."""
    operated = HubOperated(
        type="hub.operated",
        at=world.now,
        exchange_log=TreeHead(size=7, root="1" * 64),
        operation="start",
    )
    world.log(operated)
    history = world.history()
    world.log(operated.model_copy(update={"exchange_log": head}))
    assert world.rules(history) == ["entry-invalid"]
    assert history.newest.exchange_log == operated.exchange_log


# Missing files: neither void nor valid.


def test_a_history_waits_for_a_missing_file(world: TrustWorld) -> None:
    """While a file is withheld nothing changes; once it is there, the same entry is in force."""
    history = world.history()
    world.change_member("ly")
    world.publish()
    before = history.newest
    data = world.files.pop("metadata/2.member-ly.json")
    for _ in range(2):
        with pytest.raises(TrustFileMissing):
            world.feed(history)
        assert history.newest is before
    world.files["metadata/2.member-ly.json"] = data
    assert world.rules(history) == []
    assert history.newest.in_force == world.ref(1)


def test_a_history_waits_where_other_bytes_are_given(world: TrustWorld) -> None:
    """Garbage for one node does not hold it on the old directory as if the new one were void."""
    history = world.history()
    world.change_member("ly")
    world.publish()
    world.files["metadata/2.member-ly.json"] += b" "
    with pytest.raises(TrustFileMissing, match="committed to"):
        world.feed(history)
    assert history.size == 1


def test_what_the_caller_raises_passes_through(world: TrustWorld) -> None:
    """A line that is down is the caller's matter; the history has not moved."""
    history = world.history()
    world.change_member("ly")
    entry = world.publish()

    def fetch(name: str, size_bytes_max: int) -> bytes:
        raise ConnectionError(name, size_bytes_max)

    with pytest.raises(ConnectionError):
        history.apply(1, entry.leaf, entry.data, None, fetch)
    assert history.size == 1


def test_the_hub_asks_before_it_publishes(world: TrustWorld) -> None:
    """A candidate is verified against the newest state, and nothing is changed by asking."""
    history = world.history()
    world.change_member("ly")
    root, snapshot = world.root(), world.snapshot()
    assert history.successor(root, snapshot, world.fetch).versions["member-ly"] == 2
    assert history.newest.highest["member-ly"].version == 1
    with pytest.raises(VerificationError, match="does not follow"):
        history.successor(root, FileVersion(version=9, sha256="0" * 64), world.fetch)


# Strange bytes.


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=80), index=st.integers(-2, 3), leaf=st.booleans())
def test_any_bytes_as_an_entry_raise_our_errors_only(data: bytes, index: int, leaf: bool) -> None:
    """Random bytes as a directory entry are a finding or a BaridError, and never in force."""
    world = TrustWorld.fresh()
    world.publish()
    history = world.history()
    try:
        digest = sha256_hex(b"\x00", data) if leaf else "0" * 64
        findings = history.apply(index, digest, data, None, world.fetch)
    except BaridError:
        assert history.size == 1
        return
    assert [finding.rule for finding in findings] == ["entry-invalid"]
    assert history.newest.in_force == world.ref(0)


def test_a_republished_directory_is_in_force_under_its_new_entry(world: TrustWorld) -> None:
    """The same files may be published again: the newer entry is the one to name."""
    published = world.published
    assert published is not None
    world.later(minutes=1)
    world.log(
        DirectoryPublished(
            type="directory.published",
            at=world.now,
            exchange_log=EMPTY_TREE,
            root=published[0],
            snapshot=published[1],
        )
    )
    state = world.state()
    assert state.in_force == world.ref(1)
    assert state.acceptable(world.ref(0), world.now, {"ly"})
