"""The demonstration's processes: each a `barid` command of its own, with its passphrase on a file descriptor.

May import the standard library and `broker.cli`; `world` runs all of it here. Each is forked from one process
that has the libraries loaded; servers end by their own process id, all of them when the block ends.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import multiprocessing.util
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, Self, TypeVar

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
    "broker.cli.saving",
    "broker.hub.app",
    "broker.hub.setup",
    "broker.node.app",
    "broker.node.setup",
    "broker.policy.rules",
    "httpx",
    "keys.ceremony",
    "keys.default_council",
)
"""What commands and servers import: a second of work each, done once for all of them."""

_COMM_CHARACTERS_MAX: Final = 15
"""The kernel keeps no more of a process's name."""

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
    _servers: dict[str, BaseProcess] = field(default_factory=dict)
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
            for server in self._servers.values():
                server.terminate()
            for name in reversed(list(self._servers)):
                self.stop(name)

    def keep(self) -> dict[str, int]:
        """Leave the servers running after the block; gives their process ids by name."""
        self._kept = True
        return {name: _pid(server) for name, server in self._servers.items()}

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
        server = _FORKS.Process(
            target=_serve,
            args=(name, arguments, _without_settings(), self.passphrase, str(self.directory)),
        )
        server.start()
        self._servers[name] = server
        return _pid(server)

    def kill(self, name: str) -> int:
        """End a server as a power cut would: SIGKILL. Gives the process id that it had."""
        server = self._servers.pop(name)
        server.kill()
        server.join(_STOP_TIMEOUT_SECONDS)
        return _pid(server)

    def stop(self, name: str) -> None:
        """End a server in order: SIGTERM, and SIGKILL where that is not heard."""
        server = self._servers.pop(name)
        server.terminate()
        server.join(_STOP_TIMEOUT_SECONDS)
        if server.exitcode is None:
            server.kill()
            server.join(_STOP_TIMEOUT_SECONDS)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Keep a server from doing anything while the block runs: SIGSTOP, then SIGCONT."""
        process_id = _pid(self._servers[name])
        os.kill(process_id, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process_id, signal.SIGCONT)

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
            if (code := server.exitcode) is not None:
                tail = (self.directory / f"{name}.log").read_text("utf-8", errors="replace")
                raise DemoFailure(
                    f"the process `{name}` ended with {code}; its log ends:"
                    f" {tail[-_LOG_TAIL_CHARACTERS:]}"
                )


def leave() -> NoReturn:
    """End this process at once, and let its servers run on: an ordinary end would wait for them."""
    sys.stdout.flush()
    sys.stderr.flush()
    # What multiprocessing would remove at an ordinary end.
    shutil.rmtree(multiprocessing.util.get_temp_dir(), ignore_errors=True)
    os._exit(Exit.OK)


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
    code = _be_barid(arguments, variables, passphrase, Path(folder, "out"), Path(folder, "err"))
    Path(folder, "code").write_text(str(code), "ascii")


def _serve(
    name: str,
    arguments: tuple[str, ...],
    variables: dict[str, str],
    passphrase: bytes,
    folder: str,
) -> None:
    """Be a server, known by its name and working directory; what it says goes to its log."""
    # Ctrl-C at the terminal is for the demonstration, which then stops its servers.
    os.setsid()
    os.chdir(folder)
    with contextlib.suppress(OSError):
        # So that `ps` and `top` tell them apart, where the kernel is Linux.
        Path("/proc/self/comm").write_text(f"barid-{name}"[:_COMM_CHARACTERS_MAX], "ascii")
    log = Path(folder, f"{name}.log")
    sys.exit(_be_barid(arguments, variables, passphrase, log, log))


def _be_barid(
    arguments: tuple[str, ...], variables: dict[str, str], passphrase: bytes, out: Path, err: Path
) -> int:
    """Run a command line in this process, as if it had been started with it; gives its exit code."""
    from broker.cli.main import app

    os.environ.clear()
    os.environ.update(variables, BARID_PASSPHRASE_FD=str(_pipe_with(passphrase)))
    for descriptor, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
    code: object = 0
    try:
        app(args=list(arguments), prog_name="barid")
    except SystemExit as ending:
        code = ending.code or 0
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 1


def _pid(process: BaseProcess) -> int:
    if process.pid is None:
        raise DemoFailure(f"{process.name} was not started")
    return process.pid


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
