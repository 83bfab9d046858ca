"""What an audit can find: every rule with one sentence that explains it, and the findings that name them.

Pure; may import `schemas`. Each check of the auditor reports through `Findings`, the report and the
documentation list `RULES`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

LogName = Literal["directory", "exchange"]

FINDINGS_OF_A_RULE_MAX: Final = 100
"""Findings of one rule that a report lists, of millions in a forged log; the others are counted."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its stable word, and what a finding of it means."""

    word: str
    meaning: str


_TABLE: Final[tuple[Rule, ...]] = (
    # The trees of both logs.
    Rule("checkpoint", "The checkpoint is not one of this log, signed by both of its keys."),
    Rule("log-shrank", "The log is shorter than this auditor has seen it."),
    Rule("log-forked", "The log is not the one that this auditor has seen: its beginning differs."),
    Rule("log-closed", "A log is said to be closed, and the council does not close it so."),
    Rule("root", "The leaves that the hub serves do not make the tree that it signed."),
    Rule("tile", "A tile is missing, or is not the one that the leaves make."),
    Rule("bundle", "An entry bundle is missing, or holds another entry than the tree."),
    Rule("opening-missing", "The hub does not open a leaf, and nobody ordered to destroy its opening."),
    Rule("opening", "What the hub opens is not what the leaf was made of."),
    Rule("entry", "An entry is not well-formed."),
    Rule("unwitnessed", "No quorum of the witnesses that the council names cosigned this log."),
    Rule("quorum-old", "The newest quorum of witnesses is over an hour old."),
    # What both logs promise.
    Rule("at-decreasing", "An entry claims an earlier time than the one before it."),
    Rule("at-future", "An entry claims a time that is yet to come."),
    Rule("at-backdated", "An entry claims a time at which this auditor saw the log without it."),
    Rule("at-quorum", "An entry claims a time that the witnesses' cosignatures contradict."),
    # The directory log.
    Rule("directory", "A directory is void: it does not verify, or does not follow the one before."),
    Rule("access-rules", "The access rules of a directory do not load; they permit nothing."),
    Rule("sealing-key-exchange", "A sealing key of another exchange was logged."),
    Rule("sealing-key-epoch", "A sealing key was logged out of its turn."),
    Rule("sealing-key-rate", "A desk's sealing keys were logged faster than one a day."),
    Rule("sealing-key-revokes", "A sealing key revokes what is no earlier key of its desk."),
    Rule("sealing-key-unusable", "A sealing key was logged that is weak, or valid for too long."),
    Rule("trust-file-missing", "A directory cannot be judged: the hub withholds a file of it."),
    Rule("exchange-head-falls", "A directory entry names a smaller exchange log than one before."),
    Rule("exchange-head-beyond", "A directory entry names more exchange entries than there are."),
    Rule("exchange-head-stale", "A directory entry names less of the exchange log than was seen before it."),
    Rule("exchange-head", "A directory entry names a root that the exchange log never had."),
    # The exchange log, every entry.
    Rule("directory-size-falls", "An entry names a smaller directory log than one before."),
    Rule("directory-size-beyond", "An entry names more directory entries than there are."),
    Rule("directory-size-stale", "An entry names less of the directory log than there was before it."),
    Rule("statement", "The statement is absent, or is not the one that the entry names."),
    Rule("signature", "The statement is not signed by the desk's node identity then in force."),
    # Accepted and refused envelopes.
    Rule("envelope-twice", "One desk used an envelope id twice."),
    Rule("accepted-wrong-exchange", "An envelope of another exchange was accepted."),
    Rule("accepted-stale-directory", "An envelope was accepted that names a directory not in force."),
    Rule("accepted-created-skew", "An envelope was accepted more than a day from its creation."),
    Rule("accepted-lifetime", "An envelope was accepted that had expired, or lives too long."),
    Rule("accepted-unknown-recipient", "An envelope was accepted for a desk that does not exist."),
    Rule("accepted-stale-key", "An envelope was accepted that is sealed to another key than the newest."),
    Rule("accepted-access-denied", "An envelope was accepted that the access rules forbid."),
    Rule("accepted-directory-invalid", "An envelope was accepted under access rules that do not load."),
    Rule("accepted-otherwise", "An envelope was accepted that another rule of admission refuses."),
    Rule("accepted-bulletin-differs", "Two contents were accepted under one bulletin id."),
    Rule("accepted-original-unknown", "A bulletin was withdrawn or superseded that was never sent."),
    Rule("accepted-original-withdrawal", "A withdrawal was itself withdrawn or superseded."),
    Rule("accepted-original-desks", "A withdrawal or correction went where the original had not gone."),
    Rule("accepted-attachments", "An envelope was accepted whose attachments were not stored before."),
    Rule("attachment-twice", "One attachment was logged as stored twice."),
    Rule("recipients", "The recipients logged are not those of the header."),
    Rule("policies", "The policies logged are not those that permit this."),
    Rule("place-twice", "A place was given twice."),
    Rule("refusal-word", "A refusal names no problem that is logged."),
    Rule("refused-permitted", "An envelope was refused that nothing forbids."),
    Rule("refused-otherwise", "An envelope was refused for a reason that does not hold."),
    # Expiry.
    Rule("expired-unknown", "An envelope was logged as expired that was never accepted."),
    Rule("expired-early", "An envelope was logged as expired before its end."),
    Rule("expired-twice", "An envelope was logged as expired twice."),
    Rule("purge-order", "An opening is said to be destroyed which no order in force names so."),
    Rule("purge-unlogged", "An opening is gone under an order, and an hour later nothing says so."),
    Rule("expired-missing", "An envelope ended over an hour before the newest entry, and nothing says so."),
    # Acknowledgements.
    Rule("acknowledgement-twice", "One acknowledgement was logged twice."),
    Rule("acknowledgement-item", "An acknowledgement names no accepted envelope to its desk."),
    Rule("acknowledgement-order", "An answer contradicts what the desk answered before."),
    Rule("acknowledgement-at", "An answer was logged more than a day from its signing."),
    Rule("acknowledgement-reason", "An answer gives a reason that no answer may give."),
)  # fmt: skip

RULES: Final[dict[str, Rule]] = {rule.word: rule for rule in _TABLE}
"""Word → rule: everything that an audit can find."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: in which log, at which index (None: the log as a whole), and what.

    `rule` is a word of `RULES`; `detail` is a sentence for people, never content or keys.
    """

    log: LogName
    index: int | None
    rule: str
    detail: str


class Findings:
    """Collects findings: the first `FINDINGS_OF_A_RULE_MAX` of each rule, and how many there were."""

    def __init__(self) -> None:
        self.listed: list[Finding] = []
        self.by_rule: Counter[str] = Counter()

    def add(self, log: LogName, index: int | None, rule: str, detail: str) -> None:
        """Report one finding; `rule` is a word of `RULES`."""
        self.by_rule[RULES[rule].word] += 1
        if self.by_rule[rule] <= FINDINGS_OF_A_RULE_MAX:
            self.listed.append(Finding(log, index, rule, detail))

    def merge(self, later: Findings) -> None:
        """Report, behind all so far, what was found apart from them."""
        listed = Counter(self.by_rule)
        for finding in later.listed:
            if listed[finding.rule] < FINDINGS_OF_A_RULE_MAX:
                self.listed.append(finding)
            listed[finding.rule] += 1
        self.by_rule.update(later.by_rule)

    @property
    def total(self) -> int:
        """All findings, listed or not."""
        return self.by_rule.total()
