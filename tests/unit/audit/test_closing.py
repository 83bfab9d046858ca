"""Closed logs in an audit: the council's word, held against what the hub has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from broker.audit.closing import check_end, lost_remark
from broker.client import LogClosed
from broker.tlog.checkpoint import Checkpoint
from schemas.directory import ClosedLog, ClosedLogs, Logs
from schemas.receipts import OpeningsPage
from tests.exchange.trust_parties import LogSecrets
from tests.unit.audit.fake_hub import FakeHub, grow
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


class TwoGenerations(FakeHub):
    """Logs that the council has closed, and those that follow."""

    def __init__(self, closed: FakeHub, following: FakeHub) -> None:
        super().__init__(closed.logs, closed.files | following.files)
        self.cosigned = closed.cosigned
        self._following = following

    async def checkpoint(self, log: str, generation: int) -> str:
        """The signed checkpoint; of the first generation as a closed log's."""
        if generation == 2:
            return await self._following.checkpoint(log, 1)
        raise LogClosed(await super().checkpoint(log, generation))

    async def witnessed(self, log: str, generation: int) -> str:
        """What a quorum cosigned."""
        if generation == 2:
            return await self._following.witnessed(log, 1)
        return await super().witnessed(log, generation)

    async def tile(self, log: str, generation: int, path: str) -> bytes:
        """A tile or bundle."""
        if generation == 2:
            return await self._following.tile(log, 1, path)
        return await super().tile(log, generation, path)

    async def openings(self, log: str, start: int, end: int, generation: int = 1) -> OpeningsPage:
        """Openings of a range."""
        if generation == 2:
            return await self._following.openings(log, start, end)
        return await super().openings(log, start, end, generation)


def _followed(story: AuditWorld) -> FakeHub:
    """The council closes the logs as they stand, and names others."""
    directory = [each.data for each in story.entries]
    ends = ClosedLogs(
        directory=ClosedLog(
            origin=story.directory_log.origin, size=len(directory), root=grow(directory)[0].hex()
        ),
        exchange=ClosedLog(
            origin=story.exchange_log.origin, **story.exchange_head().model_dump(mode="json")
        ),
    )
    after = story.copy()
    after.directory_log, after.exchange_log = (
        LogSecrets.generate(f"{story.exchange}/{log}/2") for log in ("directory", "exchange")
    )
    logs = Logs(
        generation=2,
        directory=after.directory_log.public,
        exchange=after.exchange_log.public,
        previous=(ends,),
    )
    after.entries, after.exchange_entries = [], []
    after.change_council(lambda council: council.model_copy(update={"logs": logs}))
    after.publish()
    return after.served()


def test_what_witnesses_cosigned_of_a_closed_log_is_not_lost(
    story: AuditWorld, tmp_path: Path
) -> None:
    """What is left of it is the beginning of what they cosigned, or grew from it."""
    following = _followed(story)
    cosigned = story.copy()
    del cosigned.exchange_entries[7:]
    witnessed = cosigned.served().logs["exchange"].checkpoint
    left = story.copy()
    left.exchange_entries.pop()
    for world, size in ((story, 9), (left, 8), (cosigned, 7)):
        hub = world.served()
        hub.cosigned["exchange"] = witnessed
        (data := tmp_path / str(size)).mkdir()
        report = audit(TwoGenerations(hub, following), story, data)
        assert found(report) == []
        words = [each.word for each in report.remarks]
        assert ("entries-lost" in words) is (size < 9)
    left.exchange_entries[6] = left.exchange_entries.pop()
    left.accept(left.envelope("ma/main", "ne/main"))
    hub = left.served()
    hub.cosigned["exchange"] = witnessed
    report = audit(TwoGenerations(hub, following), story, tmp_path)
    assert found(report) == [("exchange", None, "log-forked")]
