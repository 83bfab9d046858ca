"""The demonstration's processes: started, heard of, ended."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from broker.cli.demo.processes import Processes
from broker.cli.exits import Exit


def test_commands_side_by_side_keep_their_exit_codes(tmp_path: Path) -> None:
    """Many threads run commands at once, and each hears how its own ended."""
    with Processes(tmp_path, b"a passphrase of tests") as processes, ThreadPoolExecutor(8) as pool:
        codes = list(
            pool.map(lambda _: processes.run("--version", expected=Exit.OK).code, range(64))
        )
    assert codes == [0] * 64
