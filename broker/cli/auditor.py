"""`barid audit`: make an auditor, let it join, and have it verify the whole exchange.

May import `broker.audit`, within the commands; `main` adds this group. A finding ends with exit code 3.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.exits import Exit
from broker.cli.options import AsJson, Data, Exchange, arguments_checked, utc_now
from broker.cli.output import print_json, say
from broker.cli.passphrase import get_passphrase
from broker.settings import AuditorSettings
from schemas.scalars import format_time

if TYPE_CHECKING:
    from broker.audit.report import AuditedLog, AuditReport
    from broker.audit.setup import Auditor
    from broker.audit.witnesses import WitnessReport

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

  barid audit verify --data AUD --json > report.json

Ends 0 when nothing is found, 3 when something is, 4 when the hub does not answer.""",
)
def verify(
    data: Data,
    as_json: AsJson = False,
    changes: Annotated[
        bool,
        typer.Option("--changes", help="Tell all of each change of the directory, and its effect."),
    ] = False,
) -> None:
    """Download both logs, check everything in them, and say what is wrong, with index and rule.

    Each change of the directory is told: what it changed, who signed it, what it opened and closed.
    """
    from broker.audit.setup import open_auditor

    report = asyncio.run(
        audit_once(open_auditor(data, get_passphrase("the auditor's keystore")), data)
    )
    if as_json:
        print_json(report.to_plain())
    else:
        show_report(report, whole=changes)
    if not report.is_sound:
        raise typer.Exit(Exit.FINDINGS)


async def audit_once(auditor: Auditor, data: Path) -> AuditReport:
    """Audit both logs once, as the auditor in a data directory. Raises as `verify_exchange`."""
    from broker.audit.seen import SeenStore
    from broker.audit.verify import verify_exchange
    from broker.client import HubClient

    address, exchange = auditor.invitation.hub, auditor.invitation.exchange
    async with HubClient(address, exchange, auditor.request_key, lambda: int(time.time())) as hub:
        return await verify_exchange(hub, auditor.invitation, SeenStore(data), utc_now)


def show_report(report: AuditReport, *, whole: bool) -> None:
    """Print a report for people; `whole`: all of each change of the directory."""
    from broker.audit.rules import RULES
    from broker.audit.telling import change_lines, remark_lines
    from broker.policy.changes import one_line

    if report.is_sound:
        say(f"Nothing found in {report.exchange}, {format_time(report.at)}.")
    else:
        total = report.findings_by_rule.total()
        say(f"FOUND: {total} in {report.exchange}, {format_time(report.at)}.")
        for finding in report.findings:
            where = "as a whole" if finding.index is None else f"entry {finding.index}"
            said = f"{finding.log} log, {where}, rule {finding.rule}: {finding.detail}"
            say(f"  {one_line(said)}")
            say(f"      {RULES[finding.rule].meaning}")
        if total > len(report.findings):
            say(f"{total - len(report.findings)} more of the same rules are counted, not listed.")
    say()
    _show_log("directory log", report.directory)
    _show_log("exchange log", report.exchange_log)
    _show_counts(report)
    say()
    for line in (*change_lines(report.changes, whole=whole), *remark_lines(report.remarks)):
        say(line)
    say()
    _show_witnesses(report.witnesses)
    if not report.is_witnessed:
        say(
            "Unwitnessed: a test exchange; nobody but this auditor watches for a hub with two faces."
        )
    say(f"Verified in {report.seconds:.2f} s.")


def _show_witnesses(witnesses: WitnessReport) -> None:
    for log, found in witnesses.logs.items():
        say(
            f"{log} log: {found.checkpoint.size} entries cosigned by {len(found.members)} of"
            f" {len(witnesses.named)} witnesses, {witnesses.quorum} needed, at {format_time(found.at)}:"
            f" {', '.join(found.members)}"
        )


def _show_log(name: str, log: AuditedLog | None) -> None:
    if log is None:
        say(f"{name}: its checkpoint does not verify")
        return
    new = log.checkpoint.size - log.seen_size
    say(
        f"{name}: {log.checkpoint.size} entries, {new} of them new; root {log.checkpoint.root.hex()}"
    )


def _show_counts(report: AuditReport) -> None:
    counts = report.counts
    if counts is None:
        return
    for kind, count in sorted((report.directory_entries + counts.entries).items()):
        say(f"  {kind}: {count}")
    for word, count in sorted(counts.refused.items()):
        say(f"  refused, {word}: {count}")
    for result, count in sorted(counts.acknowledged.items()):
        say(f"  answered, {result}: {count}")
    say(
        f"  envelopes to {counts.recipients} recipients, {counts.undelivered} without an answer yet"
    )
