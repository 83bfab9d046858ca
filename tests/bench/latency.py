"""From post to opened: how long a bulletin takes from its sender's node into its recipient's inbox.

May import `broker.node`, `tests.exchange.nodes` and the rooms of the bench; `__main__` calls it. Hub and both
nodes are processes on this machine, while the hub bears a tenth of the load that it was measured to bear.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import httpx
from sqlalchemy import Engine, text

from broker.client import tls_context
from broker.db import reading, writing
from broker.node.api.tokens import Action, create_token
from broker.node.home import look_home, open_home
from broker.node.setup import join_node
from schemas.bulletin.vocabularies import Kind
from schemas.loader import dump_json
from tests.bench import wrk
from tests.bench.figures import Bar, Figure, Section
from tests.bench.prepared import Generator
from tests.bench.processes import server
from tests.bench.world import BenchExchange
from tests.exchange.live import PASSPHRASE, now
from tests.exchange.nodes import LiveNode, document

P50_BAR_MS: Final = 50.0
P99_BAR_MS: Final = 250.0
SAMPLES: Final = 200

_ARRIVED: Final = text("SELECT 1 FROM incoming_bulletin WHERE bulletin_id = :id")
_LOAD_CONNECTIONS: Final = 8
_BETWEEN_SECONDS: Final = 0.2
_POLL_SECONDS: Final = 0.001
_WAIT_SECONDS: Final = 20.0
_WARM_UP: Final = 10
_LOAD_SECONDS_MAX: Final = 50
"""Requests are signed once, before: their signatures live a minute."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured: milliseconds of each bulletin, in the order sent, and the load meanwhile."""

    milliseconds: tuple[float, ...] = field(repr=False)
    load_per_second: float

    @property
    def section(self) -> Section:
        """The rows of the table."""
        p99 = quantiles(self.milliseconds, n=100)[98]
        remark = f"{len(self.milliseconds)} bulletins"
        return Section(
            "from post to opened at the recipient",
            (
                Figure(
                    "p50", median(self.milliseconds), "ms", Bar(P50_BAR_MS, at_most=True), remark
                ),
                Figure("p99", p99, "ms", Bar(P99_BAR_MS, at_most=True)),
                Figure("load on the hub meanwhile", self.load_per_second, "/s"),
            ),
        )


def measure(folder: Path, load_per_second: float, samples: int = SAMPLES) -> Outcome:
    """Post bulletins one after the other, under a steady load of others' submissions.

    Args:
        folder: everything is kept in it.
        load_per_second: submissions that the hub gets besides.
        samples: bulletins posted; fewer, if a minute is over before.
    """
    nodes = {member: LiveNode(folder / member, member) for member in ("ly", "tn")}
    exchange = BenchExchange(
        folder / "exchange", {member: node.request for member, node in nodes.items()}
    )
    for node in nodes.values():
        join_node(node.data, dump_json(exchange.hub.invitation))
    token = _token(nodes["ly"])
    seconds = min(_LOAD_SECONDS_MAX, samples * (_BETWEEN_SECONDS + 0.1) + 5)
    generator = Generator(exchange)
    sealed = generator.seal(int(load_per_second * seconds * 1.2) + _LOAD_CONNECTIONS)
    with exchange.serving(), ExitStack() as stack:
        for node in nodes.values():
            arguments = ("-m", "broker.cli", "node", "serve", "--data", str(node.data))
            log = folder / f"{node.member}.log"
            stack.enter_context(server(log, node.port, *arguments, passphrase=exchange.passphrase))
        with _inbox(nodes["tn"]) as inbox, _agency(nodes["ly"], token) as agency:
            _until_ready(agency)
            for _ in range(_WARM_UP):
                _post_and_wait(agency, inbox)
            requests = exchange.folder / "requests"
            generator.write_requests(requests, sealed)
            load = wrk.start(
                exchange.hub.port,
                requests,
                exchange.cores.load,
                seconds=int(seconds),
                once=True,
                connections=_LOAD_CONNECTIONS,
                pace_ms=max(1, round(1000 * _LOAD_CONNECTIONS / load_per_second)),
            )
            taken = list(_samples(agency, inbox, samples, time.monotonic() + seconds - 2))
            done = wrk.finish(load).checked("the hub under load")
    return Outcome(tuple(taken), done.rate)


def _samples(agency: httpx.Client, inbox: Engine, samples: int, until: float) -> Iterator[float]:
    for _ in range(samples):
        if time.monotonic() > until:
            return
        yield _post_and_wait(agency, inbox)
        time.sleep(_BETWEEN_SECONDS)


def _post_and_wait(agency: httpx.Client, inbox: Engine) -> float:
    """Milliseconds from the call of the sender's agency until the recipient's analysts would see it."""
    bulletin_id, data = document("ly/main", "measured", Kind.THREAT_BULLETIN)
    where = {"to": "tn/main", "precedence": "immediate"}
    start = time.perf_counter()
    agency.post("/bulletins", content=data, params=where).raise_for_status()
    deadline = time.monotonic() + _WAIT_SECONDS
    while not _has(inbox, bulletin_id):
        if time.monotonic() > deadline:
            raise RuntimeError("a bulletin did not arrive")
        time.sleep(_POLL_SECONDS)
    return (time.perf_counter() - start) * 1000


def _has(inbox: Engine, bulletin_id: str) -> bool:
    with reading(inbox) as connection:
        return connection.execute(_ARRIVED, {"id": bulletin_id}).first() is not None


@contextmanager
def _inbox(node: LiveNode) -> Iterator[Engine]:
    """The recipient's encrypted database, looked at from beside: asking its node would slow it down."""
    home = look_home(node.data, PASSPHRASE)
    try:
        yield home.engine
    finally:
        home.close()


@contextmanager
def _agency(node: LiveNode, token: str) -> Iterator[httpx.Client]:
    context = tls_context((node.data / "tls.crt").read_text("ascii"))
    with httpx.Client(
        verify=context,
        base_url=f"https://127.0.0.1:{node.port}/v1/desks/{node.member}/main",
        headers={"Authorization": f"Bearer {token}"},
        timeout=_WAIT_SECONDS,
    ) as client:
        yield client


def _token(node: LiveNode) -> str:
    home = open_home(node.data, PASSPHRASE)
    try:
        with writing(home.engine) as connection:
            return create_token(connection, f"{node.member}/main", list(Action), "bench", now())[1]
    finally:
        home.close()


def _until_ready(agency: httpx.Client) -> None:
    """Wait until the sender's node may seal to the recipient: both have announced their keys."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        _, data = document("ly/main", "may it?", Kind.THREAT_BULLETIN)
        answer = agency.post(
            "/bulletins/check", content=data, params={"to": "tn/main", "precedence": "routine"}
        )
        if answer.is_success:
            return
        time.sleep(0.1)
    raise RuntimeError("the nodes did not come up")
