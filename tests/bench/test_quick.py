"""The bench runs from end to end with a little of everything; no figure of it is looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import wrk
from tests.bench.processes import ROOT

TIMEOUT_SECONDS = 280

pytestmark = pytest.mark.timeout(TIMEOUT_SECONDS + 20)

SECTIONS = [
    "calibration of the machine",
    "submissions",
    "the hot path, processor time of a submission",
    "from post to opened at the recipient",
    "sealing and opening",
    "audit",
    "a large directory",
    "an attachment of 4 MiB",
]


LARGE_SECTIONS = [
    "calibration of the machine",
    "audit of every entry, from local files",
    "audit of the trees, from local files (`--trees`)",
    "proofs out of 2,048 entries",
    "the log itself",
]


@pytest.mark.skipif(not wrk.installed(), reason="wrk is not installed: see `make bench`")
def test_a_quick_run_measures_everything(tmp_path: Path) -> None:
    """Real hub, real nodes, real load: every room gives figures, and the report is written."""
    (tmp_path / "performance.md").write_bytes((ROOT / "docs" / "performance.md").read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--docs", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    plain = json.loads((tmp_path / "performance" / "figures.json").read_text("utf-8"))
    assert [section["title"] for section in plain["sections"]] == SECTIONS
    assert all(section["figures"] for section in plain["sections"])
    plots = {path.name for path in (tmp_path / "performance").glob("*.svg")}
    assert plots == {"submissions.svg", "hot-path.svg", "latency.svg"}


def test_a_quick_run_of_the_large_log(tmp_path: Path) -> None:
    """A log by the generator is sound, its copies are audited, and it is proved from."""
    page = "performance-large.md"
    (tmp_path / page).write_bytes((ROOT / "docs" / page).read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.large", "--quick", "--docs", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    plain = json.loads((tmp_path / "performance" / "large.json").read_text("utf-8"))
    assert [section["title"] for section in plain["sections"]] == LARGE_SECTIONS
    assert all(section["figures"] for section in plain["sections"])
    assert "| measured |" in (tmp_path / page).read_text("utf-8")
