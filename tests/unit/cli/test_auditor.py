"""`barid audit verify`: findings are told with log, index and rule, and end with their own code."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from broker.audit import setup
from broker.audit.changes import DirectoryChanges
from broker.audit.exchange import ExchangeCounts
from broker.audit.remarks import Remark
from broker.audit.report import AuditedLog, AuditReport
from broker.audit.rules import RULES, Finding
from broker.audit.witnesses import WitnessReport
from broker.cli import auditor
from broker.cli.exits import Exit
from broker.tlog.checkpoint import Checkpoint
from tests.unit.cli.conftest import Barid

FINDINGS = (
    Finding("exchange", 7, "opening", "the leaf is not\nmade of it"),
    Finding("directory", None, "log-forked", "at 3 entries it had another root"),
)


def report(*findings: Finding, listed: int = 100) -> AuditReport:
    """An audit of a small exchange with these findings."""
    log = AuditedLog(Checkpoint("tripoli-test/exchange/1", 9, bytes(32)), "note", 4, None)
    return AuditReport(
        exchange="tripoli-test",
        at=datetime(2026, 11, 24, 12, tzinfo=UTC),
        findings=findings[:listed],
        findings_by_rule=Counter(each.rule for each in findings),
        directory=None,
        exchange_log=log,
        directory_entries=Counter({"directory.published": 1}),
        changes=DirectoryChanges(renewals=2),
        remarks=(
            Remark("directory", "governor-twice", 3, None, "tn holds 2 of 5 governors' keys"),
        ),
        counts=ExchangeCounts(
            entries=Counter({"envelope.accepted": 5}),
            envelopes_by_member=Counter(),
            recipients=8,
            refused=Counter({"access-denied": 1}),
            acknowledged=Counter({"read": 2}),
            undelivered=3,
            unjudged=0,
        ),
        witnesses=WitnessReport((), 0, {}),
        seconds=1.25,
    )


@pytest.fixture
def _opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """An auditor that has joined."""
    opened = SimpleNamespace(request_key=None)
    monkeypatch.setattr(setup, "open_auditor", lambda _data, _passphrase: opened)
    monkeypatch.setattr(setup, "load_invited", lambda _data: None)


def answer(monkeypatch: pytest.MonkeyPatch, outcome: AuditReport) -> None:
    """Let the audit end like this."""

    async def verify(*_asked: object) -> AuditReport:
        return outcome

    monkeypatch.setattr(auditor, "audit_once", verify)


@pytest.mark.usefixtures("_opened")
def test_finding_names_log_index_and_rule(
    barid: Barid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is, which rule it breaks, what the rule means; and the code is 3."""
    answer(monkeypatch, report(*FINDINGS))
    result = barid("audit", "verify", "--data", tmp_path)
    assert result.exit_code == Exit.FINDINGS
    lines = result.stdout.splitlines()
    assert lines[0] == "FOUND: 2 in tripoli-test, 2026-11-24T12:00:00Z."
    assert lines[1:5] == [
        "  exchange log, entry 7, rule opening: the leaf is not\\nmade of it",
        f"      {RULES['opening'].meaning}",
        "  directory log, as a whole, rule log-forked: at 3 entries it had another root",
        f"      {RULES['log-forked'].meaning}",
    ]
    assert "directory log: its checkpoint does not verify" in lines
    assert "Nothing found" not in result.stdout


@pytest.mark.usefixtures("_opened")
def test_findings_that_are_not_listed_are_counted(
    barid: Barid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that lists only some says how many there are."""
    answer(monkeypatch, report(*FINDINGS * 5, listed=3))
    result = barid("audit", "verify", "--data", tmp_path)
    assert result.stdout.startswith("FOUND: 10 ")
    assert "7 more of the same rules" in result.stdout


@pytest.mark.usefixtures("_opened")
def test_sound_exchange_ends_with_0(
    barid: Barid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing found, with the figures, and that nobody else watches."""
    answer(monkeypatch, report())
    result = barid("audit", "verify", "--data", tmp_path)
    assert result.exit_code == Exit.OK
    assert result.stdout.startswith("Nothing found in tripoli-test")
    assert "exchange log: 9 entries, 5 of them new" in result.stdout
    assert "refused, access-denied: 1" in result.stdout
    assert "envelopes to 8 recipients, 3 without an answer yet" in result.stdout
    assert "Unwitnessed" in result.stdout
    assert "renewals by the hub alone: 2" in result.stdout
    assert "log from entry 3 on: tn holds 2 of 5" in result.stdout


@pytest.mark.usefixtures("_opened")
def test_json_holds_the_whole_report(
    barid: Barid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program gets the findings too, and the same code."""
    answer(monkeypatch, report(*FINDINGS))
    result = barid("audit", "verify", "--data", tmp_path, "--json")
    assert result.exit_code == Exit.FINDINGS
    found = json.loads(result.stdout)["findings"]
    assert [(each["log"], each["index"], each["rule"]) for each in found] == [
        ("exchange", 7, "opening"),
        ("directory", None, "log-forked"),
    ]
