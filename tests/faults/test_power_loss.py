"""Power cuts, shown by strace: the disk has what was answered, and a disk that fails ends all answering."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import Problem
from schemas.loader import dump_json
from tests.exchange.live import LiveHub, run
from tests.faults.hub_process import (
    check_receipts,
    make_hub,
    seal,
    spawn,
    submit_all,
    until_it_answers,
)
from tests.faults.tracing import Promises, kill_traced, promises, strace

ENVELOPES = 8
SYNCS_BEFORE_FAILURE = 7


@pytest.fixture
def hub(tmp_path: Path) -> LiveHub:
    """A hub that serves no more from this process."""
    return make_hub(tmp_path / "hub")


def _watch(hub: LiveHub, module: str, trace: Path, *arguments: str) -> Promises:
    envelopes = seal(hub, ENVELOPES)
    process = spawn(hub, module, *arguments, under=strace(trace))
    try:
        run(until_it_answers(hub, process))
        assert len(run(submit_all(hub, envelopes, at_once=1))) == ENVELOPES
    finally:
        kill_traced(process.pid)
        process.wait()
    return promises(trace, hub.data / "hub.db")


def test_the_disk_has_what_was_answered(hub: LiveHub, tmp_path: Path) -> None:
    """Between each accepting write and its answer, the call that brings it to the disk has returned."""
    seen = _watch(hub, "crashing_hub", tmp_path / "trace", "never", "0")
    assert seen.sent_too_early == 0
    assert seen.syncs >= ENVELOPES


def test_a_hub_that_does_not_wait_is_noticed(hub: LiveHub, tmp_path: Path) -> None:
    """With synchronous=NORMAL every answer leaves before the disk has it: the test above would fail."""
    seen = _watch(hub, "careless_hub", tmp_path / "trace")
    assert seen.sent_too_early >= ENVELOPES


def test_a_disk_that_fails_ends_all_answering(hub: LiveHub, tmp_path: Path) -> None:
    """After a failed fdatasync the hub accepts nothing more; what it had answered is there afterwards."""
    envelopes = seal(hub, ENVELOPES)
    failing = f"inject=fdatasync:error=EIO:when={SYNCS_BEFORE_FAILURE}+"
    under = strace(tmp_path / "trace", "-e", failing)
    process = spawn(hub, "crashing_hub", "never", "0", under=under)
    try:
        run(until_it_answers(hub, process))
        receipts = run(submit_all(hub, envelopes, at_once=1))
        words = [run(_refused(hub, dump_json(envelope))) for envelope in envelopes[-2:]]
    finally:
        kill_traced(process.pid)
        process.wait()
    assert 0 < len(receipts) < ENVELOPES
    assert words == ["hub-halted", "hub-halted"]
    check_receipts(hub, receipts)
    process = spawn(hub, "crashing_hub", "never", "0")
    try:
        run(until_it_answers(hub, process))
        again = run(submit_all(hub, envelopes, at_once=1))
    finally:
        process.kill()
        process.wait()
    assert len(again) == ENVELOPES
    assert {n: again[n].index for n in receipts} == {n: r.index for n, r in receipts.items()}


def test_short_process_ids_are_read_as_well(tmp_path: Path) -> None:
    """strace fills their column with blanks: of a machine that has just started, or began to count anew."""
    trace = tmp_path / "trace"
    trace.write_text(
        "812   pwrite64(9</data/hub.db-wal>, ..., 4096, 32) = 4096\n"
        "812   fdatasync(9</data/hub.db-wal> <unfinished ...>\n"
        "40001 sendto(7<TCP:[127.0.0.1:1->127.0.0.1:2]>, ..., 9, 0, NULL, 0) = 9\n"
        "812   <... fdatasync resumed>) = 0\n"
    )
    assert promises(trace, Path("/data/hub.db")) == Promises(syncs=1, sent_too_early=1)


async def _refused(hub: LiveHub, envelope: bytes) -> str:
    async with hub.client("ly/main") as client:
        try:
            await client.submit(envelope)
        except Problem as problem:
            return problem.word
    return "accepted"
