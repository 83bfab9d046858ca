"""A hub that logs keys which do not count, and revives old directories: node and auditor notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.audit.report import AuditReport
from broker.audit.seen import SeenStore
from broker.audit.verify import verify_exchange
from broker.hub.ledger import Batch
from broker.node.home import look_home
from keys.sealing import SealingPrivateKey
from keys.signing import SigningIdentity
from schemas.loader import dump_json
from schemas.statements import Statement
from tests.exchange.hostile_trust import LogAnyKey
from tests.exchange.live import PASSPHRASE, DeskKeys, LiveHub, now, run
from tests.exchange.nodes import LiveNode, live_exchange, wait_for

X25519 = 32
ML_KEM = 1152


@dataclass
class Scene:
    """A hub that lies, and a node that watches."""

    hub: LiveHub
    node: LiveNode


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Libya's and Egypt's desks act by hand; Tunisia has a node."""
    with live_exchange(tmp_path_factory.mktemp("keys"), "tn") as (hub, nodes):
        run(hub.announce("ly/main"))
        yield Scene(hub, nodes["tn"])


def _alarms(scene: Scene) -> dict[str, str]:
    return {each["subject"]: each["text"] for each in scene.node.status()["alarms"]}


def _audit(hub: LiveHub, folder: Path) -> AuditReport:
    async def audit() -> AuditReport:
        async with hub.client("auc/audit") as client:
            return await verify_exchange(client, hub.invitation, SeenStore(folder), now)

    report: AuditReport = run(audit())
    return report


def _statement(desk: str, **changes: Any) -> Callable[[LiveHub], Statement]:
    """A desk's next key; one whose desk announced today already breaks the rate before anything else."""
    return lambda hub: hub.sealing_statement(desk, **changes)


def _by_stranger(hub: LiveHub) -> Statement:
    """Signed by a node identity that the directory does not have: it was revoked, or never was there."""
    keys = hub.desks["eg/judicial"]
    right, keys.node = keys.node, SigningIdentity.generate()
    try:
        return hub.sealing_statement("eg/judicial")
    finally:
        keys.node = right


def _zero(part: slice) -> bytes:
    public = bytearray(SealingPrivateKey.generate().public_bytes())
    public[part] = bytes(len(public[part]))
    return bytes(public)


KEYS = {
    "an epoch that jumps": (
        _statement("dz/main", epoch=2**53 - 1),
        "sealing-key-epoch: epoch 9007199254740991 of dz/main is not 1",
    ),
    "an X25519 half of zeros": (
        _statement("dz/main", public_key=_zero(slice(-X25519, None))),
        "sealing-key-unusable",
    ),
    "an ML-KEM half of zeros": (
        _statement("eg/main", public_key=_zero(slice(0, ML_KEM))),
        "sealing-key-unusable",
    ),
    "a key for too long": (
        _statement("ma/main", not_after=now() + timedelta(days=61)),
        "sealing-key-unusable: a sealing key is valid for at most 60 days",
    ),
    "a signer who is not in the directory": (_by_stranger, "statement-signature"),
    "a second key on one day": (
        _statement("ly/main"),
        "sealing-key-rate: ly/main announced a key within 24 hours",
    ),
    "a key of another exchange": (
        _statement("ml/main", exchange="another"),
        "wrong-exchange",
    ),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_sealing_key_that_does_not_count(scene: Scene, name: str, tmp_path: Path) -> None:
    """The node says why, and seals to nobody by it; the auditor names the same entry."""
    make, says = KEYS[name]
    statement = make(scene.hub)
    (index,) = scene.hub.ledger.commit([LogAnyKey(statement)])
    subject = f"directory log {index}"
    wait_for(lambda: subject in _alarms(scene))
    assert _alarms(scene)[subject].startswith(says)
    assert index in {f.index for f in _audit(scene.hub, tmp_path).findings if f.log == "directory"}


def test_a_key_minted_with_stolen_keys(scene: Scene) -> None:
    """A desk's own node raises an alarm at a key that it did not make, though all signatures are right."""
    home = scene.node.data
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(scene.hub.desks, "tn/main", _stolen(home))
        statement = scene.hub.sealing_statement("tn/main")
    scene.hub.ledger.commit([LogAnyKey(statement)])
    wait_for(lambda: any("tn/main" in subject for subject in _kinds(scene, "foreign-sealing-key")))


def _kinds(scene: Scene, kind: str) -> list[str]:
    return [each["subject"] for each in scene.node.status()["alarms"] if each["kind"] == kind]


def _stolen(data: Path) -> Any:
    """The keys of Tunisia's main desk, as a thief of its disk and passphrase has them."""
    home = look_home(data, PASSPHRASE)
    keys = DeskKeys("tn/main", node=home.desks["tn/main"].node)
    home.close()
    return keys


def test_an_old_directory_size_revived(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An envelope logged as if an older directory were in force reaches no analyst, and is a finding."""
    hub = scene.hub

    async def submit() -> None:
        async with hub.client("ly/main") as client:
            sealed = hub.seal(hub.outgoing("ly/main"), "tn/main")
            await client.submit(dump_json(sealed))

    run(submit())
    before = hub.ledger.state.size
    hub.publish(hub.signed_member("ly", 2, now() + timedelta(days=300)))
    run(submit())
    hub.publish(hub.signed_member("ly", 3, now() + timedelta(days=301)))
    monkeypatch.setattr(Batch, "directory_size", property(lambda _batch: before))
    run(submit())
    wait_for(lambda: any("old directory is revived" in text for text in _alarms(scene).values()))
    rules = {f.rule for f in _audit(hub, tmp_path).findings if f.log == "exchange"}
    assert any("directory-size" in rule for rule in rules), rules
