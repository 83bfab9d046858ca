"""The hub's certificate and address change with overlap: who was off all the while needs a new file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.certificates import make_certificate
from broker.node.setup import join_node
from schemas.directory import Council
from schemas.loader import dump_json
from tests.exchange.hostile_trust import Hostile
from tests.exchange.live import LiveHub, free_port, now
from tests.exchange.nodes import LiveNode, live_exchange, wait_for


@dataclass
class Scene:
    """A hub, a node that is there, and one that will be off."""

    hub: LiveHub
    here: LiveNode
    off: LiveNode
    council: Hostile


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Both nodes have read the directory."""
    with live_exchange(tmp_path, "ly", "tn") as (hub, nodes):
        yield Scene(hub, nodes["tn"], nodes["ly"], Hostile(hub, hub.governors, dict(hub.files)))


def publish(scene: Scene, **changes: str) -> None:
    """The governors sign where the hub is and what its TLS is trusted by."""

    def change(council: Council) -> Council:
        return council.model_copy(update={"hub": council.hub.model_copy(update=changes)})

    scene.council.honest(scene.council.targets(change))


def knows(node: LiveNode, scene: Scene) -> bool:
    """Whether a node has read the newest directory."""
    scene.hub.ledger.catch_up()
    found: bool = node.status()["logs"]["directory_entry"] == scene.hub.directory_ref.index
    return found


def test_a_certificate_is_renewed_with_overlap(scene: Scene) -> None:
    """The council trusts both, the hub changes, the council drops the old one."""
    hub = scene.hub
    old = (hub.data / "tls.crt").read_text("ascii")
    scene.off.stop()
    made = hub.data / "next"
    made.mkdir()
    certificate, key = make_certificate(made, hub.settings.names, now())
    new = certificate.read_text("ascii")
    publish(scene, tls_trust=old + new)
    wait_for(lambda: knows(scene.here, scene))
    hub.stop()
    certificate.replace(hub.data / "tls.crt")
    key.replace(hub.data / "tls.key")
    hub.start()
    scene.council.hub = hub
    publish(scene, tls_trust=new)
    wait_for(lambda: knows(scene.here, scene))
    # Who was off all the time trusts the old certificate alone, and says so; a new file mends it.
    scene.off.start()
    wait_for(lambda: "certificate" in str(scene.off.status()["hub"]).lower() or _silent(scene.off))
    assert not knows(scene.off, scene)
    scene.off.stop()
    address = hub.invitation.hub.model_copy(update={"tls_trust": new})
    join_node(scene.off.data, dump_json(hub.invitation.model_copy(update={"hub": address})))
    scene.off.start()
    wait_for(lambda: knows(scene.off, scene))


def _silent(node: LiveNode) -> bool:
    return bool(node.status()["hub"]["problem"]) and not node.status()["hub"].get("reachable_since")


def test_an_address_changes(scene: Scene) -> None:
    """The council names the new address first; the node finds the hub there without a new file."""
    hub = scene.hub
    port = free_port()
    publish(scene, url=f"https://127.0.0.1:{port}")
    wait_for(lambda: knows(scene.here, scene))
    hub.stop()
    hub.port = port
    hub.start()
    scene.council.hub = hub
    publish(scene, url=f"https://localhost:{port}")
    wait_for(lambda: knows(scene.here, scene))
