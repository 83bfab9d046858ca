"""The audit: hashing alone, and a whole audit of the log that the submissions filled.

May import `broker.audit` and the exchange of `world`; `__main__` calls it. Run as
`python -m tests.bench.auditing`, it is the auditor's process of its own, whose memory is measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from broker.audit.report import AuditReport
from broker.audit.seen import SeenStore
from broker.audit.tree import GrowingTree
from broker.audit.verify import verify_exchange
from broker.client import HubClient
from broker.tlog.receipt import exchange_leaf
from keys.signing import RequestSigningKey
from schemas.directory import Invitation
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, parse
from tests.bench import machine
from tests.bench.figures import Bar, Figure, Section
from tests.bench.processes import ROOT
from tests.bench.world import BenchExchange
from tests.exchange.live import EXCHANGE, now, run

HASHED_ENTRIES: Final = 100_000
HASHING_BAR: Final = 100_000
_ENTRY: Final = bytes(2600)
"""As long as that of an envelope for three desks."""

_AUDITOR: Final = "auc/audit"
_TIMEOUT_SECONDS: Final = 300


def hashing(entries: int = HASHED_ENTRIES) -> Figure:
    """Entries a second of hashing: blinded, hashed into leaves, and the tree rebuilt from these."""
    tree = GrowingTree()
    start = time.perf_counter()
    for number in range(entries):
        tree.add(exchange_leaf(number.to_bytes(32, "big"), _ENTRY))
    tree.root()
    return Figure(
        "hashing of entries, their tree rebuilt",
        entries / (time.perf_counter() - start),
        "/s",
        Bar(HASHING_BAR),
        f"{entries:,} entries of {len(_ENTRY)} bytes",
    )


def measure(exchange: BenchExchange, entries: int = HASHED_ENTRIES) -> Section:
    """Hash, then audit the whole exchange as its log stands; the hub serves on its core meanwhile.

    Raises:
        RuntimeError: the audit found something, or failed.
    """
    with exchange.serving(exchange.cores.server):
        told = _audit(exchange)
    if told["findings"]:
        raise RuntimeError(f"the audit found {told['findings']} things wrong")
    size = told["entries"]
    return Section(
        "audit",
        (
            hashing(entries),
            Figure(
                "whole audit: fetched, opened, signatures and rules judged again",
                size / told["seconds"],
                "/s",
                remark=f"{size:,} entries in {told['seconds']:.0f} s, sound",
            ),
            Figure("the auditor's memory at most", told["memory_mib"], "MiB"),
        ),
    )


def _audit(exchange: BenchExchange) -> dict[str, Any]:
    folder = exchange.folder / "auditor"
    folder.mkdir(exist_ok=True)
    (folder / "invitation.json").write_bytes(dump_json(exchange.hub.invitation))
    (folder / "seed").touch(mode=0o600)
    (folder / "seed").write_bytes(exchange.hub.desks[_AUDITOR].request.seed())
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.auditing", str(folder)],
        cwd=ROOT,
        capture_output=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the audit failed: {done.stderr.decode(errors='replace')[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def main(folder: Path) -> None:
    """Audit, and print what was found and used as one line of JSON."""
    invitation = parse(Invitation, (folder / "invitation.json").read_bytes(), TRUST_FILE_BYTES_MAX)
    key = RequestSigningKey.from_seed((folder / "seed").read_bytes())

    async def audit() -> AuditReport:
        async with HubClient(invitation.hub, EXCHANGE, key, lambda: int(time.time())) as client:
            return await verify_exchange(client, invitation, SeenStore(folder / "seen"), now)

    (folder / "seen").mkdir(exist_ok=True)
    start = time.perf_counter()
    report: AuditReport = run(audit())
    log = report.exchange_log
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - start,
                "findings": len(report.findings),
                "entries": 0 if log is None else log.checkpoint.size,
                "memory_mib": machine.peak_memory_mib(),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
