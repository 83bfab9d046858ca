"""wrk, the load generator: plays prepared requests over TLS from its own core.

May import the standard library; `submissions` and `latency` make load with it. `make bench` installs wrk.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CONNECTIONS: Final = 64
"""Open at once, the same for every target; each carries one request at a time."""

_SCRIPT: Final = Path(__file__).with_name("play.lua")
_TIMEOUT_SECONDS: Final = 20


@dataclass(frozen=True, slots=True)
class Load:
    """What came of one run."""

    answered: int
    seconds: float
    refused: int
    """Answers with a status of 400 or more."""
    broken: int
    """Connections that failed, and requests that timed out."""
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds

    def checked(self, what: str) -> Load:
        """The same, when every request was answered as it should be.

        Raises:
            RuntimeError: one was not; then the rate says nothing.
        """
        if self.refused or self.broken or not self.answered:
            raise RuntimeError(f"{what}: {self.refused} refused, {self.broken} broken: {self}")
        return self


def installed() -> bool:
    """Whether wrk is there."""
    return shutil.which("wrk") is not None


def version() -> str:
    """What wrk says of itself."""
    said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
    return (said.stdout or said.stderr).splitlines()[0].split(" [")[0]


def start(
    port: int,
    requests: Path,
    core: int,
    *,
    seconds: int,
    once: bool,
    connections: int = CONNECTIONS,
    pace_ms: int | None = None,
) -> subprocess.Popen[str]:
    """Begin to play prepared requests; `finish` waits for the result.

    Args:
        port: of 127.0.0.1.
        requests: the file (`prepared.write_requests`).
        core: that wrk runs on.
        seconds: ends after these, or with the file when `once`.
        once: every request at most once.
        connections: open at once.
        pace_ms: each connection waits this long between two requests.
    """
    environment = dict(os.environ) | ({} if pace_ms is None else {"PACE_MS": str(pace_ms)})
    return subprocess.Popen(
        [
            *("taskset", "--cpu-list", str(core), "wrk", "--threads", "1"),
            *("--connections", str(connections), "--duration", f"{seconds}s"),
            *("--timeout", f"{_TIMEOUT_SECONDS}s", "--script", str(_SCRIPT)),
            f"https://127.0.0.1:{port}/",
            *("--", str(requests), "once" if once else "again"),
        ],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(running: subprocess.Popen[str]) -> Load:
    """Wait for a run to end, and read its result.

    Raises:
        RuntimeError: wrk failed.
    """
    printed, _ = running.communicate()
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    if running.returncode or not lines:
        raise RuntimeError(f"wrk failed: {printed[-2000:]}")
    found = json.loads(lines[-1])
    return Load(
        answered=found["answered"],
        seconds=found["microseconds"] / 1_000_000,
        refused=found["refused"],
        broken=found["broken"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
    )
