"""Closed logs in an audit: the council's word, held against what the hub has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from broker.audit.closing import check_end, lost_remark
from broker.client import LogClosed
from broker.tlog.checkpoint import Checkpoint
from schemas.directory import ClosedLog, ClosedLogs, Logs
from tests.exchange.trust_parties import LogSecrets
from tests.unit.audit.fake_hub import FakeHub
from tests.unit.audit.world import AuditWorld, audit, found

ROOT = bytes(range(32))


def _logs(generation: int, *previous: ClosedLogs) -> Logs:
    directory, exchange = (
        LogSecrets.generate(f"x-test/{log}/{generation}").public
        for log in ("directory", "exchange")
    )
    return Logs(generation=generation, directory=directory, exchange=exchange, previous=previous)


def _end(**changes: Any) -> ClosedLogs:
    directory: dict[str, Any] = {"origin": "x-test/directory/1", "size": 7, "root": ROOT.hex()}
    exchange: dict[str, Any] = {"origin": "x-test/exchange/1", "size": 20, "root": ROOT.hex()}
    exchange |= changes.get("exchange", {})
    directory |= changes.get("directory", {})
    return ClosedLogs(directory=ClosedLog(**directory), exchange=ClosedLog(**exchange))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"exchange": {"size": 23}}, None),
        ({"exchange": {"size": 19}}, "has 20 entries, the council says 19"),
        ({"exchange": {"root": "0" * 64}}, "another root at 20"),
        ({"exchange": {"origin": "x-test/exchange/0"}}, "another exchange log"),
        ({"directory": {"size": 8}}, "ends with 7 entries"),
        ({"directory": {"root": "0" * 64}}, "ends with 7 entries"),
    ],
)
def test_ends_that_the_council_names(changes: dict[str, Any], why: str | None) -> None:
    """The directory log is whole; of the exchange log less may be left than was signed."""
    directory, exchange = (
        Checkpoint("x-test/directory/1", 7, ROOT),
        Checkpoint("x-test/exchange/1", 20, ROOT),
    )
    fault = check_end(_logs(1), _logs(2, _end(**changes)), directory, exchange)
    assert (fault is None) is (why is None)
    assert why is None or why in str(fault)


def test_what_is_lost_is_told() -> None:
    """How many of how many; nothing where all is there."""
    assert lost_remark(_end(), 20) == []
    (remark,) = lost_remark(_end(), 15)
    assert "the last 5 entries are lost" in remark.text


def test_a_log_is_closed_by_the_council_alone(story: AuditWorld, tmp_path: Path) -> None:
    """A hub that says so without a directory that follows is found out."""

    class Closing(FakeHub):
        async def checkpoint(self, log: str, generation: int) -> str:
            raise LogClosed(await super().checkpoint(log, generation))

    served = story.served()
    report = audit(Closing(served.logs, served.files), story, tmp_path)
    assert found(report) == [("directory", None, "log-closed")]
