"""What commands print: sentences, tables, JSON; and errors as what happened, why, and what to do next.

May import `schemas`, typer and rich; every command prints through here, results to standard output,
everything else to standard error.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from pydantic import BaseModel

from broker.cli.exits import DemoFailure, NodeUnreachable
from schemas.errors import (
    BaridError,
    ConfigurationError,
    FieldError,
    HubUnreachable,
    ParseError,
    Problem,
    VerificationError,
)
from schemas.loader import to_plain

FIELD_ERRORS_SHOWN_MAX = 20
"""Broken rules that are listed; a person corrects a few, then asks again."""

_TITLE_LANGUAGES = ("en", "fr", "ar")

_GAP_COLUMNS = 2
"""Between the columns of a table."""

_PIPED_WIDTH_COLUMNS = 10_000
"""Width of a table that goes to a file or another program: nothing is wrapped or cut."""

UNWITNESSED = "Unwitnessed: no quorum of witnesses has cosigned the logs."
"""What every answer says that no quorum of witnesses stands for, as in a test exchange without any."""

# A terminal obeys these (ECMA-48 C0 and C1), breaks a line at them, or shows what follows them backwards
# (U+202D, U+202E), and text may come from another state. The form is JSON's.
_CONTROLS = {
    code: f"\\u{code:04x}"
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x202D, 0x202E)
    if chr(code) not in "\n\t"
}


def harmless(text: str) -> str:
    """Text as a terminal may show it: control characters are written out, all else is left as it is."""
    return text.translate(_CONTROLS)


def say(text: str = "") -> None:
    """Print a line of the result."""
    typer.echo(harmless(text))


def note(text: str) -> None:
    """Print a line beside the result, to standard error."""
    typer.echo(harmless(text), err=True)


def banner(text: str, colour: tuple[int, int, int]) -> None:
    """Print a line that nobody should miss: in a terminal bold, in its colour on black."""
    typer.secho(harmless(text), fg=colour, bg=(0, 0, 0), bold=True)


def print_json(value: BaseModel | Mapping[str, Any] | Sequence[Any]) -> None:
    """Print JSON for a program: UTF-8, indented, one value."""
    plain = to_plain(value) if isinstance(value, BaseModel) else value
    say(json.dumps(plain, ensure_ascii=False, indent=2))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table without lines; in a terminal that is too narrow for it, a paragraph for each row.

    Nothing is cut or folded: an id can be copied from either.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # A cell is one line, so that no text of a sender can look like a row of its own.
    cells = [[harmless(cell).replace("\n", " ") for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    for row in cells:
        table.add_row(*map(Text, row))
    if not sys.stdout.isatty():
        piped = io.StringIO()
        Console(file=piped, width=_PIPED_WIDTH_COLUMNS, highlight=False).print(table)
        for line in piped.getvalue().splitlines():
            typer.echo(line.rstrip())
        return
    console = Console(file=sys.stdout, highlight=False)
    columns = zip(headings, *cells, strict=True)
    needed = sum(max(map(cell_len, column)) + _GAP_COLUMNS for column in columns) - _GAP_COLUMNS
    if needed <= console.width:
        console.print(table)
    else:
        _print_paragraphs(headings, cells, console.width)


def _print_paragraphs(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> None:
    """Each row as lines of `HEADING value`, as many in a line as fit; what is empty is left out."""
    from rich.cells import cell_len

    for row in rows:
        used = 0
        for heading, cell in zip(headings, row, strict=True):
            if not cell:
                continue
            wide = cell_len(heading) + 1 + cell_len(cell)
            if used:
                fits = used + _GAP_COLUMNS + wide <= width
                typer.echo(" " * _GAP_COLUMNS if fits else "\n", nl=False)
                used = used + _GAP_COLUMNS if fits else 0
            typer.secho(heading, bold=True, nl=False)
            typer.echo(f" {cell}", nl=False)
            used += wide
        typer.echo("\n")


def title_of(texts: Mapping[str, str]) -> str:
    """A title in one language for a list; a bulletin has at least one of these."""
    return next(texts[language] for language in _TITLE_LANGUAGES if language in texts)


@dataclass(frozen=True, slots=True)
class Explanation:
    """An error for people: what happened, why (details, one a line), and what to do next."""

    what: str
    why: tuple[str, ...]
    next: str


def explain(error: BaridError) -> Explanation:
    """Say what happened, why, and what to do next."""
    match error:
        case Problem():
            return _explain_problem(error)
        case ParseError() if error.errors:
            return Explanation(
                "This breaks the schema",
                _list_fields(error.errors),
                "Correct the fields named above, and try again.",
            )
        case ParseError():
            return Explanation("This is not what it should be", (str(error),), "Check the file.")
        case HubUnreachable():
            return Explanation(
                "The hub does not answer",
                (str(error),),
                "Check the line and that the hub runs (`barid hub health` there), and try again.",
            )
        case NodeUnreachable():
            return Explanation(
                "The node does not answer",
                (str(error),),
                "Check --node and that the node runs (`barid node serve`), and try again.",
            )
        case VerificationError():
            return Explanation(
                "Something does not verify",
                (str(error),),
                "Do not use it. Keep it as evidence, and tell the administrator.",
            )
        case ConfigurationError():
            # Its message says both what is wrong and what to do.
            return Explanation(str(error), (), "")
        case DemoFailure():
            return Explanation(
                "The demonstration stopped",
                (str(error),),
                "Run it again with --keep to look at what it left.",
            )
        case _:
            return Explanation("This is not possible", (str(error),), "")


def _explain_problem(problem: Problem) -> Explanation:
    why = [] if problem.detail == problem.type.title else [problem.detail]
    policies = problem.extensions.get("policies")
    if isinstance(policies, list) and policies:
        why.append(f"rule: {', '.join(str(policy) for policy in policies)}")
    errors = problem.extensions.get("errors")
    if isinstance(errors, list):
        fields = (item for item in errors if isinstance(item, dict))
        why += _list_fields(
            tuple(
                FieldError(str(f.get("path")), str(f.get("rule")), str(f.get("value")))
                for f in fields
            )
        )
    return Explanation(f"{problem.type.title} ({problem.word})", tuple(why), problem.type.advice)


def _list_fields(errors: tuple[FieldError, ...]) -> tuple[str, ...]:
    shown = [f"{e.path}: {e.rule} (here: {e.value})" for e in errors[:FIELD_ERRORS_SHOWN_MAX]]
    more = len(errors) - len(shown)
    return (*shown, f"and {more} more") if more else tuple(shown)


def show_error(error: BaridError) -> None:
    """Print an error to standard error."""
    explanation = explain(error)
    typer.secho(f"barid: {harmless(explanation.what)}", err=True, bold=True)
    for line in explanation.why:
        note(f"  why:  {line}")
    if explanation.next:
        note(f"  next: {explanation.next}")
