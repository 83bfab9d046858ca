"""A backup that is killed at any moment leaves no half archive under the archive's name."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from broker.archive import Owner, Source, open_archive, write_archive
from keys.keystore import Keystore
from tests.exchange.live import CHEAP, PASSPHRASE

PROJECT = Path(__file__).parents[2]
ROUNDS = 8
ROUNDS_MAX = 80
"""On a slow machine a child may be killed before it begins, or after it has ended: it is tried further."""

SIZE_BYTES = 48 * 1024 * 1024
OWNER = Owner("hub", "tripoli-test", "hub", datetime(2026, 11, 25, 2, 0, 0, tzinfo=UTC))


def sources(folder: Path) -> list[Source]:
    """A keystore, and a file that takes a while to copy."""
    names = [f"keystore/{path.name}" for path in sorted((folder / "keystore").iterdir())]
    return [Source(name, folder / name) for name in [*names, "hub.db"]]


def kill_in_the_middle(folder: Path, seed: int) -> int:
    """Back up again and again, killed each time; says how many half archives were left under another name.

    Runs as a process of its own, which has no threads, so that it may fork.
    """
    chance = random.Random(seed)
    keystore = Keystore.open(folder / "keystore", PASSPHRASE)
    archive = folder / "out" / "saved.tar"
    halves = 0
    for number in range(ROUNDS_MAX):
        if number >= ROUNDS and halves:
            break
        child = os.fork()
        if child == 0:
            write_archive(archive, OWNER, sources(folder), keystore)
            os._exit(0)
        time.sleep(chance.uniform(0.0, 0.2))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if archive.exists():
            open_archive(archive, PASSPHRASE)
            archive.unlink()
        halves += any(path.name.endswith(".part") for path in archive.parent.iterdir())
    return halves


def test_a_killed_backup_leaves_no_half_archive(tmp_path: Path) -> None:
    """Whenever it is killed, there is no archive or a whole one, and the next backup is made."""
    seed = random.randrange(2**32)
    keystore = Keystore.create(tmp_path / "keystore", PASSPHRASE, CHEAP)
    (tmp_path / "hub.db").write_bytes(bytes(range(256)) * (SIZE_BYTES // 256))
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-m", "tests.faults.test_backup_kill", str(tmp_path), str(seed)]
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    assert int(done.stdout) > 0, f"seed {seed}: no kill came in the middle of a backup"
    archive = tmp_path / "out" / "saved.tar"
    write_archive(archive, OWNER, sources(tmp_path), keystore)
    open_archive(archive, PASSPHRASE)
    assert [path.name for path in archive.parent.iterdir()] == ["saved.tar"]


if __name__ == "__main__":
    sys.stdout.write(str(kill_in_the_middle(Path(sys.argv[1]), int(sys.argv[2]))))
