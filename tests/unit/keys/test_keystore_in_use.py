"""A keystore while it is used: a crash in the middle of a destruction, a reader while another writes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from nacl.pwhash import argon2id

from keys import keystore as module
from keys.keystore import KdfCost, Keystore

CHEAP = KdfCost(argon2id.OPSLIMIT_MIN, argon2id.MEMLIMIT_MIN)


@pytest.fixture
def store(tmp_path: Path) -> Keystore:
    """A keystore with one secret."""
    store = Keystore.create(tmp_path / "keys", b"five random words of a clerk", CHEAP)
    store.put("node.tn-main", b"the first")
    return store


def test_a_crash_while_a_secret_is_destroyed(
    store: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name leads to nothing by then, never to half of it; the next call ends the destruction."""

    def crash(*_arguments: object) -> None:
        raise KeyboardInterrupt

    real, calls = module._destroy, 0

    def destroy(file: str, directory: int) -> None:
        nonlocal calls
        calls += 1
        (crash if calls > 1 else real)(file, directory)

    monkeypatch.setattr(module, "_destroy", destroy)
    with pytest.raises(KeyboardInterrupt):
        store.delete("node.tn-main")
    monkeypatch.undo()
    assert store.names() == ()
    assert [name for name in store.files() if "node" in name] == []
    store.delete("node.tn-main")
    assert [path.name for path in store.directory.iterdir() if "node" in path.name] == []


def test_what_belongs_together_is_read_together(store: Keystore) -> None:
    """While several secrets are read, a writer waits."""
    written = threading.Event()

    def write() -> None:
        store.put("node.tn-main", b"new")
        written.set()

    store.put("node.tn-main", b"old")
    with store.unchanging():
        thread = threading.Thread(target=write)
        thread.start()
        assert not written.wait(0.1)
        assert store.get("node.tn-main") == b"old"
    thread.join()
    assert store.get("node.tn-main") == b"new"
