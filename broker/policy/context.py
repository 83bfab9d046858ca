"""The facts of one decision, and how Cedar reads them: the two desks, and what is sent.

May import `schemas`; `broker.policy.rules` evaluates what is written here, its callers build it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, Literal

from schemas.bulletin.vocabularies import (
    Classification,
    DeskFunction,
    Kind,
    Precedence,
    Purpose,
    Status,
    Tlp,
    Topic,
)
from schemas.directory import Council, Group
from schemas.envelope import Header, HeaderMarking
from schemas.limits import DESKS_PER_MEMBER_MAX, MEMBERS_MAX
from schemas.scalars import format_time, member_of, parse_time

_COUNCILS_KEPT_MAX: Final = 16
_PARTIES_KEPT_MAX: Final = MEMBERS_MAX * DESKS_PER_MEMBER_MAX

DESK: Final = "Desk"
"""The entity type of senders (principal) and recipients (resource)."""


@dataclass(frozen=True, slots=True)
class Party:
    """A desk as the access rules see it: only what the council granted (the protocol's directory).

    Args:
        desk: its id, `member/unit`.
        kind: what its member is.
        functions: what the council granted to this desk.
        tlp_ceiling: the most that it may receive, by the Traffic Light Protocol.
        classification_ceiling: the most that it may receive, by classification.
        groups: the groupings of the council that its member belongs to.
        channels: the bilateral channels that its member has.
        operations: the joint operations that its member takes part in, and that hold at the moment asked.
    """

    desk: str
    kind: Literal["state", "organisation"]
    functions: tuple[DeskFunction, ...]
    tlp_ceiling: Tlp
    classification_ceiling: Classification
    groups: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()

    @property
    def member(self) -> str:
        """The member whose desk it is."""
        return member_of(self.desk)


class Parties:
    """The desks of one council, looked up often: what it says of each is put together once.

    Whether the member's own file has the desk, with keys, is for the directory to say, not for rules.
    """

    def __init__(self, council: Council) -> None:
        self.council = council
        self._groups: dict[str, list[tuple[str, Group]]] = {}
        for name, group in sorted(council.groups.items()):
            for member in group.members:
                self._groups.setdefault(member, []).append((name, group))
        self._ends = tuple(group.until for group in council.groups.values() if group.until)
        self._known: dict[tuple[str, tuple[bool, ...]], Party | None] = {}

    def at(self, desk: str, at: datetime) -> Party | None:
        """Read what the council says of a desk at a moment; None when it grants that desk nothing.

        Args:
            desk: `member/unit`.
            at: UTC: the moment at which a joint operation holds or has ended; the context's `at`.
        """
        key = (desk, tuple(at < end for end in self._ends))
        if key not in self._known:
            if len(self._known) >= _PARTIES_KEPT_MAX:
                self._known = {}
            self._known[key] = self._party(desk, at)
        return self._known[key]

    def _party(self, desk: str, at: datetime) -> Party | None:
        member, _, unit = desk.partition("/")
        found = self.council.members.get(member)
        if found is None or unit not in found.desks:
            return None
        belongs: dict[str, list[str]] = {"grouping": [], "bilateral": [], "operation": []}
        for name, group in self._groups.get(member, ()):
            if group.holds(at):
                belongs[group.kind].append(name)
        return Party(
            desk=desk,
            kind=found.kind,
            functions=found.desks[unit],
            tlp_ceiling=found.ceiling.tlp,
            classification_ceiling=found.ceiling.classification,
            groups=tuple(belongs["grouping"]),
            channels=tuple(belongs["bilateral"]),
            operations=tuple(belongs["operation"]),
        )


_kept: dict[int, Parties] = {}
"""Of the last few councils; each holds its council, whose `id` therefore stays its own."""


def parties_of(council: Council) -> Parties:
    """The desks of a council; the same object for the same council, as long as it is among the last few."""
    found = _kept.get(id(council))
    if found is None:
        if len(_kept) >= _COUNCILS_KEPT_MAX:
            _kept.clear()
        found = _kept[id(council)] = Parties(council)
    return found


def party_of(council: Council, desk: str, at: datetime) -> Party | None:
    """Look up one desk, as `Parties.at`."""
    return parties_of(council).at(desk, at)


@dataclass(frozen=True, slots=True)
class SendContext:
    """What is sent, and when: all that a rule may look at besides the two desks.

    Args:
        at: UTC, whole seconds: the entry's `at` for hub, recipient and auditor; the sender's clock.

    Raises:
        ValueError: `at` is not UTC with whole seconds.
    """

    status: Status
    kind: Kind
    topics: tuple[Topic, ...]
    purpose: Purpose
    precedence: Precedence
    personal_data: bool
    marking: HeaderMarking
    at: datetime

    def __post_init__(self) -> None:
        parse_time(self.at)


def context_of(header: Header, at: datetime) -> SendContext:
    """Take from a header what the access rules may look at; `at` is UTC with whole seconds."""
    return SendContext(
        status=header.status,
        kind=header.kind,
        topics=header.topics,
        purpose=header.purpose,
        precedence=header.precedence,
        personal_data=header.personal_data,
        marking=header.marking,
        at=at,
    )


@lru_cache(maxsize=MEMBERS_MAX * DESKS_PER_MEMBER_MAX)
def cedar_entity(party: Party) -> str:
    """Write a desk as a Cedar entity (JSON), as `default.cedarschema` describes it."""
    ceiling = {
        **_ranked("tlp", "Tlp", party.tlp_ceiling),
        **_ranked("classification", "Classification", party.classification_ceiling),
    }
    attributes = {
        "member": party.member,
        "kind": _word("MemberKind", party.kind),
        "functions": _words("Function", party.functions),
        "groups": party.groups,
        "channels": party.channels,
        "operations": party.operations,
        "ceiling": ceiling,
    }
    return _dump({"uid": _word(DESK, party.desk), "attrs": attributes, "parents": []})


def cedar_context(context: SendContext) -> str:
    """Write what is sent as a Cedar context (JSON), as `default.cedarschema` describes it."""
    marking = {
        **_ranked("tlp", "Tlp", context.marking.tlp),
        **_ranked("classification", "Classification", context.marking.classification),
        "caveats": _words("Caveat", context.marking.caveats),
        # Always there: a rule that forgets the caveat then refuses too much, never too little.
        "release_to": context.marking.release_to or (),
    }
    return _dump(
        {
            "status": _word("Status", context.status),
            "kind": _word("Kind", context.kind),
            "topics": _words("Topic", context.topics),
            "purpose": _word("Purpose", context.purpose),
            "precedence": _word("Precedence", context.precedence),
            "personal_data": context.personal_data,
            "marking": marking,
            "at": format_time(context.at),
        }
    )


def cedar_request(sender: str, recipient: str, context: str) -> dict[str, object]:
    """Write the question: may this desk send to that desk what `cedar_context` wrote?"""
    return {
        "principal": _word(DESK, sender),
        "action": _word("Action", "send"),
        "resource": _word(DESK, recipient),
        "context": context,
    }


def _word(vocabulary: str, word: str) -> dict[str, str]:
    """Words are enumerated entities, so that validation finds a misspelt word in a rule."""
    return {"type": vocabulary, "id": word}


def _words(vocabulary: str, words: Iterable[str]) -> list[dict[str, str]]:
    return [_word(vocabulary, word) for word in words]


def _ranked(name: str, vocabulary: str, level: Tlp | Classification) -> dict[str, object]:
    """A level as a word for people, and as a number that rules compare."""
    return {name: _word(vocabulary, level), f"{name}_rank": level.rank}


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
