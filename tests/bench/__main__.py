"""`make bench`: figures as ratios measured in one run, beside a calibration of the machine.

`--quick` measures the same with little, to see that everything works; nothing that it says counts. No figure
is asserted: machines differ, ratios less so. A run that cannot tell hub from load generator fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import (
    attachments,
    auditing,
    governance,
    hot_path,
    latency,
    machine,
    sealing,
    submissions,
    wrk,
)
from tests.bench.figures import Section, table
from tests.bench.plots import BarRow, bars, shares
from tests.bench.prepared import Generator
from tests.bench.processes import ROOT
from tests.bench.report import Report
from tests.bench.world import BenchExchange


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything one run measures."""

    seconds: float
    """Of each small measurement."""
    rounds: int
    envelopes: int
    """Submissions in each round."""
    profiled: int
    samples: int
    """Bulletins from post to opened."""
    hashed: int
    attachment_bytes: int
    judged: int
    """Submissions for fifty desks."""


FULL = Size(
    1.0,
    5,
    3000,
    hot_path.ENVELOPES,
    latency.SAMPLES,
    auditing.HASHED_ENTRIES,
    attachments.SIZE_BYTES,
    governance.SUBMISSIONS,
)
QUICK = Size(0.05, 1, 128, 2 * hot_path.BATCH, 5, 2000, 4 << 20, 5)


def _tell(text: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def measure(folder: Path, size: Size) -> tuple[Report, submissions.Outcome]:
    """Measure everything, one after the other: nothing disturbs anything else."""
    _tell("calibrating the machine")
    sections = [machine.calibration(folder, size.seconds)]
    exchange = BenchExchange(folder / "exchange")
    _tell("profiling the hot path")
    steps = hot_path.profile(exchange, Generator(exchange).seal(size.profiled))
    outcome = submissions.measure(exchange, size.rounds, size.envelopes, _tell)
    sections += [Section("submissions", tuple(outcome.figures())), hot_path.section(steps)]
    _tell("from post to opened")
    waited = latency.measure(folder / "latency", outcome.hub_rate / 10, size.samples)
    sections.append(waited.section)
    _tell("sealing and opening")
    sections.append(sealing.measure(exchange, size.seconds))
    _tell("auditing")
    sections.append(auditing.measure(exchange, size.hashed))
    _tell("a large directory")
    sections.append(governance.measure(folder, size.judged))
    _tell("an attachment")
    sections.append(attachments.measure(exchange, size.attachment_bytes))
    report = Report(
        machine.description(),
        datetime.now(UTC).date().isoformat(),
        sections,
        {
            "submissions.svg": _submissions_plot(outcome),
            "hot-path.svg": bars(
                "Processor time of one submission, without HTTP and TLS",
                [BarRow(s.what, s.microseconds, f"{s.microseconds:.0f} µs") for s in steps],
            ),
            "latency.svg": shares(
                "From post to opened: share of bulletins that took at most so long",
                waited.milliseconds,
                "ms",
                [(latency.P50_BAR_MS, "bar, p50"), (latency.P99_BAR_MS, "bar, p99")],
            ),
        },
    )
    return report, outcome


def _submissions_plot(outcome: submissions.Outcome) -> str:
    rows = [
        BarRow(f"round {n}: hub on one core", each.ratio, f"{each.ratio:.2f}")
        for n, each in enumerate(outcome.rounds, 1)
    ]
    rows += [
        BarRow(f"round {n}: hub on both cores", each.ratio, f"{each.ratio:.2f}")
        for n, each in enumerate(outcome.free_rounds, 1)
    ]
    title = "Submissions: the hub's rate as a share of FastAPI's echo of the same bytes"
    return bars(title, rows, (submissions.BAR, f"bar {submissions.BAR}"))


def main() -> int:
    """Measure, print the table and JSON, and write the report."""
    arguments = argparse.ArgumentParser(prog="make bench", description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="a little of everything")
    arguments.add_argument("--docs", type=Path, help="write the report here; docs/ by default")
    chosen = arguments.parse_args()
    if not wrk.installed():
        print("wrk is needed: as root on Debian, `make bench` installs it", file=sys.stderr)
        return 2
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="barid-bench-") as name:
        report, outcome = measure(Path(name), QUICK if chosen.quick else FULL)
    print(report.machine)
    print(table(report.sections))
    print(report.as_json(), end="")
    if not chosen.quick and outcome.ceiling < submissions.CEILING_MIN:
        print(
            f"This run failed: on raw ASGI wrk reached {outcome.ceiling:.2f} times the echo, and "
            f"{submissions.CEILING_MIN} is needed to tell hub from load generator.",
            file=sys.stderr,
        )
        return 1
    docs = chosen.docs or (None if chosen.quick else ROOT / "docs")
    if docs is not None:
        report.write(docs)
    _tell(f"done in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
