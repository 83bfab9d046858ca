"""A hub that lost entries: members give back, the council begins new logs, nothing acknowledged is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.audit.journal import Journal
from broker.audit.pipeline import How
from broker.db import reading
from broker.following import Follower
from broker.hub.anchor import ANCHOR_VARIABLE
from broker.hub.logbook import read_head
from broker.hub.setup import load_repository, open_ledger
from broker.hub.succession import prepare_next
from broker.node import giving_back
from keys.keystore import Keystore
from keys.repository import CouncilFiles, make_targets, named, signed
from keys.tuf_files import metadata_name
from schemas.bulletin.vocabularies import Kind
from schemas.directory import HubDescription, Invitation, Logs
from schemas.errors import ConfigurationError
from schemas.lost_entries import LostEntries
from tests.exchange.forging import MemoryStore
from tests.exchange.histories import MEMBERS, Forward, History
from tests.exchange.live import now
from tests.exchange.nodes import document

QUORUM = 2


@dataclass
class Restored:
    """An exchange whose hub can be set back, and given new logs."""

    history: History

    @property
    def data(self) -> Path:
        """The hub's directory."""
        return self.history.folder / "hub"

    def send(self, member: str, *to: str) -> str:
        """An agency hands in a bulletin; its id."""
        bulletin_id, content = document(f"{member}/main", "news")
        self.history.nodes[member].hand_in(content, tuple(f"{each}/main" for each in to))
        return bulletin_id

    def withdraw(self, member: str, original: str) -> str:
        """An agency withdraws one of its bulletins; the withdrawal's id."""
        bulletin_id, content = document(
            f"{member}/main",
            "withdrawn",
            Kind.WITHDRAWAL,
            withdraws=original,
            reason={"en": "It was wrong."},
        )
        self.history.nodes[member].hand_in(content, ())
        return bulletin_id

    def work(self, *members: str, rounds: int = 1) -> None:
        """Some nodes work, or all."""
        for _ in range(rounds):
            self.history.later(minutes=1)
            for member in members or MEMBERS:
                self.history.work(member)

    def set_back(self, act: Callable[[], None]) -> None:
        """Something happens, and the hub's disk forgets it."""
        self.history._end_hub()
        saved = self.data.with_name("saved")
        shutil.copytree(self.data, saved)
        self.history.open_hub()
        act()
        self.history._end_hub()
        shutil.rmtree(self.data)
        saved.rename(self.data)
        self.history.open_hub()

    def signed(self, logs: Logs | None = None) -> dict[str, bytes]:
        """What the governors sign: another grace, and other logs where they are given."""
        hub, directory = self.history.founded.hub, self.history.ledger.state.directory
        assert directory is not None
        number = directory.versions["targets"] + 1
        changed = {"grace_seconds": 86400 + number, "logs": logs or directory.council.logs}
        council = directory.council.model_copy(update=changed)
        files = CouncilFiles(council, *hub.rules())
        until = now() + timedelta(days=365)
        payload = make_targets(number, files, directory.council_part.delegations, until)
        metadata = {metadata_name("targets", number): signed(payload, hub.governors[:3])}
        return metadata | named(payload, files.targets())

    def load(self, files: dict[str, bytes]) -> None:
        """The operator loads what the governors signed."""
        load_repository(self.data, self.keystore, files, self.history.clock())

    @property
    def keystore(self) -> Keystore:
        """The hub's."""
        return self.history.founded.hub.keystore

    def describe(self) -> HubDescription:
        """What `barid hub new-origins` writes."""
        ledger = open_ledger(self.data, self.keystore, self.history.now_unix)
        try:
            return prepare_next(self.data, self.keystore, ledger)
        finally:
            ledger.close()

    def begin(self) -> Logs:
        """New logs, as operator and governors begin them; the hub serves again."""
        self.history._end_hub()
        logs = self.describe().logs
        self.load(self.signed(logs))
        self.history.open_hub()
        return logs

    def sizes(self) -> tuple[int, int]:
        """Entries of both logs."""
        directory, exchange = self.history.ledger.heads()
        return directory.size, exchange.size

    def closed_size(self, generation: int) -> int:
        """Entries of a closed exchange log that the hub still has."""
        with reading(self.history.ledger.engine_of(generation)) as connection:
            return read_head(connection, "exchange").size

    def follow(self, invitation: Invitation) -> Follower:
        """A party that begins now."""
        line = self.history.nodes["ne"].line
        follower = Follower(invitation, line.reader, MemoryStore(), self.history.clock)
        self.history.run(follower.refresh())
        return follower

    def kinds(self, member: str) -> set[str]:
        """A node's alarms."""
        return set(self.history.nodes[member].alarms())

    def shown(self, member: str) -> list[str]:
        """What an analyst sees: ids."""
        return [each.bulletin_id for each in self.history.nodes[member].shown()]


@pytest.fixture
def restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Restored]:
    """All nodes are witnesses, and the hub has an anchor."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv(ANCHOR_VARIABLE, str(tmp_path / "elsewhere" / "anchor.json"))
    history = History(tmp_path / "exchange", QUORUM)
    yield Restored(history)
    history.close()


def test_nothing_is_lost(restored: Restored) -> None:
    """What was accepted after the backup arrives once, keeps its answers, and can be withdrawn."""
    early = restored.send("ly", "ne", "tn")
    restored.work(rounds=2)
    late: list[str] = []

    def act() -> None:
        restored.load(restored.signed())
        late.append(restored.send("ly", "ne", "tn"))
        late.append(restored.send("tn", "ly"))
        restored.work("ly", "tn", "ly", "tn")

    restored.set_back(act)
    assert restored.history.ledger.halted
    early_sizes = restored.sizes()
    restored.work()
    # The directory log is whole again; the exchange log is not.
    late_sizes = restored.sizes()
    assert (late_sizes[0] > early_sizes[0], late_sizes[1]) == (True, early_sizes[1])
    assert all("inconsistent-log" in restored.kinds(member) for member in ("ly", "tn"))
    before = {member: restored.kinds(member) for member in MEMBERS}
    lost = 7 - restored.sizes()[1]
    logs = restored.begin()
    assert logs.generation == 2
    restored.work(rounds=4)
    for member in MEMBERS:
        assert restored.history.nodes[member].line.follower.generation == 2
    assert sorted(restored.shown("ne")) == sorted([early, late[0]])
    assert sorted(restored.shown("tn")) == sorted([early, late[0]])
    assert restored.shown("ly") == [late[1]]
    states = restored.history.nodes["ly"].states(late[0])
    assert {desk: state for desk, (state, _) in states.items()} == {
        "ne/main": "delivered",
        "tn/main": "delivered",
    }
    for original in (early, late[0]):
        restored.withdraw("ly", original)
    restored.work(rounds=3)
    hidden = {each.bulletin_id for each in restored.history.nodes["ne"].shown() if each.is_hidden}
    assert hidden == {early, late[0]}
    for member in MEMBERS:
        assert restored.kinds(member) - before[member] == {"new-logs"}
    report = restored.history.audit()
    assert report.findings == ()
    assert [each.word for each in report.remarks if each.word == "entries-lost"] == ["entries-lost"]
    assert [f"the last {lost} entries are lost" in each.text for each in report.remarks][-1]
    assert [each.exchange.origin for each in report.closed] == ["tripoli-test/exchange/1"]
    follower = restored.history.nodes["ne"].line.follower
    assert {log: each.checkpoint.origin for log, each in follower.witnessed.items()} == {
        "directory": logs.directory.origin,
        "exchange": logs.exchange.origin,
    }


def test_logs_that_lost_nothing(restored: Restored) -> None:
    """Other keys for whole logs: nothing is sent again; who was off follows two changes, as newcomers do."""
    first = restored.send("ly", "ne")
    restored.work(rounds=2)
    assert restored.history.audit().findings == ()
    second = restored.begin()
    assert [each.exchange.size for each in second.previous] == [restored.closed_size(1)]
    restored.work("ly", "tn", rounds=2)
    restored.send("ly", "tn")
    restored.work("ly", "tn", "ly")
    third = restored.begin()
    restored.work(rounds=4)
    assert third.generation == 3
    for member, node in restored.history.nodes.items():
        assert node.line.follower.generation == 3
        assert restored.kinds(member) == {"new-logs"}
        node.reopen()
        assert node.line.follower.generation == 3
    assert restored.history.nodes["ly"].states(first) == {"ne/main": ("delivered", None)}
    invitation = restored.history.founded.hub.invitation.model_copy(update={"logs": third})
    journal = Journal(restored.history.folder)
    for _ in range(2):
        report = restored.history.audit(how=How(journal=journal))
        assert (report.findings, len(report.closed)) == ((), 2)
    journal.close()
    late = restored.history.audit(invitation)
    assert (late.findings, len(late.closed)) == ((), 2)
    newcomer = restored.follow(invitation)
    known = restored.history.nodes["ne"].line.follower
    assert (newcomer.generation, newcomer.history.generation) == (3, 3)
    assert newcomer.head("directory") == known.head("directory")
    for desk in ("ly/main", "ne/main", "tn/main"):
        assert newcomer.state.highest_epoch(desk) == known.state.highest_epoch(desk) == 1


def test_a_backup_without_an_anchor_is_told_by_its_members(
    restored: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first member that had seen more shows it; from then on nothing is signed, also after a restart."""
    monkeypatch.delenv(ANCHOR_VARIABLE)
    restored.history.crash_hub()

    def act() -> None:
        restored.send("ly", "ne", "tn")
        restored.work("ly", rounds=2)

    restored.set_back(act)
    assert not restored.history.ledger.halted
    restored.work("tn")
    assert not restored.history.ledger.halted
    restored.work("ly")
    assert "members showed a checkpoint of this hub" in restored.history.ledger.halted
    restored.history.crash_hub()
    assert "members showed a checkpoint of this hub" in restored.history.ledger.halted


def test_files_that_no_entry_names_are_not_kept(
    restored: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that gives back first cannot take the names of what governors and hub are yet to sign."""

    def act() -> None:
        restored.load(restored.signed())
        restored.work("ly", "ly")

    restored.work(rounds=2)
    restored.set_back(act)
    before = restored.sizes()[0]
    honest = giving_back._with_rest
    roles = ("root", "targets", "snapshot", "member-tn")
    taken = {f"metadata/{number}.{role}.json": b"{}" for number in range(2, 9) for role in roles}

    def poisoned(*args: Any) -> LostEntries:
        lost = honest(*args)
        return lost.model_copy(update={"files": taken | lost.files})

    monkeypatch.setattr(giving_back, "_with_rest", poisoned)
    restored.work("ly")
    assert restored.sizes()[0] > before
    assert restored.begin().generation == 2
    restored.work(rounds=3)
    assert {node.line.follower.generation for node in restored.history.nodes.values()} == {2}


@pytest.mark.parametrize("has_anchor", [True, False])
def test_an_old_backup_is_noticed_by_every_node_at_its_next_contact(
    restored: Restored, monkeypatch: pytest.MonkeyPatch, *, has_anchor: bool
) -> None:
    """Each that saw more has the alarm after one round, with both sizes in it."""
    if not has_anchor:
        monkeypatch.delenv(ANCHOR_VARIABLE)
        restored.history.crash_hub()

    def act() -> None:
        restored.send("ly", "ne", "tn")
        restored.work(rounds=2)

    restored.set_back(act)
    sizes = restored.sizes()
    for member in MEMBERS:
        before = restored.kinds(member)
        restored.work(member)
        assert "inconsistent-log" in restored.kinds(member) - before
        text = restored.history.nodes[member].alarms()["inconsistent-log"]
        assert f"to {sizes[1]}\n" in text
        assert "log shrank" in text
        assert text.count("tripoli-test/") >= 2


def test_no_tree_that_was_cosigned_is_cut_off(restored: Restored) -> None:
    """A council that closes a log before that is not taken by the hub."""
    restored.send("ly", "ne")
    restored.work(rounds=3)
    restored.history._end_hub()
    logs = restored.describe().logs
    (closed,) = logs.previous
    shorter = closed.exchange.model_copy(update={"size": 1})
    cut = logs.model_copy(update={"previous": (closed.model_copy(update={"exchange": shorter}),)})
    with pytest.raises(ConfigurationError, match="closes the exchange log with 1 entries, where 2"):
        restored.load(restored.signed(cut))
    other = closed.directory.model_copy(update={"root": "0" * 64})
    cut = logs.model_copy(update={"previous": (closed.model_copy(update={"directory": other}),)})
    with pytest.raises(ConfigurationError, match="the directory log"):
        restored.load(restored.signed(cut))
    assert [path.name for path in restored.data.glob("hub*.db*")] == ["hub.db"]
    restored.history.open_hub()
    restored.work()
    assert restored.kinds("ly") == set()


def test_an_unfinished_beginning_is_begun_anew(restored: Restored) -> None:
    """A crash before the new database has its name leaves the old logs; what it left does no harm."""
    restored.history._end_hub()
    logs = restored.describe().logs
    (restored.data / "hub.2.db.new").write_bytes(b"half of a database")
    (restored.data / "hub.2.db.new-wal").write_bytes(b"half of its log")
    restored.history.open_hub()
    assert restored.history.ledger.generation == 1
    restored.history._end_hub()
    logs = restored.describe().logs
    restored.load(restored.signed(logs))
    restored.history.open_hub()
    assert restored.history.ledger.generation == 2
    assert list(restored.data.glob("*.new*")) == []


def test_a_hub_that_says_closed_without_the_council(restored: Restored) -> None:
    """Its word alone closes nothing: nodes stay with the logs that they follow, and raise an alarm."""
    restored.work()

    async def lie(request: httpx.Request, forward: Forward) -> httpx.Response:
        answer = await forward(request)
        if request.url.path.endswith("/checkpoint"):
            answer.headers["Barid-Log-Closed"] = "2"
        return answer

    restored.history.wire.lie = lie
    restored.work(rounds=2)
    restored.history.wire.lie = None
    assert {"hub-refuses-requests"} == restored.kinds("ly")
    restored.send("ly", "ne")
    restored.work(rounds=2)
    assert len(restored.shown("ne")) == 1
    assert restored.history.nodes["ne"].line.follower.generation == 1


def test_fewer_governors_than_must_begin_no_logs(restored: Restored) -> None:
    """Two of three signatures: the old logs go on."""
    restored.history._end_hub()
    files = restored.signed(restored.describe().logs)
    (name,) = (each for each in files if each.startswith("metadata/"))
    metadata = json.loads(files[name])
    metadata["signatures"] = metadata["signatures"][:2]
    with pytest.raises(ConfigurationError, match="signed by 2/3 keys"):
        restored.load(files | {name: json.dumps(metadata).encode()})
    restored.history.open_hub()
    assert restored.history.ledger.generation == 1
