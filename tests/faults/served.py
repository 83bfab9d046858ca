"""Hub and nodes as processes of their own, by the command that operators type; their memory is watched.

The tests of large attachments share it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.exchange.nodes import wait_for

PROJECT = Path(__file__).parents[2]
START_SECONDS = 60.0
SAMPLE_SECONDS = 0.02


class Served:
    """A hub or a node that is started, killed and started again.

    Args:
        role: `hub` or `node`.
        data: its directory.
        passphrase: a file that holds the one of its keystore.
        answers: whether it serves.
    """

    def __init__(
        self, role: str, data: Path, passphrase: Path, answers: Callable[[], bool]
    ) -> None:
        self._command = [sys.executable, "-m", "broker.cli", role, "serve", "--data", str(data)]
        self._variables = {**os.environ, "BARID_PASSPHRASE_FILE": str(passphrase)}
        self._answers = answers
        self._ended = threading.Event()
        self._usual_bytes = 0
        self._most_bytes = 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            self._command, env=self._variables, cwd=PROJECT, stdout=subprocess.DEVNULL
        )
        wait_for(self._answers, START_SECONDS)
        self._ended = threading.Event()
        watching = (psutil.Process(self._process.pid), self._ended)
        threading.Thread(target=self._watch, args=watching, daemon=True).start()

    def _watch(self, process: psutil.Process, ended: threading.Event) -> None:
        try:
            while not ended.wait(SAMPLE_SECONDS):
                self._most_bytes = max(self._most_bytes, process.memory_info().rss)
        except psutil.Error:
            # It was killed; the next one is watched anew.
            return

    def is_warm(self) -> None:
        """From here on memory is extra: it has done once, in little, what it will be asked for."""
        self._usual_bytes = psutil.Process(self._process.pid).memory_info().rss

    @property
    def extra_bytes(self) -> int:
        """The most memory (RSS) that it used, beyond what it used when it was warm."""
        return self._most_bytes - self._usual_bytes

    def kill(self) -> None:
        """End it as a power cut would."""
        self._ended.set()
        self._process.kill()
        self._process.wait()
