"""A hub that dates entries falsely, against nodes and an auditor that saw quorums before and behind them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from broker.hub.directory_log import Operate
from schemas.limits import CLOCK_TOLERANCE_SECONDS, WITNESS_ROUND_SECONDS
from tests.exchange.histories import MEMBERS, History
from tests.exchange.nodes import document

SENDER, RECIPIENT = "ly", "tn"
HOURS = timedelta(hours=2)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """Three nodes are witnesses, of whom two must cosign; then nothing is logged for three hours."""
    made = History(tmp_path / "history", quorum=2)
    _round(made)
    made.later(hours=3)
    _round(made)
    yield made
    made.close()


def _round(history: History, *members: str) -> None:
    for _ in range(2):
        for member in members or MEMBERS:
            history.work(member)
            history.run(history.nodes[member].look_around())


def _send(history: History) -> None:
    _, content = document(f"{SENDER}/main", "a title")
    history.nodes[SENDER].hand_in(content, (f"{RECIPIENT}/main",))


def _clock(history: History, by: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub dates what it logs otherwise; all else of it goes by the right time."""
    wrong = int(by.total_seconds())
    monkeypatch.setattr(history.ledger, "_now_unix", lambda: history.now_unix() + wrong)


def _alarms(history: History) -> dict[str, str | None]:
    return {each: history.nodes[each].alarms().get("entry-time") for each in MEMBERS}


def test_what_was_logged_two_hours_too_early(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Witnesses cosigned the log without it meanwhile: sender, recipient and an auditor see that."""
    assert history.audit().findings == ()
    _clock(history, -HOURS, monkeypatch)
    _send(history)
    _round(history)
    found = _alarms(history)
    assert found["ne"] is None
    for member in (SENDER, RECIPIENT):
        assert "witnesses cosigned the log without it" in str(found[member])
    rules = {(each.log, each.rule) for each in history.audit().findings}
    assert rules == {("exchange", "at-backdated")}


def test_what_was_logged_two_hours_too_late(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first quorum that covers it was earlier: sender and recipient see that, and whoever audits."""
    _clock(history, HOURS, monkeypatch)
    _send(history)
    _round(history)
    _round(history, SENDER)
    found = _alarms(history)
    assert found["ne"] is None
    for member in (SENDER, RECIPIENT):
        assert "witnesses cosigned the log with it" in str(found[member])
    history.later(hours=3)
    assert ("exchange", "at-quorum") in {(each.log, each.rule) for each in history.audit().findings}


def test_a_directory_entry_of_another_hour(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every node reads the directory log, and sees it once a quorum covers the entry."""
    _clock(history, -HOURS, monkeypatch)
    history.ledger.commit([Operate("configuration")])
    _round(history)
    _round(history)
    assert all("cosigned the log without it" in str(each) for each in _alarms(history).values())


def test_an_honest_hub_is_accused_by_nobody(history: History) -> None:
    """While witnesses cosign a tree for ten minutes, entries are logged behind it, on clocks that differ."""
    for seconds in (1, WITNESS_ROUND_SECONDS - 1, 30):
        _send(history)
        # One witness in time, the other at the end of the round: their median lies behind the entries.
        _round(history, SENDER)
        history.later(seconds=seconds)
        _send(history)
        _round(history, RECIPIENT, "ne")
    _round(history)
    assert set(_alarms(history).values()) == {None}
    assert history.audit().findings == ()


@pytest.mark.parametrize("ahead", [1, -1])
def test_clocks_may_differ_by_five_minutes(
    history: History, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """Either way."""
    _clock(history, ahead * timedelta(seconds=CLOCK_TOLERANCE_SECONDS - 2), monkeypatch)
    _send(history)
    _round(history)
    assert set(_alarms(history).values()) == {None}


def test_what_no_quorum_covers_is_told_once_a_desk(history: History) -> None:
    """Two witnesses of three are away: after an hour the recipient is told, until they are back."""
    _send(history)
    _send(history)
    for _ in range(3):
        _round(history, SENDER)
    history.run(history.nodes[RECIPIENT].sync._fetch(f"{RECIPIENT}/main")())
    history.later(minutes=59)
    history.run(history.nodes[RECIPIENT].look_around())
    assert "received-unwitnessed" not in history.nodes[RECIPIENT].alarms()
    history.later(minutes=2)
    history.run(history.nodes[RECIPIENT].look_around())
    assert history.nodes[RECIPIENT].alarms()["received-unwitnessed"].startswith("2 since ")
    _round(history)
    assert "received-unwitnessed" not in history.nodes[RECIPIENT].alarms()
