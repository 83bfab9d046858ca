"""Old backups: one in which a destroyed key lies on goes; what cannot be read is named, all else stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker.archive import Manifest, Owner, Source, write_archive
from broker.backups import Outdated, delete_outdated
from keys.keystore import KdfCost, Keystore

PASSPHRASE = b"a passphrase of tests"
CHEAP = KdfCost(operations=1, memory_bytes=8 * 1024 * 1024)
AT = datetime(2026, 11, 25, 2, 0, 0, tzinfo=UTC)
OWNER = Owner("node", "tripoli-test", "ly", AT)
FIRST, SECOND = "desk.main.sealing.1", "desk.main.sealing.2"


class Backups:
    """A keystore, and a folder with its archives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "backups"
        self.folder.mkdir()
        self.keystore = Keystore.create(folder / "keystore", PASSPHRASE, CHEAP)

    def save(self, name: str, owner: Owner = OWNER, keystore: Keystore | None = None) -> Manifest:
        """Save the keystore as it is now."""
        saved = keystore or self.keystore
        files = [Source(f"keystore/{each}", saved.directory / each) for each in saved.files()]
        return write_archive(self.folder / name, owner, files, saved)

    def sweep(self, newest: str, saved: Manifest, *destroyed: str) -> Outdated:
        """Look at what is there once the newest was made."""
        return delete_outdated(self.folder / newest, saved, self.keystore, destroyed)

    def names(self) -> set[str]:
        """What is in the folder."""
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    """One archive with the first key, one with both; then the first was destroyed."""
    made = Backups(tmp_path)
    made.keystore.put(FIRST, b"\x01" * 96)
    made.save("first.tar")
    made.keystore.put(SECOND, b"\x02" * 96)
    made.save("both.tar")
    made.keystore.delete(FIRST)
    made.save("second.tar")
    return made


def test_what_holds_a_destroyed_key_goes(backups: Backups) -> None:
    """It says which and why; the others stay."""
    saved = backups.save("newest.tar")
    found = backups.sweep("newest.tar", saved, FIRST)
    assert found == Outdated(
        {backups.folder / "both.tar": (FIRST,), backups.folder / "first.tar": (FIRST,)}, {}
    )
    assert backups.names() == {"second.tar", "newest.tar"}


def test_nothing_was_destroyed(backups: Backups) -> None:
    """Then nothing goes."""
    saved = backups.save("newest.tar")
    assert backups.sweep("newest.tar", saved) == Outdated({}, {})
    assert backups.names() == {"first.tar", "both.tar", "second.tar", "newest.tar"}


def test_the_newest_stays(backups: Backups) -> None:
    """A key that was destroyed while it was saved lies in it: the next backup has it deleted."""
    saved = backups.save("newest.tar")
    found = backups.sweep("newest.tar", saved, FIRST, SECOND)
    assert set(found.deleted) == {
        backups.folder / each for each in ("both.tar", "first.tar", "second.tar")
    }
    assert backups.names() == {"newest.tar"}


@pytest.mark.parametrize(
    "owner",
    [
        replace(OWNER, role="hub"),
        replace(OWNER, exchange="an-exercise"),
        replace(OWNER, name="tn"),
    ],
)
def test_other_peoples_archives_stay(backups: Backups, owner: Owner) -> None:
    """A folder that several use: what is not of this node is not looked at further."""
    backups.keystore.put(FIRST, b"\x01" * 96)
    backups.save("theirs.tar", owner)
    backups.keystore.delete(FIRST)
    found = backups.sweep("newest.tar", backups.save("newest.tar"), FIRST)
    assert "theirs.tar" in backups.names()
    assert found.left == {}


def test_what_cannot_be_read_is_named_and_stays(backups: Backups, tmp_path: Path) -> None:
    """Cut short, no archive, sealed by another keystore: a person looks. What is no tar file is nothing."""
    whole = (backups.folder / "first.tar").read_bytes()
    (backups.folder / "short.tar").write_bytes(whole[:600])
    (backups.folder / "strange.tar").write_bytes(b"something else")
    (backups.folder / "notes.txt").write_bytes(b"not ours")
    (backups.folder / "folder.tar").mkdir()
    elsewhere = (backups.folder / "both.tar").rename(tmp_path / "both.tar")
    (backups.folder / "link.tar").symlink_to(elsewhere)
    stranger = Keystore.create(tmp_path / "stranger", b"the passphrase of a stranger", CHEAP)
    stranger.put(FIRST, b"\x01" * 96)
    backups.save("stranger.tar", keystore=stranger)
    found = backups.sweep("newest.tar", backups.save("newest.tar"), FIRST)
    assert {path.name for path in found.left} == {"short.tar", "strange.tar", "stranger.tar"}
    assert "another keystore" in found.left[backups.folder / "stranger.tar"]
    assert {"notes.txt", "folder.tar", "link.tar", *(p.name for p in found.left)} <= backups.names()


def test_a_forged_manifest_deletes_nothing(backups: Backups) -> None:
    """Whoever writes into the folder cannot have a good backup deleted by another's name or manifest."""
    older = replace(OWNER, at=AT - timedelta(days=1))
    other = Keystore.create(backups.folder.parent / "other", PASSPHRASE, CHEAP)
    other.put(FIRST, b"\x01" * 96)
    backups.save("forged.tar", older, other)
    found = backups.sweep("newest.tar", backups.save("newest.tar"), FIRST)
    assert set(found.left) == {backups.folder / "forged.tar"}
