"""Help that fits a terminal of 80 columns: examples broken where a shell takes it, paragraphs nowhere.

May import typer; `main` fits all commands once, as they are put together.
"""

from __future__ import annotations

import inspect
import re
from typing import Final

import typer

WIDTH_COLUMNS: Final = 78
"""What help leaves of 80: a margin on either side."""

_INDENT: Final = "  "
_CONTINUED: Final = "      "
_WORD: Final = re.compile(
    r"""
    (?: --[\w-]+ \s+ (?=[^-\s>]) (?= \S{1,50} (?:\s|$) ) )?  # an option stays with its value
    (?: "[^"]*" | [^\s"] )+
    """,
    re.VERBOSE,
)


def fit_help(app: typer.Typer) -> None:
    """Fit the texts of all commands below."""
    for command in app.registered_commands:
        command.help = fit_paragraphs(command.help or inspect.getdoc(command.callback) or "")
        command.epilog = fit_epilog(command.epilog or "")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            fit_help(group.typer_instance)


def fit_paragraphs(text: str) -> str:
    """Paragraphs as one line each: the terminal breaks them where its own width ends."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def fit_epilog(text: str) -> str:
    """Examples, which are indented, as commands that can be copied; what else there is as paragraphs."""
    blocks = [block for block in text.split("\n\n") if block.strip()]
    return "\n\n".join(
        "\n".join(_break_command(block)) if block.startswith(_INDENT) else fit_paragraphs(block)
        for block in blocks
    )


def _break_command(command: str) -> list[str]:
    """A command as lines that end in a backslash where it goes on."""
    words = _WORD.findall(" ".join(command.replace("\\\n", " ").split()))
    lines = [_INDENT + words[0]]
    for number, word in enumerate(words[1:], start=2):
        # The backslash needs its room, but for the last word.
        room = WIDTH_COLUMNS - (0 if number == len(words) else 2)
        if len(lines[-1]) + 1 + len(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines[-1] += " \\"
            lines.append(_CONTINUED + word)
    return lines
