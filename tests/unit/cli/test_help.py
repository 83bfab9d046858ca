"""What a newcomer reads: help that fits a terminal, examples that run, the reference written from both."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from broker.cli.document import FILE, main, rendered
from broker.cli.helping import WIDTH_COLUMNS, fit_epilog, fit_paragraphs
from broker.cli.main import app
from tests.unit.cli.conftest import Barid

ROOT: Any = typer.main.get_command(app)
GUIDES = sorted(path for path in FILE.parent.glob("*.md") if path != FILE)


def commands(command: Any, name: str = "barid") -> Iterator[tuple[str, Any]]:
    """Every command and group, by its whole name."""
    yield name, command
    for word, each in getattr(command, "commands", {}).items():
        yield from commands(each, f"{name} {word}")


COMMANDS = dict(commands(ROOT))


def examples() -> list[str]:
    """Every command line that help or a guide shows."""
    epilogs = "\n\n".join(each.epilog or "" for each in COMMANDS.values())
    guides = "\n".join(path.read_text(encoding="utf-8") for path in GUIDES)
    text = f"{epilogs}\n{guides}".replace("\\\n", " ")
    found = re.findall(
        r"^ {2,}(?:\(umask 077; |BARID_\w+=\S+ )?(barid .+?)\)?$", text, re.MULTILINE
    )
    return list(dict.fromkeys(" ".join(line.split()) for line in found))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_80_columns(name: str, barid: Barid, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is wider than the terminal, and no paragraph is broken where the source was."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = barid(*name.split()[1:], "--help").stdout.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert [line for line in (COMMANDS[name].epilog or "").splitlines() if _is_wide(line)] == []


@pytest.mark.parametrize("line", examples())
def test_every_example_is_a_command(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its command, options, arguments and values are what the command line takes; a file may be missing."""
    token = tmp_path / "token"
    token.touch(mode=0o600)
    for name, value in (("NODE", "https://127.0.0.1:8444"), ("TOKEN_FILE", str(token))):
        monkeypatch.setenv(f"BARID_{name}", value)
    for name in ("DATA", "EXCHANGE", "CA", "DESK", "LANGUAGE"):
        monkeypatch.delenv(f"BARID_{name}", raising=False)
    words = shlex.split(line)[1:]
    command, words = ROOT, words[: words.index(">")] if ">" in words else words
    while getattr(command, "commands", None) and words and not words[0].startswith("-"):
        command, words = command.commands[words[0]], words[1:]
    if words in (["--help"], ["--install-completion"]):
        return
    try:
        command.make_context(line, list(words))
    except Exception as error:
        if "does not exist" not in str(error):
            raise


def test_examples_are_found() -> None:
    """The search above sees what is broken into lines, guarded by umask, or has a variable before it."""
    found = examples()
    assert len(found) > 60
    assert "barid node token create --data TN --desk main --read > inbox.token" in found
    assert "barid node serve --data LY --listen 127.0.0.1:9001" in found
    assert any(line.startswith("barid trust init") and line.endswith("2") for line in found)


def test_epilog_is_broken_where_a_shell_takes_it() -> None:
    """Before an option, which keeps its value; what stands in quotes stays whole; text is one paragraph."""
    long = "barid bulletin withdraw " + "x" * 40 + ' --desk ly/main --reason "A road crew, it was."'
    fitted = fit_epilog(f"Example:\n\n  {long}\n\nThen\nwait.")
    assert fitted.splitlines() == [
        "Example:",
        "",
        f"  barid bulletin withdraw {'x' * 40} \\",
        '      --desk ly/main --reason "A road crew, it was."',
        "",
        "Then wait.",
    ]
    # A shell reads a broken line as one; shlex does not.
    assert shlex.split(fitted.split("\n\n")[1].replace("\\\n", " ")) == shlex.split(long)
    assert fit_epilog(fitted) == fitted


def test_paragraphs_are_broken_by_the_terminal() -> None:
    """Where a docstring ends its lines is nobody's business."""
    assert fit_paragraphs("One\ntwo.\n\nThree\nfour.") == "One two.\n\nThree four."


def test_reference_is_the_one_that_the_commands_write() -> None:
    """`docs/cli-reference.md` is current, and names every option, default and variable."""
    assert main(["--check"]) == 0
    text = rendered()
    options = {option for each in COMMANDS.values() for par in each.params for option in par.opts}
    assert [each for each in options if each.startswith("--") and f"`{each}`" not in text] == []
    variables = {par.envvar for each in COMMANDS.values() for par in each.params if par.envvar}
    assert [each for each in variables if f"`{each}`" not in text] == []


def test_reference_that_differs_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` writes nothing and ends 1; without it the file is written."""
    file = tmp_path / "cli-reference.md"
    assert main(["--check"], file) == 1
    assert (file.exists(), "cli-reference.md differs" in capsys.readouterr().err) == (False, True)
    assert (main([], file), file.read_text(encoding="utf-8")) == (0, rendered())
    assert main(["--check"], file) == 0


def _is_wide(line: str) -> bool:
    """A word that is longer than a line cannot be broken."""
    return line.startswith(" ") and len(line) > WIDTH_COLUMNS and len(line.split()) > 1
