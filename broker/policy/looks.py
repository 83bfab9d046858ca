"""What the rules of one set can see of a question: equal for two questions only if they are decided alike.

May import cedarpy and its own room; `broker.policy.rules` remembers decisions by it, so that desks and
contents which no rule tells apart are asked about once.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

import cedarpy

from broker.policy.context import DESK, Party, cedar_entity, cedar_request
from broker.policy.loading import LoadedRules
from broker.policy.sights import joint_sights

LOOKS_KEPT_MAX: Final = 8192
"""Desks, and contents, that are remembered: some 10 MB."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One side of a question.

    Args:
        look: its number; equal for what looks alike.
        values: for each pair of the sights what is looked up, or where.
    """

    look: int
    values: tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class _Content:
    """What is sent: its look, and for each pair what its set holds; nothing where all are empty."""

    look: int
    sets: tuple[frozenset[Hashable], ...]


class Looks:
    """The looks of desks and of what is sent, under one rule set."""

    def __init__(self, loaded: LoadedRules) -> None:
        self._loaded = loaded
        self._sights = joint_sights(loaded.rules.values())
        self._nothing = cedarpy.PolicySet.from_str("")
        self._desks: dict[tuple[str, str], _Seen | None] = {}
        self._contents: dict[str, _Content | None] = {}
        self._numbers: dict[Hashable, int] = {}

    def question(self, sender: Party, recipient: Party, what: str) -> Hashable | None:
        """The look of a question.

        Args:
            what: what is sent, as `cedar_context` writes it.

        Returns:
            None where the rules cannot be asked: the schema does not describe a desk, or what is sent.
        """
        if sender.desk == recipient.desk and sender != recipient:
            # Two accounts of one desk: which of them is true, the rules cannot say.
            return None
        principal = self._desk("principal", sender)
        resource = self._desk("resource", recipient)
        context = None if principal is None else self._content(what, sender)
        if principal is None or resource is None or context is None:
            return None
        if not context.sets:
            return (principal.look, resource.look, context.look)
        found = tuple(
            one in held or other in held
            for held, one, other in zip(
                context.sets, principal.values, resource.values, strict=True
            )
        )
        return (principal.look, resource.look, context.look, found)

    def _number(self, look: Hashable) -> int:
        return self._numbers.setdefault(look, len(self._numbers))

    def _desk(self, variable: str, party: Party) -> _Seen | None:
        text = cedar_entity(party)
        key = (variable, text)
        if key not in self._desks:
            if len(self._desks) >= LOOKS_KEPT_MAX:
                self._desks = {}
            self._desks[key] = self._look_at_desk(variable, party, text)
        return self._desks[key]

    def _look_at_desk(self, variable: str, party: Party, text: str) -> _Seen | None:
        try:
            cedarpy.Entities.from_json_str(f"[{text}]", self._loaded.schema)
        except ValueError:
            return None
        facts = json.loads(text)["attrs"]
        look = self._sights.apart.seen(variable, facts, (DESK, party.desk))
        return _Seen(self._number((variable, look)), self._sights.sought(variable, facts))

    def _content(self, what: str, sender: Party) -> _Content | None:
        if what not in self._contents:
            if len(self._contents) >= LOOKS_KEPT_MAX:
                self._contents = {}
            self._contents[what] = self._look_at_content(what, sender)
        return self._contents[what]

    def _look_at_content(self, what: str, sender: Party) -> _Content | None:
        entities = cedarpy.Entities.from_json_str(f"[{cedar_entity(sender)}]", self._loaded.schema)
        request = cedar_request(sender.desk, sender.desk, what)
        asked = cedarpy.is_authorized(request, self._nothing, entities, self._loaded.schema)
        if asked.diagnostics.errors or asked.decision is cedarpy.Decision.NoDecision:
            return None
        facts = json.loads(what)
        sets = self._sights.held(facts)
        look = self._sights.apart.seen("context", facts, what)
        return _Content(self._number(("context", look)), sets if any(sets) else ())
