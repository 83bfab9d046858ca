"""`barid audit report`: what an audit found, as a page for people or as JSON for programs.

May import `broker.audit`, within the command; `main` adds it with the auditor's others.
"""

from __future__ import annotations

import asyncio
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from broker.cli.auditor import (
    Auditing,
    DataIfAny,
    audit_once,
    progress_shown,
)
from broker.cli.auditor import app as app
from broker.cli.exits import Exit
from broker.cli.output import say
from broker.cli.passphrase import get_passphrase
from schemas.errors import ConfigurationError, ParseError
from schemas.loader import dump_json, load_json

REPORT_BYTES_MAX: Final = 256 * 1024 * 1024
"""Bytes of a saved report: a thousand late deliveries and ten thousand findings take some MB."""


class Language(StrEnum):
    """Of the page."""

    AR = "ar"
    FR = "fr"
    EN = "en"


@app.command(
    "report",
    epilog="""\
Examples:

  barid audit report --data AUD --out audit.html --lang fr

  barid audit report --data AUD --out audit.json

  barid audit report --from audit.json --out audit-ar.html --lang ar

The page is one file that calls nobody. It shows who writes to whom: keep it as you keep the logs.
Ends 0 when nothing is found, 3 when something is, 4 when the hub does not answer.""",
)
def report(
    out: Annotated[
        Path, typer.Option("--out", dir_okay=False, help="The new file: *.html, or *.json.")
    ],
    data: DataIfAny = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", exists=True, dir_okay=False, help="A saved report, in place of an audit."
        ),
    ] = None,
    language: Annotated[Language, typer.Option("--lang", help="Of the page.")] = Language.EN,
) -> None:
    """Audit both logs, and write what was found: findings first, then figures with charts."""
    from broker.audit.page import render_page

    if out.suffix not in {".html", ".json"}:
        raise typer.BadParameter("name a file that ends in .html or .json", param_hint="--out")
    if (data is None) == (source is None):
        raise typer.BadParameter("a report is made with --data or with --from")
    if out.exists():
        raise ConfigurationError(f"{out} is there already: name another file")
    plain = _audited(data) if data is not None else _saved(source)
    written = dump_json(plain) + b"\n"
    if out.suffix == ".html":
        written = render_page(plain, language).encode()
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(written)
    found = sum(plain["findings_by_rule"].values())
    say(f"{out}: {f'FOUND: {found}' if found else 'nothing found'} in {plain['exchange']}.")
    if found:
        raise typer.Exit(Exit.FINDINGS)


def _audited(data: Path) -> dict[str, Any]:
    from broker.audit.setup import open_auditor

    auditor = open_auditor(data, get_passphrase("the auditor's keystore"))
    with progress_shown(shown=True) as progress:
        options = Auditing(auditor.request_key)
        made = asyncio.run(audit_once(auditor.invitation, data, options, progress))
    return made.to_plain()


def _saved(source: Path | None) -> dict[str, Any]:
    if source is None or source.stat().st_size > REPORT_BYTES_MAX:
        raise ConfigurationError(f"{source} is no report of an audit")
    try:
        plain = load_json(source.read_bytes(), REPORT_BYTES_MAX)
    except ParseError as error:
        raise ConfigurationError(f"{source} is no report of an audit: {error}") from error
    if not isinstance(plain, dict) or not {"findings_by_rule", "exchange"} <= plain.keys():
        raise ConfigurationError(f"{source} is no report of an audit")
    return plain
