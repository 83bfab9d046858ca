"""What a change opens and closes is what deciding every pair of desks anew would say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from broker.policy.effects import effects
from broker.policy.rulebook import Rulebook
from schemas.bulletin.vocabularies import Tlp
from schemas.directory import Council, Group
from tests.unit.policy.examples import AT, shipped_book

Change = Callable[[Council], Council]

WHATS = shipped_book().whats(AT)[::5]
"""Some of what the table names: all of it would take a minute to decide pair by pair."""


def _member(member: str, **changes: object) -> Change:
    def change(council: Council) -> Council:
        seat = council.members[member].model_copy(update=changes)
        return council.model_copy(update={"members": {**council.members, member: seat}})

    return change


def _ceiling(council: Council) -> Council:
    ceiling = council.members["eg"].ceiling.model_copy(update={"tlp": Tlp.GREEN})
    return _member("eg", ceiling=ceiling)(council)


def _silently_extended(council: Council) -> Council:
    """An observer becomes a member of the standing mechanism."""
    group = council.groups["tripoli"]
    wider = Group(**{**dict(group), "members": tuple(sorted((*group.members, "un")))})
    return council.model_copy(update={"groups": {**council.groups, "tripoli": wider}})


def _working(council: Council) -> Council:
    """A desk gets another function."""
    desks = {**council.members["un"].desks, "observer": ()}
    return _member("un", desks=desks)(council)


@pytest.mark.parametrize(
    "change",
    [
        _ceiling,
        _silently_extended,
        _working,
        _member("td", suspended=True),
        _member("eu", kind="state"),
        lambda council: council,
    ],
    ids=["ceiling", "extended", "function", "suspended", "kind", "nothing"],
)
def test_effects_are_those_of_every_pair(change: Change) -> None:
    """Each pair of desks and each content that is decided otherwise is named, and no other."""
    before = shipped_book()
    after = replace(before, council=change(before.council))
    told: dict[str, set[tuple[str, str, str]]] = {"opened": set(), "closed": set()}
    for effect in effects(before, after, WHATS, AT):
        told[effect.change] |= {
            (sender, recipient, what)
            for sender in effect.senders
            for recipient in effect.recipients
            for what in effect.whats
            if sender != recipient
        }
    assert told == _by_pairs(before, after)


def test_a_suspended_member_exchanges_nothing() -> None:
    """To suspend a member closes whatever went to and from its desks, and opens nothing."""
    before = shipped_book()
    after = replace(before, council=_member("td", suspended=True)(before.council))
    told = effects(before, after, WHATS, AT)
    assert {effect.change for effect in told} == {"closed"}
    own = {f"td/{unit}" for unit in before.council.members["td"].desks}
    senders = {desk for effect in told for desk in effect.senders}
    recipients = {desk for effect in told for desk in effect.recipients}
    assert own <= senders
    assert own <= recipients
    assert all(own >= set(e.senders) or own >= set(e.recipients) for e in told)
    assert {name for effect in told for name in effect.by} == {"not-in-the-council"}


def _by_pairs(before: Rulebook, after: Rulebook) -> dict[str, set[tuple[str, str, str]]]:
    old, new = _allowed(before), _allowed(after)
    return {"opened": new - old, "closed": old - new}


def _allowed(book: Rulebook) -> set[tuple[str, str, str]]:
    rules, parties = book.rules(), book.parties(AT)
    return {
        (sender.desk, recipient.desk, what.name)
        for what in WHATS
        for sender in parties
        for recipient, decision in zip(
            parties, rules.decide_each(sender, parties, what.context), strict=True
        )
        if decision.allowed and sender != recipient
    }


def test_a_sentence_for_governors() -> None:
    """An effect is told in words: who, to whom, what, and by which rule."""
    before = shipped_book()
    after = replace(before, council=_ceiling(before.council))
    sentences = [effect.sentence() for effect in effects(before, after, after.whats(AT), AT)]
    assert all(each.startswith("closed: ") for each in sentences)
    assert any(
        "desks of eg" in each and "tlp-above-recipient-ceiling" in each for each in sentences
    )
