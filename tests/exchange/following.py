"""A party that follows a hub: what it knew, what the hub logged since, and what it must know in the end.

May import the live hub and its forgeries; the tests of followers call it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from broker.following import Follower
from broker.hub.directory_log import Operate
from broker.tlog.checkpoint import Checkpoint
from schemas.entries import HubOperated, TreeHead
from schemas.loader import dump_json
from tests.exchange.acting import submit
from tests.exchange.forging import Hostile, MemoryStore, shown
from tests.exchange.live import LiveHub, live_hub, now, run

MEMBER = "ml"


@dataclass
class Scene:
    """A hub, and a party that followed it some way before the hub grew on."""

    hub: LiveHub
    before: MemoryStore
    version: int = 1

    def grow(self) -> None:
        """One more entry in the exchange log, two in the directory log, one of them a directory."""
        run(submit(self.hub, self.hub.seal(self.hub.outgoing("ly/main"), "tn/main")))
        self.hub.ledger.commit([Operate("configuration")])
        self.version += 1
        expires = now() + timedelta(days=300)
        self.hub.publish(self.hub.signed_member(MEMBER, self.version, expires))
        self.hub.ledger.catch_up()

    def files(self) -> list[str]:
        """The names of the files that the newest directory brought."""
        directory = self.hub.ledger.state.directory
        assert directory is not None
        number = directory.versions["snapshot"]
        return [f"metadata/{self.version}.member-{MEMBER}.json", f"metadata/{number}.snapshot.json"]


@contextmanager
def live_scene(folder: Path) -> Iterator[Scene]:
    """A serving hub, and a party that knows part of its logs."""
    with live_hub(folder / "hub") as hub:
        run(hub.announce("ly/main", "tn/main"))
        scene = Scene(hub, MemoryStore())
        scene.grow()
        run(refreshed(scene, Hostile(hub), scene.before))
        scene.grow()
        scene.grow()
        yield scene


def follower_of(scene: Scene, client: Hostile, store: MemoryStore) -> Follower:
    """A party that begins with what was kept."""
    return Follower(scene.hub.invitation, client, store, scene.hub.moment)


async def refreshed(scene: Scene, client: Hostile, store: MemoryStore) -> Any:
    """What a party knows after one refresh, in which nothing may be found wrong."""
    async with client:
        follower = follower_of(scene, client, store)
        assert await follower.refresh() == ()
        return shown(follower)


async def replayed(scene: Scene, store: MemoryStore) -> Follower:
    """A party as it is after a restart, before it calls anybody."""
    async with Hostile(scene.hub) as client:
        return follower_of(scene, client, store)


def truth(scene: Scene) -> Any:
    """What whoever believes nothing but proofs must know in the end."""
    state = scene.hub.ledger.state
    heads = scene.hub.ledger.heads()
    directory, exchange = (Checkpoint(head.origin, head.size, head.root) for head in heads)
    return state.size, state.in_force, directory, exchange


def operated(head: TreeHead) -> bytes:
    """A directory entry of a later time, with any exchange head."""
    at = now() + timedelta(hours=1)
    entry = HubOperated(type="hub.operated", at=at, exchange_log=head, operation="start")
    return dump_json(entry)
