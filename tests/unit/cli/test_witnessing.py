"""`barid node witness`, and witnesses in the governors' proposals."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from broker.cli.exits import Exit
from broker.cli.trust_files import with_witnesses
from broker.node.home import WITNESS_KEY_NAME, look_home
from keys.default_council import default_council
from schemas.directory import Council, HubDescription, Witnesses, WitnessKeyFile
from schemas.errors import ConfigurationError
from schemas.loader import dump_json, parse
from tests.unit.cli.founding import Barid

EXCHANGE = ("--exchange", "tripoli-test")


def _node(barid: Barid, data: Path, member: str) -> Path:
    listen = ("--listen", "127.0.0.1:8444")
    made = barid(
        *("node", "init", "--data", data, *EXCHANGE, "--member", member, "--desk", "main", *listen)
    )
    assert made.exit_code == 0, made.output
    return data / "witness-public.json"


def _file(path: Path) -> WitnessKeyFile:
    return parse(WitnessKeyFile, path.read_bytes(), 10_000)


@pytest.fixture
def council(barid: Barid, tmp_path: Path) -> Council:
    """As shipped, for a hub that is made here."""
    operator = ("--operator", "127.0.0.1:8081")
    made = barid(
        *("hub", "init", "--data", tmp_path / "HUB", *EXCHANGE, "--address", "127.0.0.1:8443"),
        *operator,
    )
    assert made.exit_code == 0, made.output
    data = (tmp_path / "HUB" / "hub.json").read_bytes()
    hub = parse(HubDescription, data, 100_000)
    return default_council(hub.exchange, hub.hub, hub.logs)


def test_a_node_is_made_with_its_witness_key(barid: Barid, tmp_path: Path) -> None:
    """The command shows it; with --renew the node has another one, and the file says so."""
    path = _node(barid, tmp_path / "TN", "tn")
    first = _file(path)
    assert (first.member, first.key.name) == ("tn", "tripoli-test/witness/tn")
    for renew, same in (((), True), (("--renew",), False), ((), True)):
        before = _file(path)
        shown = barid("node", "witness", "--data", tmp_path / "TN", *renew)
        assert shown.exit_code == 0
        assert "tripoli-test/witness/tn, key id " in shown.output
        assert (_file(path) == before) is same


def test_a_restored_node_has_no_witness_key(barid: Barid, tmp_path: Path) -> None:
    """What it cosigned since the backup is forgotten; the command then makes it another key."""
    before = _file(_node(barid, tmp_path / "TN", "tn"))
    archive = tmp_path / "backup"
    assert barid("node", "backup", "--data", tmp_path / "TN", "--out", archive).exit_code == 0
    restored = barid("node", "restore", archive, "--data", tmp_path / "NEW")
    assert restored.exit_code == 0, restored.output
    passphrase = Path(os.environ["BARID_PASSPHRASE_FILE"]).read_bytes().rstrip()
    home = look_home(tmp_path / "NEW", passphrase)
    assert WITNESS_KEY_NAME not in home.keystore.names()
    home.close()
    assert barid("node", "witness", "--data", tmp_path / "NEW").exit_code == 0
    assert _file(tmp_path / "NEW" / "witness-public.json").key.ml_dsa_44 != before.key.ml_dsa_44


def test_witnesses_of_a_council(barid: Barid, tmp_path: Path, council: Council) -> None:
    """More than half of them by default; a later file takes the place of the member's earlier one."""
    files = [_node(barid, tmp_path / member, member) for member in ("dz", "ly", "tn")]
    named = with_witnesses(council, files, None)
    assert isinstance(named.witnesses, Witnesses)
    assert (named.witnesses.quorum, sorted(named.witnesses.keys)) == (2, ["dz", "ly", "tn"])
    assert (council.test, named.test) == (True, False)
    barid("node", "witness", "--data", tmp_path / "tn", "--renew")
    renewed = with_witnesses(named, files[2:], None)
    assert isinstance(renewed.witnesses, Witnesses)
    assert renewed.witnesses.quorum == 2
    assert renewed.witnesses.keys["tn"] == _file(files[2]).key != named.witnesses.keys["tn"]
    assert with_witnesses(council, (), None) == council


def test_witnesses_that_do_not_fit(barid: Barid, tmp_path: Path, council: Council) -> None:
    """Half of them are no quorum; another exchange's key, and what is no key, are refused."""
    files = [_node(barid, tmp_path / member, member) for member in ("dz", "ly")]
    for quorum in (1, 3):
        with pytest.raises(ConfigurationError, match="more than half"):
            with_witnesses(council, files, quorum)
    other = council.model_copy(update={"exchange": "another"})
    with pytest.raises(ConfigurationError, match="of tripoli-test, not of another"):
        with_witnesses(other, files, None)
    (tmp_path / "none.json").write_bytes(b"{}")
    with pytest.raises(ConfigurationError, match="no witness key"):
        with_witnesses(council, [tmp_path / "none.json"], None)
    stranger = _file(files[0]).model_copy(update={"member": "xx"})
    (tmp_path / "xx.json").write_bytes(dump_json(stranger))
    with pytest.raises(ConfigurationError, match="no member"):
        with_witnesses(council, [tmp_path / "xx.json"], None)


def test_an_exchange_that_begins_with_witnesses(barid: Barid, tmp_path: Path) -> None:
    """`trust init --witness` proposes it, and the proposal says who cosigns."""
    witness = _node(barid, tmp_path / "TN", "tn")
    operator = ("--operator", "127.0.0.1:8081")
    barid(
        *("hub", "init", "--data", tmp_path / "HUB", *EXCHANGE, "--address", "127.0.0.1:8443"),
        *operator,
    )
    barid("trust", "keygen", "--out", tmp_path / "GOV", *EXCHANGE, "--name", "Tunisia")
    proposed = barid(
        *("trust", "init", "--out", tmp_path / "TRUST", "--hub", tmp_path / "HUB" / "hub.json"),
        *("--governor", f"tn={tmp_path / 'GOV' / 'trust-public.json'}", "--threshold", "1"),
        *("--request", tmp_path / "TN" / "member-request.json", "--witness", witness),
    )
    assert proposed.exit_code == Exit.OK, proposed.output
    assert "the node of Tunisia (tn) becomes a witness" in proposed.output
    assert "1 of 1 witnesses must cosign the logs" in proposed.output
