"""The guide for ministries is played as it is written: each command, and what it prints."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.exchange.live import free_port
from tests.house.project import ROOT
from tests.unit.cli.conftest import make_barid
from tests.unit.cli.founding import Barid

GUIDE = ROOT / "docs" / "governance.md"

ORDER = (
    "Founding an exchange",
    "Joining",
    "A node is stolen at night",
    "Changing the council or the rules",
    "Witnesses",
    "Governors change",
)
"""The headings in which something is typed; in the guide what is urgent comes first."""

PATIENCE_SECONDS = 60.0
PORTS = ("8443", "8081", "8444", "8445")

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Typed:
    """One command of the guide, and the lines that follow it."""

    command: str
    expected: tuple[str, ...]


def _typed(heading: str) -> list[Typed]:
    text = GUIDE.read_text("utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = []
    for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.rstrip("\n").split("\n")
            found.append(Typed(command, tuple(lines)))
    return found


class Stage:
    """A folder in which the guide is played, with other ports than the guide's."""

    def __init__(self, folder: Path, barid: Barid) -> None:
        self.folder, self.barid = folder, barid
        self.ports = {port: str(free_port()) for port in PORTS}
        self.processes: list[subprocess.Popen[bytes]] = []
        shim = folder / "bin" / "barid"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m broker.cli "$@"\n')
        shim.chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}"}

    def here(self, text: str) -> str:
        """A text of the guide with the ports of this machine."""
        for written, port in self.ports.items():
            text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{port}")
        return text

    def play(self, typed: Typed) -> None:
        """Run a command, and compare what it prints; what takes a moment is asked again."""
        command = self.here(typed.command)
        if command.endswith(" &"):
            self._serve(command.removesuffix(" &"))
            return
        pattern = _pattern([self.here(line) for line in typed.expected])
        patient = any(asked in command for asked in (" inbox list ", " bulletin send "))
        ends = time.monotonic() + (PATIENCE_SECONDS if patient else 0)
        while True:
            code, printed = self._run(command, typed)
            if code == 0 and pattern.fullmatch(printed):
                return
            if time.monotonic() >= ends:
                wanted = "\n".join(typed.expected)
                pytest.fail(f"$ {command}\n--- the guide\n{wanted}\n--- printed\n{printed}")
            time.sleep(0.5)

    def _run(self, command: str, typed: Typed) -> tuple[int, str]:
        if not command.startswith("barid "):
            shell = ["bash", "-euc", command]
            done = subprocess.run(shell, env=self.environment, capture_output=True, check=True)
            return done.returncode, done.stdout.decode()
        given = "".join(f"{self._digits(line)}\n" for line in typed.expected if "<<" in line)
        result = self.barid(*shlex.split(command)[1:], text=given)
        return result.exit_code, re.sub(r"[ \t]+$", "", result.output, flags=re.MULTILINE)

    def _digits(self, line: str) -> str:
        (name,) = re.findall(r"<<fingerprint (\S+)>>", line)
        return hashlib.sha256((self.folder / name).read_bytes()).hexdigest()[:8]

    def _serve(self, command: str) -> None:
        words = shlex.split(command)
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(words, env=self.environment, stdout=log, stderr=log)
        self.processes.append(process)
        port = {"HUB": "8443", "TN": "8444", "NE": "8445"}[words[-1]]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", int(self.ports[port]))):
                return
            time.sleep(0.1)
        pytest.fail(f"$ {command} &\ndoes not answer")

    def end(self) -> None:
        """Stop what serves."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(20)


def _pattern(lines: list[str]) -> re.Pattern[str]:
    """What the guide says that is printed: `…` is anything in a line, or any lines."""
    parts = []
    for line in lines:
        if line == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            shown = re.sub(r"<<fingerprint \S+>>", "…", line).rstrip()
            parts.append(".*".join(re.escape(piece) for piece in shown.split("…")) + r"\n")
    return re.compile("".join(parts))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """An empty folder, as a ministry's officer begins."""
    monkeypatch.chdir(tmp_path)
    made = Stage(tmp_path, make_barid(tmp_path, monkeypatch))
    made.environment["BARID_PASSPHRASE_FILE"] = os.environ["BARID_PASSPHRASE_FILE"]
    try:
        yield made
    finally:
        made.end()


def test_the_guide_is_true(stage: Stage) -> None:
    """From an empty folder to a first bulletin read, a stolen node, a changed council, other governors."""
    for heading in ORDER:
        typed = _typed(heading)
        assert typed, heading
        for each in typed:
            stage.play(each)


def test_nothing_of_the_guide_is_left_out() -> None:
    """Each block that shows commands stands under a heading that is played."""
    text = GUIDE.read_text("utf-8")
    shown = len(re.findall(r"^\$ ", text, re.MULTILINE))
    assert shown == sum(len(_typed(heading)) for heading in ORDER)
