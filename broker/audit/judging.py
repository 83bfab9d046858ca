"""By which directory log the journal's entries were judged: it must be the one that is audited now.

May import `broker.tlog` and the auditor's own rooms; `verify` asks before it folds that log. An audit that
was cut off kept what it had judged, and nothing else that was shown to it.
"""

from __future__ import annotations

from broker.audit.growth import Growth
from broker.audit.journal import Journal, damaged_journal
from broker.audit.rules import Finding, Findings
from broker.audit.seen import SeenLog
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.receipt import LogVerifier
from schemas.errors import ParseError, VerificationError


def expect_judging(
    journal: Journal | None,
    exchange_origin: str,
    directory: LogVerifier,
    seen: SeenLog | None,
    newest: Checkpoint,
    growth: Growth,
    findings: Findings,
) -> list[str]:
    """Expect the directory log by which the journal's entries of an exchange log were judged.

    Args:
        journal: of earlier audits; None where there is none.
        exchange_origin: of the exchange log.
        directory: the keys of the directory log.
        seen: what is expected of it already.
        newest: its tree now, which `growth` rebuilds.
        growth: compares.
        findings: where it goes that it shrank.

    Returns:
        The checkpoint that the hub had signed, where there is one and `seen` is another.

    Raises:
        ConfigurationError: it is damaged.
    """
    note = None if journal is None else journal.judged_by(exchange_origin)
    if note is None:
        return []
    try:
        judging = directory.open(note, both=True)
    except (ParseError, VerificationError) as error:
        raise damaged_journal() from error
    if seen is not None and (seen.size, seen.root) == (judging.size, judging.root):
        return []
    if judging.size > newest.size:
        detail = f"{newest.size} entries, where {judging.size} were shown to an audit before"
        findings.add("directory", None, "log-shrank", detail)
    else:
        detail = f"at {judging.size} entries an audit before was shown another root"
        forked = Finding("directory", None, "log-forked", detail)
        growth.expect(judging.size, judging.root, forked)
    return [note]
