"""`make bench`: figures as ratios measured in one run, beside a calibration of the machine.

Nothing is asserted here, and no test looks at these figures: machines differ, ratios less so.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from broker.hub.relay import Relay, judge, read_submission
from broker.tlog.merkle import leaf_hash, root
from broker.tlog.tiles import append, reader_from_tiles
from keys.sealing import SealingPrivateKey, SealingPublicKey, open_slot, seal_slot
from keys.signing import SigningIdentity
from schemas.loader import dump_json
from tests.exchange.live import EXCHANGE, STATES, LiveHub, new_id, now, run

SECONDS = 1.5
BATCH = 64
LEAVES = 100_000


def rate(work: Callable[[], object], seconds: float = SECONDS) -> float:
    """How often a second `work` can be done."""
    work()
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        work()
        count += 1
    return count / elapsed


def calibration(folder: Path) -> dict[str, float]:
    """What this machine does by itself."""
    megabyte = bytes(1024 * 1024)
    file = (folder / "calibration").open("wb", buffering=0)

    def sync() -> None:
        file.write(megabyte[:4096])
        os.fdatasync(file.fileno())

    return {
        "SHA-256, MB/s": rate(lambda: hashlib.sha256(megabyte).digest()),
        "fdatasync of 4 KiB, /s": rate(sync),
    }


def sealing(hub: LiveHub) -> dict[str, float]:
    """A 4 KiB bulletin for ten desks against the bare HPKE and signature calls."""
    private = SealingPrivateKey.generate()
    public = SealingPublicKey.from_bytes(private.public_bytes())
    identity = SigningIdentity.generate()
    content_key = secrets.token_bytes(32)
    about = {
        "envelope_id": new_id(),
        "sender": "ly/main",
        "recipient": "tn/main",
        "keyid": "0" * 64,
    }
    slot = seal_slot(content_key, public, exchange=EXCHANGE, **about)
    message = secrets.token_bytes(4096)

    def bare() -> None:
        for _ in range(10):
            seal_slot(content_key, public, exchange=EXCHANGE, **about)
        identity.sign(message)

    recipients = [f"{s}/{u}" for s in STATES[:5] for u in ("main", "judicial")]
    outgoing = hub.outgoing("tn/main", bulletin_json=secrets.token_hex(2048).encode())
    bare_rate = rate(bare)
    sealed_rate = rate(lambda: hub.seal(replace(outgoing, bulletin_id=new_id()), *recipients))
    return {
        "HPKE seal, /s": rate(lambda: seal_slot(content_key, public, exchange=EXCHANGE, **about)),
        "HPKE open, /s": rate(lambda: open_slot(slot, private, exchange=EXCHANGE, **about)),
        "seal for 10 desks, /s": sealed_rate,
        "seal for 10 desks: time against bare calls": bare_rate / sealed_rate,
    }


def relaying(hub: LiveHub) -> dict[str, float]:
    """What the hub does for a submission, in its own process and without HTTP."""
    ready = ["ne/main", "tn/main", "dz/main"]
    envelopes = [
        dump_json(
            hub.seal(
                hub.outgoing("ly/main", bulletin_json=secrets.token_hex(2048).encode()), *ready
            )
        )
        for _ in range(4 * BATCH)
    ]
    state = hub.ledger.state
    start = time.perf_counter()
    works = []
    for data in envelopes:
        submission = read_submission(data, "ly/main")
        at = now()
        works.append(Relay(submission, judge(submission, state, at), state.size, at))
    judged = len(envelopes) / (time.perf_counter() - start)
    start = time.perf_counter()
    for first in range(0, len(works), BATCH):
        hub.ledger.commit(works[first : first + BATCH])
    committed = len(works) / (time.perf_counter() - start)
    return {
        "parsed, verified and judged on one thread, /s": judged,
        f"committed in batches of {BATCH}, /s": committed,
        "envelope for 3 desks, bytes of JSON": float(len(envelopes[0])),
    }


def hashing() -> dict[str, float]:
    """Growing a log leaf by leaf in batches, and its root."""
    leaves = [leaf_hash(number.to_bytes(8, "big")) for number in range(LEAVES)]
    tiles: dict[tuple[int, int], bytes] = {}

    def read(level: int, index: int) -> bytes:
        return tiles.get((level, index), b"")

    start = time.perf_counter()
    for first in range(0, LEAVES, 512):
        tiles |= append(first, read, leaves[first : first + 512]).tiles
    root(LEAVES, reader_from_tiles(read, LEAVES))
    return {"log entries appended in batches of 512, /s": LEAVES / (time.perf_counter() - start)}


def main() -> None:
    """Measure, and print one table and one line of JSON."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = calibration(folder)
        hub = LiveHub(folder / "hub")
        hub.start()
        try:
            run(hub.announce(*(f"{s}/{u}" for s in STATES for u in ("main", "judicial"))))
            figures |= sealing(hub) | relaying(hub)
        finally:
            hub.stop()
    figures |= hashing()
    for what, figure in figures.items():
        print(f"{figure:>14,.2f}  {what}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
