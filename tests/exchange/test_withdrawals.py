"""Withdrawals, tombstones and a restored node, between real nodes through a real hub."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.hub import expiry, showing
from broker.node.restored import RESTORED_FILE, marker_bytes
from schemas.bulletin.vocabularies import Kind
from schemas.scalars import format_time
from tests.exchange.live import LiveHub, now
from tests.exchange.nodes import LiveNode, document, live_exchange, wait_for

Exchange = tuple[LiveHub, dict[str, LiveNode]]


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A hub that looks for what has expired often, with the nodes of Libya and Tunisia."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expiry, "SWEEP_SECONDS", 0.2)
        with live_exchange(tmp_path_factory.mktemp("withdrawals"), "ly", "tn") as running:
            yield running


def send(nodes: dict[str, LiveNode], **query: Any) -> str:
    """Libya sends Tunisia a bulletin; gives its id."""
    bulletin_id, content = document("ly/main", "a secret route")
    params = {"to": ["tn/main"], "precedence": "routine"} | query
    answer = nodes["ly"].call("POST", "/bulletins", content=content, params=params)
    assert answer.status_code == 202, answer.text
    return bulletin_id


def withdraw(nodes: dict[str, LiveNode], original: str) -> str:
    """Libya withdraws it, and that overtakes; gives the withdrawal's id."""
    by, content = document("ly/main", "withdrawn", Kind.WITHDRAWAL, withdraws=original)
    params = {"precedence": "flash"}
    answer = nodes["ly"].call("POST", "/bulletins", content=content, params=params)
    assert answer.status_code == 202, answer.text
    return by


def state(nodes: dict[str, LiveNode], bulletin_id: str) -> tuple[str, str | None]:
    """Where a bulletin stands with Tunisia, and why."""
    sent = nodes["ly"].call("GET", f"/bulletins/{bulletin_id}").json()
    [recipient] = sent["recipients"]
    return recipient["state"], recipient["steps"][-1].get("reason")


def inbox(node: LiveNode) -> dict[str, dict[str, Any]]:
    """What the inbox lists, by id."""
    return {each["id"]: each for each in node.inbox()}


def alarms(node: LiveNode) -> dict[str, list[str]]:
    """Subjects by kind."""
    found: dict[str, list[str]] = {}
    for each in node.status()["alarms"]:
        found.setdefault(each["kind"], []).append(each["subject"])
    return found


@pytest.mark.parametrize("fate", ["unread", "read", "exported"])
def test_the_sender_learns_what_had_become_of_it(exchange: Exchange, fate: str) -> None:
    """Withdrawn after it arrived: hidden where nobody had read it, marked where somebody had."""
    _, nodes = exchange
    original = send(nodes)
    wait_for(lambda: state(nodes, original) == ("delivered", None))
    where = f"/inbox/ly/main/{original}"
    if fate == "read":
        nodes["tn"].call("GET", where)
    elif fate == "exported":
        assert nodes["tn"].call("POST", f"{where}/export").status_code == 200
    if fate != "unread":
        wait_for(lambda: state(nodes, original) == ("read", None))
    by = withdraw(nodes, original)
    wait_for(lambda: state(nodes, original) == ("withdrawn", fate))
    assert inbox(nodes["tn"])[original]["withdrawn"]["by"] == by
    shown = nodes["tn"].call("GET", where)
    assert ("a secret route" in shown.text) == (fate != "unread")
    wait_for(lambda: state(nodes, by) == ("delivered", None))


def test_a_withdrawal_that_overtakes_its_original(exchange: Exchange) -> None:
    """The node was off: the withdrawal, a flash, comes first, and the original is never shown."""
    _, nodes = exchange
    nodes["tn"].stop()
    original = send(nodes)
    wait_for(lambda: state(nodes, original) == ("accepted", None))
    withdraw(nodes, original)
    nodes["tn"].start()
    wait_for(lambda: state(nodes, original) == ("withdrawn", "unread"))
    assert "title" not in inbox(nodes["tn"])[original]
    assert "a secret route" not in nodes["tn"].call("GET", f"/inbox/ly/main/{original}").text


def test_the_hubs_mark_alone_changes_nothing(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that calls a bulletin withdrawn which is not: it is delivered and read as any other."""
    _, nodes = exchange
    monkeypatch.setattr(showing, "is_withdrawn", lambda *_: True)
    original = send(nodes)
    wait_for(lambda: state(nodes, original) == ("delivered", None))
    shown = nodes["tn"].call("GET", f"/inbox/ly/main/{original}").json()
    assert shown["bulletin"]["title"] == {"en": "a secret route"}
    assert shown["marks"] == {}


def test_what_expired_while_a_node_was_off(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the hub hides or forges the tombstone there is a gap; rightly told, it was missed."""
    _, nodes = exchange
    nodes["tn"].stop()
    true = showing._tombstones
    lies: list[str] = ["hidden"]

    def lie(*arguments: Any) -> tuple[Any, ...]:
        found: tuple[Any, ...] = true(*arguments)
        if lies == ["hidden"]:
            return ()
        if lies == ["forged"]:
            return tuple(each.model_copy(update={"expired": each.receipt}) for each in found)
        return found

    monkeypatch.setattr(showing, "_tombstones", lie)
    missed = send(nodes, expires=format_time(now() + timedelta(seconds=2)))
    wait_for(lambda: state(nodes, missed)[0] == "expired")
    after = send(nodes)
    nodes["tn"].start()
    wait_for(lambda: state(nodes, after) == ("delivered", None))
    gap = ["ly/main > tn/main"]
    wait_for(lambda: alarms(nodes["tn"]).get("gap") == gap)
    assert "missed" not in alarms(nodes["tn"])
    # What arrives wakes the node, which asks for tombstones as well.
    lies[:] = ["forged"]
    send(nodes)
    wait_for(lambda: "hub-fault" in alarms(nodes["tn"]))
    assert alarms(nodes["tn"]).get("gap") == gap
    lies.clear()
    send(nodes)
    wait_for(lambda: alarms(nodes["tn"]).get("missed") == [f"tn/main ly/main {missed}"])
    wait_for(lambda: "gap" not in alarms(nodes["tn"]))
    assert missed not in inbox(nodes["tn"])


def test_a_node_restored_from_an_old_copy(exchange: Exchange, tmp_path: Path) -> None:
    """It takes everything again, shows it once, answers again, and is told of itself in one alarm."""
    _, nodes = exchange
    tn, backup = nodes["tn"], tmp_path / "backup"
    tn.stop()
    before = inbox_of_stopped(tn)
    shutil.copytree(tn.data, backup)
    tn.start()
    lost = [send(nodes) for _ in range(3)]
    sent, content = document("tn/main", "what tn sent after its backup")
    assert tn.send(content, "ly/main").status_code == 202
    withdrawn = send(nodes)
    wait_for(lambda: tn.states(sent) == {"ly/main": "delivered"})
    wait_for(lambda: all(state(nodes, each) == ("delivered", None) for each in [*lost, withdrawn]))
    tn.call("GET", f"/inbox/ly/main/{lost[0]}")
    by = withdraw(nodes, withdrawn)
    wait_for(lambda: state(nodes, withdrawn) == ("withdrawn", "unread"))
    wait_for(lambda: state(nodes, lost[0]) == ("read", None))
    tn.stop()
    shutil.rmtree(tn.data)
    shutil.copytree(backup, tn.data)
    (tn.data / RESTORED_FILE).write_bytes(marker_bytes(now()))
    tn.start()
    wait_for(lambda: {*lost, withdrawn, by} <= inbox(tn).keys())
    wait_for(lambda: not (tn.data / RESTORED_FILE).exists())
    ids = [each["id"] for each in tn.inbox()]
    assert sorted(ids) == sorted({*before, *lost, withdrawn, by})
    assert "title" not in inbox(tn)[withdrawn]
    after = send(nodes)
    wait_for(lambda: state(nodes, after) == ("delivered", None))
    answer, content = document("tn/main", "what tn sent after its restore")
    assert tn.send(content, "ly/main").status_code == 202
    wait_for(lambda: tn.states(answer) == {"ly/main": "delivered"})
    last = send(nodes)
    wait_for(lambda: last in inbox(tn))
    found = alarms(tn)
    assert found["restored"] == ["tn/main"]
    assert not found.keys() & {
        *("foreign-acknowledgement", "foreign-envelope", "gap", "acknowledgement-refused")
    }
    # What was read stays read for its sender, though this copy does not know.
    assert state(nodes, lost[0]) == ("read", None)


def inbox_of_stopped(node: LiveNode) -> list[str]:
    """What a node's inbox lists while it does not run."""
    node.start()
    listed = list(inbox(node))
    node.stop()
    return listed
