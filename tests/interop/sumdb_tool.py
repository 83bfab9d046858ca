"""golang.org/x/mod/sumdb as a command: built from Debian's packages, once for each run of the tests.

May import pytest; the tests beside it call it. Whoever has no Go skips them, and the run says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

GOPATH = Path("/usr/share/gocode")
SOURCE = Path(__file__).parent / "sumdb"


def build(folder: Path) -> Path:
    """Build the command from Debian's golang-go and golang-golang-x-mod-dev; no network is needed."""
    sumdb = GOPATH / "src" / "golang.org" / "x" / "mod" / "sumdb"
    if shutil.which("go") is None or not sumdb.is_dir():
        pytest.skip("needs go and golang.org/x/mod (Debian: golang-go, golang-golang-x-mod-dev)")
    command = folder / "sumdb"
    settings = {
        "GO111MODULE": "off",
        "GOPATH": str(GOPATH),
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "-trimpath",
        "CGO_ENABLED": "0",
    }
    words = ["go", "build", "-o", str(command), "."]
    built = subprocess.run(
        words, cwd=SOURCE, env=os.environ | settings, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return command


def answer(command: Path, *arguments: object) -> dict[str, Any]:
    """Run it; gives what it printed. Raises AssertionError with its reason."""
    words = [str(command), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
