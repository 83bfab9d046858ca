"""Witnesses against a hub that forks, freezes or hides, and against members that are away or restored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest

from broker.db import reading
from broker.hub.directory_log import Operate
from broker.hub.generations import load_signers
from broker.hub.logbook import read_head
from broker.hub.witnessing import ROUND_SECONDS
from broker.node.freshness import Standing, freshness_of
from broker.node.home import WITNESS_KEY_NAME
from broker.node.witness_keys import witness_name
from broker.node.witnessing import LAGGING_SECONDS
from broker.tlog.checkpoint import Checkpoint, sign_checkpoint
from broker.tlog.cosignature import MlDsa44CosignatureSigner
from broker.tlog.note import Note, parse_note
from keys.repository import online_signer
from tests.exchange import timestamps
from tests.exchange.histories import MEMBERS, Forward, History, Lie
from tests.exchange.hostile_hub import refused
from tests.exchange.live import EXCHANGE
from tests.exchange.nodes import document
from tests.exchange.timestamps import current, version_of

SENDER, RECIPIENT, THIRD = "ly", "tn", "ne"
LOGS = ("directory", "exchange")


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """Three nodes are witnesses, of whom two must cosign; both logs have a quorum."""
    made = History(tmp_path / "history", quorum=2)
    _round(made)
    yield made
    made.close()


def _round(history: History, *members: str) -> None:
    """Each node has looked twice: what it cosigned first, others have as well the second time."""
    for _ in range(2):
        for member in members or MEMBERS:
            history.work(member)
            history.run(history.nodes[member].look_around())


def _standing(history: History, member: str = SENDER) -> Standing:
    node = history.nodes[member]
    directory = node.line.state.directory
    assert directory is not None
    with reading(node.home.engine) as connection:
        return freshness_of(connection, directory, history.clock()).standing


def _send(history: History) -> str:
    bulletin_id, content = document(f"{SENDER}/main", "a title")
    history.nodes[SENDER].hand_in(content, (f"{RECIPIENT}/main",))
    return bulletin_id


def _state(history: History, bulletin_id: str) -> str:
    [(found, _)] = history.nodes[SENDER].states(bulletin_id).values()
    return found


def _answers(path: str, answer: Callable[[], str], method: str = "GET") -> Lie:
    """Calls whose path ends so are answered with a text."""

    async def lie(request: httpx.Request, forward: Forward) -> httpx.Response:
        if request.method == method and request.url.path.endswith(path):
            return httpx.Response(200, text=answer())
        return await forward(request)

    return lie


def _shown(history: History, log: str) -> str:
    """The newest checkpoint of a log, as the hub signed it."""
    with reading(history.ledger.engine) as connection:
        return read_head(connection, log).checkpoint  # type: ignore[arg-type]


def test_a_quorum_stands_for_both_logs(history: History) -> None:
    """Everybody sees it, and what is sent is witnessed."""
    assert all(node.line.follower.is_witnessed for node in history.nodes.values())
    bulletin_id = _send(history)
    _round(history, SENDER, THIRD)
    _round(history, SENDER, THIRD)
    assert _state(history, bulletin_id) == "witnessed"
    assert history.audit().findings == ()


def test_a_minority_that_is_away_stops_nobody(history: History) -> None:
    """Two of three stay fresh for days; what one alone cosigns is no quorum, and people are told."""
    for _ in range(48):
        history.later(hours=1)
        _round(history, SENDER, THIRD)
        assert _standing(history) is Standing.FRESH
    history.later(minutes=61)
    _round(history, SENDER)
    assert _standing(history) is Standing.STALE
    assert "directory-stale" in history.nodes[SENDER].alarms()
    history.later(hours=24)
    _round(history, SENDER)
    assert _standing(history) is Standing.OVER_GRACE
    bulletin_id = _send(history)
    _round(history, SENDER)
    assert _state(history, bulletin_id) == "queued"
    _round(history, THIRD, SENDER)
    _round(history, SENDER)
    assert _standing(history) is Standing.FRESH
    assert _state(history, bulletin_id) in {"accepted", "witnessed"}


def test_a_quorum_grows_old_though_nothing_is_logged(history: History) -> None:
    """Witnesses cosign anew every ten minutes, so that a log at rest stays fresh."""
    before = history.nodes[SENDER].line.follower.witnessed["exchange"]
    history.later(seconds=ROUND_SECONDS)
    _round(history)
    after = history.nodes[SENDER].line.follower.witnessed["exchange"]
    assert after.checkpoint == before.checkpoint
    assert after.at >= before.at + timedelta(seconds=ROUND_SECONDS)


def _forked(history: History) -> str:
    """Another directory log of the same length, signed by the hub's own keys."""
    signers = load_signers(history.founded.hub.keystore, EXCHANGE).directory
    with reading(history.ledger.engine) as connection:
        head = read_head(connection, "directory")
    forged = Checkpoint(head.origin, head.size, bytes(32))
    return sign_checkpoint(forged, signers, history.now_unix())


def test_another_log_is_cosigned_by_nobody(history: History) -> None:
    """A hub that asks for a cosignature of a fork gets none, and has given evidence against itself."""
    text = _forked(history)
    asked: list[httpx.Request] = []

    async def lie(request: httpx.Request, forward: Forward) -> httpx.Response:
        if request.url.path == "/v1/log/directory/1/cosignatures":
            asked.append(request)
            return httpx.Response(200, text=text)
        return await forward(request)

    history.wire.lie = lie
    history.later(seconds=ROUND_SECONDS)
    history.work(SENDER)
    assert [request.method for request in asked] == ["GET"]
    assert "did not grow" in history.nodes[SENDER].alarms()["inconsistent-log"]


def test_a_quorum_for_another_log_is_evidence(history: History) -> None:
    """Where k witnesses have cosigned another tree than is shown here, this node sees it at once."""
    note, at = parse_note(_forked(history)), history.now_unix()
    lines = []
    for member, node in history.nodes.items():
        seed = node.home.keystore.get(WITNESS_KEY_NAME)
        signer = MlDsa44CosignatureSigner(witness_name(EXCHANGE, member), seed)
        lines.append(signer.sign(note.text, at))
    forged = Note(note.text, (*note.signatures, *lines)).render()
    history.wire.lie = _answers("/directory/1/witnessed", lambda: forged)
    history.work(SENDER)
    assert "did not grow" in history.nodes[SENDER].alarms()["inconsistent-log"]


def test_a_note_without_a_quorum_counts_as_nothing(history: History) -> None:
    """One cosignature, or one altered: what was witnessed before stays, and grows old."""
    follower = history.nodes[SENDER].line.follower
    before = dict(follower.witnessed)
    note = parse_note(before["directory"].text)
    alone = Note(note.text, note.signatures[:3]).render()
    broken = replace(note.signatures[-1], signature=bytes(len(note.signatures[-1].signature)))
    altered = Note(note.text, (*note.signatures[:-1], broken)).render()
    for told in (alone, altered, "nothing"):
        history.wire.lie = _answers("/directory/1/witnessed", partial(str, told))
        history.later(seconds=ROUND_SECONDS)
        history.work(SENDER)
        assert follower.witnessed["directory"] == before["directory"]


def test_a_frozen_log_is_not_cosigned_for_ever(history: History) -> None:
    """A tree that was overtaken half an hour ago would make somebody's old directory look fresh."""
    old = _shown(history, "directory")
    history.ledger.commit([Operate("configuration")])
    _round(history, SENDER)
    # It is a minority that has cosigned the new one, so that nothing lower was cosigned by this node.
    node = history.nodes[THIRD]
    history.wire.lie = _answers("/directory/1/cosignatures", lambda: old)
    history.work(THIRD)
    assert "inconsistent-log" not in node.alarms()
    history.later(seconds=LAGGING_SECONDS)
    history.work(THIRD)
    assert "which had" in node.alarms()["inconsistent-log"]


def test_who_is_shown_an_old_directory_sees_that_the_quorum_is_old(history: History) -> None:
    """The hub signs its timestamp anew for the old snapshot; no witness cosigns what is behind."""
    victim = history.nodes[RECIPIENT]
    frozen = {f"/{log}/1/checkpoint": _shown(history, log) for log in LOGS}
    frozen |= {f"/{log}/1/witnessed": victim.line.follower.witnessed[log].text for log in LOGS}
    hub = history.founded.hub
    snapshot, number = timestamps.snapshot_of(history.ledger)
    history.ledger.commit([Operate("configuration")])

    async def lie(request: httpx.Request, forward: Forward) -> httpx.Response:
        for path, text in frozen.items():
            if request.url.path.endswith(path):
                return httpx.Response(200, text=text)
        if request.url.path.endswith("/trust/metadata/timestamp.json"):
            stamp = timestamps.sign(
                snapshot=snapshot,
                number=number,
                version=version_of(current(history.ledger)),
                key=online_signer(hub.keystore.get("online")),
                expires=history.clock() + timedelta(days=1),
            )
            return httpx.Response(200, content=stamp)
        return await forward(request)

    for _ in range(7):
        history.later(seconds=ROUND_SECONDS)
        history.wire.lie = None
        _round(history, SENDER, THIRD)
        history.wire.lie = lie
        _round(history, RECIPIENT)
    assert _standing(history, SENDER) is Standing.FRESH
    assert _standing(history, RECIPIENT) is Standing.STALE
    assert "directory-stale" in victim.alarms()


@pytest.mark.parametrize(
    "answer",
    [
        lambda: httpx.Response(200, content=b"\xff\xfe"),
        lambda: httpx.Response(200, text="nothing"),
        lambda: httpx.Response(500),
        lambda: refused("internal"),
    ],
)
def test_a_hub_that_spoils_cosigning_keeps_no_bulletin_waiting(
    history: History, answer: Callable[[], httpx.Response]
) -> None:
    """What it shows witnesses is garbage: sealing keys are kept, the logs are watched, bulletins leave."""

    async def lie(request: httpx.Request, forward: Forward) -> httpx.Response:
        if request.url.path.endswith("/cosignatures"):
            return answer()
        return await forward(request)

    history.wire.lie = lie
    history.later(seconds=ROUND_SECONDS)
    bulletin_id = _send(history)
    _round(history)
    _round(history, SENDER)
    assert _state(history, bulletin_id) in {"delivered", "read"}


def test_a_restored_node_cosigns_nothing(history: History, tmp_path: Path) -> None:
    """What it cosigned since its backup is forgotten: it takes a new key, which the council names first."""
    node = history.nodes[THIRD]
    node.backup(tmp_path / "backup")
    node.restore(tmp_path / "backup")
    assert WITNESS_KEY_NAME not in node.home.keystore.names()
    history.later(seconds=ROUND_SECONDS)
    _round(history)
    follower = history.nodes[SENDER].line.follower
    assert follower.witnessed["exchange"].members == (SENDER, RECIPIENT)
