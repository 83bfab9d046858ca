"""`make bench-large`: a log of a million entries is generated, audited from local files, and proved from.

Run as `python -m tests.bench.large`; `--quick` does it with few entries, and nothing that it says counts. The
audits are processes of their own (`large_audit`), so that their memory can be measured.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from broker.audit.mirror import Keeping
from broker.audit.pipeline import How
from broker.audit.report import AuditReport
from broker.audit.seen import SeenStore
from broker.audit.verify import verify_exchange
from broker.audit.workers import cores
from broker.db import reading
from broker.hub.logbook import Prover, read_head
from broker.hub.setup import open_ledger
from broker.hub.showing import tile_bytes
from broker.tlog.tiles import TILE_WIDTH, TileId
from schemas.loader import dump_json
from tests.bench import machine
from tests.bench.figures import Bar, Figure, Section, table
from tests.bench.large_log import COHORT, LargeLog
from tests.bench.processes import ROOT
from tests.bench.report import Report
from tests.bench.world import BenchExchange

T = TypeVar("T")

TREES_BAR: Final = 100_000
MEMORY_BAR_MIB: Final = 300
PROOF_BAR: Final = 50
CORES_BAR: Final = 1.4
"""Of two cores, which three processes share: what travels between them costs about a quarter."""
PAGE: Final = "performance-large.md"
FIGURES: Final = "large.json"

_AUDITOR: Final = "auc/audit"
_SQL: Final = "SELECT entry FROM entry WHERE log = 'exchange' AND entry_index = ?"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: entries in all, entries whose statements are judged, proofs."""

    entries: int
    judged: int
    proofs: int


FULL: Final = Size(1_000_192, 81_920, 5_000)
"""The first number is the next above a million that cohorts divide."""
QUICK: Final = Size(8 * COHORT, 4 * COHORT, 50)


def _tell(text: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def measure(folder: Path, size: Size) -> list[Section]:
    """Generate, and measure one thing after the other."""
    _tell("calibrating the machine")
    sections = [machine.calibration(folder, machine.SECONDS)]
    exchange = BenchExchange(folder / "exchange")
    log = LargeLog(exchange)
    start = time.perf_counter()
    log.grow(size.judged, _tell)
    _tell("a copy of the entries that are judged")
    whole = folder / "judged"
    _copy(exchange, log, whole, trees_only=False)
    seconds = time.perf_counter() - start
    sections.append(_judging(exchange, log, whole))
    start = time.perf_counter()
    log.grow(size.entries, _tell)
    generated = seconds + time.perf_counter() - start
    _tell("a copy of the trees")
    copy = folder / "trees"
    _copy(exchange, log, copy, trees_only=True)
    sections.append(_trees(exchange, log, copy))
    _tell("proofs")
    sections.append(_proofs(exchange, size.proofs))
    database = (exchange.hub.data / "hub.db").stat().st_size
    remark = f"{log.size:,} entries in {generated:,.0f} s, a database of {database / 1e9:.1f} GB"
    made = Figure("generated on all cores", log.size / generated, "/s", remark=remark)
    return [*sections, Section("the log itself", (made,))]


def _copy(exchange: BenchExchange, log: LargeLog, folder: Path, *, trees_only: bool) -> None:
    """Audit the served hub, and keep what is read; the audits that count read only that."""
    hub = exchange.hub
    hub.start()
    try:

        async def audit() -> AuditReport:
            async with hub.client(_AUDITOR) as client:
                source = Keeping(client, folder)
                how = How(jobs=cores(), trees_only=trees_only)
                store = SeenStore(_made(folder / "seen-by-hub"))
                return await verify_exchange(source, hub.invitation, store, lambda: log.moment, how)

        _sound(asyncio.run(audit()).to_plain())
    finally:
        hub.stop()
        hub.ledger.close()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _sound(plain: dict[str, Any]) -> None:
    if plain["findings"]:
        raise RuntimeError(f"the audit found something: {plain['findings'][:3]}")


def _audit(exchange: BenchExchange, log: LargeLog, copy: Path, jobs: int, mode: str) -> Any:
    invitation = copy / "invitation.json"
    invitation.write_bytes(dump_json(exchange.hub.invitation))
    at = int(log.moment.timestamp())
    arguments = (str(copy), "--jobs", str(jobs), "--mode", mode, "--at", str(at))
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.large_audit", *arguments],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the audit failed: {done.stderr.decode(errors='replace')[-2000:]}")
    told = json.loads(done.stdout)
    _sound(told)
    return told


def _trees(exchange: BenchExchange, log: LargeLog, copy: Path) -> Section:
    _tell("the trees alone, from local files")
    told = _audit(exchange, log, copy, 1, "trees")
    return Section(
        "audit of the trees, from local files (`--trees`)",
        (
            Figure(
                "hashing and structure: bundles, tiles, roots",
                told["entries"] / told["seconds"],
                "/s",
                Bar(TREES_BAR),
                f"{told['entries']:,} entries in {told['seconds']:.1f} s, one process",
            ),
            Figure("memory at most", told["memory_mib"], "MiB", Bar(MEMORY_BAR_MIB, at_most=True)),
        ),
    )


def _judging(exchange: BenchExchange, log: LargeLog, copy: Path) -> Section:
    # The disk takes what was written first: its kernel threads would share the second core.
    os.sync()
    _tell("every entry judged, by one process")
    one = _audit(exchange, log, copy, 1, "whole")
    every = cores()
    _tell(f"every entry judged, by {every} processes")
    all_ = _audit(exchange, log, copy, every, "whole")
    rates = [told["entries"] / told["seconds"] for told in (one, all_)]
    hours = FULL.entries / rates[1] / 60
    return Section(
        "audit of every entry, from local files",
        (
            Figure(
                "opened, signatures and rules judged again, one process",
                rates[0],
                "/s",
                remark=f"{one['entries']:,} entries in {one['seconds']:.0f} s",
            ),
            Figure(
                f"the same, {every} processes beside the one that folds",
                rates[1],
                "/s",
                remark=f"a million entries would take {hours:.0f} minutes",
            ),
            Figure(
                "rate on all cores, by that of one process",
                rates[1] / rates[0],
                "",
                Bar(CORES_BAR),
                f"{every} cores; what folds and reads shares them",
            ),
            Figure("memory at most, one process", one["memory_mib"], "MiB"),
        ),
    )


def _proofs(exchange: BenchExchange, count: int) -> Section:
    """Proofs of any entry, beside a bare indexed read of the same rows, one after the other by turns."""
    hub, chance = exchange.hub, random.Random(2026)
    ledger = open_ledger(hub.data, hub.keystore, hub.now_unix)
    bare: list[float] = []
    proved: list[float] = []
    tiles: list[float] = []
    try:
        # As a hub that serves does before it begins.
        gc.collect()
        gc.freeze()
        with reading(ledger.engine) as connection:
            head = read_head(connection, "exchange")
            driver: Any = connection.connection.driver_connection
            for _ in range(count):
                index = chance.randrange(head.size)
                bare.append(_timed(lambda n: driver.execute(_SQL, (n,)).fetchone(), index))
                proved.append(_timed(lambda n: _prove(connection, n), index))
                full = TileId(0, chance.randrange(head.size // TILE_WIDTH), TILE_WIDTH)
                tiles.append(_timed(lambda tile: tile_bytes(connection, head, tile), full))
    finally:
        ledger.close()
    read, p99 = statistics.median(bare), _percentile(proved, 99)
    return Section(
        f"proofs out of {head.size:,} entries",
        (
            Figure(
                "a proof with its entry, p99, in bare indexed reads",
                p99 / read,
                "",
                Bar(PROOF_BAR, at_most=True),
                f"p99 {p99 * 1e6:,.0f} µs, p50 {statistics.median(proved) * 1e6:,.0f} µs; a bare read of"
                f" the row: p50 {read * 1e6:,.1f} µs, p99 {_percentile(bare, 99) * 1e6:,.0f} µs",
            ),
            Figure(
                "a tile of 256 hashes, p50, in bare indexed reads",
                statistics.median(tiles) / read,
                "",
                remark=f"{statistics.median(tiles) * 1e6:,.0f} µs",
            ),
        ),
    )


def _prove(connection: Connection, index: int) -> object:
    """What the hub does for one receipt: the head, the row, the path."""
    head = read_head(connection, "exchange")
    prover = Prover.of(connection, head)
    row = connection.exec_driver_sql(
        "SELECT entry, salt FROM entry WHERE log = 'exchange' AND entry_index = ?", (index,)
    ).one()
    return prover.receipt(index, row.entry, row.salt)


def _timed(work: Callable[[T], object], of: T) -> float:
    start = time.perf_counter()
    work(of)
    return time.perf_counter() - start


def _percentile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def main() -> int:
    """Measure, print the table and JSON, and write the report."""
    arguments = argparse.ArgumentParser(prog="make bench-large", description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="a little of everything")
    arguments.add_argument("--docs", type=Path, help="write the report here; docs/ by default")
    chosen = arguments.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="barid-bench-large-") as name:
        sections = measure(Path(name), QUICK if chosen.quick else FULL)
    day = datetime.now(UTC).date().isoformat()
    report = Report(machine.description(), day, sections, page=PAGE, figures=FIGURES)
    print(report.machine)
    print(table(report.sections))
    print(report.as_json(), end="")
    docs = chosen.docs or (None if chosen.quick else ROOT / "docs")
    if docs is not None:
        report.write(docs)
    _tell(f"done in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
