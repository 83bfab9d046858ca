"""A hub, or a line, that lies to nodes: the right party notices, no sender is blamed, nothing is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from broker.db import reading
from broker.node import tables
from tests.exchange.histories import MEMBERS, History, Node
from tests.exchange.hostile_hub import LIES, RECIPIENT, SENDER, Told
from tests.exchange.nodes import document

BULLETINS = 3
LYING_ROUNDS = 3
HONEST_ROUNDS_MAX = 12
BLAMING = frozenset({"rejected", "quarantined", "two-contents"})
"""Alarms by which a node would say that the other party, not the hub, is at fault."""


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """An exchange whose nodes have looked at the logs; nothing was sent."""
    made = History(tmp_path / "history")
    _everybody_works(made)
    yield made
    made.close()


def _everybody_works(history: History) -> None:
    for member in MEMBERS:
        history.work(member)


def _send(history: History) -> list[str]:
    sent = []
    for number in range(BULLETINS):
        bulletin_id, content = document(f"{SENDER}/main", f"number {number}")
        history.nodes[SENDER].hand_in(content, (f"{RECIPIENT}/main",))
        sent.append(bulletin_id)
    return sent


def _look_around(history: History) -> None:
    for node in history.nodes.values():
        history.run(node.look_around())


def _states(history: History, sent: list[str]) -> set[str]:
    """The states of all, with the reasons that matter."""
    node = history.nodes[SENDER]
    return {state for each in sent for state, _ in node.states(each).values()}


def _shown(node: Node) -> Counter[str]:
    return Counter(each.bulletin_id for each in node.shown())


def _rejections(node: Node) -> list[str]:
    """The envelopes that a node keeps as rejected."""
    table = tables.incoming_envelope
    with reading(node.home.engine) as connection:
        query = select(table.c.envelope_id).where(table.c.reason.is_not(None))
        return list(connection.execute(query).scalars())


def _nobody_is_blamed(history: History, sent: list[str]) -> None:
    """Whatever was said, no node says that another did wrong, and no answer was given that is not true."""
    for node in history.nodes.values():
        assert not BLAMING & node.alarms().keys()
        assert _rejections(node) == []
    states, shown = _states(history, sent), _shown(history.nodes[RECIPIENT])
    assert not states & {"rejected", "refused", "withdrawn", "expired"}
    for each in sent:
        [(state, _)] = history.nodes[SENDER].states(each).values()
        assert state != "delivered" or shown[each] == 1


@pytest.mark.parametrize("told", LIES, ids=lambda told: told.name)
def test_a_lie_is_noticed_and_does_no_lasting_harm(history: History, told: Told) -> None:
    """While it lasts nothing false is believed; once it is over everything arrives, once."""
    history.wire.lie = told.lie
    _everybody_works(history)
    sent = _send(history)
    for _ in range(LYING_ROUNDS):
        _everybody_works(history)
        history.later(minutes=10)
    history.later(hours=told.hours)
    _everybody_works(history)
    _look_around(history)
    _nobody_is_blamed(history, sent)
    if told.noticed_by:
        alarms = history.nodes[told.noticed_by].alarms()
        assert told.word in alarms[told.alarm]
    history.wire.lie = None
    for _ in range(HONEST_ROUNDS_MAX):
        history.later(minutes=45)
        _everybody_works(history)
        if _states(history, sent) == {"delivered"}:
            break
    assert _states(history, sent) == {"delivered"}
    assert _shown(history.nodes[RECIPIENT]) == Counter(sent)
    _nobody_is_blamed(history, sent)
    assert history.audit().findings == ()
