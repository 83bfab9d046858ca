"""The table of rules: each is explained, each is found by some test, and none floods a report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from broker.audit import examining
from broker.audit.rules import FINDINGS_OF_A_RULE_MAX, RULES, Finding, Findings
from broker.policy import admission
from schemas.errors import PROBLEMS, Problem
from tests.unit.audit.world import AuditWorld, audit_exchange_log, found

HERE = Path(__file__).parent


def test_every_rule_is_explained_in_a_sentence() -> None:
    """The documentation lists the rules from this table."""
    assert [r.word for r in RULES.values() if not re.fullmatch(r"[A-Z][^.]+\.", r.meaning)] == []


def test_every_rule_is_found_by_a_test() -> None:
    """For each rule some test of this folder breaks it and expects exactly its word."""
    tests = "".join(path.read_text() for path in HERE.glob("test_*.py"))
    assert [word for word in RULES if f'"{word}"' not in tests] == []


def test_every_reason_of_admission_is_a_rule() -> None:
    """What admission can say against an envelope is a rule for envelopes that were accepted."""
    source = Path(admission.__file__).read_text()
    words = set(re.findall(r'Problem\("([a-z-]+)"', source)) - {"statement-signature"}
    assert words <= set(PROBLEMS)
    assert sorted(word for word in words if f"accepted-{word}" not in RULES) == []


def test_new_reason_of_admission_is_found_all_the_same(
    story: AuditWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reason that has no rule of its own yet is not lost."""

    def refuse(*_arguments: object) -> dict[str, tuple[str, ...]]:
        raise Problem("too-large")

    story.accept(story.envelope("ly/main", "tn/main"))
    monkeypatch.setattr(examining, "admit", refuse)
    findings, _ = audit_exchange_log(story)
    assert ("exchange", 9, "accepted-otherwise") in found(findings)


def test_findings_of_one_rule_are_listed_up_to_a_limit() -> None:
    """A rule broken at every entry is counted in full, and leaves room for the others."""
    findings = Findings()
    for index in range(FINDINGS_OF_A_RULE_MAX + 5):
        findings.add("exchange", index, "opening", "it does not open")
    findings.add("directory", None, "root", "another root")
    assert len(findings.listed) == FINDINGS_OF_A_RULE_MAX + 1
    assert findings.listed[-1] == Finding("directory", None, "root", "another root")
    assert findings.by_rule == {"opening": FINDINGS_OF_A_RULE_MAX + 5, "root": 1}
    assert findings.total == FINDINGS_OF_A_RULE_MAX + 6


def test_unknown_rule_is_refused() -> None:
    """A finding names a rule of the table."""
    with pytest.raises(KeyError):
        Findings().add("exchange", 0, "nonsense", "no such rule")
