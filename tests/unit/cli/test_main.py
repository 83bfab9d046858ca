"""The command as a whole: version, help, what it imports, and that the documentation says the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer.main

from broker.cli.exits import Exit
from broker.cli.main import app
from broker.cli.passphrase import SOURCES
from broker.hub.anchor import ANCHOR_VARIABLE
from broker.node.outbox.state import DeliveryState
from tests.unit.cli.conftest import Barid

DOCUMENT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")

HEAVY = ("alembic", "cedarpy", "cryptography", "fastapi", "httpx", "sqlalchemy", "tuf", "uvicorn")


def commands(command: Any, name: str = "barid") -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its whole name."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, each in inner.items():
        yield from commands(each, f"{name} {word}")


COMMANDS = dict(commands(typer.main.get_command(app)))


def table(heading: str) -> list[list[str]]:
    """The cells of the table under a heading of the documentation, without its head."""
    section = DOCUMENT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_version_is_the_distribution_s(barid: Barid) -> None:
    """`barid --version` names the installed distribution's version."""
    result = barid("--version")
    assert (result.exit_code, result.stdout) == (0, f"barid {version('barid-broker')}\n")


def test_module_is_the_command() -> None:
    """`python -m broker.cli` is `barid`."""
    command = [sys.executable, "-m", "broker.cli", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"barid {version('barid-broker')}\n"


def test_help_loads_no_heavy_room() -> None:
    """Help and completion answer at once: each command loads its own room only."""
    program = f"import sys, broker.cli.main; print(*set(sys.modules) & set({HEAVY!r}))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


def test_help_lists_exit_codes(barid: Barid) -> None:
    """`barid --help` says what each code means."""
    help_ = barid("--help").stdout
    assert [code for code in Exit if f"{code.value}  {code.meaning}" not in help_] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, barid: Barid) -> None:
    """Each command has help, each of its options and arguments too, and an example where it needs one."""
    command = COMMANDS[name]
    result = barid(*name.split()[1:], "--help")
    assert result.exit_code == 0
    assert command.help
    silent = [each.name for each in command.params if not getattr(each, "help", "x")]
    assert silent == []
    required = [each for each in command.params if each.required]
    if len(required) > 1:
        assert f"{name} " in (command.epilog or "")


def test_documentation_lists_the_commands() -> None:
    """The table of the documentation holds exactly the commands that there are."""
    assert sorted(row[0].strip("`") for row in table("Commands")) == sorted(COMMANDS)


def test_documentation_lists_the_exit_codes() -> None:
    """Code and meaning stand in the documentation as the command says them."""
    assert [(int(row[0]), row[1]) for row in table("Exit codes")] == [
        (code.value, code.meaning) for code in Exit
    ]


def test_documentation_lists_the_states() -> None:
    """Every state that `bulletin status` can show is explained, in its order."""
    documented = [row[0].strip("`") for row in table("States of a bulletin")]
    assert documented == [state.value for state in DeliveryState]


def test_documentation_lists_the_variables() -> None:
    """Every variable of the environment that an option or the passphrase reads is documented."""
    options = {
        each.envvar
        for command in COMMANDS.values()
        for each in command.params
        if getattr(each, "envvar", None)
    }
    known = (
        options
        | {each for each in SOURCES if each.startswith("BARID_")}
        | {"BARID_SHARED_DATA", ANCHOR_VARIABLE}
    )
    assert {row[0].strip("`") for row in table("Environment")} == known


@pytest.mark.parametrize(
    "arguments", [("nothing",), ("hub", "init"), ("bulletin", "send", "x", "--colour", "red")]
)
def test_wrong_call_ends_with_2(arguments: tuple[str, ...], barid: Barid) -> None:
    """A wrong call is told from a refusal, and explained on standard error."""
    result = barid(*arguments)
    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert "Usage: barid" in result.stderr


def test_missing_file_is_explained_without_a_traceback(barid: Barid, tmp_path: Path) -> None:
    """What the operating system refuses names the file, and ends as a wrong configuration."""
    folder = tmp_path / "a file"
    folder.touch()
    result = barid(
        "bulletin", "new", "--kind", "threat_bulletin", "--desk", "ly/main", "--out", folder / "x"
    )
    assert result.exit_code == Exit.CONFIGURATION
    assert str(folder / "x") in result.stderr
    assert "Traceback" not in result.stderr
