"""Every rule asked about every desk and everything that a table names as sent, each question once.

May import cedarpy and its own room. Cedar decides rule by rule, so that desks which look alike to a rule are
asked about together; `effects` and `linting` read the answers as sets of bits, one for each thing sent.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

import cedarpy
from cedarpy import pst

from broker.policy.context import (
    DESK,
    Party,
    SendContext,
    cedar_context,
    cedar_entity,
    cedar_request,
)
from broker.policy.loading import EVALUATION_ERROR, NO_PERMIT, LoadedRules
from broker.policy.sights import Sights, sights_of
from schemas.errors import ConfigurationError

QUESTIONS_MAX: Final = 400_000
"""Questions about one rule: half a minute. A rule that compares desks one by one needs too many."""

_BATCH: Final = 4096

Answers = dict[Hashable, dict[Hashable, int]]
"""What rules answered, by schema and rule, then by looks: two directories mostly have the same rules."""

_NO, _HOLDS, _ERRS = range(3)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one rule says.

    Args:
        holds: by sender's and recipient's look, bits of the things sent for which the rule holds.
        errs: likewise, for which it could not be evaluated.
        senders: by the party's place, which look it has as a sender; `recipients` likewise.
    """

    id: str
    permits: bool
    holds: tuple[tuple[int, ...], ...]
    errs: tuple[tuple[int, ...], ...]
    senders: tuple[int, ...]
    recipients: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """The answers of all rules.

    Args:
        everything: the bits of all things sent.
        sender_class: by the party's place, the class of desks that no rule can tell from it as a sender.
        recipient_class: likewise, as a recipient.
    """

    parties: tuple[Party, ...]
    everything: int
    rulings: tuple[Ruling, ...]
    sender_class: tuple[int, ...]
    recipient_class: tuple[int, ...]

    def allowed(self, sender: int, recipient: int) -> int:
        """Bits of what may go from one party to another, by their places."""
        permitted = stopped = 0
        for ruling in self.rulings:
            row, column = ruling.senders[sender], ruling.recipients[recipient]
            if ruling.permits:
                permitted |= ruling.holds[row][column]
            else:
                stopped |= ruling.holds[row][column]
            stopped |= ruling.errs[row][column]
        return permitted & ~stopped

    def policies(self, sender: int, recipient: int, bits: int, *, allowed: bool) -> set[str]:
        """Rules that permit, or that stop, any of some things between two parties."""
        named = set()
        for ruling in self.rulings:
            row, column = ruling.senders[sender], ruling.recipients[recipient]
            if ruling.errs[row][column] & bits:
                named.add(EVALUATION_ERROR)
            if ruling.permits == allowed and ruling.holds[row][column] & bits:
                named.add(ruling.id)
        return named or {NO_PERMIT}


def make_matrix(
    loaded: LoadedRules,
    parties: Sequence[Party],
    contexts: Sequence[SendContext],
    answers: Answers | None = None,
) -> Matrix:
    """Ask every rule.

    Args:
        parties: distinct desks.
        contexts: what is sent; the n-th has the bit 1 << n.
        answers: what was asked before, for another matrix; it is added to.

    Raises:
        ConfigurationError: a rule needs more than `QUESTIONS_MAX` questions.
    """
    everything = (1 << len(contexts)) - 1
    is_fit = [_fits(loaded, party) for party in parties]
    rulings = [_unfit(is_fit, everything)]
    if any(is_fit):
        # Whatever the rules say of a desk that the schema does not describe, it is stopped.
        standing_in = parties[is_fit.index(True)]
        asked = _Asked.of(
            loaded,
            [p if fit else standing_in for p, fit in zip(parties, is_fit, strict=True)],
            [cedar_context(context) for context in contexts],
            {} if answers is None else answers,
        )
        rulings += [_ask(name, rule, asked) for name, rule in sorted(loaded.rules.items())]
    return Matrix(
        parties=tuple(parties),
        everything=everything,
        rulings=tuple(rulings),
        sender_class=_distinct(list(zip(*(each.senders for each in rulings), strict=True)))[0],
        recipient_class=_distinct(list(zip(*(each.recipients for each in rulings), strict=True)))[
            0
        ],
    )


def _fits(loaded: LoadedRules, party: Party) -> bool:
    try:
        cedarpy.Entities.from_json_str(f"[{cedar_entity(party)}]", loaded.schema)
    except ValueError:
        return False
    return True


def _unfit(is_fit: Sequence[bool], everything: int) -> Ruling:
    """What decides about desks that the schema does not describe, as `AccessRules` does: nothing may go."""
    looks = tuple(int(not fit) for fit in is_fit)
    errs = ((0, everything), (everything, everything))
    return Ruling(EVALUATION_ERROR, False, ((0, 0), (0, 0)), errs, looks, looks)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What all rules are asked about, and what is known already."""

    loaded: LoadedRules
    parties: Sequence[Party]
    facts: Sequence[Any]
    texts: Sequence[str]
    content: Sequence[Any]
    answers: Answers

    @classmethod
    def of(
        cls, loaded: LoadedRules, parties: Sequence[Party], texts: Sequence[str], answers: Answers
    ) -> _Asked:
        facts = [json.loads(cedar_entity(party))["attrs"] for party in parties]
        return cls(loaded, parties, facts, texts, [json.loads(text) for text in texts], answers)

    def known(self, rule: pst.Template) -> dict[Hashable, int]:
        """What this very rule answered before, under this schema; its place among others is nothing to it."""
        return self.answers.setdefault((self.loaded.schema_text, replace(rule, id="")), {})

    def looks(self, sights: Sights, variable: str) -> _Looks:
        """How the parties look to a rule, as senders or as recipients."""
        pairs = zip(self.parties, self.facts, strict=True)
        return _Looks.of(
            [sights.seen(variable, facts, (DESK, party.desk)) for party, facts in pairs]
        )

    def matters(self, sights: Sights) -> _Looks:
        """How what is sent looks to a rule."""
        pairs = zip(self.texts, self.content, strict=True)
        return _Looks.of([sights.seen("context", facts, text) for text, facts in pairs])


@dataclass(frozen=True, slots=True)
class _Looks:
    """How several things look to a rule.

    Args:
        number: of the look that each thing has.
        values: the look of each number, and `standing`: the place of a thing that stands for it.
    """

    number: tuple[int, ...]
    values: tuple[Hashable, ...]
    standing: tuple[int, ...]

    @classmethod
    def of(cls, seen: Sequence[Hashable]) -> _Looks:
        number, standing = _distinct(seen)
        return cls(number, tuple(seen[place] for place in standing), tuple(standing))


def _ask(name: str, rule: pst.Template, asked: _Asked) -> Ruling:
    sights = sights_of(rule)
    senders = asked.looks(sights, "principal")
    recipients = asked.looks(sights, "resource")
    matters = asked.matters(sights)
    count = len(senders.values) * len(recipients.values) * len(matters.values)
    if count > QUESTIONS_MAX:
        raise ConfigurationError(
            f"the rule {name} compares desks one by one: {count} questions are over {QUESTIONS_MAX};"
            " let it read functions, groups or members instead"
        )
    known = asked.known(rule)
    cells = list(product(*(range(len(each.values)) for each in (senders, recipients, matters))))

    def look(cell: tuple[int, ...]) -> Hashable:
        return (senders.values[cell[0]], recipients.values[cell[1]], matters.values[cell[2]])

    unknown = [cell for cell in cells if look(cell) not in known]
    questions = [
        (senders.standing[s], recipients.standing[r], matters.standing[m]) for s, r, m in unknown
    ]
    told = zip(unknown, _answered(rule, asked, questions), strict=True)
    known |= {look(cell): answer for cell, answer in told}
    bits = [0] * len(matters.values)
    for place, number in enumerate(matters.number):
        bits[number] |= 1 << place
    outcomes = {
        outcome: [[0] * len(recipients.values) for _ in senders.values]
        for outcome in (_NO, _HOLDS, _ERRS)
    }
    for cell in cells:
        outcomes[known[look(cell)]][cell[0]][cell[1]] |= bits[cell[2]]
    return _merged(
        (name, rule.effect == "permit"),
        outcomes[_HOLDS],
        outcomes[_ERRS],
        senders.number,
        recipients.number,
    )


def _answered(
    rule: pst.Template, asked: _Asked, questions: Sequence[tuple[int, int, int]]
) -> Iterator[int]:
    """Ask Cedar about one rule alone: sender, recipient and what is sent, by their places."""
    alone = cedarpy.PolicySet.from_pst(pst.PolicySet({}, {rule.id: rule}, ()))
    places = {place for sender, recipient, _ in questions for place in (sender, recipient)}
    texts = sorted({cedar_entity(asked.parties[place]) for place in places})
    schema = asked.loaded.schema
    entities = cedarpy.Entities.from_json_str(f"[{','.join(texts)}]", schema)
    for start in range(0, len(questions), _BATCH):
        requests = [
            cedar_request(
                asked.parties[sender].desk, asked.parties[recipient].desk, asked.texts[matter]
            )
            for sender, recipient, matter in questions[start : start + _BATCH]
        ]
        for result in cedarpy.is_authorized_batch(requests, alone, entities, schema):
            if result.diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
                yield _ERRS
            else:
                yield _HOLDS if result.diagnostics.reasons else _NO


def _merged(
    what: tuple[str, bool],
    holds: Sequence[Sequence[int]],
    errs: Sequence[Sequence[int]],
    senders: Sequence[int],
    recipients: Sequence[int],
) -> Ruling:
    """Take looks together to which the rule gives the same answers throughout."""
    rows = [(*held, *erred) for held, erred in zip(holds, errs, strict=True)]
    columns = [tuple(column) for column in zip(*holds, *errs, strict=True)]
    row_of, standing_rows = _distinct(rows)
    column_of, standing_columns = _distinct(columns)
    return Ruling(
        id=what[0],
        permits=what[1],
        holds=tuple(tuple(holds[r][c] for c in standing_columns) for r in standing_rows),
        errs=tuple(tuple(errs[r][c] for c in standing_columns) for r in standing_rows),
        senders=tuple(row_of[look] for look in senders),
        recipients=tuple(column_of[look] for look in recipients),
    )


def _distinct(values: Sequence[Hashable]) -> tuple[tuple[int, ...], list[int]]:
    """Number equal values alike, in order of appearance; and where each was first seen."""
    numbers: dict[Hashable, int] = {}
    standing: list[int] = []
    for place, value in enumerate(values):
        if value not in numbers:
            numbers[value] = len(numbers)
            standing.append(place)
    return tuple(numbers[value] for value in values), standing
