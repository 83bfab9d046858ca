"""The long run: every test of faults with the full numbers, and what came of it as docs/soak.md.

Run as `python -m tests.faults.soak`, which `make soak` does; with names of files, these alone, while the rows
of the others stay. The numbers are set by `BARID_SOAK_KILLS` and `BARID_SOAK_HISTORIES`; the document says
how many were really done.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.bench.machine import description

PROJECT: Final = Path(__file__).parents[2]
REPORT: Final = PROJECT / "docs" / "soak.md"

RUNS: Final = (
    ("kill -9 of hub and nodes at random moments", "tests/faults/test_kill_rounds.py"),
    ("random histories against a model", "tests/exchange/test_histories.py"),
    (
        "random histories, governed meanwhile, whose audits find nothing",
        "tests/exchange/test_audited_histories.py",
    ),
    ("a 100 MiB attachment, killed ten times", "tests/faults/test_attachment_kill.py"),
    ("kill -9 of the hub at every commit point", "tests/faults/test_hub_kill.py"),
    (
        "every call by which the hub writes or answers, with each fault",
        "tests/faults/test_crash_table.py",
    ),
    ("power cuts, seen by strace", "tests/faults/test_power_loss.py"),
    ("the hub on a full disk, and its database locked", "tests/faults/test_full_disk.py"),
    ("a node on a full disk, and its database read-only", "tests/faults/test_full_disk_node.py"),
)

FULL: Final = {"BARID_SOAK_KILLS": "300", "BARID_SOAK_HISTORIES": "1000"}

_ROW: Final = re.compile(r"^(\| [^|]* \| `([^`]*)` \|(?:[^|]*\|){4})$", re.MULTILINE)

_TOLD: Final = re.compile(
    r"^(seed .*|[0-9]+ rounds.*|[0-9]+ histories.*|\{.*MiB.*\})$", re.MULTILINE
)
_SUMMARY: Final = re.compile(r"^(?:=+ )?([0-9]+ (?:passed|failed|skipped).*?) in ", re.MULTILINE)


@dataclass(frozen=True)
class Result:
    """What one run came to."""

    title: str
    path: str
    summary: str
    told: tuple[str, ...]
    seconds: float
    is_sound: bool


def run(title: str, path: str) -> Result:
    """Run one file of tests with the full numbers."""
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", path]
    start = time.monotonic()
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, "BARID_SOAK": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - start
    summary = _SUMMARY.findall(done.stdout)
    told = tuple(_TOLD.findall(done.stdout))
    if done.returncode != 0:
        sys.stderr.write(done.stdout[-20_000:])
    return Result(
        title, path, summary[-1] if summary else "no end", told, seconds, done.returncode == 0
    )


def report(result: Result, began: datetime, before: str) -> str:
    """The document, with the row of one run in the place of the one before."""
    rows = {path: row for row, path in _ROW.findall(before)}
    told = "; ".join((*result.told, *_reduced()))
    minutes, when = f"{result.seconds / 60:.1f}", f"{began:%Y-%m-%d %H:%M}"
    cells = (result.title, f"`{result.path}`", result.summary, minutes, when, told)
    rows[result.path] = f"| {' | '.join(cells)} |"
    return "\n".join(_lines([rows[path] for _, path in RUNS if path in rows])) + "\n"


def _reduced() -> Iterator[str]:
    for name, full in FULL.items():
        asked = os.environ.get(name, full)
        if asked != full:
            yield f"`{name}={asked}`, where the full number is {full}"


def _lines(rows: list[str]) -> Iterator[str]:
    yield "# Soak\n"
    yield "Written by `make soak`; not by hand. What the tests do in small, with the long numbers.\n"
    yield f"{description()}\n"
    yield "| what | tests | result | minutes | begun (UTC) | said |"
    yield "| --- | --- | --- | --- | --- | --- |"
    yield from rows


def main() -> int:
    """Run all, or what is named. Returns the exit code: 0 where everything was sound."""
    named, is_sound = sys.argv[1:], True
    if unknown := set(named) - {path for _, path in RUNS}:
        sys.exit(f"no long run: {', '.join(sorted(unknown))}")
    for title, path in RUNS:
        if named and path not in named:
            continue
        began = datetime.now(UTC)
        result = run(title, path)
        is_sound &= result.is_sound
        print(f"{result.summary} in {result.seconds:.0f} s: {title}", flush=True)  # noqa: T201
        REPORT.write_text(report(result, began, REPORT.read_text()))
    return 0 if is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
