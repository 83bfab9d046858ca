"""What a change opens and closes: which desks can exchange what, before it and after it.

May import its own room; pure. Desks that no rule can tell apart are taken together, and what is sent is all
that the table of cases names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final, Literal

from broker.policy.context import Party
from broker.policy.matrix import Answers, Matrix, make_matrix
from broker.policy.rulebook import Rulebook
from broker.policy.table import What
from schemas.errors import ConfigurationError

MEMBERS_SHOWN_MAX: Final = 12
WHATS_SHOWN_MAX: Final = 8
"""How many a sentence names; the JSON form has all."""

_NO_SUCH_DESK: Final = "not-in-the-council"
"""Why nothing goes to or from a desk that the council does not have, or whose member is suspended."""

_Classes = frozenset[int]
_Rectangle = tuple[_Classes, _Classes]
"""Classes of senders, and classes of recipients, each with each."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Some desks may now send something to others, or no longer.

    Args:
        senders: desk ids, sorted; `recipients` likewise. Each may send to each but itself.
        whats: names of what is sent; `says` are their words.
        by: the rules that permit what is opened, or that stop what is closed; `no-permit` where none
            permits it any more.
        who: both sides in words.
    """

    change: Literal["opened", "closed"]
    senders: tuple[str, ...]
    recipients: tuple[str, ...]
    whats: tuple[str, ...]
    says: tuple[str, ...]
    by: tuple[str, ...]
    who: tuple[str, str]

    def sentence(self) -> str:
        """The effect in words, for a governor."""
        verb = "may now send" if self.change == "opened" else "may no longer send"
        said = "; ".join(self.says[:WHATS_SHOWN_MAX])
        more = len(self.says) - WHATS_SHOWN_MAX
        said += f"; and {more} more" if more > 0 else ""
        sender, recipient = self.who
        return f"{self.change}: {sender} {verb} to {recipient}: {said} [{', '.join(self.by)}]"


def effects(
    before: Rulebook | None,
    after: Rulebook,
    whats: Sequence[What],
    at: datetime,
    answers: Answers | None = None,
) -> tuple[Effect, ...]:
    """Compare what desks can exchange.

    What the council grants counts, whether or not a member has declared the desk and its keys already: the
    member will do that alone. Rules that do not load permit nothing, as in the hub.

    Args:
        before: None for a first directory: all that is allowed is opened.
        whats: what may be sent, as the table of cases names it.
        at: UTC: when joint operations are looked at.
        answers: what rules were asked before (`make_matrix`).

    Raises:
        ConfigurationError: a rule asks for too much work (`make_matrix`).
    """
    answers = {} if answers is None else answers
    old = _Side.of(before, whats, at, answers)
    new = _Side.of(after, whats, at, answers)
    view = _View(old, new, {p.desk: p for p in (*old.parties.values(), *new.parties.values())})
    found = []
    for opens in (True, False):
        for rectangle, bits in view.rectangles(opens=opens):
            found.append(view.effect(rectangle, bits, whats, opens=opens))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Side:
    """One of both: its matrix, and where each desk stands in it."""

    matrix: Matrix | None
    places: Mapping[str, int]
    parties: Mapping[str, Party]

    @classmethod
    def of(
        cls, book: Rulebook | None, whats: Sequence[What], at: datetime, answers: Answers
    ) -> _Side:
        if book is None:
            return cls(None, {}, {})
        parties = book.parties(at)
        try:
            loaded = book.rules().loaded
        except ConfigurationError:
            return cls(None, {}, {party.desk: party for party in parties})
        matrix = make_matrix(loaded, parties, [what.context for what in whats], answers)
        places = {party.desk: place for place, party in enumerate(parties)}
        return cls(matrix, places, {party.desk: party for party in parties})

    def allowed(self, sender: str, recipient: str) -> int:
        if self.matrix is None or sender not in self.places or recipient not in self.places:
            return 0
        return self.matrix.allowed(self.places[sender], self.places[recipient])

    def policies(self, sender: str, recipient: str, bits: int, *, allowed: bool) -> set[str]:
        if self.matrix is None or sender not in self.places or recipient not in self.places:
            return {_NO_SUCH_DESK}
        places = self.places[sender], self.places[recipient]
        return self.matrix.policies(*places, bits, allowed=allowed)

    def class_of(self, desk: str, *, sends: bool) -> int | None:
        if self.matrix is None or desk not in self.places:
            return None
        classes = self.matrix.sender_class if sends else self.matrix.recipient_class
        return classes[self.places[desk]]


class _View:
    """Both sides over classes of desks that neither can tell apart."""

    def __init__(self, old: _Side, new: _Side, parties: Mapping[str, Party]) -> None:
        self._old, self._new, self._parties = old, new, parties
        self._senders = self._classes(sends=True)
        self._recipients = self._classes(sends=False)
        # For each pair of classes: what may go before, and after.
        self._changes: dict[tuple[int, int], tuple[int, int]] = {}
        for s, senders in enumerate(self._senders):
            for r, recipients in enumerate(self._recipients):
                pair = _two(senders, recipients)
                if pair is None:
                    continue
                was, will = old.allowed(*pair), new.allowed(*pair)
                if was != will:
                    self._changes[s, r] = (will & ~was, was & ~will)

    def _classes(self, *, sends: bool) -> list[tuple[str, ...]]:
        found = defaultdict(list)
        for desk in sorted(self._parties):
            sides = (self._old, self._new)
            found[tuple(side.class_of(desk, sends=sends) for side in sides)].append(desk)
        return [tuple(desks) for desks in found.values()]

    def rectangles(self, *, opens: bool) -> Iterator[tuple[_Rectangle, int]]:
        """Who with whom, and what: the fewest that say all of it, for each thing sent on its own."""
        pairs_of: dict[int, set[tuple[int, int]]] = defaultdict(set)
        for pair, (opened, closed) in self._changes.items():
            bits = opened if opens else closed
            while bits:
                lowest = bits & -bits
                pairs_of[lowest].add(pair)
                bits ^= lowest
        found: dict[_Rectangle, int] = defaultdict(int)
        for bit, pairs in sorted(pairs_of.items()):
            for rectangle in _rectangles(pairs):
                found[rectangle] |= bit
        yield from found.items()

    def effect(
        self, rectangle: _Rectangle, bits: int, whats: Sequence[What], *, opens: bool
    ) -> Effect:
        senders = [desk for s in rectangle[0] for desk in self._senders[s]]
        recipients = [desk for r in rectangle[1] for desk in self._recipients[r]]
        chosen = [what for number, what in enumerate(whats) if bits >> number & 1]
        by = set()
        for s, r in _enough(rectangle):
            pair = _two(self._senders[s], self._recipients[r])
            if pair:
                by |= self._new.policies(*pair, bits, allowed=opens)
        return Effect(
            change="opened" if opens else "closed",
            senders=tuple(sorted(senders)),
            recipients=tuple(sorted(recipients)),
            whats=tuple(what.name for what in chosen),
            says=tuple(what.says for what in chosen),
            by=tuple(sorted(by)),
            who=(self._words(senders), self._words(recipients)),
        )

    def _words(self, desks: Collection[str]) -> str:
        return desks_in_words([self._parties[desk] for desk in desks])


def _two(senders: Sequence[str], recipients: Sequence[str]) -> tuple[str, str] | None:
    """One desk of each class, and not the same: nobody sends to itself."""
    for recipient in recipients[:2]:
        for sender in senders[:2]:
            if sender != recipient:
                return sender, recipient
    return None


def _rectangles(pairs: Iterable[tuple[int, int]]) -> Iterator[_Rectangle]:
    """Cut a set of pairs into rectangles: senders that reach the same recipients stand together."""
    reached = defaultdict(set)
    for sender, recipient in pairs:
        reached[sender].add(recipient)
    together = defaultdict(set)
    for sender, recipients in reached.items():
        together[frozenset(recipients)].add(sender)
    for recipients_set, senders in together.items():
        yield frozenset(senders), recipients_set


def _enough(rectangle: _Rectangle) -> set[tuple[int, int]]:
    """Pairs in which every class of a rectangle occurs."""
    senders, recipients = sorted(rectangle[0]), sorted(rectangle[1])
    return {(s, recipients[0]) for s in senders} | {(senders[0], r) for r in recipients}


def desks_in_words(parties: Sequence[Party]) -> str:
    """Name desks by what they are and whose: `customs and main desks of dz, ly (4)`."""
    members_of: dict[str, set[str]] = defaultdict(set)
    counts: dict[str, int] = defaultdict(int)
    for party in parties:
        kind = "+".join(party.functions) or "idle"
        members_of[kind].add(party.member)
        counts[kind] += 1
    kinds = sorted(members_of, key=lambda kind: (sorted(members_of[kind]), kind))
    parts = []
    for members, group in groupby(kinds, key=lambda kind: sorted(members_of[kind])):
        together = list(group)
        shown = ", ".join(members[:MEMBERS_SHOWN_MAX])
        more = len(members) - MEMBERS_SHOWN_MAX
        shown += f" and {more} more members" if more > 0 else ""
        count = sum(counts[kind] for kind in together)
        noun = "desk" if count == 1 else "desks"
        parts.append(f"{_listed(together)} {noun} of {shown} ({count})")
    return "; ".join(parts)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
