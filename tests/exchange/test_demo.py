"""The demonstration, played as a newcomer plays it: from nothing, in processes of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from broker.cli.demo.story import CHAPTERS

MARKED = "claims were checked, and all of them hold"
CLAIMS = 29
SHOWN = (
    "judicial-requests-to-judicial-desks-only",
    "handed in last, it left before every report",
    "*** EXERCISE Ténéré 2026: THIS IS NOT REAL ***",
    "the file arrived byte for byte",
    "the bulletin reached Mali",
    "the communiqué, which had waited in Libya",
    "in Nouakchott, where nobody had read it, nobody can any more",
    "exchange log, entry 0, rule opening",
)
"""What a visitor comes to see."""


@pytest.mark.timeout(600)
def test_demo_holds_from_beginning_to_end(tmp_path: Path) -> None:
    """`barid demo` ends 0, has told every chapter, and leaves neither process nor file behind."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BARID_PASSPHRASE")}
    before = {process.pid for process in psutil.process_iter()}
    done = subprocess.run(
        [sys.executable, "-m", "broker.cli", "demo"],
        env={**environment, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^(\d+)\. ", done.stdout, re.MULTILINE) == [
        str(number) for number in range(1, len(CHAPTERS) + 1)
    ]
    claims = re.findall(r"^   ok ", done.stdout, re.MULTILINE)
    assert f"{len(claims)} {MARKED}" in done.stdout
    assert len(claims) >= CLAIMS
    assert [word for word in SHOWN if word not in done.stdout] == []
    assert list(tmp_path.iterdir()) == []
    started = [process for process in psutil.process_iter() if process.pid not in before]
    assert [each for each in started if str(tmp_path) in _traces(each)] == []


def _traces(process: psutil.Process) -> str:
    """What tells that a process is of the demonstration: its folder, or its command."""
    try:
        return f"{process.cwd()} {' '.join(process.cmdline())}"
    except psutil.Error:
        return ""
