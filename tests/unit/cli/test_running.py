"""Running a hub or a node from the command line: health, backups, restores, certificates, doctors."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sqlalchemy import insert

from broker.certificates import current_pair, self_signed, try_out
from broker.cli.exits import Exit
from broker.cli.options import utc_now
from broker.db import writing
from broker.node.home import look_home
from broker.node.sealing_keys import KeyState
from broker.node.tables import sealing_key
from broker.settings import Listen, load_hub, load_node
from schemas.directory import HubDescription
from schemas.loader import parse
from tests.unit.cli.conftest import Barid

EXCHANGE = ("--exchange", "tripoli-test")

pytestmark = pytest.mark.usefixtures("_cheap_keystores")


@pytest.fixture
def hub(barid: Barid, tmp_path: Path) -> Path:
    """A new hub's directory."""
    data = tmp_path / "hub"
    address = ("--address", "127.0.0.1:9", "--operator", "127.0.0.1:10")
    assert barid("hub", "init", "--data", data, *EXCHANGE, *address).exit_code == 0
    return data


@pytest.fixture
def node(barid: Barid, tmp_path: Path) -> Path:
    """A new node's directory."""
    data = tmp_path / "ly"
    desks = ("--member", "ly", "--desk", "main", "--listen", "127.0.0.1:11")
    assert barid("node", "init", "--data", data, *EXCHANGE, *desks).exit_code == 0
    return data


def test_a_node_has_an_operator_address(barid: Barid, tmp_path: Path) -> None:
    """It is given at init; without one nobody can ask for health."""
    with_one, without = tmp_path / "tn", tmp_path / "dz"
    for data, member in ((with_one, "tn"), (without, "dz")):
        operator = ("--operator", "127.0.0.1:12") if data is with_one else ()
        desk = ("--member", member, "--desk", "main")
        barid("node", "init", "--data", data, *EXCHANGE, *desk, *operator)
    assert load_node(with_one).operator == Listen(host="127.0.0.1", port=12)
    assert load_node(without).operator is None
    silent = barid("node", "health", "--data", with_one)
    assert (silent.exit_code, "127.0.0.1:12/readyz" in silent.stderr) == (Exit.UNREACHABLE, True)
    assert barid("node", "health", "--data", without).exit_code == Exit.CONFIGURATION


@pytest.mark.parametrize("role", ["hub", "node"])
def test_backup_and_restore(barid: Barid, hub: Path, node: Path, tmp_path: Path, role: str) -> None:
    """What is saved is restored, and what a person has to do next is said."""
    data = hub if role == "hub" else node
    archive, restored = tmp_path / "saved.tar", tmp_path / "restored"
    saved = barid(role, "backup", "--data", data, "--out", archive)
    assert (saved.exit_code, str(archive) in saved.stdout) == (Exit.OK, True)
    done = barid(role, "restore", "--data", restored, archive)
    assert done.exit_code == Exit.OK
    assert (restored / "config.json").read_bytes() == (data / "config.json").read_bytes()
    if role == "hub":
        assert "exchange log:  0 entries" in done.stdout
        assert "STOP before you start this hub" in done.stderr
    else:
        assert "The old node must be off for good" in done.stderr
    again = barid(role, "restore", "--data", restored, archive)
    assert (again.exit_code, "not empty" in again.stderr) == (Exit.CONFIGURATION, True)
    twice = barid(role, "backup", "--data", data, "--out", archive)
    assert (twice.exit_code, "there already" in twice.stderr) == (Exit.CONFIGURATION, True)


def test_an_altered_archive(barid: Barid, node: Path, tmp_path: Path) -> None:
    """It ends with the code of what does not verify, and nothing is written."""
    archive = tmp_path / "saved.tar"
    barid("node", "backup", "--data", node, "--out", archive)
    whole = bytearray(archive.read_bytes())
    whole[len(whole) // 2] ^= 1
    archive.write_bytes(whole)
    done = barid("node", "restore", "--data", tmp_path / "restored", archive)
    assert done.exit_code == Exit.VERIFICATION
    assert not (tmp_path / "restored").exists()


def test_dated_archives(barid: Barid, node: Path, tmp_path: Path) -> None:
    """In a folder archives get dated names; the oldest go, and nothing else does."""
    folder = tmp_path / "backups"
    folder.mkdir()
    kept = ["barid-node-ly-20260101T000000Z.tar", "barid-node-ly-20260102T000000Z.tar"]
    others = ["barid-node-lyx-20260101T000000Z.tar", "barid-hub-ly-20260101T000000Z.tar", "notes"]
    for name in (*kept, *others):
        (folder / name).touch()
    done = barid("node", "backup", "--data", node, "--out", folder, "--keep", "2", "--json")
    assert done.exit_code == Exit.OK
    told = json.loads(done.stdout)
    assert (told["deleted"], Path(told["archive"]).stat().st_size) == ([kept[0]], told["size"])
    names = {path.name for path in folder.iterdir()}
    assert names == {kept[1], *others, Path(told["archive"]).name}


def test_backups_with_destroyed_keys_go(barid: Barid, node: Path, tmp_path: Path) -> None:
    """It is said which and why, and of what cannot be read that it was left."""
    old, newer, newest = (tmp_path / f"{name}.tar" for name in ("old", "newer", "newest"))
    (tmp_path / "strange.tar").write_bytes(b"not ours")
    passphrase = Path(os.environ["BARID_PASSPHRASE_FILE"]).read_bytes().strip()
    home = look_home(node, passphrase)
    home.keystore.put("desk.main.sealing.1", b"\x01" * 96)
    barid("node", "backup", "--data", node, "--out", old)
    home.keystore.delete("desk.main.sealing.1")
    with writing(home.engine) as connection:
        row = {"keyid": "f" * 64, "desk": "ly/main", "epoch": 1, "statement": b"", "made": 0}
        connection.execute(insert(sealing_key).values(row | {"state": KeyState.DESTROYED}))
    home.close()
    done = barid("node", "backup", "--data", node, "--out", newer)
    assert "old.tar was deleted: it held desk.main.sealing.1" in done.stderr
    assert "destroy them too" in done.stderr
    assert "strange.tar was left" in done.stderr
    assert (old.exists(), newer.exists()) == (False, True)
    told = json.loads(barid("node", "backup", "--data", node, "--out", newest, "--json").stdout)
    assert (told["outdated"], list(told["unreadable"])) == ({}, ["strange.tar"])
    assert newer.exists()


def test_keep_needs_a_folder(barid: Barid, node: Path, tmp_path: Path) -> None:
    """Otherwise there are no dated names to count; that is said before anything is written."""
    done = barid("node", "backup", "--data", node, "--out", tmp_path / "x.tar", "--keep", "2")
    assert (done.exit_code, "folder" in done.stderr) == (Exit.USAGE, True)
    assert not (tmp_path / "x.tar").exists()


def test_a_folder_for_backups_that_is_not_there(barid: Barid, hub: Path, tmp_path: Path) -> None:
    """It is not made: it would be on the wrong disk where a mount is missing."""
    done = barid("hub", "backup", "--data", hub, "--out", tmp_path / "mnt" / "x.tar")
    assert (done.exit_code, "does not exist" in done.stderr) == (Exit.CONFIGURATION, True)


def test_the_hubs_certificate_is_renewed(barid: Barid, hub: Path) -> None:
    """Its description trusts the new one and the old one, and what has to be done next is said."""
    old = current_pair(hub)
    done = barid("hub", "tls", "renew", "--data", hub)
    assert (done.exit_code, "to the governors" in done.stdout) == (Exit.OK, True)
    described = parse(HubDescription, (hub / "hub.json").read_bytes(), 10**6)
    for pair in (old, current_pair(hub)):
        try_out(pair, described.hub.tls_trust, "127.0.0.1")
    assert load_hub(hub).names == ("127.0.0.1",)


def test_a_loaded_hubs_certificate_is_renewed(barid: Barid, hub: Path) -> None:
    """Where members have joined, they get an invitation that trusts both."""
    (hub / "root.json").write_bytes(b"the governors' root")
    done = barid("hub", "tls", "renew", "--data", hub)
    invitation = json.loads((hub / "invitation.json").read_bytes())
    described = json.loads((hub / "hub.json").read_bytes())
    assert (invitation["hub"], invitation["logs"]) == (described["hub"], described["logs"])
    assert "barid node join" in done.stdout


def test_a_nodes_certificate_is_renewed(barid: Barid, node: Path) -> None:
    """Agencies get the new one."""
    old = current_pair(node)
    done = barid("node", "tls", "renew", "--data", node)
    assert (done.exit_code, str(node / "tls.crt") in done.stdout) == (Exit.OK, True)
    new = current_pair(node)
    assert new != old
    try_out(new, new.certificate.decode(), "127.0.0.1")


@pytest.mark.parametrize("role", ["hub", "node"])
def test_a_certificate_of_ones_own_ca(
    barid: Barid, hub: Path, node: Path, tmp_path: Path, role: str
) -> None:
    """It is tried out first: one for another name, or without its key, changes nothing."""
    data = hub if role == "hub" else node
    before = current_pair(data)
    certificate, key = tmp_path / "own.pem", tmp_path / "own.key"
    given = ("--certificate", certificate, "--key", key)

    def offer(name: str) -> int:
        pair = self_signed((name,), utc_now())
        certificate.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        return barid(role, "tls", "renew", "--data", data, *given).exit_code

    if role == "hub":
        assert offer("other.example") == Exit.CONFIGURATION
    key.write_bytes(before.key)
    certificate.write_bytes(self_signed(("127.0.0.1",), utc_now()).certificate)
    assert barid(role, "tls", "renew", "--data", data, *given).exit_code == Exit.CONFIGURATION
    assert current_pair(data) == before
    assert barid(role, "tls", "renew", "--data", data, *given[:2]).exit_code == Exit.USAGE
    assert offer("127.0.0.1") == Exit.OK
    assert current_pair(data).certificate == certificate.read_bytes()


def test_a_doctor_of_a_new_hub(barid: Barid, hub: Path) -> None:
    """What is missing is a failure, with what to do, in a table and as JSON."""
    plain = barid("hub", "doctor", "--data", hub)
    assert plain.exit_code == Exit.CONFIGURATION
    assert "directory: `barid hub load` what the governors signed" in plain.stdout
    told = json.loads(barid("hub", "doctor", "--data", hub, "--json").stdout)
    grades = {each["name"]: each["grade"] for each in told}
    assert grades["directory"] == "fail"
    assert grades["operator address"] == "warn"
    assert {grades[name] for name in ("settings", "file modes", "keystore", "database")} == {"ok"}


def test_a_doctor_of_a_new_node(barid: Barid, node: Path) -> None:
    """One that has not joined is told so; settings that are broken end the visit."""
    told = json.loads(barid("node", "doctor", "--data", node, "--json").stdout)
    assert {each["name"]: each["grade"] for each in told}["invitation"] == "fail"
    (node / "config.json").write_text("{}")
    done = barid("node", "doctor", "--data", node)
    assert (done.exit_code, "correct config.json" in done.stdout) == (Exit.CONFIGURATION, True)


def test_a_level_that_is_none(barid: Barid, hub: Path) -> None:
    """The levels are told, and nothing is served."""
    done = barid("hub", "serve", "--data", hub, "--log-level", "loud")
    assert (done.exit_code, "debug, info, warning, error" in done.stderr) == (Exit.USAGE, True)
