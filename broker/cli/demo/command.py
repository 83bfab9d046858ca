"""`barid demo`: where it plays, what stays afterwards, and how what stayed is stopped.

May import `broker.cli`; `main` adds the command.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from schemas.errors import ConfigurationError

EPILOG: Final = """\
Examples:

  barid demo

  barid demo --keep --directory playground

  barid demo --stop playground

Ends 0 only if every step was checked, else 7."""


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running, and say how to play with it.")
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory", file_okay=False, help="A new folder to play in; else a temporary one."
        ),
    ] = None,
    stop: Annotated[
        Path | None,
        typer.Option("--stop", exists=True, file_okay=False, help="Stop what --keep left there."),
    ] = None,
) -> None:
    """Play an exchange on this machine: nine states, a hub, an auditor; every step is checked."""
    from broker.cli.demo.keeping import stop_kept

    if stop is not None:
        stop_kept(stop)
        return
    signal.signal(signal.SIGTERM, _interrupt)
    if directory is None:
        folder = Path(tempfile.mkdtemp(prefix="barid-demo-"))
    else:
        folder = directory.absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigurationError(f"{directory} is not empty: name a new folder")
    try:
        _play(folder, keep=keep)
    finally:
        if directory is None and not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _play(folder: Path, *, keep: bool) -> None:
    from broker.cli.demo.asking import Agencies
    from broker.cli.demo.keeping import explain_kept, write_kept
    from broker.cli.demo.processes import Processes, leave
    from broker.cli.demo.stage import Stage
    from broker.cli.demo.story import perform, restore
    from broker.cli.demo.telling import Teller
    from broker.cli.demo.world import World

    passphrase = secrets.token_hex(16).encode()
    teller = Teller()
    with Processes(folder, passphrase) as processes:
        world = World(folder, processes)
        stage = Stage(world, teller, Agencies(world))
        perform(stage)
        if keep:
            restore(stage)
            write_kept(world, processes.keep())
    teller.end()
    if keep:
        explain_kept(world, stage.sent[0].id)
        leave()


def _interrupt(_signal: int, _frame: Any) -> None:
    """A polite end from outside is a Ctrl-C: the processes are stopped on the way out."""
    raise KeyboardInterrupt
