"""One audit of a copy, as a process of its own: what was found, how long it took, and how much memory.

`large` calls it. The processes that it starts import this module as well: it imports what an audit needs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from broker.audit.mirror import Folder
from broker.audit.pipeline import How
from broker.audit.seen import SeenStore
from broker.audit.verify import verify_exchange
from schemas.directory import Invitation
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import parse
from tests.bench import machine


def audit_copy(copy: Path, jobs: int, mode: str, at: datetime) -> None:
    """Audit a copy, and print what was found and used as one line of JSON."""
    data = (copy / "invitation.json").read_bytes()
    invitation = parse(Invitation, data, TRUST_FILE_BYTES_MAX)
    how = How(jobs=jobs, trees_only=mode == "trees")
    with tempfile.TemporaryDirectory() as seen:
        start = time.perf_counter()
        report = asyncio.run(
            verify_exchange(Folder(copy), invitation, SeenStore(Path(seen)), lambda: at, how)
        )
        seconds = time.perf_counter() - start
    log = report.exchange_log
    print(
        json.dumps(
            {
                "seconds": seconds,
                "findings": report.to_plain()["findings"],
                "entries": 0 if log is None else log.checkpoint.size,
                "memory_mib": machine.peak_memory_mib(),
            }
        )
    )


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.large_audit")
    arguments.add_argument("copy", type=Path)
    arguments.add_argument("--jobs", type=int, required=True)
    arguments.add_argument("--mode", choices=("trees", "whole"), required=True)
    arguments.add_argument("--at", type=int, required=True)
    chosen = arguments.parse_args()
    audit_copy(chosen.copy, chosen.jobs, chosen.mode, datetime.fromtimestamp(chosen.at, UTC))
