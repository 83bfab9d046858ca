"""Bundles: made by real nodes, verified from the trust root alone; and every part altered in its turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.bundles import VerifiedBundle, verify_bundle
from broker.cli.bundling import verify_bundle_file
from broker.hub.setup import load_repository, open_ledger
from broker.hub.succession import prepare_next
from broker.node.bundles import make_bundle, received_source, sent_source
from keys.repository import CouncilFiles, make_targets, named, signed
from keys.trust import read_initial_root
from keys.tuf_files import metadata_name
from schemas.directory import Logs
from schemas.errors import BaridError, Problem
from schemas.loader import dump_json
from schemas.scalars import decode_base64, encode_base64
from tests.exchange.histories import MEMBERS, History
from tests.exchange.live import LiveHub, new_id, now
from tests.exchange.nodes import document
from tests.house.project import ROOT

QUORUM = 2
Plain = dict[str, Any]


class Exchange:
    """Three nodes that have exchanged one bulletin."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.id, content = document("ly/main", "the title")
        self.work()
        history.nodes["ly"].hand_in(content, ("ne/main", "tn/main"))
        self.work(3)

    def work(self, rounds: int = 1) -> None:
        """All nodes work."""
        for _ in range(rounds):
            self.history.later(minutes=1)
            for member in MEMBERS:
                self.history.work(member)

    @property
    def root(self) -> bytes:
        """The trust root."""
        return self.history.founded.hub.invitation.root

    def received(self) -> bytes:
        """The bundle that the recipient makes."""
        line = self.history.nodes["tn"].line
        source = received_source(line, "tn/main", "ly/main", self.id)
        data: bytes = self.history.run(make_bundle(line, source))
        return data

    def sent(self) -> bytes:
        """The bundle that the sender makes."""
        line = self.history.nodes["ly"].line
        data: bytes = self.history.run(make_bundle(line, sent_source(line, "ly/main", self.id)))
        return data

    def publish(self, logs: Logs | None = None) -> None:
        """The council has another version, in which another node is a witness no more; or other logs."""
        hub, directory = self.history.founded.hub, self.history.ledger.state.directory
        assert directory is not None
        number = directory.versions["targets"] + 1
        witnesses = directory.council.witnesses
        if not isinstance(witnesses, str):
            kept = {each: witnesses.keys[each] for each in ("ly", "tn")}
            witnesses = witnesses.model_copy(update={"keys": kept})
        changed = {"witnesses": witnesses, "logs": logs or directory.council.logs}
        council = directory.council.model_copy(update=changed)
        files = CouncilFiles(council, *hub.rules())
        delegations = directory.council_part.delegations
        payload = make_targets(number, files, delegations, now() + timedelta(days=365))
        metadata = {metadata_name("targets", number): signed(payload, hub.governors[:3])}
        data = self.history.folder / "hub"
        files_signed = metadata | named(payload, files.targets())
        load_repository(data, hub.keystore, files_signed, self.history.clock())
        if logs is None:
            self.history.ledger.catch_up()


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """With witnesses."""
    history = History(tmp_path_factory.mktemp("exchange") / "it", QUORUM)
    yield Exchange(history)
    history.close()


@pytest.fixture(scope="module")
def bundle(exchange: Exchange) -> bytes:
    """As a recipient makes it."""
    return exchange.received()


def _verify(exchange: Exchange, data: bytes) -> VerifiedBundle:
    return verify_bundle(data, exchange.root)


def test_sender_and_recipient_prove_the_same(exchange: Exchange, bundle: bytes) -> None:
    """Statement, entry, bulletin, directory and quorum: from the trust root, without a clock or a hub."""
    for data in (bundle, exchange.sent()):
        found = _verify(exchange, data)
        assert found.header.bulletin.id == exchange.id
        assert found.content.bulletin.title == {"en": "the title"}
        assert [each.desk for each in found.entry.recipients] == ["ne/main", "tn/main"]
        assert set(found.exchange.witnesses) <= set(MEMBERS)
        assert len(found.exchange.witnesses) >= QUORUM
        assert found.exchange.at is not None
        assert not found.is_former


def test_a_bundle_without_witnesses_is_shown_as_one(tmp_path: Path) -> None:
    """In a test exchange the log's own signatures are all there is."""
    history = History(tmp_path / "exchange")
    found = _verify(exchange := Exchange(history), exchange.received())
    assert (found.exchange.at, found.exchange.witnesses) == (None, ())
    history.close()


def test_after_other_witnesses_came(tmp_path: Path) -> None:
    """The later council, which names those who cosigned, is in the bundle as well."""
    history = History(tmp_path / "exchange", QUORUM)
    exchange = Exchange(history)
    exchange.publish()
    exchange.work(3)
    data = exchange.received()
    plain = json.loads(data)
    assert plain["witnessing"]["index"] > plain["directory"]["judging"]
    found = _verify(exchange, data)
    assert set(found.exchange.witnesses) == {"ly", "tn"}
    assert found.directory.versions["targets"] == 1
    history.close()


def test_before_a_quorum_there_is_no_bundle(tmp_path: Path) -> None:
    """Nobody but the hub vouches for it then: try again."""
    history = History(tmp_path / "exchange", QUORUM)
    exchange = Exchange(history)
    line = history.nodes["tn"].line
    line.follower.witnessed.clear()  # type: ignore[attr-defined]
    with pytest.raises(Problem, match="no quorum of witnesses"):
        exchange.received()
    history.close()


def _flipped(text: str) -> str:
    data = bytearray(decode_base64(text))
    data[len(data) // 2] ^= 1
    return encode_base64(bytes(data))


def _set(*path: Any) -> Callable[[Plain], None]:
    def change(plain: Plain) -> None:
        *most, last = path
        where: Any = plain
        for name in most:
            where = where[name]
        where[last] = _flipped(where[last])

    return change


def _file(plain: Plain, part: str) -> None:
    name = next(each for each in plain["files"] if part in each)
    plain["files"][name] = _flipped(plain["files"][name])


def _without(plain: Plain, part: str) -> None:
    del plain["files"][next(each for each in plain["files"] if part in each)]


def _lines(plain: Plain, log: str, keep: int) -> None:
    text, _, signatures = plain[f"{log}_checkpoint"].partition("\n\n")
    kept = "".join(f"{line}\n" for line in signatures.splitlines()[:keep])
    plain[f"{log}_checkpoint"] = f"{text}\n\n{kept}"


def _path(plain: Plain) -> None:
    plain["acceptance"]["path"][0] = "0" * 64


ALTERED: dict[str, Callable[[Plain], None]] = {
    "payload": _set("statement", "payload"),
    "signature": lambda p: _set("sig")(p["statement"]["signatures"][0]),
    "content key": _set("content_key"),
    "body": _set("body"),
    "entry": _set("acceptance", "entry"),
    "salt": _set("acceptance", "salt"),
    "index": lambda p: p["acceptance"].update(index=p["acceptance"]["index"] + 1),
    "path": _path,
    "directory entry": _set("directory", "entries", 0),
    "last directory entry": _set("directory", "entries", -1),
    "directory entry left out": lambda p: p["directory"]["entries"].pop(0),
    "last directory entry left out": lambda p: p["directory"]["entries"].pop(),
    "another directory judges": lambda p: p["directory"].update(judging=1),
    "no directory judges": lambda p: p["directory"].update(judging=1000),
    "growth": lambda p: p["directory"]["path"].append("0" * 64),
    "a closed log": lambda p: p.update(closed=[p["directory"]["entries"]]),
    "snapshot": lambda p: _file(p, ".snapshot.json"),
    "targets": lambda p: _file(p, ".targets.json"),
    "council": lambda p: _file(p, "council.json"),
    "rules": lambda p: _file(p, ".cedar"),
    "member's file": lambda p: _file(p, ".ly.json"),
    "member's metadata": lambda p: _without(p, "member-ly"),
    "exchange quorum too small": lambda p: _lines(p, "exchange", 3),
    "directory quorum too small": lambda p: _lines(p, "directory", 3),
    "log did not sign": lambda p: _lines(p, "exchange", 0),
    "another exchange": lambda p: p.update(exchange="another-exchange"),
    "checkpoints swapped": lambda p: p.update(
        exchange_checkpoint=p["directory_checkpoint"], directory_checkpoint=p["exchange_checkpoint"]
    ),
    "unknown member": lambda p: p.update(more=1),
    "version": lambda p: p.update(v=2),
}


@pytest.mark.parametrize("name", sorted(ALTERED))
def test_whatever_is_altered_is_refused(exchange: Exchange, bundle: bytes, name: str) -> None:
    """Each part binds; nothing of it can be taken from elsewhere."""
    plain = json.loads(bundle)
    ALTERED[name](plain)
    with pytest.raises(BaridError):
        _verify(exchange, json.dumps(plain).encode())


@pytest.mark.parametrize("size", [0, 1, 1000, -1])
def test_what_is_cut_short_is_refused(exchange: Exchange, bundle: bytes, size: int) -> None:
    """Wherever it ends."""
    with pytest.raises(BaridError):
        _verify(exchange, bundle[:size])


def test_another_trust_root_refuses_it(bundle: bytes, tmp_path: Path) -> None:
    """Who founded another exchange under the same name proves nothing with it."""
    other = LiveHub(tmp_path / "hub").invitation.root
    assert read_initial_root(other).version == 1
    with pytest.raises(BaridError):
        verify_bundle(bundle, other)


def _zip(path: Path, members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, data in members:
            archive.writestr(name, data)
    return path


def test_the_file_around_it(exchange: Exchange, bundle: bytes, tmp_path: Path) -> None:
    """A ZIP archive without compression, or `bundle.json` alone."""
    plain = tmp_path / "bundle.json"
    plain.write_bytes(bundle)
    for path in (plain, _zip(tmp_path / "case.zip", [("bundle.json", bundle)])):
        verify_bundle_file(path, exchange.root, None, as_json=True)


def test_hostile_files_around_it(exchange: Exchange, bundle: bytes, tmp_path: Path) -> None:
    """Compressed, twice, in another order, with strangers' files, cut short, damaged: nothing is written."""
    right, out = ("bundle.json", bundle), tmp_path / "out"
    strangers = [
        ("attachments/../../evil", b"x"),
        ("../evil", b"x"),
        (f"attachments/{new_id()}", b"x"),
    ]
    files = [
        _zip(tmp_path / "bomb.zip", [right], zipfile.ZIP_DEFLATED),
        _zip(tmp_path / "twice.zip", [right, right]),
        _zip(tmp_path / "behind.zip", [("attachments/a", b"x"), right]),
        *(_zip(tmp_path / f"{n}.zip", [right, each]) for n, each in enumerate(strangers)),
    ]
    whole = _zip(tmp_path / "whole.zip", [right]).read_bytes()
    for size in (10, len(whole) // 2, len(whole) - 5):
        cut = tmp_path / f"cut{size}.zip"
        cut.write_bytes(whole[:size])
        files.append(cut)
    directory = whole.index(b"PK\x01\x02")
    for name, at, value in (
        ("encrypted", directory + 8, 1),
        ("patched", directory + 8, 0x20),
        ("later", directory + 6, 99),
        ("elsewhere", directory + 45, 0xFF),
    ):
        damaged = bytearray(whole)
        damaged[at] = value
        files.append(tmp_path / f"{name}.zip")
        files[-1].write_bytes(damaged)
    for path in files:
        with pytest.raises(BaridError):
            verify_bundle_file(path, exchange.root, out, as_json=True)
    assert not out.exists()
    assert list(tmp_path.rglob("evil")) == []


def test_it_verifies_in_a_process_without_any_network(
    exchange: Exchange, bundle: bytes, tmp_path: Path
) -> None:
    """By the command, with the invitation alone."""
    (tmp_path / "bundle.json").write_bytes(bundle)
    invitation = tmp_path / "invitation.json"
    invitation.write_bytes(dump_json(exchange.history.founded.hub.invitation))
    command = [
        *("unshare", "--net", sys.executable, "-m", "broker.cli", "audit", "verify"),
        *("--bundle", str(tmp_path / "bundle.json"), "--invitation", str(invitation)),
        *("--extract", str(tmp_path / "case")),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "The bundle verifies: threat_bulletin" in done.stdout
    assert "verified from the trust root" in done.stdout
    extracted = tmp_path / "case" / "bulletin.json"
    assert json.loads(extracted.read_bytes())["id"] == exchange.id
    assert extracted.stat().st_mode & 0o777 == 0o600


def test_in_the_log_that_follows(tmp_path: Path) -> None:
    """It holds the closed directory logs as well, as the council that closed them says that they ended."""
    history = History(tmp_path / "exchange")
    exchange = Exchange(history)
    hub, data = history.founded.hub, history.folder / "hub"
    history._end_hub()
    ledger = open_ledger(data, hub.keystore, history.now_unix)
    logs = prepare_next(data, hub.keystore, ledger).logs
    ledger.close()
    exchange.publish(logs)
    history.open_hub()
    exchange.work(4)
    exchange.id, content = document("ly/main", "the title")
    history.nodes["ly"].hand_in(content, ("ne/main", "tn/main"))
    exchange.work(3)
    plain = json.loads(exchange.received())
    assert _verify(exchange, json.dumps(plain).encode()).exchange.checkpoint.origin.endswith("/2")
    whole = plain["closed"]
    for closed in ([], [whole[0][:-1]], [whole[0][1:]], whole * 2):
        plain["closed"] = closed
        with pytest.raises(BaridError):
            _verify(exchange, json.dumps(plain).encode())
    history.close()
