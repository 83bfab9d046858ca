"""The node as a witness: it cosigns each log's checkpoints once it has proved that the log only grew.

May import `broker.tlog`, `keys` and the node's own rooms; `sync` calls it after each look at the logs. What
it cosigned last is on the disk before the signature leaves, and a restored node cosigns with a new key alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from broker.following import LOGS, cosigned_name
from broker.node.clock import Clock, to_seconds
from broker.node.follow_store import NodeFollowStore
from broker.node.home import WITNESS_KEY_NAME, Home
from broker.node.line import Line
from broker.node.witness_keys import witness_signer
from broker.tlog.cosignature import MlDsa44CosignatureSigner
from broker.tlog.note import Note, parse_note
from keys.derivation import sha256_hex
from schemas.directory import Witnesses
from schemas.errors import Problem

LAGGING_SECONDS: Final = 1200
"""Two of the hub's rounds: what is older than a tree verified so long ago is not cosigned."""


class Witness:
    """Cosigns both logs where the council in force names this node.

    Args:
        home: the node's home.
        line: to the hub, whose logs it has followed.
        clock: the node's own.
    """

    def __init__(self, home: Home, line: Line, clock: Clock) -> None:
        self._home = home
        self._line = line
        self._clock = clock
        self._store = NodeFollowStore(home.engine)
        self._signer: MlDsa44CosignatureSigner | None = None
        # What was cosigned last, by its SHA-256: the hub need not show it again.
        self._known: dict[str, str] = {}
        self._generation = 0
        self._verified: dict[str, deque[tuple[int, int]]] = {log: deque() for log in LOGS}

    async def cosign(self) -> None:
        """Cosign what the hub shows of each log, where it is due.

        1. The council names this node's key.
        2. The checkpoint is signed by the log, and this node has not cosigned it in the hub's round.
        3. The log that this node follows grew from it, and it is no older than what was cosigned before, or
           than what this node had verified a while ago: else a frozen log would look fresh to others.
        4. It is written down, then signed, then handed in.

        Raises:
            Problem: `inconsistent-log` with both checkpoints, where the hub shows another log or a frozen
                one; what the hub answers.
            HubUnreachable: try again later.
        """
        signer = await asyncio.to_thread(self._named)
        if signer is None:
            return
        if self._generation != self._line.follower.generation:
            # Of new logs nothing was verified a while ago.
            self._generation = self._line.follower.generation
            self._known.clear()
            self._verified = {log: deque() for log in LOGS}
        for log in LOGS:
            self._remember(log)
            await self._cosign(log, signer)

    def _named(self) -> MlDsa44CosignatureSigner | None:
        directory = self._line.state.directory
        witnesses = None if directory is None else directory.council.witnesses
        if not isinstance(witnesses, Witnesses):
            return None
        key = witnesses.keys.get(self._home.settings.member)
        if key is None or WITNESS_KEY_NAME not in self._home.keystore.names():
            return None
        signer = self._signer
        if signer is None or (signer.key.name, signer.key.public) != (key.name, key.ml_dsa_44):
            signer = self._signer = witness_signer(self._home.keystore, key.name)
        return signer if signer.key.public == key.ml_dsa_44 else None

    def _remember(self, log: str) -> None:
        now, seen = to_seconds(self._clock()), self._verified[log]
        size = self._line.follower.head(log).size
        if not seen or seen[-1][1] != size:
            seen.append((now, size))
        # The newest of those that are old enough stays.
        while len(seen) > 1 and now - seen[1][0] >= LAGGING_SECONDS:
            seen.popleft()

    def _least_size(self, log: str) -> int:
        now, seen = to_seconds(self._clock()), self._verified[log]
        text = self._store.checkpoint(cosigned_name(log, self._line.follower.generation))
        cosigned = 0 if text is None else self._line.follower.open(log, text).size
        lagging = [size for at, size in seen if now - at >= LAGGING_SECONDS]
        return max([cosigned, *lagging])

    async def _cosign(self, log: str, signer: MlDsa44CosignatureSigner) -> None:
        follower = self._line.follower
        generation = follower.generation
        text = await self._line.reader.to_cosign(log, generation, self._known.get(log, ""))
        if text is None:
            return
        checkpoint = follower.open(log, text)
        note = parse_note(text)
        known = sha256_hex(note.text.encode())
        identity = (signer.key.name, signer.key.key_id)
        if any((line.name, line.key_id) == identity for line in note.signatures):
            self._known[log] = known
            return
        if checkpoint.size > follower.head(log).size:
            # It grew meanwhile: at the next look.
            return
        await follower.prove_head(log, checkpoint, text)
        least = await asyncio.to_thread(self._least_size, log)
        if checkpoint.size < least:
            raise Problem(
                "inconsistent-log",
                f"the hub asks to have the {log} log cosigned at {checkpoint.size}, which had {least} before",
                checkpoints=[text],
            )
        name = cosigned_name(log, generation)
        await asyncio.to_thread(self._store.save, (), {name: text})
        line = await asyncio.to_thread(signer.sign, note.text, to_seconds(self._clock()))
        signed = Note(note.text, (*note.signatures, line)).render()
        try:
            await self._line.reader.cosign(log, generation, signed)
            self._known[log] = known
        except Problem as problem:
            # Another one is shown by now: at the next look.
            if problem.word != "cosignature":
                raise
