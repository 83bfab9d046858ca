"""Every rule asked about every desk and everything that a table names as sent, each question once.

May import cedarpy and its own room. Cedar decides rule by rule, so that desks which look alike to a rule are
asked about together; `effects` and `linting` read the answers as sets of bits, one for each thing sent.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

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
    loaded: LoadedRules, parties: Sequence[Party], contexts: Sequence[SendContext]
) -> Matrix:
    """Ask every rule.

    Args:
        parties: distinct desks.
        contexts: what is sent; the n-th has the bit 1 << n.

    Raises:
        ConfigurationError: a rule needs more than `QUESTIONS_MAX` questions.
    """
    everything = (1 << len(contexts)) - 1
    is_fit = [_fits(loaded, party) for party in parties]
    rulings = [_unfit(is_fit, everything)]
    if any(is_fit):
        # Whatever the rules say of a desk that the schema does not describe, it is stopped.
        standing_in = parties[is_fit.index(True)]
        asked = _Asked(
            tuple(p if fit else standing_in for p, fit in zip(parties, is_fit, strict=True)),
            tuple(cedar_context(context) for context in contexts),
        )
        rulings += [_ask(loaded, name, rule, asked) for name, rule in sorted(loaded.rules.items())]
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
    parties: tuple[Party, ...]
    texts: tuple[str, ...]

    def looks(self, sights: Sights, variable: str) -> tuple[tuple[int, ...], list[int]]:
        """Which look each party has to a rule, and a party that stands for each look."""
        return _distinct(
            [
                sights.seen(variable, json.loads(cedar_entity(party))["attrs"], (DESK, party.desk))
                for party in self.parties
            ]
        )

    def matters(self, sights: Sights) -> list[tuple[str, int]]:
        """A text that stands for all things sent that look alike to a rule, and their bits."""
        seen = [sights.seen("context", json.loads(text), text) for text in self.texts]
        places, standing = _distinct(seen)
        bits = [0] * len(standing)
        for number, place in enumerate(places):
            bits[place] |= 1 << number
        return [(self.texts[first], bits[place]) for place, first in enumerate(standing)]


def _ask(loaded: LoadedRules, name: str, rule: pst.Template, asked: _Asked) -> Ruling:
    sights = sights_of(rule)
    senders, standing_senders = asked.looks(sights, "principal")
    recipients, standing_recipients = asked.looks(sights, "resource")
    matters = asked.matters(sights)
    count = len(standing_senders) * len(standing_recipients) * len(matters)
    if count > QUESTIONS_MAX:
        raise ConfigurationError(
            f"the rule {name} compares desks one by one: {count} questions are over {QUESTIONS_MAX};"
            " let it read functions, groups or members instead"
        )
    cells = [
        (row, column, text, bits)
        for row, _ in enumerate(standing_senders)
        for column, _ in enumerate(standing_recipients)
        for text, bits in matters
    ]
    holds = [[0] * len(standing_recipients) for _ in standing_senders]
    errs = [[0] * len(standing_recipients) for _ in standing_senders]
    alone = cedarpy.PolicySet.from_pst(pst.PolicySet({}, {rule.id: rule}, ()))
    standing = {
        cedar_entity(asked.parties[place]) for place in (*standing_senders, *standing_recipients)
    }
    entities = cedarpy.Entities.from_json_str(f"[{','.join(sorted(standing))}]", loaded.schema)
    for start in range(0, len(cells), _BATCH):
        part = cells[start : start + _BATCH]
        requests = [
            cedar_request(
                asked.parties[standing_senders[row]].desk,
                asked.parties[standing_recipients[column]].desk,
                text,
            )
            for row, column, text, _ in part
        ]
        results = cedarpy.is_authorized_batch(requests, alone, entities, loaded.schema)
        for (row, column, _, bits), result in zip(part, results, strict=True):
            if result.diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
                errs[row][column] |= bits
            elif result.diagnostics.reasons:
                holds[row][column] |= bits
    return _merged(name, rule.effect == "permit", holds, errs, senders, recipients)


def _merged(
    name: str,
    permits: bool,
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
        id=name,
        permits=permits,
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
