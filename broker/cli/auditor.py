"""`barid audit`: make an auditor, let it join, and have it verify the whole exchange.

May import `broker.audit`, within the commands; `main` adds this group. A finding ends with exit code 3.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli import bundling
from broker.cli.audit_showing import show_report
from broker.cli.exits import Exit
from broker.cli.options import AsJson, Data, Exchange, arguments_checked, utc_now
from broker.cli.output import print_json, say
from broker.cli.passphrase import get_passphrase
from broker.settings import AuditorSettings
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from broker.audit.report import AuditReport
    from keys.signing import RequestSigningKey
    from schemas.directory import Invitation

Progress = Callable[[str, int, int], None]

DataIfAny = Annotated[
    Path | None,
    typer.Option("--data", envvar="BARID_DATA", file_okay=False, help="The data directory."),
]

InvitationIfAny = Annotated[
    Path | None,
    typer.Option(
        "--invitation", exists=True, dir_okay=False, help="The trust root, in place of --data."
    ),
]

Jobs = Annotated[
    int | None,
    typer.Option("--jobs", min=1, max=256, help="Processes that examine entries; one a core."),
]

app = typer.Typer(
    no_args_is_help=True, help="The auditor: verify both logs without trusting the hub."
)


@app.command(
    "init",
    epilog="""\
Example:

  barid audit init --data AUD --exchange tripoli-demo --desk auc/audit

Then give AUD/member-request.json to the governors, for `barid trust init`.""",
)
def init(
    data: Data,
    exchange: Exchange,
    desk: Annotated[str, typer.Option("--desk", help="The desk that audits, as auc/audit.")],
) -> None:
    """Make an auditor: the request key of its desk, and its member's request to the governors."""
    from broker.audit.setup import init_auditor

    with arguments_checked("--exchange", "--desk"):
        settings = AuditorSettings(exchange=exchange, desk=desk)
    passphrase = get_passphrase("the new auditor's keystore", new=True)
    request = init_auditor(data, settings, passphrase, utc_now())
    say(f"The auditor {desk} of {exchange} is made in {data}.")
    say(f"Next: give {request} to the governors; then `barid audit join`.")


@app.command(
    "join",
    epilog="""\
Example:

  barid audit join --data AUD TRUST/invitation.json""",
)
def join(
    data: Data,
    invitation: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="The governors' file, taken in person."),
    ],
) -> None:
    """Take the governors' invitation: where the hub is, its logs' keys, the root of trust."""
    from broker.audit.setup import join_auditor

    join_auditor(data, invitation.read_bytes())
    say("The auditor has joined. Next: `barid audit verify`.")


@app.command(
    "verify",
    epilog="""\
Examples:

  barid audit verify --data AUD

  barid audit verify --data AUD --changes

  barid audit verify --data AUD --trees

  barid audit verify --data AUD --json > report.json

  barid audit verify --data AUD --keep COPY; barid audit verify --data AUD --from COPY

  barid audit verify --bundle case.zip --invitation invitation.json --extract CASE

It goes on behind what earlier audits examined; --full begins with the first entry.
Ends 0 when nothing is found, 3 when something is, 4 when the hub does not answer.""",
)
def verify(
    data: DataIfAny = None,
    as_json: AsJson = False,
    changes: Annotated[
        bool,
        typer.Option("--changes", help="Tell all of each change of the directory, and its effect."),
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Examine every entry again, from the first on.")
    ] = False,
    jobs: Jobs = None,
    trees: Annotated[
        bool,
        typer.Option("--trees", help="Check the trees alone, fast: no exchange entry is opened."),
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", exists=True, file_okay=False, help="A copy of the logs, in place of the hub."
        ),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", file_okay=False, help="Keep a copy of all that is read here."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            exists=True,
            dir_okay=False,
            help="Verify this bundle alone, without a network.",
        ),
    ] = None,
    invitation: InvitationIfAny = None,
    extract: Annotated[
        Path | None,
        typer.Option("--extract", file_okay=False, help="A new folder for what is in the bundle."),
    ] = None,
) -> None:
    """Download both logs, check everything in them, and say what is wrong, with index and rule.

    Each change of the directory is told: what it changed, who signed it, what it opened and closed.
    """
    from broker.audit.setup import load_invited, open_auditor

    if bundle is not None:
        from broker.cli.bundling import verify_bundle_file

        verify_bundle_file(bundle, trust_root(data, invitation), extract, as_json=as_json)
        return
    if data is None or invitation is not None or extract is not None:
        raise typer.BadParameter("the logs are verified with the auditor's --data alone")
    if source is not None and keep is not None:
        raise typer.BadParameter("a copy is not copied: give one of both", param_hint="--keep")
    if trees and keep is not None:
        raise typer.BadParameter("a copy is kept of what is opened", param_hint="--keep")
    key = None
    if source is None:
        key = open_auditor(data, get_passphrase("the auditor's keystore")).request_key
    # A copy is kept whole: what was examined before is read again for it.
    is_full = full or keep is not None
    options = Auditing(key, jobs, full=is_full, source=source, keep=keep, trees_only=trees)
    with progress_shown(shown=not as_json) as progress:
        report = asyncio.run(audit_once(load_invited(data), data, options, progress))
    if as_json:
        print_json(report.to_plain())
    else:
        show_report(report, whole=changes)
    if not report.is_sound:
        raise typer.Exit(Exit.FINDINGS)


def trust_root(data: Path | None, invitation: Path | None) -> bytes:
    """The exact bytes of the trust root: of an invitation, or of the one that an auditor took.

    Raises:
        typer.BadParameter: both are given, or none.
        ConfigurationError: it cannot be read.
    """
    from broker.audit.setup import load_invited, read_invited

    if (data is None) == (invitation is None):
        raise typer.BadParameter("it is verified with --data or with --invitation")
    if invitation is not None:
        return read_invited(invitation.read_bytes()).root
    return load_invited(data).root if data is not None else b""


@dataclass(frozen=True, slots=True)
class Auditing:
    """How a person wants an audit done.

    Args:
        request_key: by which the hub is called; None where a copy takes its place.
        jobs: processes; None for one a core.
        full: begin with the first entry.
        source: a copy of the logs, in the hub's place.
        keep: where to keep a copy of what is read.
        trees_only: open no exchange entry.
    """

    request_key: RequestSigningKey | None
    jobs: int | None = None
    full: bool = False
    source: Path | None = None
    keep: Path | None = None
    trees_only: bool = False


async def audit_once(
    invitation: Invitation, data: Path, options: Auditing, progress: Progress | None = None
) -> AuditReport:
    """Audit both logs once, as the auditor in a data directory, and keep the evidence there.

    Raises:
        ConfigurationError: evidence cannot be written; and as `verify_exchange`.
    """
    from broker.audit.evidence import keep
    from broker.audit.journal import Journal
    from broker.audit.mirror import Folder, Keeping
    from broker.audit.pipeline import How
    from broker.audit.seen import SeenStore
    from broker.audit.verify import verify_exchange
    from broker.audit.workers import cores
    from broker.client import HubClient

    journal = Journal(data)
    if options.full:
        journal.clear()
    how = How(options.jobs or cores(), journal, trees_only=options.trees_only)
    if progress is not None:
        how = replace(how, progress=progress)
    store, key = SeenStore(data), options.request_key
    try:
        if options.source is not None:
            folder = Folder(options.source)
            report = await verify_exchange(folder, invitation, store, utc_now, how)
            keep(data, report.evidence)
            return report
        if key is None:
            raise ConfigurationError("without a copy of the logs the hub has to be called")
        exchange = invitation.exchange
        async with HubClient(invitation.hub, exchange, key, lambda: int(time.time())) as hub:
            source = hub if options.keep is None else Keeping(hub, options.keep)
            report = await verify_exchange(source, invitation, store, utc_now, how)
            keep(data, report.evidence)
            return report
    finally:
        journal.close()


@contextmanager
def progress_shown(*, shown: bool) -> Iterator[Progress | None]:
    """A bar for each log on standard error, where that is a terminal and `shown`."""
    if not shown or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", justify="right"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(log: str, done: int, total: int) -> None:
            if log not in tasks:
                tasks[log] = bars.add_task(f"{log} log", total=total, rate="")
            speed = bars.tasks[tasks[log]].speed
            rate = "" if speed is None else f"{speed:,.0f}/s"
            bars.update(tasks[log], completed=done, total=total, rate=rate)

        yield progress


app.command(
    "bundle",
    epilog="""\
Examples:

  barid audit bundle 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --desk tn/main --from ly/main --out case.zip

  barid audit bundle 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --desk ly/main --out case.zip

The file holds the bulletin in clear. `barid audit verify --bundle` verifies it anywhere, years later.""",
)(bundling.bundle)
