"""Submissions a second of one hub process, beside FastAPI's echo of the very same bytes.

May import the rooms of the bench; `__main__` calls it. Rounds of hub, echo and bare ASGI take turns, so that
a machine that others use disturbs all three alike; what counts is the median of the rounds' ratios.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from broker.db import open_sqlite, reading
from broker.hub.logbook import read_head
from tests.bench import wrk
from tests.bench.figures import Bar, Figure
from tests.bench.prepared import Generator, Sealed
from tests.bench.processes import Cores, server
from tests.bench.targets import TARGETS
from tests.bench.world import BenchExchange
from tests.exchange.live import free_port

CEILING_MIN: Final = 2.0
"""Bare ASGI must answer so many times as fast as the echo, else the load generator is what was measured."""

BAR: Final = 0.35
_COMPARED_SECONDS: Final = 3
_HUB_SECONDS_MAX: Final = 50
_WARM_UP: Final = 512


@dataclass(frozen=True, slots=True)
class Turn:
    """What one server did under load, and the processor time of each answer in microseconds."""

    load: wrk.Load
    microseconds: float


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of each."""

    hub: Turn
    echo: Turn
    raw: Turn

    @property
    def ratio(self) -> float:
        """Of the hub's rate to the echo's."""
        return self.hub.load.rate / self.echo.load.rate


@dataclass(frozen=True, slots=True)
class Outcome:
    """All rounds, and what the hub's process was like after them."""

    rounds: tuple[Round, ...]
    """Hub, echo and raw ASGI on one core, wrk on the other."""
    free_rounds: tuple[Round, ...]
    """The same where they may also use what wrk leaves of its core."""
    envelope_bytes: int
    memory_mib: float

    @property
    def hub_rate(self) -> float:
        """The median of the rounds, a second."""
        return median(each.hub.load.rate for each in self.rounds)

    @property
    def ceiling(self) -> float:
        """How many times as fast as the echo bare ASGI was."""
        return median(each.raw.load.rate / each.echo.load.rate for each in self.rounds)

    def figures(self) -> list[Figure]:
        """The rows of the table."""
        ratios = [each.ratio for each in self.rounds]
        free = [each.ratio for each in self.free_rounds]
        hub_cost = median(each.hub.microseconds for each in self.rounds)
        echo_cost = median(each.echo.microseconds for each in self.rounds)
        at_once = f"{wrk.CONNECTIONS} at once"
        return [
            Figure("hub against FastAPI's echo", median(ratios), "x", Bar(BAR), _spread(ratios)),
            Figure("the same by processor time", echo_cost / hub_cost, "x", remark="less noisy"),
            Figure(
                "the same where both may use both cores", median(free), "x", remark=_spread(free)
            ),
            Figure("hub: verified, logged, on the disk", self.hub_rate, "/s"),
            Figure(
                "FastAPI's echo of the same bytes",
                median(each.echo.load.rate for each in self.rounds),
                "/s",
            ),
            Figure(
                "wrk's ceiling on raw ASGI",
                median(each.raw.load.rate for each in self.rounds),
                "/s",
                remark="the run fails below its bar",
            ),
            Figure("that ceiling against the echo", self.ceiling, "x", Bar(CEILING_MIN)),
            Figure("processor time of a submission", hub_cost, "µs"),
            Figure("processor time of an echo", echo_cost, "µs"),
            Figure(
                "a submission answered, p50",
                median(each.hub.load.p50_ms for each in self.rounds),
                "ms",
                remark=at_once,
            ),
            Figure(
                "a submission answered, p99",
                median(each.hub.load.p99_ms for each in self.rounds),
                "ms",
                remark=at_once,
            ),
            Figure("an envelope for 3 desks, JSON", self.envelope_bytes / 1000, "KB"),
            Figure("the hub's memory afterwards", self.memory_mib, "MiB", Bar(200, at_most=True)),
        ]


def _spread(ratios: Sequence[float]) -> str:
    return f"median of {len(ratios)} rounds, {min(ratios):.2f} to {max(ratios):.2f}"


def measure(
    exchange: BenchExchange,
    rounds: int,
    envelopes: int,
    tell: Callable[[str], None],
) -> Outcome:
    """Play `envelopes` distinct submissions to the hub in each round, between runs of echo and raw ASGI.

    Args:
        exchange: its hub is not being served.
        rounds: with everything on one core; half as many follow with both.
        envelopes: in each round.
        tell: told what is going on.

    Raises:
        RuntimeError: a request was refused, or the log does not hold what was answered.
    """
    generator = Generator(exchange)
    free_rounds = -(-rounds // 2)
    tell(f"sealing {(rounds + free_rounds) * envelopes + _WARM_UP:,} envelopes")
    warm_up = generator.seal(_WARM_UP)
    sealed = [generator.seal(envelopes) for _ in range(rounds + free_rounds)]
    before = _log_size(exchange)
    with exchange.serving(exchange.cores.server) as hub, _targets(exchange) as targets:
        players = Players(exchange, generator, hub, targets)
        players.hub(warm_up)
        done = [players.round(batch, tell) for batch in sealed[:rounds]]
        for process in (hub, *(process for _, process in targets.values())):
            _free(process.pid, exchange.cores)
        free = [players.round(batch, tell) for batch in sealed[rounds:]]
        memory_mib = float(hub.memory_info().rss) / (1 << 20)
    logged = _log_size(exchange) - before
    # What wrk had asked when its file ended, and not counted, may have been logged as well.
    slack = (len(sealed) + 1) * wrk.CONNECTIONS
    if not players.answered <= logged <= players.answered + slack:
        raise RuntimeError(f"{players.answered} submissions were answered, {logged} logged")
    return Outcome(tuple(done), tuple(free), len(sealed[0][0].body), memory_mib)


@dataclass
class Players:
    """Plays rounds, and counts what the hub answered."""

    exchange: BenchExchange
    generator: Generator
    process: psutil.Process
    targets: dict[str, tuple[int, psutil.Process]]
    answered: int = 0

    def round(self, batch: Sequence[Sealed], tell: Callable[[str], None]) -> Round:
        """The hub once through the batch, then the others with the same bytes."""
        played = Round(self.hub(batch), *(self._other(what) for what in TARGETS))
        tell(
            f"hub {played.hub.load.rate:,.0f}/s, echo {played.echo.load.rate:,.0f}/s, "
            f"raw ASGI {played.raw.load.rate:,.0f}/s, ratio {played.ratio:.3f}"
        )
        return played

    def hub(self, batch: Sequence[Sealed]) -> Turn:
        """Every submission of a batch once."""
        ends = self.generator.write_requests(self._file, batch)
        port = self.exchange.hub.port
        turn = self._turn("the hub", port, self.process, _HUB_SECONDS_MAX, once=True)
        self.answered += turn.load.answered
        if time.time() > ends:
            raise RuntimeError("the requests' signatures ended before they were all sent")
        return turn

    def _other(self, what: str) -> Turn:
        port, process = self.targets[what]
        return self._turn(what, port, process, _COMPARED_SECONDS, once=False)

    @property
    def _file(self) -> Path:
        return self.exchange.folder / "requests"

    def _turn(
        self, what: str, port: int, process: psutil.Process, seconds: int, *, once: bool
    ) -> Turn:
        before = process.cpu_times()
        running = wrk.start(port, self._file, self.exchange.cores.load, seconds=seconds, once=once)
        load = wrk.finish(running).checked(what)
        after = process.cpu_times()
        used = after.user + after.system - before.user - before.system
        return Turn(load, used / load.answered * 1_000_000)


def _free(process_id: int, cores: Cores) -> None:
    both = f"{cores.server},{cores.load}"
    subprocess.run(
        ["taskset", "--all-tasks", "--cpu-list", "--pid", both, str(process_id)],
        check=True,
        stdout=subprocess.DEVNULL,
    )


@contextmanager
def _targets(exchange: BenchExchange) -> Iterator[dict[str, tuple[int, psutil.Process]]]:
    """Echo and raw ASGI, on the hub's core; while one is measured the others wait."""
    certificate, key = map(str, exchange.certificate)
    with ExitStack() as stack:
        served = {}
        for what in TARGETS:
            port = free_port()
            arguments = ("-m", "tests.bench.targets", what, str(port), certificate, key)
            log = exchange.folder / f"{what}.log"
            process = server(log, port, *arguments, core=exchange.cores.server)
            served[what] = (port, stack.enter_context(process))
        yield served


def _log_size(exchange: BenchExchange) -> int:
    engine = open_sqlite(exchange.hub.data / "hub.db")
    try:
        with reading(engine) as connection:
            return read_head(connection, "exchange").size
    finally:
        engine.dispose()
