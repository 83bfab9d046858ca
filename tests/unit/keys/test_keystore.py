"""The keystore: what a thief, a power cut and a wrong passphrase find."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

from keys import keystore as module
from keys.keystore import KdfCost, Keystore
from schemas.errors import ConfigurationError, VerificationError

PASSPHRASE = b"five random words of a clerk"
CHEAP = KdfCost(argon2id.OPSLIMIT_MIN, argon2id.MEMLIMIT_MIN)
SECRET = b"\x00secret\xff" * 8


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the keystore of a test lies."""
    return tmp_path / "keys"


@pytest.fixture
def store(directory: Path) -> Keystore:
    """A keystore with one secret."""
    store = Keystore.create(directory, PASSPHRASE, CHEAP)
    store.put("node.tn-main", SECRET)
    return store


def mode(path: Path) -> int:
    """The permission bits."""
    return path.stat().st_mode & 0o777


def test_secrets_come_back_after_opening_again(store: Keystore, directory: Path) -> None:
    """What was put is there, by name."""
    store.put("sealing.tn-main.1", b"")
    again = Keystore.open(directory, PASSPHRASE)
    assert again.names() == ("node.tn-main", "sealing.tn-main.1")
    assert again.get("node.tn-main") == SECRET
    assert again.get("sealing.tn-main.1") == b""


def test_files_are_for_their_owner_alone(store: Keystore, directory: Path) -> None:
    """Directory 0700, files 0600, whatever the umask was."""
    before = os.umask(0)
    try:
        store.put("second", SECRET)
    finally:
        os.umask(before)
    assert mode(directory) == 0o700
    assert {mode(path) for path in directory.iterdir()} == {0o600}


def test_no_file_holds_the_secret(store: Keystore, directory: Path) -> None:
    """The secret and the passphrase stand in no file."""
    assert store.get("node.tn-main") == SECRET
    for path in directory.iterdir():
        data = path.read_bytes()
        assert SECRET[:8] not in data
        assert PASSPHRASE not in data


def test_the_default_cost_is_a_strong_one() -> None:
    """Without a word of the caller, a guess takes 256 MiB and three passes."""
    assert KdfCost(3, 256 * 1024**2) == module.DEFAULT_COST


def test_a_wrong_passphrase_is_told_at_once(directory: Path, store: Keystore) -> None:
    """Opening fails with advice, before any secret is read."""
    assert store.names() == ("node.tn-main",)
    with pytest.raises(ConfigurationError, match="passphrase"):
        Keystore.open(directory, PASSPHRASE + b"!")


def test_a_missing_keystore_says_what_to_do(tmp_path: Path) -> None:
    """Neither a missing directory nor an empty one is a keystore."""
    with pytest.raises(ConfigurationError, match="no keystore"):
        Keystore.open(tmp_path / "none", PASSPHRASE)
    (tmp_path / "empty").mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match=r"keystore\.json"):
        Keystore.open(tmp_path / "empty", PASSPHRASE)


def test_a_missing_secret_and_a_bad_name_are_refused(store: Keystore) -> None:
    """No name leaves the directory."""
    with pytest.raises(ConfigurationError, match="none"):
        store.get("none")
    for name in ("", "../x", "a/b", ".hidden", "A", "a b", "a\n", "é", "x" * 129):
        for call in (store.get, store.delete, lambda name: store.put(name, b"")):
            with pytest.raises(ConfigurationError):
                call(name)


def test_a_secret_has_its_limit(store: Keystore) -> None:
    """64 KiB are kept, one byte more is not."""
    store.put("large", bytes(module.SECRET_BYTES_MAX))
    assert store.get("large") == bytes(module.SECRET_BYTES_MAX)
    with pytest.raises(ConfigurationError):
        store.put("large", bytes(module.SECRET_BYTES_MAX + 1))


def test_a_short_passphrase_makes_no_keystore(directory: Path) -> None:
    """Twelve bytes at least, and nothing is left behind."""
    with pytest.raises(ConfigurationError):
        Keystore.create(directory, b"short", CHEAP)
    assert not directory.exists()


def test_a_directory_in_use_is_left_alone(store: Keystore, directory: Path) -> None:
    """Creating twice, or over other files, is refused."""
    with pytest.raises(ConfigurationError, match="not empty"):
        Keystore.create(directory, PASSPHRASE, CHEAP)
    assert store.get("node.tn-main") == SECRET


@pytest.mark.parametrize("position", [0, 23, 24, 40, -1])
def test_a_tampered_file_is_refused(store: Keystore, directory: Path, position: int) -> None:
    """A flipped bit in nonce, tag or text is noticed."""
    path = directory / "node.tn-main.key"
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(VerificationError):
        store.get("node.tn-main")


@pytest.mark.parametrize("size_bytes", [0, 1, 24, 40, 100])
def test_a_truncated_file_is_refused(store: Keystore, directory: Path, size_bytes: int) -> None:
    """A shorter file is noticed, also an empty one."""
    path = directory / "node.tn-main.key"
    path.write_bytes(path.read_bytes()[:size_bytes])
    with pytest.raises(VerificationError):
        store.get("node.tn-main")


def test_swapped_files_are_refused(store: Keystore, directory: Path) -> None:
    """Each file knows its name: two keys cannot change places."""
    store.put("request.tn-main", b"other")
    one, two = directory / "node.tn-main.key", directory / "request.tn-main.key"
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)
    for name in ("node.tn-main", "request.tn-main"):
        with pytest.raises(VerificationError, match="another secret"):
            store.get(name)


def test_a_file_of_another_keystore_is_refused(store: Keystore, tmp_path: Path) -> None:
    """The same passphrase in two keystores makes two keys."""
    other = Keystore.create(tmp_path / "other", PASSPHRASE, CHEAP)
    other.put("node.tn-main", b"planted")
    planted = (tmp_path / "other" / "node.tn-main.key").read_bytes()
    (store.directory / "node.tn-main.key").write_bytes(planted)
    with pytest.raises(VerificationError):
        store.get("node.tn-main")


@pytest.mark.parametrize(
    "members",
    [
        {"operations": 2},
        {"memory_bytes": 16384},
        {"salt": "A" * 22 + "=="},
        {"check": ""},
    ],
    ids=str,
)
def test_altered_parameters_open_nothing(
    store: Keystore, directory: Path, members: dict[str, Any]
) -> None:
    """A cheaper cost or another salt gives another key."""
    assert store.names() == ("node.tn-main",)
    path = directory / "keystore.json"
    path.write_bytes(json.dumps({**json.loads(path.read_bytes()), **members}).encode())
    with pytest.raises(ConfigurationError, match="passphrase"):
        Keystore.open(directory, PASSPHRASE)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"null", b'{"v":1,"kdf":"none"}', b'{"memory_bytes":9007199254740991}']
)
def test_damaged_parameters_are_told(store: Keystore, directory: Path, data: bytes) -> None:
    """What is no keystore.json says so; no value makes us take endless memory."""
    assert store.names() == ("node.tn-main",)
    (directory / "keystore.json").write_bytes(data)
    with pytest.raises(ConfigurationError, match="damaged"):
        Keystore.open(directory, PASSPHRASE)


def test_more_memory_than_there_is_is_told(
    store: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Argon2id without its memory is a matter of the operator."""

    def refuse(*_: object) -> bytes:
        raise CryptoError

    monkeypatch.setattr(argon2id, "kdf", refuse)
    with pytest.raises(ConfigurationError, match="memory"):
        Keystore.open(store.directory, PASSPHRASE)


@pytest.mark.parametrize("loose", [0o640, 0o604, 0o620, 0o660, 0o644])
def test_loose_files_are_refused_with_advice(store: Keystore, directory: Path, loose: int) -> None:
    """A file that others can read or write is not read; the advice names it."""
    path = directory / "node.tn-main.key"
    path.chmod(loose)
    with pytest.raises(ConfigurationError, match=f"chmod 0600 {path}"):
        store.get("node.tn-main")
    path.chmod(0o600)
    (directory / "keystore.json").chmod(loose)
    with pytest.raises(ConfigurationError, match="chmod 0600"):
        Keystore.open(directory, PASSPHRASE)


@pytest.mark.parametrize("loose", [0o750, 0o701, 0o777])
def test_a_loose_directory_is_refused_with_advice(
    store: Keystore, directory: Path, loose: int
) -> None:
    """A directory that others can enter is neither opened nor written."""
    directory.chmod(loose)
    with pytest.raises(ConfigurationError, match=f"chmod 0700 {directory}"):
        Keystore.open(directory, PASSPHRASE)
    with pytest.raises(ConfigurationError, match="chmod 0700"):
        store.put("second", b"")
    with pytest.raises(ConfigurationError, match="chmod 0700"):
        store.delete("node.tn-main")


def test_a_link_is_not_followed(store: Keystore, directory: Path, tmp_path: Path) -> None:
    """A link in place of a file leads nowhere, for reading and for writing."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    victim.chmod(0o600)
    (directory / "linked.key").symlink_to(victim)
    (directory / "second.key.new").symlink_to(victim)
    with pytest.raises(ConfigurationError):
        store.get("linked")
    with pytest.raises(ConfigurationError):
        store.put("second", b"secret")
    assert victim.read_bytes() == b"precious"


class PowerCut(Exception):
    """The machine stopped here."""


STEPS = ["open", "fchmod", "fsync", "rename"]


@pytest.mark.parametrize("step", STEPS)
def test_a_power_cut_leaves_the_old_secret_or_the_new_one(
    store: Keystore, directory: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before each step in turn, the file holds the old secret; stopped after, the new."""
    real = getattr(os, step)
    for after in (False, True):
        with monkeypatch.context() as patch:

            def cut(*arguments: Any, after: bool = after, **options: Any) -> Any:
                if after:
                    real(*arguments, **options)
                raise PowerCut

            patch.setattr(os, step, cut)
            with pytest.raises(PowerCut):
                store.put("node.tn-main", b"new")
        expected = b"new" if (step, after) == ("rename", True) else SECRET
        again = Keystore.open(directory, PASSPHRASE)
        assert again.get("node.tn-main") == expected
        assert again.names() == ("node.tn-main",)
    store.put("node.tn-main", b"newer")
    assert store.get("node.tn-main") == b"newer"


def test_the_bytes_are_on_the_disk_before_the_name(
    store: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Write, sync the file, rename, sync the directory: in this order."""
    calls: list[str] = []

    def spy(name: str) -> Any:
        real = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            kind = ""
            if name == "fsync":
                kind = " directory" if os.path.isdir(f"/proc/self/fd/{arguments[0]}") else " file"  # noqa: PTH112
                size = os.fstat(arguments[0]).st_size
                assert kind == " directory" or size > len(SECRET)
            calls.append(name + kind)
            return real(*arguments, **options)

        return call

    for name in ("fsync", "rename"):
        monkeypatch.setattr(os, name, spy(name))
    store.put("node.tn-main", SECRET)
    assert calls == ["fsync file", "rename", "fsync directory"]


def test_a_creation_cut_short_can_be_repeated(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut before the rename leaves nothing that hinders the next attempt."""

    def cut(*_: object, **__: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", cut)
        with pytest.raises(PowerCut):
            Keystore.create(directory, PASSPHRASE, CHEAP)
    Keystore.create(directory, PASSPHRASE, CHEAP)
    assert Keystore.open(directory, PASSPHRASE).names() == ()


def test_a_deleted_secret_is_overwritten_and_gone(
    store: Keystore, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is filled with zeros, synced, then removed, and so is a rest of a cut-short write."""
    rest = directory / "node.tn-main.key.new"
    rest.write_bytes(b"rest")
    removed: list[bytes] = []
    real = os.unlink

    def spy(file: str, **options: Any) -> None:
        removed.append((directory / file).read_bytes())
        real(file, **options)

    size = (directory / "node.tn-main.key").stat().st_size
    monkeypatch.setattr(os, "unlink", spy)
    store.delete("node.tn-main")
    assert removed == [bytes(4), bytes(size)]
    assert {path.name for path in directory.iterdir()} == {"keystore.json"}
    with pytest.raises(ConfigurationError):
        store.get("node.tn-main")
    store.delete("node.tn-main")


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200))
def test_every_secret_survives_and_arbitrary_files_do_not(store: Keystore, data: bytes) -> None:
    """Any bytes come back as they were put; as a file of their own they are refused."""
    store.put("any", data)
    assert store.get("any") == data
    (store.directory / "any.key").write_bytes(data)
    with pytest.raises(VerificationError):
        store.get("any")


def test_what_is_sealed_elsewhere_opens_for_its_purpose_alone(
    store: Keystore, directory: Path
) -> None:
    """It opens with the passphrase and the purpose, and can never stand in for a secret."""
    sealed = store.seal("backup", SECRET)
    assert Keystore.open(directory, PASSPHRASE).unseal("backup", sealed) == SECRET
    with pytest.raises(VerificationError, match="another secret"):
        store.unseal("tls.key", sealed)
    with pytest.raises(VerificationError, match="altered"):
        store.unseal("backup", sealed[:-1] + bytes([sealed[-1] ^ 1]))
    (directory / "backup.key").write_bytes(sealed)
    (directory / "backup.key").chmod(0o600)
    with pytest.raises(VerificationError, match="another secret"):
        store.get("backup")


def test_files_are_given_as_they_lie(store: Keystore, directory: Path, tmp_path: Path) -> None:
    """Copied elsewhere they are the same keystore; a rest of a crash is no part of it."""
    (directory / "node.tn-main.key.new").write_bytes(b"half")
    files = store.files()
    assert sorted(files) == ["keystore.json", "node.tn-main.key"]
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    for name, data in files.items():
        (other / name).touch(mode=0o600)
        (other / name).write_bytes(data)
    assert Keystore.open(other, PASSPHRASE).get("node.tn-main") == SECRET
