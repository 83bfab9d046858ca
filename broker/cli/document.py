"""The reference of the command line, written from the commands: `python -m broker.cli.document [--check]`.

May import `main`; developers and CI run it in a clone, people read `docs/cli-reference.md`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final, get_args

import typer.main

from broker.cli.exits import exits_table
from broker.cli.main import app

FILE: Final = Path(__file__).parents[2] / "docs" / "cli-reference.md"

_OPENING: Final = """\
# Every command

Written from the commands themselves by `python -m broker.cli.document`; [cli.md](cli.md) says how they work
together. A value stands on the command line, else in the variable named, else it is the default. `--help` and
`-h` show each of these texts.
"""

_VALUES: Final = {int: "number", str: "text", Path: "path"}


def rendered() -> str:
    """Write the reference as Markdown: a section for each group, one within it for each command."""
    root = typer.main.get_command(app)
    sections = [_OPENING, *_section(root, "barid", 2)]
    exits = "\n".join(f"    {line}" for line in exits_table().splitlines())
    return "\n".join([*sections, "## Exit codes\n", f"{exits}\n"])


def _section(command: Any, name: str, depth: int) -> Iterator[str]:
    """A command and, if it is a group, all in it."""
    yield f"{'#' * depth} `{name}`\n"
    yield f"{_plain(command.help)}\n"
    if command.params:
        yield _table(command.params)
    inner = getattr(command, "commands", None)
    if inner is None:
        yield from _examples(command.epilog or "")
        return
    for word, each in inner.items():
        # What stands in the root stands beside it, not within it.
        yield from _section(each, f"{name} {word}", depth + (name != "barid"))


def _plain(text: str | None) -> str:
    """A help text, a paragraph a line."""
    paragraphs = (text or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _table(params: Sequence[Any]) -> str:
    rows = ["| | value | default | what it is |", "| --- | --- | --- | --- |"]
    rows += [
        f"| {_names(each)} | {_value(each)} | {_default(each)} | {_escaped(each.help)} |"
        for each in params
    ]
    return "\n".join(rows) + "\n"


def _names(param: Any) -> str:
    names = param.opts if param.param_type_name == "option" else [param.name.upper()]
    shown = ", ".join(f"`{name}`" for name in names)
    is_list = getattr(param, "multiple", False) or param.nargs == -1
    return f"{shown} (several)" if is_list else shown


def _value(param: Any) -> str:
    """What kind of value it takes; nothing for a switch."""
    if getattr(param, "is_flag", False):
        return ""
    annotation = param.type_descriptor.annotation
    kind = get_args(annotation)[0] if get_args(annotation) else annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    limits = param.type_descriptor.parameter_info
    if kind is int and None not in (limits.min, limits.max):
        return f"{limits.min} to {limits.max}"
    return _VALUES[kind]


def _default(param: Any) -> str:
    """What holds where it is not given: a variable, a value, or nothing, and then it is required."""
    default = getattr(param.default, "value", param.default)
    is_shown = default is not None and not getattr(param, "is_flag", False)
    fallback = "required" if param.required else f"`{default}`" if is_shown else ""
    variable = f"`{param.envvar}`" if param.envvar else ""
    return ", else ".join(each for each in (variable, fallback) if each)


def _escaped(text: str | None) -> str:
    return _plain(text).replace("|", "\\|")


def _examples(epilog: str) -> Iterator[str]:
    """An epilog's indented lines as code, all else as text."""
    for block in epilog.split("\n\n"):
        if block.strip():
            is_code = block.startswith("  ")
            yield (
                "\n".join(f"    {line[2:]}" for line in block.splitlines())
                if is_code
                else _plain(block)
            ) + "\n"


def main(arguments: Sequence[str] | None = None, file: Path = FILE) -> int:
    """Write the reference, or with `--check` say whether it differs; 1 where it does."""
    parser = argparse.ArgumentParser(prog="python -m broker.cli.document", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if the file differs")
    text = rendered()
    checks = parser.parse_args(arguments).check
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return 0
    if checks:
        sys.stderr.write(f"{file.name} differs: run python -m broker.cli.document\n")
        return 1
    file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
