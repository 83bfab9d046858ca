"""The demonstration's processes: each a real `barid` command, with its passphrase on a file descriptor.

May import the standard library and `broker.cli`'s own errors; `world` starts and stops everything here.
Processes end by their own process id, and all of them end when the block ends.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from broker.cli.exits import DemoFailure, Exit

COMMAND: Final = (sys.executable, "-m", "broker.cli")

_COMMAND_TIMEOUT_SECONDS: Final = 60.0
_STOP_TIMEOUT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.05
_LOG_TAIL_CHARACTERS: Final = 1500

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
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or not self._kept:
            for name in reversed(list(self._servers)):
                self.stop(name)

    def keep(self) -> dict[str, int]:
        """Leave the servers running after the block; gives their process ids by name."""
        self._kept = True
        return {name: server.pid for name, server in self._servers.items()}

    def run(
        self, *arguments: str, expected: Exit = Exit.OK, environment: Mapping[str, str] | None = None
    ) -> Done:
        """Run one command to its end.

        Raises:
            DemoFailure: it ended with another code than expected, or took too long.
        """
        shown = f"barid {' '.join(arguments)}"
        with self._environment(environment) as (variables, descriptor):
            try:
                done = subprocess.run(  # noqa: S603 - our own command, no shell
                    [*COMMAND, *arguments],
                    env=variables,
                    pass_fds=(descriptor,),
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=_COMMAND_TIMEOUT_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise DemoFailure(
                    f"`{shown}` did not end within {_COMMAND_TIMEOUT_SECONDS:.0f} s"
                ) from error
        result = Done(done.returncode, done.stdout.decode(), done.stderr.decode())
        if result.code != expected:
            raise DemoFailure(
                f"`{shown}` ended with {result.code}, expected {expected.value};"
                f" it said: {(result.complained or result.printed)[-_LOG_TAIL_CHARACTERS:]}"
            )
        return result

    def start(self, name: str, *arguments: str) -> int:
        """Start a server; gives its process id."""
        log = self.directory / f"{name}.log"
        with self._environment(None) as (variables, descriptor), log.open("ab") as output:
            self._servers[name] = subprocess.Popen(  # noqa: S603 - our own command, no shell
                [*COMMAND, *arguments],
                env=variables,
                pass_fds=(descriptor,),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C at the terminal is for the demonstration, which then stops its servers.
                start_new_session=True,
            )
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
        self, what: str, look: Callable[[], Value | None], timeout_seconds: float = 20.0
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
                tail = (self.directory / f"{name}.log").read_text(errors="replace")
                raise DemoFailure(
                    f"the process `{name}` ended with {code}; its log ends: "
                    f"{tail[-_LOG_TAIL_CHARACTERS:]}"
                )

    @contextmanager
    def _environment(self, more: Mapping[str, str] | None) -> Any:
        """This environment without our own settings, and a pipe that holds the passphrase."""
        variables = {k: v for k, v in os.environ.items() if not k.startswith("BARID_")}
        reading, writing = os.pipe()
        try:
            os.write(writing, self.passphrase)
            os.close(writing)
            yield {**variables, "BARID_PASSPHRASE_FD": str(reading), **(more or {})}, reading
        finally:
            os.close(reading)


def end_process(process_id: int) -> bool:
    """Ask a process to end; False if there is none."""
    try:
        os.kill(process_id, signal.SIGTERM)
    except ProcessLookupError:
        return False
    return True


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
