"""What `barid demo --keep` leaves: a note of its processes, commands to copy, and how all of it is stopped.

May import `broker.cli`; `command` calls it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from broker.cli.demo.processes import end_process
from broker.cli.output import say
from schemas.errors import ConfigurationError
from schemas.loader import dump_json, parse
from schemas.scalars import Message

if TYPE_CHECKING:
    from broker.cli.demo.world import World

KEPT_FILE: Final = "demo.json"
PASSPHRASE_FILE: Final = "passphrase"  # noqa: S105 - a file's name
_KEPT_BYTES_MAX: Final = 16 * 1024


class Kept(Message):
    """Process ids by name."""

    processes: dict[str, Annotated[int, Field(ge=2)]]


def write_kept(world: World, processes: dict[str, int]) -> None:
    """Note what was left running, and the passphrase of its keystores, which guard nothing real."""
    passphrase = world.directory / PASSPHRASE_FILE
    passphrase.touch(mode=0o600)
    passphrase.write_bytes(world.processes.passphrase)
    (world.directory / KEPT_FILE).write_bytes(dump_json(Kept(processes=processes)))


def explain_kept(world: World, bulletin_id: str) -> None:
    """Say how to play with it, in commands to copy."""
    say("It goes on running. As Tunisia's agency:")
    for line in _settings(world, "tn/main"):
        say(f"  {line}")
    say("  barid inbox list --desk tn/main")
    say(f"  barid inbox read ly/main {bulletin_id} --desk tn/main")
    say("As Libya's agency:")
    for line in _settings(world, "ly/main"):
        say(f"  {line}")
    say("  barid desk list --language ar")
    say("  barid bulletin new --kind threat_bulletin --desk ly/main --out new.json")
    say("  barid bulletin send new.json --to tn/main --to ne/main")
    say("  barid bulletin status --desk ly/main")
    say("  barid alarms list")
    say("As the auditor:")
    say(f"  export BARID_PASSPHRASE_FILE={world.directory / PASSPHRASE_FILE}")
    say(f"  barid audit verify --data {world.auditor}")
    say("At the end:")
    say(f"  barid demo --stop {world.directory}")


def _settings(world: World, desk: str) -> tuple[str, ...]:
    return (
        f"export BARID_NODE={world.url(desk)}",
        f"export BARID_TOKEN_FILE={world.token(desk)}",
        f"export BARID_CA={world.certificate(desk)}",
    )


def stop_kept(directory: Path) -> None:
    """Stop what was left running; the folder stays.

    Raises:
        ConfigurationError: nothing was left running there.
    """
    note = directory / KEPT_FILE
    if not note.is_file():
        raise ConfigurationError(f"{directory} holds no demonstration that was kept")
    kept = parse(Kept, note.read_bytes(), _KEPT_BYTES_MAX)
    for name, process_id in kept.processes.items():
        # A number may belong to another process by now: only one that works in this folder is ours.
        ended = _works_in(process_id, directory) and end_process(process_id)
        say(f"{name}: process {process_id} {'is stopped' if ended else 'had ended before'}")
    note.unlink()
    say(f"All of it is stopped. What it wrote is still in {directory}.")


def _works_in(process_id: int, directory: Path) -> bool:
    try:
        return Path(f"/proc/{process_id}/cwd").readlink() == directory.resolve()
    except OSError:
        return False
