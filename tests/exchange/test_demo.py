"""The demonstration, played as a newcomer plays it: from nothing, in processes of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

MARKED = "claims were checked, and all of them hold"


@pytest.mark.timeout(300)
def test_demo_holds_from_beginning_to_end(tmp_path: Path) -> None:
    """`barid demo` ends 0, has told all nine chapters, and leaves neither process nor file behind."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BARID_PASSPHRASE")}
    before = {process.pid for process in psutil.process_iter()}
    done = subprocess.run(
        [sys.executable, "-m", "broker.cli", "demo"],
        env={**environment, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^(\d+)\. ", done.stdout, re.MULTILINE) == [str(n) for n in range(1, 10)]
    claims = re.findall(r"^   ok ", done.stdout, re.MULTILINE)
    assert f"{len(claims)} {MARKED}" in done.stdout
    assert len(claims) >= 17
    assert "judicial-requests-to-judicial-desks-only" in done.stdout
    assert list(tmp_path.iterdir()) == []
    started = [process for process in psutil.process_iter() if process.pid not in before]
    assert [each for each in started if str(tmp_path) in " ".join(_command(each))] == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
