"""Receipts ripen: accepted, witnessed, delivered, read; a file verifies with the council's policy alone."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from broker.cli.exits import Exit
from broker.tlog.policy import parse_policy, policy_text
from broker.tlog.receipt_file import VerifiedFile, verify_receipt_file
from broker.tlog.tlog_proof import parse_tlog_proof
from schemas.acknowledgements import Acknowledgement
from schemas.directory import Witnesses, WitnessKey
from schemas.entries import AcknowledgementEntry, EnvelopeAccepted
from schemas.errors import BaridError
from schemas.limits import ACKNOWLEDGEMENT_BYTES_MAX
from schemas.loader import parse
from tests.exchange.live import LiveHub, run
from tests.exchange.nodes import LiveNode, document, live_exchange, wait_for
from tests.unit.cli.conftest import make_barid

Exchange = tuple[LiveHub, dict[str, LiveNode]]


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """Three nodes are witnesses, of whom two must cosign."""
    with live_exchange(tmp_path_factory.mktemp("receipts"), "dz", "ly", "tn", quorum=2) as live:
        wait_for(lambda: live[1]["ly"].status()["witnessed"])
        yield live


def _policy(hub: LiveHub) -> str:
    return policy_text(hub.council, "of a test")


def _files(node: LiveNode, path: str) -> dict[str, str]:
    """Receipt files by name, once a quorum stands for all of them."""

    def listed() -> list[dict[str, str]]:
        found: list[dict[str, str]] = node.call("GET", path).json()["receipts"]
        return found

    wait_for(lambda: bool(listed()) and all(each["witnessed"] for each in listed()))
    return {each["name"]: each["text"] for each in listed()}


@pytest.fixture(scope="module")
def read_bulletin(exchange: Exchange) -> str:
    """A bulletin that was sent, delivered and read."""
    _, nodes = exchange
    bulletin, data = document("ly/main", "to be read")
    wait_for(lambda: nodes["ly"].send(data, "tn/main").status_code == 202)
    path = f"/inbox/ly/main/{bulletin}"
    wait_for(lambda: nodes["tn"].call("GET", path).status_code == 200)
    wait_for(lambda: nodes["ly"].states(bulletin)["tn/main"] == "read")
    return bulletin


def test_each_stage_is_a_file_that_verifies(exchange: Exchange, read_bulletin: str) -> None:
    """Accepted, delivered, read at the sender; accepted at the recipient: with the policy alone."""
    hub, nodes = exchange
    policy = parse_policy(_policy(hub))
    files = _files(nodes["ly"], f"/bulletins/{read_bulletin}/receipts")
    words = sorted(name.partition(".")[0] for name in files)
    assert words[0] == "accepted"
    assert "read" in words
    for name, text in files.items():
        found = verify_receipt_file(text, policy)
        assert len(found.judged.witnesses) >= 2
        assert found.statement is not None
        if name.startswith("accepted"):
            assert isinstance(found.entry, EnvelopeAccepted)
            assert [place.desk for place in found.places] == ["tn/main"]
        else:
            assert isinstance(found.entry, AcknowledgementEntry)
            told = parse(Acknowledgement, found.entry.statement, ACKNOWLEDGEMENT_BYTES_MAX)
            assert (told.desk, told.result) == ("tn/main", name.partition(".")[0])
    received = _files(nodes["tn"], f"/inbox/ly/main/{read_bulletin}/receipts")
    (text,) = received.values()
    assert isinstance(verify_receipt_file(text, policy).entry, EnvelopeAccepted)


def test_it_verifies_after_the_keys_have_changed(exchange: Exchange, read_bulletin: str) -> None:
    """By the policy of its time; a policy of other witnesses does not take it."""
    hub, nodes = exchange
    (text,) = _files(nodes["tn"], f"/inbox/ly/main/{read_bulletin}/receipts").values()
    assert isinstance(hub.council.witnesses, Witnesses)
    renewed = {
        member: WitnessKey(name=key.name, ml_dsa_44=secrets.token_bytes(1312))
        for member, key in hub.council.witnesses.keys.items()
    }
    others = hub.council.model_copy(update={"witnesses": Witnesses(quorum=2, keys=renewed)})
    verify_receipt_file(text, parse_policy(_policy(hub)))
    with pytest.raises(BaridError, match="no quorum"):
        verify_receipt_file(text, parse_policy(policy_text(others, "later")))


def _altered(text: str, change: Callable[[dict[str, Any]], None]) -> str:
    proof = parse_tlog_proof(text)
    extra = json.loads(proof.extra)
    change(extra)
    return replace(proof, extra=json.dumps(extra).encode()).render()


def _other_entry(extra: dict[str, Any]) -> None:
    entry = base64.b64decode(str(extra["entry"])).replace(b"tn/main", b"dz/main")
    extra["entry"] = base64.b64encode(entry).decode()


def _other_salt(extra: dict[str, Any]) -> None:
    extra["salt"] = base64.b64encode(bytes(32)).decode()


def _other_place(extra: dict[str, Any]) -> None:
    (place,) = extra["places"]
    place["n"] += 1


def _other_statement(extra: dict[str, Any]) -> None:
    statement = extra["statement"]
    payload = base64.b64decode(statement["payload"]).replace(b"tn/main", b"dz/main")
    statement["payload"] = base64.b64encode(payload).decode()


def _nothing(extra: dict[str, Any]) -> None:
    extra.clear()


@pytest.mark.parametrize(
    "change", [_other_entry, _other_salt, _other_place, _other_statement, _nothing]
)
def test_a_file_that_was_altered_does_not_verify(
    exchange: Exchange, read_bulletin: str, change: Callable[[dict[str, Any]], None]
) -> None:
    """Entry, salt, place and statement are bound to the leaf."""
    hub, nodes = exchange
    files = _files(nodes["ly"], f"/bulletins/{read_bulletin}/receipts")
    (text,) = (text for name, text in files.items() if name.startswith("accepted"))
    policy = parse_policy(_policy(hub))
    assert isinstance(verify_receipt_file(text, policy), VerifiedFile)
    with pytest.raises(BaridError):
        verify_receipt_file(_altered(text, change), policy)


def test_another_index_or_path_does_not_verify(exchange: Exchange, read_bulletin: str) -> None:
    """The proof is of one place in one tree."""
    hub, nodes = exchange
    (text,) = _files(nodes["tn"], f"/inbox/ly/main/{read_bulletin}/receipts").values()
    proof, policy = parse_tlog_proof(text), parse_policy(_policy(hub))
    wrong = [replace(proof, index=proof.index + 1), replace(proof, path=(*proof.path, bytes(32)))]
    if proof.path:
        wrong.append(replace(proof, path=(bytes(32), *proof.path[1:])))
    for each in wrong:
        with pytest.raises(BaridError):
            verify_receipt_file(each.render(), policy)


def test_before_a_quorum_stands_for_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    """In a test exchange a receipt is what the log alone has signed, and says so."""
    with live_exchange(tmp_path_factory.mktemp("unwitnessed"), "ly") as (hub, nodes):
        run(hub.announce("tn/main"))
        bulletin, data = document("ly/main", "unwitnessed")
        wait_for(lambda: nodes["ly"].send(data, "tn/main").status_code == 202)
        wait_for(lambda: nodes["ly"].states(bulletin)["tn/main"] == "accepted")
        answer = nodes["ly"].call("GET", f"/bulletins/{bulletin}/receipts").json()
        (only,) = answer["receipts"]
        assert not only["witnessed"]
        found = verify_receipt_file(only["text"], parse_policy(_policy(hub)))
        assert (found.judged.witnesses, found.judged.at) == ((), None)
        assert nodes["ly"].call("GET", f"/bulletins/{secrets.token_hex(4)}").status_code == 400


def test_by_the_commands(
    exchange: Exchange,
    read_bulletin: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exported over HTTPS, verified without a network; what was altered ends with another code than 0."""
    hub, nodes = exchange
    barid, node = make_barid(tmp_path, monkeypatch), nodes["ly"]
    _files(node, f"/bulletins/{read_bulletin}/receipts")
    token, policy, out = tmp_path / "token", tmp_path / "council.policy", tmp_path / "OUT"
    token.write_text(node.tokens["ly/main"])
    token.chmod(0o600)
    policy.write_text(_policy(hub))
    called = ("--node", f"https://127.0.0.1:{node.port}", "--ca", node.data / "tls.crt")
    exported = barid(
        *("receipt", "export", read_bulletin, "--desk", "ly/main", "--out", out),
        *(*called, "--token-file", token),
    )
    assert exported.exit_code == 0, exported.output
    files = sorted(out.iterdir())
    assert len(files) >= 2
    for file in files:
        shown = barid("receipt", "verify", file, "--policy", policy)
        assert shown.exit_code == 0, shown.output
        assert "Cosigned by" in shown.output
        assert ("The hub accepted it" in shown.output) == file.name.startswith("accepted")
    plain = json.loads(barid("receipt", "verify", files[0], "--policy", policy, "--json").stdout)
    assert (plain["type"], len(plain["witnesses"]) >= 2) == ("envelope.accepted", True)
    proof = parse_tlog_proof(files[0].read_text())
    files[0].write_text(replace(proof, index=proof.index + 1).render())
    assert barid("receipt", "verify", files[0], "--policy", policy).exit_code == Exit.VERIFICATION
    for wrong in (files[0], token):
        refused = barid("receipt", "verify", token, "--policy", wrong)
        assert refused.exit_code != 0
        assert "no policy" in refused.output
    assert "no receipt" in barid("receipt", "verify", token, "--policy", policy).output
