"""`barid audit watch`: audits without end, told by exit code, by a program and by metrics.

May import `auditor`, whose group it adds to, and `broker.audit` within the command.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.audit_report import app as app
from broker.cli.audit_showing import show_report
from broker.cli.auditor import Auditing, audit_once
from broker.cli.exits import Exit
from broker.cli.options import Data, read_address, utc_now
from broker.cli.output import note, say
from broker.cli.passphrase import get_passphrase
from schemas.errors import HubUnreachable
from schemas.scalars import format_time

if TYPE_CHECKING:
    from broker.audit.report import AuditReport


@app.command(
    "watch",
    epilog="""\
Examples:

  barid audit watch --data AUD

  barid audit watch --data AUD --every 60 --command /usr/local/bin/tell --operator 127.0.0.1:8082

Ends 3 with the first finding, 4 when the hub was silent for longer than --patience.""",
)
def watch(
    data: Data,
    every: Annotated[int, typer.Option("--every", min=1, help="Seconds between two audits.")] = 300,
    patience: Annotated[
        int, typer.Option("--patience", min=0, help="Seconds that the hub may be silent.")
    ] = 3600,
    command: Annotated[
        Path | None,
        typer.Option(
            "--command",
            exists=True,
            dir_okay=False,
            help="A program that gets the report as JSON when something was found.",
        ),
    ] = None,
    operator: Annotated[
        str | None,
        typer.Option("--operator", help="HOST:PORT of health and metrics, in plain HTTP."),
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Go on after a finding: only the program is told.")
    ] = False,
) -> None:
    """Verify both logs again and again, and tell of what is found."""
    from prometheus_client import CollectorRegistry

    from broker.audit.setup import open_auditor
    from broker.audit.watching import Seen, Watch
    from broker.audit.watching import watch as watch_on
    from broker.operating import operator_served

    auditor = open_auditor(data, get_passphrase("the auditor's keystore"))
    run = () if command is None else (str(command.absolute()),)
    settings = Watch(timedelta(seconds=every), timedelta(seconds=patience), keep_going, run)
    options = Auditing(auditor.request_key)
    seen, registry = Seen(), CollectorRegistry()
    registry.register(seen)
    listen = None if operator is None else read_address(operator, "--operator")

    def why_not_ready() -> str:
        return "" if seen.silent_since is None else "the hub does not answer"

    with operator_served(listen, why_not_ready, registry):
        asyncio.run(
            watch_on(
                lambda: audit_once(auditor.invitation, data, options),
                settings,
                seen,
                utc_now,
                _tell,
            )
        )
    raise typer.Exit(Exit.FINDINGS)


def _tell(found: AuditReport | HubUnreachable) -> None:
    if isinstance(found, HubUnreachable):
        note(f"{format_time(utc_now())}: {found}")
    elif found.is_sound:
        sizes = [log.checkpoint.size for log in (found.directory, found.exchange_log) if log]
        entries = " and ".join(str(size) for size in sizes)
        say(f"{format_time(found.at)}: nothing found in {entries} entries, {found.seconds:.2f} s.")
    else:
        show_report(found, whole=False)
