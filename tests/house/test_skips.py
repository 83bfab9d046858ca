"""The report of skipped tests, seen from outside: pytest runs on a small folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

ONE_SKIPPED = """
import pytest

def test_runs():
    pass

@pytest.mark.skip(reason="no engine\\n  here")
def test_skips():
    pass
"""

MODULE_SKIPPED = """
import pytest
pytest.skip("no module here", allow_module_level=True)
"""


def run_pytest(folder: Path, *options: str, forbid: bool = False) -> tuple[int, list[str]]:
    """Run pytest in `folder` under our conftest; give its exit status and its lines."""
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "pytest.ini").write_text("[pytest]\n")
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    environment["BARID_FORBID_SKIP"] = "1" if forbid else "0"
    # Loading every plugin would take longer than the run.
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "2")], ids=["alone", "workers"])
def test_last_line_names_what_was_skipped_and_why(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Test and module, each with its reason, stand in the last line, and the run passes."""
    (tmp_path / "test_one.py").write_text(ONE_SKIPPED)
    (tmp_path / "test_module.py").write_text(MODULE_SKIPPED)
    status, lines = run_pytest(tmp_path, *options)
    assert status == 0
    assert "1 passed, 2 skipped" in lines[-2]
    expected = {"test_one.py::test_skips: no engine here", "test_module.py: no module here"}
    assert set(lines[-1].removeprefix("skipped: ").split("; ")) == expected


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "2")], ids=["alone", "workers"])
def test_skip_fails_the_run_where_it_is_forbidden(tmp_path: Path, options: tuple[str, ...]) -> None:
    """The same tests fail the run, and the last line says so."""
    (tmp_path / "test_one.py").write_text(ONE_SKIPPED)
    status, lines = run_pytest(tmp_path, *options, forbid=True)
    assert status == 1
    assert lines[-1] == (
        "skipped (forbidden here: this run has failed): test_one.py::test_skips: no engine here"
    )


def test_run_without_skips_passes_where_they_are_forbidden(tmp_path: Path) -> None:
    """Nothing skipped is said too, and does not fail."""
    (tmp_path / "test_one.py").write_text("def test_runs():\n    pass\n")
    status, lines = run_pytest(tmp_path, forbid=True)
    assert (status, lines[-1]) == (0, "skipped: nothing")
