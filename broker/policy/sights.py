"""What one rule can see of two desks and of what is sent: what looks alike to it is decided alike.

May import cedarpy's syntax tree and its own room; `broker.policy.matrix` asks each rule once for all desks
that look alike.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cedarpy import pst

from broker.policy.loading import children

Place = tuple[str, tuple[str, ...]]
"""A variable (`principal`, `resource`, `context`) and the attributes below it; none for itself."""

WHOLE: Final = None
"""What is compared with a place where not only words of the rule are: everything there may matter."""

_COMPARISONS: Final = frozenset({"eq", "not_eq", "contains", "contains_any", "contains_all"})
_OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Sights:
    """All that a rule reads.

    Args:
        read: place → the words with which the rule compares it, or `WHOLE`.
    """

    read: Mapping[Place, frozenset[Hashable] | None]

    def seen(self, variable: str, facts: Mapping[str, Any], name: Hashable) -> Hashable:
        """What the rule sees of some facts: equal for two of them only if the rule treats them alike.

        Args:
            variable: `principal`, `resource` or `context`.
            facts: its attributes, as Cedar's JSON.
            name: what tells it from all others: seen by a rule that reads the variable itself.
        """
        seen = []
        for (which, path), words in self.read.items():
            if which == variable:
                value = name if not path else _plain(_at(facts, path))
                seen.append(value if words is WHOLE else _among(value, words))
        return tuple(seen)


@dataclass(frozen=True, slots=True)
class JointSights:
    """All that several rules read, asked about sender, recipient and what is sent together.

    Args:
        apart: what they read of each.
        pairs: a set of what is sent, and a place of a desk that the rules look up in it: who knows whether
            it holds that value need know neither.
    """

    apart: Sights
    pairs: tuple[tuple[Place, Place], ...]

    def held(self, facts: Mapping[str, Any]) -> tuple[frozenset[Hashable], ...]:
        """For each pair what its set holds, of what is sent."""
        found = []
        for (_, path), _ in self.pairs:
            value = _plain(_at(facts, path))
            found.append(value if isinstance(value, frozenset) else frozenset())
        return tuple(found)

    def sought(self, variable: str, facts: Mapping[str, Any]) -> tuple[Hashable, ...]:
        """For each pair what is looked up of a desk; None where the other desk's is."""
        return tuple(
            _plain(_at(facts, path)) if which == variable else None
            for _, (which, path) in self.pairs
        )


def sights_of(rule: pst.Template) -> Sights:
    """Find out what a rule reads."""
    return _gathered(_reads(rule))


def joint_sights(rules: Iterable[pst.Template]) -> JointSights:
    """Find out what rules read together."""
    pairs: dict[tuple[Place, Place], None] = {}
    reads = [read for rule in rules for read in _reads(rule, pairs)]
    return JointSights(_gathered(reads), tuple(pairs))


def _gathered(reads: Iterable[tuple[Place, frozenset[Hashable] | None]]) -> Sights:
    found: dict[Place, frozenset[Hashable] | None] = {}
    for place, words in reads:
        known = found.get(place, frozenset())
        found[place] = WHOLE if known is WHOLE or words is WHOLE else known | words
    return Sights(found)


def place_of(node: object) -> Place | None:
    """The place that an expression names, if it is nothing but a place."""
    path: list[str] = []
    while isinstance(node, pst.GetAttr):
        path.insert(0, node.attr)
        node = node.base
    return (node.name, tuple(path)) if isinstance(node, pst.Var) else None


def _reads(
    rule: pst.Template, pairs: dict[tuple[Place, Place], None] | None = None
) -> Iterator[tuple[Place, frozenset[Hashable] | None]]:
    """Give what a rule reads; a lookup of one place in another goes to `pairs` instead, if they are given."""
    for variable, scope in (("principal", rule.principal), ("resource", rule.resource)):
        entity = getattr(scope, "entity", None)
        if isinstance(entity, pst.EntityUid):
            # A desk has no parents: to be in it is to be it.
            yield (variable, ()), frozenset({_uid(entity)})
    pending: list[object] = [clause.expr for clause in rule.clauses]
    while pending:
        node = pending.pop()
        place = place_of(node)
        pair = None if pairs is None else _lookup(node)
        if pairs is not None and pair is not None:
            pairs[pair] = None
        elif place:
            yield place, WHOLE
        elif compared := _compared(node):
            yield compared
        else:
            pending.extend(children(node))


def _lookup(node: object) -> tuple[Place, Place] | None:
    """A set of what is sent in which a place of a desk is looked up, if the expression is just that."""
    if not (isinstance(node, pst.BinaryOp) and node.op == "contains"):
        return None
    container, value = place_of(node.left), place_of(node.right)
    if container is None or value is None or container[0] != "context" or value[0] == "context":
        return None
    return (container, value) if container[1] and value[1] else None


def _compared(node: object) -> tuple[Place, frozenset[Hashable]] | None:
    """A place, and the words with which it is compared, if the expression is just that comparison."""
    if isinstance(node, pst.UnaryOp) and node.op == "is_empty":
        place = place_of(node.arg)
        return (place, frozenset()) if place else None
    if not isinstance(node, pst.BinaryOp):
        return None
    for one, other in ((node.left, node.right), (node.right, node.left)):
        place, words = place_of(one), _words(other)
        if place is None or words is None:
            continue
        if node.op in _COMPARISONS:
            return place, words
    return None


def _words(node: object) -> frozenset[Hashable] | None:
    if isinstance(node, pst.Set):
        words = [_word(element) for element in node.elements]
        return None if None in words else frozenset(words)
    word = _word(node)
    return None if word is None else frozenset({word})


def _word(node: object) -> Hashable | None:
    if isinstance(node, pst.EntityLit):
        return _uid(node.value)
    if isinstance(node, pst.StringLit | pst.LongLit | pst.BoolLit):
        return node.value
    return None


def _uid(uid: pst.EntityUid) -> Hashable:
    return (str(uid.type), uid.id)


def _at(facts: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = facts
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _plain(value: Any) -> Hashable:
    if isinstance(value, Mapping):
        if value.keys() == {"type", "id"}:
            return (value["type"], value["id"])
        return json.dumps(value, sort_keys=True)
    if isinstance(value, list):
        return frozenset(_plain(each) for each in value)
    return value if isinstance(value, Hashable) else json.dumps(value)


def _among(value: Hashable, words: frozenset[Hashable]) -> Hashable:
    """Which of the words it is or has, and whether there is anything else."""
    if isinstance(value, frozenset):
        return (value & words, value <= words)
    return value if value in words else _OTHER
