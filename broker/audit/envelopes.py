"""Envelopes of the exchange log: accepted ones had to be accepted, refused ones had to be refused.

Pure; may import `keys`, `broker.policy` and `schemas`; `exchange` calls it. It asks `admission.admit`, as hub
and recipients do, and remembers what must never happen twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from broker.audit.examining import Verdict
from broker.audit.rules import RULES, Findings
from schemas.acknowledgements import Result
from schemas.entries import EnvelopeAccepted, EnvelopeRefused
from schemas.envelope import Header
from schemas.errors import PROBLEMS, Finality, Problem

_HISTORY_WORDS = frozenset(
    {"bulletin-differs", "original-unknown", "original-withdrawal", "original-desks"}
)
"""Refusals that follow from earlier entries; all other final ones follow from the directory."""

_CLOSED = -1
"""The index of an id that was used in a closed log."""


@dataclass(slots=True)
class AcceptedEnvelope:
    """An accepted envelope, and each recipient's last answer so far."""

    sender: str
    id: str
    bulletin_id: str
    leaf: bytes
    at: datetime
    precedence: str
    expires: datetime
    answers: dict[str, Result | None]


@dataclass(slots=True)
class EnvelopeAudit:
    """Envelopes so far: who sent which id, bulletin and place, and where each went."""

    findings: Findings
    is_whole: bool = True
    """Whether all that was ever accepted is known: entries of a closed log may be lost."""
    accepted: dict[int, AcceptedEnvelope] = field(default_factory=dict)
    withdrawn: set[tuple[str, str, str]] = field(default_factory=set)  # sender, bulletin, desk
    _ids: dict[tuple[str, str], int] = field(default_factory=dict)
    _contents: dict[tuple[str, str], str] = field(default_factory=dict)
    _desks_sent: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    _withdrawals: set[tuple[str, str]] = field(default_factory=set)
    _places: set[bytes] = field(default_factory=set)

    def check_accepted(
        self,
        index: int,
        leaf: bytes,
        entry: EnvelopeAccepted,
        header: Header,
        verdict: Verdict | None,
    ) -> None:
        """Check an accepted envelope, then remember it.

        1. The access rules and all else that admits an envelope hold, and give the policies logged.
        2. The recipients logged are the header's, and no place was given before.
        3. Its id is used once, its bulletin has one content, and what it withdraws went to its desks.

        Args:
            verdict: None if the statement or the directory is not at hand, which was reported.
        """
        if verdict is not None:
            self._check_admission(index, entry, verdict)
        if tuple(recipient.desk for recipient in entry.recipients) != header.desks:
            self._report(index, "recipients", "the entry lists other desks than the header")
        self._take_places(index, entry)
        self._take_id(index, header)
        contradiction = self._contradiction(header)
        if contradiction is not None:
            self._report(index, f"accepted-{contradiction.word}", contradiction.detail)
        self._remember(index, leaf, entry.at, header)

    def check_refused(
        self, index: int, entry: EnvelopeRefused, header: Header, verdict: Verdict | None
    ) -> None:
        """Check that a refusal has a final reason that holds, and that its id was not used."""
        self._take_id(index, header)
        problem = PROBLEMS.get(entry.problem)
        if problem is None or problem.finality is not Finality.FINAL:
            self._report(index, "refusal-word", f"`{entry.problem}` is no final refusal")
        elif entry.problem in _HISTORY_WORDS:
            found = self._contradiction(header)
            # What it contradicts may stand in what is not here.
            if found is not None or self.is_whole:
                self._compare_reasons(index, entry.problem, found)
        elif verdict is not None:
            found = Problem(verdict.word, verdict.detail) if verdict.word else None
            self._compare_reasons(index, entry.problem, found)

    def follow(self, former: EnvelopeAudit, *, is_whole: bool) -> None:
        """Begin behind a closed log: its ids, contents and recipients stay used.

        Args:
            former: of the closed log.
            is_whole: whether every entry of it was there.
        """
        self.is_whole = former.is_whole and is_whole
        self.withdrawn |= former.withdrawn
        self._ids |= dict.fromkeys(former._ids, _CLOSED)
        self._contents |= former._contents
        self._desks_sent |= former._desks_sent
        self._withdrawals |= former._withdrawals

    def find(self, sender: str, envelope_id: str) -> AcceptedEnvelope | None:
        """The accepted envelope that a desk sent under an id."""
        index = self._ids.get((sender, envelope_id))
        return None if index is None else self.accepted.get(index)

    def _check_admission(self, index: int, entry: EnvelopeAccepted, verdict: Verdict) -> None:
        policies = verdict.policies
        if policies is None:
            self._report(index, _rule_of(verdict.word), verdict.detail)
            return
        wrong = [
            recipient.desk
            for recipient in entry.recipients
            if recipient.desk in policies and recipient.policies != policies[recipient.desk]
        ]
        if wrong:
            self._report(index, "policies", f"other policies permit this for {', '.join(wrong)}")

    def _compare_reasons(self, index: int, given: str, found: Problem | None) -> None:
        if found is None:
            self._report(index, "refused-permitted", f"`{given}` does not hold, nor does another")
        elif found.word == "statement-signature":
            self._report(index, "signature", found.detail)
        elif found.word != given:
            self._report(index, "refused-otherwise", f"not `{given}`, but `{found.word}` holds")

    def _take_places(self, index: int, entry: EnvelopeAccepted) -> None:
        places = [bytes.fromhex(recipient.place) for recipient in entry.recipients]
        if len(set(places)) != len(places) or not self._places.isdisjoint(places):
            self._report(index, "place-twice", "a place of this entry was given before")
        self._places.update(places)

    def _take_id(self, index: int, header: Header) -> None:
        first = self._ids.setdefault((header.from_, header.id), index)
        if first != index:
            detail = f"{header.from_} used the id of entry {first} again"
            self._report(index, "envelope-twice", detail)

    def _contradiction(self, header: Header) -> Problem | None:
        """What an envelope contradicts among those that its sender had accepted before."""
        bulletin = (header.from_, header.bulletin.id)
        if self._contents.get(bulletin, header.bulletin.content) != header.bulletin.content:
            return Problem("bulletin-differs", f"{header.from_} sent another content before")
        original = header.withdraws or header.supersedes
        if original is None:
            return None
        sent = self._desks_sent.get((header.from_, original))
        if not self.is_whole:
            return None
        if sent is None:
            return Problem("original-unknown", f"{header.from_} never sent the original")
        if (header.from_, original) in self._withdrawals:
            return Problem("original-withdrawal", f"{header.from_} sent it to withdraw another")
        strangers = sorted(set(header.desks) - sent)
        if strangers:
            return Problem("original-desks", f"the original never went to {', '.join(strangers)}")
        return None

    def _remember(self, index: int, leaf: bytes, at: datetime, header: Header) -> None:
        bulletin = (header.from_, header.bulletin.id)
        self._contents.setdefault(bulletin, header.bulletin.content)
        self._desks_sent.setdefault(bulletin, set()).update(header.desks)
        if header.withdraws is not None:
            self._withdrawals.add(bulletin)
            self.withdrawn.update((header.from_, header.withdraws, desk) for desk in header.desks)
        answers: dict[str, Result | None] = dict.fromkeys(header.desks)
        self.accepted[index] = AcceptedEnvelope(
            header.from_,
            header.id,
            header.bulletin.id,
            leaf,
            at,
            str(header.precedence),
            header.expires,
            answers,
        )

    def _report(self, index: int, rule: str, detail: str) -> None:
        self.findings.add("exchange", index, rule, detail)


def _rule_of(word: str) -> str:
    """The rule that an accepted envelope breaks, for what admission says of it."""
    if word == "statement-signature":
        return "signature"
    rule = f"accepted-{word}"
    return rule if rule in RULES else "accepted-otherwise"
