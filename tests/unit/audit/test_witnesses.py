"""The auditor and the witnesses: a quorum is held against the trees, and what is missing or old is found."""

from __future__ import annotations

import secrets
from datetime import timedelta
from pathlib import Path

import pytest

from broker.audit.quorum_record import QUORUMS_FILE
from broker.audit.rules import LogName
from broker.audit.seen import SEEN_FILE
from broker.tlog.checkpoint import Checkpoint, parse_checkpoint_text
from broker.tlog.cosignature import MlDsa44CosignatureSigner
from broker.tlog.note import Note, parse_note
from schemas.directory import Witnesses, WitnessKey
from schemas.entries import parse_directory_entry, parse_exchange_entry
from schemas.errors import ConfigurationError
from schemas.loader import load_json
from tests.unit.audit.fake_hub import FakeHub, ServedLog, grow
from tests.unit.audit.world import AuditWorld, audit, found

LOGS: tuple[LogName, ...] = ("directory", "exchange")
SIGNERS = {
    member: MlDsa44CosignatureSigner(f"witness/{member}", secrets.token_bytes(32))
    for member in ("dz", "ly", "tn")
}
TWO_OF_THREE = Witnesses(
    quorum=2,
    keys={m: WitnessKey(name=s.key.name, ml_dsa_44=s.key.public) for m, s in SIGNERS.items()},
)


@pytest.fixture
def witnessed(story: AuditWorld) -> AuditWorld:
    """The story, after the council has named three witnesses, of whom two must cosign."""
    story.change_council(lambda council: council.model_copy(update={"witnesses": TWO_OF_THREE}))
    story.publish()
    return story


def _cosign(text: str, at: int, *members: str) -> str:
    note = parse_note(text)
    lines = tuple(SIGNERS[member].sign(note.text, at) for member in members)
    return Note(note.text, (*note.signatures, *lines)).render()


def _served(world: AuditWorld, *members: str) -> FakeHub:
    """The hub, whose newest checkpoints these members' nodes have just cosigned."""
    hub, at = world.served(), int(world.now.timestamp())
    for log in LOGS:
        hub.cosigned[log] = _cosign(hub.logs[log].checkpoint, at, *members)
    return hub


def test_a_quorum_on_both_logs_is_reported(witnessed: AuditWorld, tmp_path: Path) -> None:
    """Who is named, how many must cosign, and for each log who did, when, over which tree."""
    report = audit(_served(witnessed, "dz", "tn"), witnessed, tmp_path)
    assert found(report) == []
    plain = load_json(report.to_json(), 1_000_000)
    assert plain["witnessed"]
    assert (plain["witnesses"]["named"], plain["witnesses"]["quorum"]) == (["dz", "ly", "tn"], 2)
    exchange = plain["witnesses"]["logs"]["exchange"]
    assert exchange["members"] == ["dz", "tn"]
    assert exchange["size"] == len(witnessed.exchange_entries)
    assert parse_checkpoint_text(parse_note(exchange["checkpoint"]).text).size == exchange["size"]


def test_no_quorum_is_a_finding(witnessed: AuditWorld, tmp_path: Path) -> None:
    """None at all, or one witness of the two that are needed."""
    expected = [("directory", None, "unwitnessed"), ("exchange", None, "unwitnessed")]
    assert found(audit(witnessed.served(), witnessed, tmp_path)) == expected
    assert found(audit(_served(witnessed, "ly"), witnessed, tmp_path)) == expected


def test_an_old_quorum_is_a_finding(witnessed: AuditWorld, tmp_path: Path) -> None:
    """Witnesses cosign every ten minutes: an hour is what an exchange may lag behind."""
    hour, hub = timedelta(hours=1), _served(witnessed, "dz", "tn")
    assert found(audit(hub, witnessed, tmp_path, witnessed.now + hour)) == []
    late = witnessed.now + hour + timedelta(seconds=1)
    expected = [("directory", None, "quorum-old"), ("exchange", None, "quorum-old")]
    assert found(audit(hub, witnessed, tmp_path, late)) == expected


def test_witnesses_who_saw_another_log_give_the_hub_away(
    witnessed: AuditWorld, tmp_path: Path
) -> None:
    """Another tree of a size that is shown here, or more entries than are shown here."""
    for more, rule in ((0, "log-forked"), (1, "log-shrank")):
        hub = _served(witnessed, "dz", "tn")
        size = len(witnessed.exchange_entries) + more
        log = hub.logs["exchange"].secrets
        other = ServedLog.signed(log, size, bytes(32), witnessed.now)
        hub.cosigned["exchange"] = _cosign(other, int(witnessed.now.timestamp()), "dz", "tn")
        assert found(audit(hub, witnessed, tmp_path)) == [("exchange", None, rule)]


def test_an_older_tree_that_was_cosigned_is_compared_on_the_way(
    witnessed: AuditWorld, tmp_path: Path
) -> None:
    """The quorum may be some entries behind what is shown."""
    hub = _served(witnessed, "dz", "tn")
    shorter = witnessed.copy()
    del shorter.exchange_entries[-1]
    head = shorter.exchange_head()
    log = hub.logs["exchange"].secrets
    tree = Checkpoint(log.origin, head.size, bytes.fromhex(head.root))
    told = ServedLog.signed(log, tree.size, tree.root, witnessed.now)
    hub.cosigned["exchange"] = _cosign(told, int(witnessed.now.timestamp()), "dz", "ly")
    assert found(audit(hub, witnessed, tmp_path)) == []


QUARTER = timedelta(minutes=15)
"""A round of ten minutes, and five that clocks may differ."""


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("late", [timedelta(), timedelta(seconds=1)])
def test_an_entry_that_witnesses_did_not_see_at_its_time(
    witnessed: AuditWorld, tmp_path: Path, log: LogName, late: timedelta
) -> None:
    """The log was cosigned without it a quarter of an hour and more after the time that it claims."""
    hub = _served(witnessed, "dz", "tn")
    served = hub.logs[log]
    last = len(served.data) - 1
    secrets_of = served.secrets
    tree, _ = grow(served.data[:last])
    opening = served.openings[last]
    assert opening is not None
    parsed = parse_directory_entry if log == "directory" else parse_exchange_entry
    at = parsed(opening.entry).at + QUARTER + late
    told = ServedLog.signed(secrets_of, last, tree, at)
    hub.cosigned[log] = _cosign(told, int(at.timestamp()), "dz", "tn")
    report = audit(hub, witnessed, tmp_path, max(at, witnessed.now))
    assert found(report) == ([(log, last, "at-quorum")] if late else [])


def test_quorums_are_remembered(witnessed: AuditWorld, tmp_path: Path) -> None:
    """What an earlier audit saw cosigned without an entry tells of it, though all that is left is that."""
    witnessed.later(hours=1)
    assert found(audit(_served(witnessed, "dz", "tn"), witnessed, tmp_path)) == []
    (tmp_path / SEEN_FILE).unlink()
    later = witnessed.copy()
    at = later.now - QUARTER - timedelta(seconds=1)
    index = later.accept(later.envelope("ly/main", "tn/main"), at=at)
    report = audit(_served(later, "dz", "tn"), later, tmp_path)
    assert found(report) == [("exchange", index, "at-quorum")]
    (tmp_path / QUORUMS_FILE).write_bytes(b"{}")
    with pytest.raises(ConfigurationError, match="damaged"):
        audit(_served(later, "dz", "tn"), later, tmp_path)
