"""A report of an audit on a terminal: findings first, then what was verified, then remarks.

May import `broker.audit`, within functions; `auditor` and `audit_watching` call it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.cli.output import say
from schemas.scalars import format_time

if TYPE_CHECKING:
    from broker.audit.report import AuditedLog, AuditReport
    from broker.audit.witnesses import WitnessReport


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
        for each in report.evidence:
            say(f"Evidence that convinces others is kept, as evidence/{each.name}:")
            for line in each.verdict.says:
                say(f"  {one_line(line)}")
    say()
    _show_log("directory log", report.directory)
    _show_log("exchange log", report.exchange_log)
    if report.trees_only:
        say("  its tree alone: no entry of it was opened, and nothing is said of what it holds")
    _show_counts(report)
    say()
    # Of closed logs too there are entries with these numbers: then all of it is told.
    seen = report.directory.seen_size if report.directory and not report.closed else 0
    changes = change_lines(report.changes, whole=whole, since=seen)
    for line in (*changes, *remark_lines(report.remarks)):
        say(line)
    for purged in report.purged:
        order = purged.order.order
        said = (
            f"Destroyed under an order of the council: what opens entry {order.index} of {order.origin}, at"
            f" {format_time(purged.at)} (entry {purged.index}); ordered {format_time(order.ordered)}, in"
            f" force {format_time(purged.order.since)}, purges.json {purged.listed_in}: {order.reason.en}"
        )
        say(one_line(said))
    say()
    _show_witnesses(report.witnesses)
    if not report.is_witnessed:
        say(
            "Unwitnessed: a test exchange; nobody but this auditor watches for a hub with two faces."
        )
    for ended in report.closed:
        say(
            f"Closed before: {ended.directory.origin} with {ended.directory.size} entries,"
            f" {ended.exchange.origin} with {ended.exchange.size}."
        )
    behind = f", behind {report.resumed} entries examined before" if report.resumed else ""
    say(f"Verified in {report.seconds:.2f} s{behind}.")


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
    if counts.destroyed:
        say(f"  openings destroyed under an order: {counts.destroyed}")
    say(
        f"  envelopes to {counts.recipients} recipients, {counts.undelivered} without an answer yet"
    )
