"""The demonstration's processes: each a `barid` command of its own, with its passphrase on a file descriptor.

May import the standard library and `broker.cli`; `world` runs everything here. Servers end by their own
process id, and all of them end when the block ends.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from broker.cli.exits import DemoFailure, Exit

_COMMAND_TIMEOUT_SECONDS: Final = 120.0
_STOP_TIMEOUT_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.1
_LOG_TAIL_CHARACTERS: Final = 1500

_FORKS: Final = multiprocessing.get_context("forkserver")
_LOADED_ONCE: Final = (
    "broker.cli.main",
    "broker.audit.setup",
    "broker.audit.verify",
    "broker.hub.setup",
    "broker.node.setup",
    "broker.node.api.views",
    "broker.policy.rules",
    "httpx",
    "keys.ceremony",
    "keys.default_council",
)
"""What most commands import: a second of work each, done once for all of them."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it printed."""

    code: int
    printed: str
    complained: str

    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.printed)


@dataclass
class Processes:
    """Runs commands, and keeps servers until the block ends.

    Args:
        directory: where the log of each server goes.
        passphrase: of every keystore of the demonstration.
    """

    directory: Path
    passphrase: bytes
    _servers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _kept: bool = False

    def __enter__(self) -> Self:
        _FORKS.set_forkserver_preload(list(_LOADED_ONCE))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None or not self._kept:
            for name in reversed(list(self._servers)):
                self.stop(name)

    def keep(self) -> dict[str, int]:
        """Leave the servers running after the block; gives their process ids by name."""
        self._kept = True
        return {name: server.pid for name, server in self._servers.items()}

    def run(
        self,
        *arguments: str,
        expected: Exit = Exit.OK,
        environment: Mapping[str, str] | None = None,
    ) -> Done:
        """Run one command to its end, in a process forked from one that has the libraries loaded.

        Raises:
            DemoFailure: it ended with another code than expected, or took too long.
        """
        shown = f"barid {' '.join(arguments)}"
        variables = _without_settings() | dict(environment or {})
        with tempfile.TemporaryDirectory() as folder:
            out, err, code = Path(folder, "out"), Path(folder, "err"), Path(folder, "code")
            child = _FORKS.Process(
                target=_command, args=(arguments, variables, self.passphrase, folder)
            )
            child.start()
            child.join(_COMMAND_TIMEOUT_SECONDS)
            if child.exitcode is None:
                child.kill()
                child.join()
                raise DemoFailure(f"`{shown}` did not end within {_COMMAND_TIMEOUT_SECONDS:.0f} s")
            # multiprocessing's own exit code is lost where two threads look at their children at once.
            ended = int(code.read_text("ascii")) if code.exists() else child.exitcode
            result = Done(ended, out.read_text("utf-8"), err.read_text("utf-8"))
        if result.code != expected:
            raise DemoFailure(
                f"`{shown}` ended with {result.code}, expected {expected.value};"
                f" it said: {(result.complained or result.printed)[-_LOG_TAIL_CHARACTERS:]}"
            )
        return result

    def start(self, name: str, *arguments: str) -> int:
        """Start a server; gives its process id."""
        reading = _pipe_with(self.passphrase)
        try:
            with (self.directory / f"{name}.log").open("ab") as log:
                self._servers[name] = subprocess.Popen(  # noqa: S603 - our own command, no shell
                    [sys.executable, "-m", "broker.cli", *arguments],
                    env={**_without_settings(), "BARID_PASSPHRASE_FD": str(reading)},
                    pass_fds=(reading,),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # Ctrl-C at the terminal is for the demonstration, which then stops its servers.
                    start_new_session=True,
                )
        finally:
            os.close(reading)
        return self._servers[name].pid

    def kill(self, name: str) -> int:
        """End a server as a power cut would: SIGKILL. Gives the process id that it had."""
        server = self._servers.pop(name)
        server.kill()
        server.wait(_STOP_TIMEOUT_SECONDS)
        return server.pid

    def stop(self, name: str) -> None:
        """End a server in order: SIGTERM, and SIGKILL where that is not heard."""
        server = self._servers.pop(name)
        server.terminate()
        try:
            server.wait(_STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(_STOP_TIMEOUT_SECONDS)

    def wait_until(
        self, what: str, look: Callable[[], Value | None], timeout_seconds: float
    ) -> Value:
        """Look until there is something to see.

        Raises:
            DemoFailure: nothing came in time, or a server ended by itself meanwhile.
        """
        deadline = time.monotonic() + timeout_seconds
        while (seen := look()) is None:
            self._check_alive()
            if time.monotonic() > deadline:
                raise DemoFailure(f"expected within {timeout_seconds:.0f} s: {what}")
            time.sleep(_POLL_SECONDS)
        return seen

    def _check_alive(self) -> None:
        for name, server in self._servers.items():
            if (code := server.poll()) is not None:
                tail = (self.directory / f"{name}.log").read_text("utf-8", errors="replace")
                raise DemoFailure(
                    f"the process `{name}` ended with {code}; its log ends:"
                    f" {tail[-_LOG_TAIL_CHARACTERS:]}"
                )


def _without_settings() -> dict[str, str]:
    """This environment without the settings of another node or keystore."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BARID_")}


def _pipe_with(passphrase: bytes) -> int:
    """The reading end of a pipe that holds the passphrase."""
    reading, writing = os.pipe()
    os.write(writing, passphrase)
    os.close(writing)
    return reading


def _command(
    arguments: tuple[str, ...], variables: dict[str, str], passphrase: bytes, folder: str
) -> None:
    """Be the command: its environment; its output and exit code in the files that `run` reads."""
    from broker.cli.main import app

    os.environ.clear()
    os.environ.update(variables, BARID_PASSPHRASE_FD=str(_pipe_with(passphrase)))
    for descriptor, name in ((1, "out"), (2, "err")):
        path = Path(folder, name)
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    code: object = 0
    try:
        app(args=list(arguments), prog_name="barid")
    except SystemExit as ending:
        code = ending.code or 0
    sys.stdout.flush()
    sys.stderr.flush()
    Path(folder, "code").write_text(str(code if isinstance(code, int) else 1), "ascii")


def end_process(process_id: int) -> bool:
    """Ask a process to end, and wait; True once it is gone."""
    deadline = time.monotonic() + _STOP_TIMEOUT_SECONDS
    try:
        os.kill(process_id, signal.SIGTERM)
        while time.monotonic() < deadline:
            os.kill(process_id, 0)
            time.sleep(_POLL_SECONDS)
    except ProcessLookupError:
        return True
    return False


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
