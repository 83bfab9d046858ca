"""What strace saw a process do with its database and its sockets, line by line.

The tests of power cuts read it: between a write to the database's log and an answer, the disk must have it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

CALLS = "fdatasync,fsync,write,writev,sendto,sendmsg,pwrite64,pwritev"

_BEGUN = re.compile(r"^(?P<thread>\d+) +(?P<call>\w+)\(\d+<(?P<target>.*?)>[,) ]")
_RESUMED = re.compile(r"^(?P<thread>\d+) +<\.\.\. (?P<call>\w+) resumed>")
_RESULT = re.compile(r"= (?P<result>-?\d+)(?: |$)")

_SYNCS = frozenset({"fdatasync", "fsync"})


@dataclass(frozen=True)
class Step:
    """One system call: `begun` on a target, or `ended` with a result."""

    call: str
    target: str
    result: int | None  # None: it has begun, and its end is another step


def strace(trace: Path, *more: str) -> list[str]:
    """The command that runs another under strace; skips the test where there is none."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: `make setup-fault-tools` does, as root on Debian")
    return ["strace", "-f", "-yy", "-s", "0", "-e", f"trace={CALLS}", *more, "-o", str(trace)]


def kill_traced(process_id: int) -> None:
    """Kill what strace runs; strace itself ignores signals until then."""
    for child in psutil.Process(process_id).children():
        child.kill()


def steps(trace: Path) -> Iterator[Step]:
    """Read a trace; calls that another thread interrupts are put together again."""
    pending: dict[str, tuple[str, str]] = {}
    for line in trace.read_text(errors="replace").splitlines():
        begun, resumed = _BEGUN.match(line), _RESUMED.match(line)
        if begun is not None:
            call, target = begun["call"], begun["target"]
            yield Step(call, target, None)
            if line.endswith("<unfinished ...>"):
                pending[begun["thread"]] = (call, target)
                continue
        elif resumed is not None and resumed["thread"] in pending:
            call, target = pending.pop(resumed["thread"])
        else:
            continue
        result = _RESULT.search(line)
        if result is not None:
            yield Step(call, target, int(result["result"]))


@dataclass(frozen=True)
class Promises:
    """How often the database's log was brought to the disk, and what was sent before it was."""

    syncs: int
    sent_too_early: int


def promises(trace: Path, database: Path) -> Promises:
    """Follow a server that does one thing at a time: nothing may be sent while the disk lacks a write."""
    log = str(database.with_name(database.name + "-wal"))
    is_dirty, syncs, early = False, 0, 0
    for step in steps(trace):
        if step.target == log and step.call in _SYNCS:
            if step.result == 0:
                is_dirty, syncs = False, syncs + 1
        elif step.target == log:
            is_dirty = True
        elif step.target.startswith("TCP") and step.result is None and is_dirty:
            early += 1
    return Promises(syncs, early)
