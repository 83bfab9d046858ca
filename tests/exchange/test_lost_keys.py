"""A desk loses its keys, and its node is made anew: what is unexpired comes again, if a person says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.node.setup import join_node
from schemas.loader import dump_json
from tests.exchange.live import LiveHub
from tests.exchange.memberships import beside, in_force, publish_file
from tests.exchange.nodes import LiveNode, document, live_exchange, wait_for

Exchange = tuple[LiveHub, dict[str, LiveNode]]


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """A hub, and the nodes of Libya and Tunisia."""
    with live_exchange(tmp_path / "exchange", "ly", "tn") as running:
        yield running


def send(node: LiveNode, recipient: str, title: str) -> str:
    """Hand in a bulletin; gives its id."""
    bulletin_id, content = document(f"{node.member}/main", title)
    assert node.send(content, recipient).status_code == 202
    return bulletin_id


def made_anew(hub: LiveHub, lost: LiveNode, folder: Path) -> LiveNode:
    """Another node for the same desks, which their member declares; it serves."""
    node = LiveNode(folder, lost.member)
    desks = dict(in_force(hub).members[lost.member].desks)
    with beside(node) as home:
        for desk, keys in home.desks.items():
            unit = desk.partition("/")[2]
            new = {"node": keys.node.public, "request": keys.request.public}
            desks[unit] = desks[unit].model_copy(update=new)
    publish_file(hub, lost, desks)
    hub.ledger.catch_up()
    join_node(node.data, dump_json(hub.invitation))
    node.start()
    return node


def alarms(node: LiveNode) -> set[str]:
    """The kinds of all alarms of a node."""
    shown = node.call_node("GET", "/alarms?all=true").json()["alarms"]
    return {alarm["kind"] for alarm in shown}


def test_a_node_is_made_anew(exchange: Exchange, tmp_path: Path) -> None:
    """What waited is sealed again once, by itself; what was opened before only when a person says so."""
    hub, nodes = exchange
    ly, tn = nodes["ly"], nodes["tn"]
    opened = send(tn, "ly/main", "opened by the lost node")
    own = send(ly, "tn/main", "sent by the lost node")
    wait_for(lambda: tn.states(opened) == {"ly/main": "delivered"})
    wait_for(lambda: ly.states(own) == {"tn/main": "delivered"})
    ly.stop()
    sealed = send(tn, "ly/main", "sealed to the lost key")
    wait_for(lambda: tn.states(sealed) == {"ly/main": "accepted"})
    anew = made_anew(hub, ly, tmp_path / "anew")
    try:
        wait_for(lambda: tn.states(sealed) == {"ly/main": "delivered"})
        steps = tn.call("GET", f"/bulletins/{sealed}").json()["recipients"][0]["steps"]
        passed = [step["state"] for step in steps]
        assert [passed.count(state) for state in ("accepted", "rejected", "delivered")] == [2, 1, 1]
        # It says so of what the lost node had opened, too: nothing leaves before a person confirms.
        wait_for(lambda: "rejected" in alarms(tn))
        assert tn.states(opened) == {"ly/main": "delivered"}
        assert [each["id"] for each in anew.inbox()] == [sealed]
        query = {"to": "ly/main", "confirm": "true"}
        answer = tn.call("POST", f"/bulletins/{opened}/resend", params=query)
        assert answer.status_code == 202, answer.text
        wait_for(lambda: {each["id"] for each in anew.inbox()} == {sealed, opened})
        # It sends where the lost node had stopped: no gap, nothing of a stranger.
        mine = send(anew, "tn/main", "from the new node")
        wait_for(lambda: anew.states(mine) == {"tn/main": "delivered"})
        assert alarms(anew) <= {"restored", "quarantined"}
        assert alarms(tn) == {"rejected"}
    finally:
        anew.stop()
