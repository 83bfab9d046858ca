"""An honest hub is not accused by its timestamp, whatever it publishes between two looks."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from broker.following import Follower
from keys.derivation import sha256_hex
from keys.repository import (
    TIMESTAMP_NAME,
    Governance,
    TrustSigner,
    sign_root,
    sign_snapshot,
    sign_timestamp,
)
from keys.timestamps import TimestampFault
from schemas.entries import DirectoryPublished, FileVersion, TreeHead
from schemas.loader import dump_json
from tests.exchange.following import Scene, follower_of, live_scene
from tests.exchange.forging import ForgedLog, Hostile, MemoryStore
from tests.exchange.live import live_hub, now, run


class Growing(Hostile):
    """An honest hub that publishes before and after each look at its timestamp."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene.hub)
        self._scene = scene

    async def trust_file(self, name: str, size_bytes_max: int = 10**7) -> bytes:
        """The hub's file; another directory is in force before and after the timestamp was."""
        if name != TIMESTAMP_NAME:
            return await super().trust_file(name, size_bytes_max)
        await asyncio.to_thread(self._scene.grow)
        found = await super().trust_file(name, size_bytes_max)
        await asyncio.to_thread(self._scene.grow)
        return found


def test_publications_without_end_accuse_no_honest_hub(tmp_path: Path) -> None:
    """A timestamp vouches for the directory that was in force when it was fetched, not for one before."""
    with live_scene(tmp_path) as scene:

        async def follow() -> None:
            async with Growing(scene) as client:
                follower = follower_of(scene, client, scene.before.copy())
                await follower.refresh()
                assert follower.timestamp
                assert follower.timestamp.fault is None
                assert follower.state.size == scene.hub.ledger.state.size
            async with Hostile(scene.hub) as client:
                await follower_of(scene, client, store := MemoryStore()).refresh()
                client.files[TIMESTAMP_NAME] = store.files[TIMESTAMP_NAME]
                await asyncio.to_thread(scene.grow)
                follower = follower_of(scene, client, store)
                await follower.refresh()
                assert follower.timestamp
                assert follower.timestamp.fault is TimestampFault.OTHER_SNAPSHOT

        run(follow())


def test_another_online_key_accuses_no_honest_hub(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The council replaced it between the look at the log and the look at the timestamp."""
    with live_hub(tmp_path_factory.mktemp("rotation") / "hub") as hub:
        online = TrustSigner.generate()
        expires = now() + timedelta(days=300)
        keys = tuple(governor.public_key for governor in hub.governors)
        governance = Governance(keys, 3, tuple(hub.governors[:3]))
        root = sign_root(2, governance, online.public, expires, hub.governors[:3])
        name, snapshot = sign_snapshot(hub.files, online, 2, expires)
        _, stamp = sign_timestamp(snapshot, online, int(now().timestamp()) + 5, expires, 2)
        exchange = ForgedLog.of(hub, "exchange").checkpoint()
        published = DirectoryPublished(
            type="directory.published",
            at=now(),
            exchange_log=TreeHead(size=exchange.size, root=exchange.root.hex()),
            root=FileVersion(version=2, sha256=sha256_hex(root["metadata/2.root.json"])),
            snapshot=FileVersion(version=2, sha256=sha256_hex(snapshot)),
        )
        rotated = ForgedLog.of(hub, "directory").add(dump_json(published))

        class Rotating(Hostile):
            async def trust_file(self, file: str, size_bytes_max: int = 10**7) -> bytes:
                if file == TIMESTAMP_NAME:
                    self.forge(rotated)
                    self.files |= {**root, name: snapshot, TIMESTAMP_NAME: stamp}
                return await super().trust_file(file, size_bytes_max)

        async def follow() -> None:
            async with Rotating(hub) as client:
                follower = Follower(hub.invitation, client, MemoryStore(), hub.moment)
                assert await follower.refresh() == ()
                assert follower.timestamp
                assert follower.timestamp.fault is None

        run(follow())
