"""The project as its files: where it stands and what git knows of it. The tests of the house ask."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def run(*command: str) -> str:
    """Run a tool in the root of the project and give what it printed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def files_in_git(*patterns: str) -> list[Path]:
    """List the files of the project: committed, or about to be."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns)
    paths = (ROOT / name for name in listed.split("\0") if name)
    return [path for path in paths if path.is_file()]
