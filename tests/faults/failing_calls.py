"""The system calls by which a process changes files and answers callers: counted, written down, made to fail.

`failing.c` does it within the process; here is how it is built and armed, and what is read out of its
journal: the calls one by one, and what a disk would hold of them after a power cut.
"""

from __future__ import annotations

import ctypes
import errno
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

SOURCE: Final = Path(__file__).with_name("failing.c")

ANSWER: Final = "answer"
SYNC: Final = "sync"
PASSING: Final = "-shm"
"""SQLite's index of its log: processes map it, write it past any call, and make it anew after a crash."""

CHANGES: Final = frozenset({"write", "truncate", "create", "rename"})


@dataclass(frozen=True)
class Fault:
    """What happens at a call: `how` as failing.c numbers it, and to which calls it may happen.

    With `is_power_cut` the next process finds what the disk had been told to keep, and nothing else; with
    `cut_later` the power goes once that process has gone on working.
    """

    name: str
    how: int
    calls: frozenset[str]
    error: int = 0
    is_power_cut: bool = False
    cut_later: bool = False


FAULTS: Final = (
    Fault("killed before", 1, CHANGES | {SYNC, ANSWER, "unlink"}),
    Fault("killed after", 2, CHANGES | {SYNC, ANSWER, "unlink"}),
    Fault("killed half-way", 3, frozenset({"write"})),
    Fault("power cut before", 1, CHANGES | {SYNC, ANSWER, "unlink"}, is_power_cut=True),
    Fault("power cut after", 2, frozenset({SYNC, ANSWER, "rename"}), is_power_cut=True),
    Fault("EIO", 4, CHANGES | {SYNC, "unlink"}, errno.EIO, cut_later=True),
    Fault("EIO, and done", 5, CHANGES | {SYNC}, errno.EIO, cut_later=True),
    Fault("EIO, then killed", 7, frozenset({SYNC}), errno.EIO, cut_later=True),
    Fault("no room from here on", 6, CHANGES | {SYNC}, errno.ENOSPC, cut_later=True),
)


def build(folder: Path) -> Path:
    """Compile what is loaded into the process; skips the test where nothing compiles."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no cc: `make setup-fault-tools` installs one, as root on Debian")
    library = folder / "failing.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library)]
    subprocess.run([*command, str(SOURCE), "-ldl"], check=True)
    return library


def arm(folder: Path, journal: Path, at: int, how: int, error: int) -> None:
    """Count from here on, in this process, into which the library was loaded.

    Args:
        folder: the calls that change something within it are counted, and the answers to callers.
        journal: a file outside of it, which is continued.
        at: the number of the call that suffers; 0 for none.
        how: 0 for nothing, else as failing.c numbers it.
        error: what a failed call says.
    """
    loaded = ctypes.CDLL(None)
    loaded.failing_arm(bytes(folder), bytes(journal), ctypes.c_long(at), how, error)


@dataclass(frozen=True)
class Call:
    """One call as it was written down; `outcome` is `done`, `failed` or `killed`.

    `offset` is where a write began, or the size that a file was cut to; `target` the new name in a rename.
    """

    number: int
    outcome: str
    name: str
    path: str
    offset: int
    target: str
    data: bytes = b""

    @property
    def kind(self) -> tuple[str, str]:
        """What it does to which sort of file."""
        return self.name, Path(self.path).name


def read_journal(journal: Path) -> Iterator[Call]:
    """The calls of all processes that continued a journal, in order."""
    with journal.open("rb") as file:
        while line := file.readline():
            number, outcome, name, path, first, second, target = (
                line.decode().rstrip("\n").split("\t")
            )
            is_data = (outcome, name) == ("done", "write")
            data = file.read(int(second)) if is_data else b""
            yield Call(int(number), outcome, name, path, int(first), target, data)


@dataclass
class _File:
    """A file's content as processes see it, and as the disk has it."""

    seen: bytearray
    kept: bytearray
    waiting: list[Call] = field(default_factory=list)


class Disk:
    """What a folder holds, and what is left of it after a power cut.

    Content is on the disk once it was synced; a new file's name with its content; that a name was given to
    another file, or taken away, once the folder was synced. What a failed sync was to bring to the disk
    never comes there: the system takes it for written (Linux, "fsyncgate").

    Args:
        folder: as it was at first.
        copy: the folder that processes worked in, which began as the same.
    """

    def __init__(self, folder: Path, copy: Path) -> None:
        self._names: dict[str, _File] = {}
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                file = _File(bytearray(content), bytearray(content))
                self._names[str(copy / path.relative_to(folder))] = file
        self._kept = dict(self._names)

    def follow(self, calls: Iterator[Call]) -> None:
        """Do what processes did."""
        for call in calls:
            if call.name == SYNC:
                self._sync(call)
            elif call.outcome == "done" and call.name != ANSWER:
                self._change(call)

    def _change(self, call: Call) -> None:
        if call.name == "create":
            file = self._names.setdefault(call.path, _File(bytearray(), bytearray()))
            _apply(file.seen, call)
            file.waiting.append(call)
        elif call.name == "rename":
            self._names[call.target] = self._names.pop(call.path)
        elif call.name == "unlink":
            self._names.pop(call.path, None)
        else:
            file = self._names[call.path]
            _apply(file.seen, call)
            file.waiting.append(call)

    def _sync(self, call: Call) -> None:
        file = self._names.get(call.path)
        if call.outcome == "killed":
            return
        if file is None:
            if call.outcome == "done":
                self._sync_folder(call.path)
            return
        waiting, file.waiting = file.waiting, []
        if call.outcome == "done":
            for each in waiting:
                _apply(file.kept, each)
            self._kept.setdefault(call.path, file)

    def _sync_folder(self, folder: str) -> None:
        def outside(names: dict[str, _File]) -> dict[str, _File]:
            return {n: f for n, f in names.items() if str(Path(n).parent) != folder}

        inside = {n: f for n, f in self._names.items() if str(Path(n).parent) == folder}
        self._kept = {**outside(self._kept), **inside}

    def seen(self) -> dict[str, bytes]:
        """What a process finds that comes after a kill: name → content."""
        return {n: bytes(f.seen) for n, f in self._names.items() if not n.endswith(PASSING)}

    def kept(self) -> dict[str, bytes]:
        """What a process finds that comes after a power cut: name → content."""
        return {n: bytes(f.kept) for n, f in self._kept.items() if not n.endswith(PASSING)}


def _apply(content: bytearray, call: Call) -> None:
    if call.name == "create":
        content.clear()
    elif call.name == "truncate":
        content[:] = content[: call.offset].ljust(call.offset, b"\0")
    else:
        end = call.offset + len(call.data)
        content.extend(bytes(max(0, call.offset - len(content))))
        content[call.offset : end] = call.data
