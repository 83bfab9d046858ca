"""Server processes of a measurement: started on their core, waited for, ended.

May import the standard library and psutil; `world` starts hub, nodes and the targets of comparison with it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

ROOT: Final = Path(__file__).parents[2]
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core serves, and which one makes the load; the same where there is only one."""

    server: int
    load: int

    @classmethod
    def of_this_machine(cls) -> Cores:
        """The first two that this process may use."""
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[0], allowed[-1 if len(allowed) == 1 else 1])


@contextmanager
def server(
    log: Path, port: int, *arguments: str, core: int | None = None, passphrase: Path | None = None
) -> Iterator[psutil.Process]:
    """A Python module served as a process while the block runs; ends with SIGTERM.

    Args:
        log: takes what it prints.
        port: of 127.0.0.1, waited for.
        arguments: of `python`.
        core: pinned to this one.
        passphrase: the file from which it reads its keystore's.

    Raises:
        RuntimeError: it did not come up; the message has the end of its log.
    """
    pinned = () if core is None else ("taskset", "--cpu-list", str(core))
    environment = {n: v for n, v in os.environ.items() if not n.startswith("BARID_")}
    if passphrase is not None:
        environment["BARID_PASSPHRASE_FILE"] = str(passphrase)
    with log.open("ab") as said:
        process = subprocess.Popen(
            [*pinned, sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        _wait_for(process, port, log)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"no server at port {port}: {log.read_text(errors='replace')[-2000:]}")
