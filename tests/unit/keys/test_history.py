"""The directory log folded: which directory is in force, what is void, what waits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tuf.api.metadata import Metadata, MetaFile, Snapshot

from keys.derivation import sha256_hex
from keys.history import DirectoryHistory, Finding
from keys.repository import TrustSigner
from keys.tuf_files import TrustFileMissing
from schemas.directory import Council, MemberFile
from schemas.entries import DirectoryPublished, FileVersion, HubOperated, TreeHead
from schemas.envelope import DirectoryRef
from schemas.errors import BaridError, VerificationError
from schemas.limits import INTEGER_MAX
from tests.exchange.trust_world import EMPTY_TREE, START, Logged, TrustWorld


@pytest.fixture
def world() -> TrustWorld:
    """An exchange whose first directory is in force."""
    world = TrustWorld()
    world.publish()
    return world


def ref_of(world: TrustWorld, index: int) -> DirectoryRef:
    """The entry as a header would name it."""
    return DirectoryRef(
        origin=world.directory_log.origin, index=index, leaf=world.entries[index].leaf
    )


def feed(world: TrustWorld, history: DirectoryHistory) -> list[str]:
    """Let a history read on; gives the rules that were broken."""
    return [finding.rule for finding in world.feed(history)]


def revoke(keyid: str) -> Callable[[MemberFile], MemberFile]:
    """A change of a member's file that others can see."""
    return lambda file: file.model_copy(update={"revoked": (keyid,)})


# What is in force.


def test_before_the_first_entry_nothing_is_in_force() -> None:
    """A history that has read nothing has no directory, no keys, and accepts nothing."""
    world = TrustWorld()
    world.publish()
    state = world.empty_history().newest
    assert (state.size, state.in_force, state.in_force_since, state.directory) == (
        0,
        None,
        None,
        None,
    )
    assert state.sealing_key("ly/main", START) is None
    assert not state.acceptable(ref_of(world, 0), START, {"ly"})


def test_the_last_published_directory_is_in_force(world: TrustWorld) -> None:
    """Each valid publication takes the place of the one before, from its `at` on."""
    world.later(hours=1)
    world.change_member("ly", revoke("0" * 64))
    world.publish()
    state = world.state()
    assert state.size == 2
    assert state.in_force == ref_of(world, 1)
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
    assert (state.size, state.in_force) == (2, ref_of(world, 0))


def test_unchanged_files_are_not_read_again(world: TrustWorld) -> None:
    """A history that goes on fetches what is new, and nothing of the nine other members."""
    history = world.history()
    world.change_member("ly")
    world.publish()
    world.fetched.clear()
    assert feed(world, history) == []
    assert len(world.fetched) == 3


def test_a_copy_goes_its_own_way(world: TrustWorld) -> None:
    """Trying an entry on a copy leaves the history as it was, sealing keys included."""
    history = world.history()
    trial = history.copy()
    world.announce_all()
    assert feed(world, trial) == []
    assert trial.newest.highest_epoch("ly/main") == 1
    assert (history.size, history.newest.highest_epoch("ly/main")) == (1, 0)
    assert feed(world, history) == []
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
    assert feed(world, history) == ["entry-invalid"]
    assert (history.size, history.newest.in_force) == (2, ref_of(world, 0))


def test_time_never_runs_backwards(world: TrustWorld) -> None:
    """A directory published a second before the last entry is a finding, and not in force."""
    history = world.history()
    world.now = START - timedelta(seconds=1)
    world.change_member("ly")
    world.publish()
    assert feed(world, history) == ["entry-invalid"]
    assert history.newest.in_force == ref_of(world, 0)
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
    assert feed(world, history) == ["entry-invalid"]
    assert history.newest.exchange_log == operated.exchange_log


# Void directories: each leaves the one before in force.


def _void(world: TrustWorld, history: DirectoryHistory) -> Finding:
    """Read on to one void directory."""
    before = history.newest
    (finding,) = world.feed(history)
    assert finding.rule == "directory-invalid"
    assert finding.index == history.size - 1
    assert history.newest.publication == before.publication
    assert history.newest.highest == before.highest
    return finding


@pytest.mark.parametrize("jump", [2, 3, INTEGER_MAX - 1])
def test_a_snapshot_version_is_not_skipped(world: TrustWorld, jump: int) -> None:
    """The online key alone cannot jump to a version after which nothing fits any more."""
    history = world.history()
    world.publish(snapshot=world.snapshot(version=1 + jump))
    assert "snapshot" in _void(world, history).detail
    world.publish(snapshot=world.snapshot(version=2))
    assert feed(world, history) == []


def test_a_snapshot_is_not_rolled_back(world: TrustWorld) -> None:
    """An older snapshot, though rightly signed, does not bring back what was revoked."""
    old = (
        world.root(),
        FileVersion(version=1, sha256=sha256_hex(world.files["metadata/1.snapshot.json"])),
    )
    world.change_member("ly", revoke("0" * 64))
    world.publish()
    history = world.history()
    world.publish(*old)
    assert "snapshot version 1 does not follow version 2" in _void(world, history).detail


@pytest.mark.parametrize("version", [1, 3, INTEGER_MAX])
def test_a_member_file_is_the_same_or_the_next(world: TrustWorld, version: int) -> None:
    """A member's file of the same version with other bytes, or of a later one, is void."""
    history = world.history()
    world.change_member("ly", revoke("0" * 64), version=version)
    world.publish()
    assert "member-ly" in _void(world, history).detail


def test_a_stolen_member_file_is_not_rolled_back(world: TrustWorld) -> None:
    """The online key alone cannot bring back the member file before a revocation."""
    stolen = dict(world.current)
    world.change_member("ly", revoke("0" * 64))
    world.publish()
    history = world.history()
    world.current = stolen
    world.publish()
    assert "member-ly version 1 does not follow version 2" in _void(world, history).detail


@pytest.mark.parametrize("version", [1, 3])
def test_targets_are_the_same_or_the_next(world: TrustWorld, version: int) -> None:
    """The council's files neither change under one version nor skip one."""
    history = world.history()
    world.change_council(lambda c: c.model_copy(update={"grace_seconds": 1}), version=version)
    world.publish()
    assert "targets" in _void(world, history).detail


def test_each_root_is_an_entry_of_its_own(world: TrustWorld) -> None:
    """Root 3 does not follow root 1, though the chain of signatures is whole."""
    history = world.history()
    world.change_root()
    world.change_root()
    world.publish()
    assert "root version 3 does not follow version 1" in _void(world, history).detail


def test_a_new_root_comes_into_force(world: TrustWorld) -> None:
    """Governors change by a root that old and new have signed."""
    world.change_root([TrustSigner.generate() for _ in range(5)])
    world.change_council()
    world.publish()
    assert world.state().highest["root"].version == 2


def test_a_root_by_the_new_governors_alone_is_void(world: TrustWorld) -> None:
    """A root that the old governors did not sign changes nothing."""
    history = world.history()
    world.change_root([TrustSigner.generate() for _ in range(5)], predecessors=0)
    world.change_council()
    world.publish()
    assert "root is not signed" in _void(world, history).detail


def test_a_root_is_not_replaced_under_its_version(world: TrustWorld) -> None:
    """Another root of a version that was in force is void, whoever signed it."""
    world.change_root()
    world.publish()
    history = world.history()
    world.versions.root = 1
    world.change_root(expires=START + timedelta(days=1))
    world.publish()
    assert "root version 2 does not follow version 2" in _void(world, history).detail


def test_parts_of_two_directories_are_not_mixed(world: TrustWorld) -> None:
    """A new snapshot that lists one member's old file beside the other's new one is void."""
    old = world.current["metadata/1.member-ly.json"]
    world.change_member("ly", revoke("0" * 64))
    world.change_member("tn", revoke("1" * 64))
    world.publish()
    history = world.history()
    del world.current["metadata/2.member-ly.json"]
    world.current["metadata/1.member-ly.json"] = old
    world.publish()
    assert "member-ly version 1" in _void(world, history).detail


def test_a_member_file_is_not_left_out(world: TrustWorld) -> None:
    """A hub cannot make a member disappear by not listing its file."""
    history = world.history()
    del world.current["metadata/1.member-ly.json"]
    world.publish()
    assert _void(world, history).detail == "the files of ly are omitted"


def test_a_member_leaves_with_the_council_only(world: TrustWorld) -> None:
    """Once the council has removed a member, its file must go, and its version stays known."""

    def without(council: Council) -> Council:
        members = {m: seat for m, seat in council.members.items() if m != "auc"}
        return council.model_copy(update={"members": members})

    history = world.history()
    before = world.council
    key = world.member_keys.pop("auc")
    world.change_council(without)
    world.publish()
    assert "nothing is delegated" in _void(world, history).detail
    del world.current["metadata/1.member-auc.json"]
    world.versions.snapshot = 1
    world.publish()
    assert feed(world, history) == []
    assert history.newest.highest["member-auc"].version == 1
    world.member_keys["auc"] = key
    world.change_council(lambda _: before)
    world.change_member("auc", version=3)
    world.publish()
    assert "member-auc version 3 does not follow version 1" in _void(world, history).detail


def test_a_snapshot_without_hashes_is_void(world: TrustWorld) -> None:
    """Two member files of one version both passed a snapshot that lists versions alone."""
    history = world.history()
    name = "metadata/1.snapshot.json"
    payload = Metadata[Snapshot].from_bytes(world.files[name]).signed
    payload.version = 2
    payload.meta["member-ly.json"] = MetaFile(1)
    metadata = Metadata(payload)
    metadata.sign(world.online)
    data = world.files["metadata/2.snapshot.json"] = metadata.to_bytes()
    world.publish(snapshot=FileVersion(version=2, sha256=sha256_hex(data)))
    assert "member-ly is not listed with its length and its SHA-256" in _void(world, history).detail


def test_two_of_five_governors_change_nothing(world: TrustWorld) -> None:
    """New rules that two governors signed are void; with the third they are in force."""
    history = world.history()
    world.policy_text = "// anything goes\n"
    world.change_council(signing=2)
    world.publish()
    assert "targets is not signed" in _void(world, history).detail
    world.versions.targets, world.versions.snapshot = 1, 1
    world.change_council(signing=3)
    world.publish()
    assert feed(world, history) == []


def test_another_exchanges_directory_is_void(world: TrustWorld) -> None:
    """The directory of an exercise cannot come into force here."""
    history = DirectoryHistory("another-exchange", world.initial_root, world.directory_log.origin)
    assert [finding.rule for finding in world.feed(history)] == ["directory-invalid"]
    assert history.newest.directory is None


def test_a_trust_root_must_be_signed(world: TrustWorld) -> None:
    """A history does not begin with a root that nobody signed."""
    with pytest.raises(VerificationError, match="TUF metadata"):
        DirectoryHistory(world.exchange, b"{}", world.directory_log.origin)


def test_a_first_directory_starts_at_version_one() -> None:
    """The first snapshot ever is number 1: a hub cannot begin at the last number there is."""
    world = TrustWorld()
    world.publish(snapshot=world.snapshot(version=INTEGER_MAX))
    history = world.empty_history()
    assert feed(world, history) == ["directory-invalid"]


def test_an_expired_directory_comes_into_force_and_counts_as_expired(world: TrustWorld) -> None:
    """Expiry is judged at the entry's `at`, not by the wall clock, and does not void the entry."""
    lapsed = START + timedelta(days=1)
    world.change_council(expires=lapsed)
    world.later(days=1)
    world.publish()
    directory = world.directory()
    assert directory.council_expired(world.now)
    assert not directory.council_expired(START)


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
    assert feed(world, history) == []
    assert history.newest.in_force == ref_of(world, 1)


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


# The tolerance of ten minutes.

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
    assert state.acceptable(ref_of(world, 0), world.now + after, members) is expected
    assert state.acceptable(ref_of(world, 1), world.now + after, members)


def test_new_rules_end_the_tolerance_at_once(world: TrustWorld) -> None:
    """Where the council changed its rules, nobody may go on by the old ones."""
    world.policy_text += "// amended\n"
    world.change_council()
    world.publish()
    assert not world.state().acceptable(ref_of(world, 0), world.now, {"ly", "tn"})


def test_the_tolerance_reaches_over_several_publications(world: TrustWorld) -> None:
    """One member that publishes every minute starves nobody; all within ten minutes are taken."""
    for minute in range(1, 13):
        world.now = START + minute * MINUTES
        world.change_member("td", revoke(f"{minute:064x}"))
        world.publish()
    state = world.state()
    # Directory n ended when n + 1 was published, in minute n + 1; now it is minute 12.
    taken = [n for n in range(13) if state.acceptable(ref_of(world, n), world.now, {"ly", "tn"})]
    assert taken == list(range(1, 13))
    assert len(state.recent) == 11


def test_a_void_directory_is_never_taken(world: TrustWorld) -> None:
    """A header cannot name an entry that never was in force."""
    history = world.history()
    world.publish(snapshot=world.snapshot(version=7))
    _void(world, history)
    assert not history.newest.acceptable(ref_of(world, 1), world.now, {"ly"})


@pytest.mark.parametrize(
    "change", [{"origin": "another/log"}, {"index": 5}, {"leaf": "0" * 64}], ids=str
)
def test_a_reference_is_exact(world: TrustWorld, change: dict[str, object]) -> None:
    """Origin, index and leaf must all be those of the entry."""
    ref = ref_of(world, 0).model_copy(update=change)
    assert not world.state().acceptable(ref, world.now, {"ly"})


# Strange bytes.


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=80), index=st.integers(-2, 3), leaf=st.booleans())
def test_any_bytes_as_an_entry_raise_our_errors_only(data: bytes, index: int, leaf: bool) -> None:
    """Random bytes as a directory entry are a finding or a BaridError, and never in force."""
    world = _shared()
    history = world.history()
    try:
        digest = sha256_hex(b"\x00", data) if leaf else "0" * 64
        findings = history.apply(index, digest, data, None, world.fetch)
    except BaridError:
        assert history.size == 1
        return
    assert [finding.rule for finding in findings] == ["entry-invalid"]
    assert history.newest.in_force == ref_of(world, 0)


_SHARED: list[TrustWorld] = []


def _shared() -> TrustWorld:
    if not _SHARED:
        world = TrustWorld()
        world.publish()
        _SHARED.append(world)
    return _SHARED[0]


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
    assert state.in_force == ref_of(world, 1)
    assert state.acceptable(ref_of(world, 0), world.now, {"ly"})
