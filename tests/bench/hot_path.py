"""The profile of the hot path: what each step of one submission costs the hub, on one thread.

May import the hub's rooms and the exchange of `world`; `__main__` calls it. Processor time is measured, so
that others on the machine disturb little, and so the steps add up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from broker.hub.relay import Relay, judge, read_submission
from broker.hub.setup import open_ledger
from keys.requests import Request, sign_request, verify_request
from schemas.limits import REQUEST_LIFE_SECONDS_MAX
from schemas.loader import dump_json
from tests.bench.figures import Figure, Section
from tests.bench.prepared import PATH, Sealed
from tests.bench.world import BenchExchange
from tests.exchange.live import EXCHANGE

BATCH: Final = 32
ENVELOPES: Final = 512

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a submission, and its processor time in microseconds."""

    what: str
    microseconds: float


def _cost(
    what: str, work: Callable[[Item], Made], items: Sequence[Item]
) -> tuple[Step, list[Made]]:
    start = time.process_time()
    made = [work(item) for item in items]
    return Step(what, (time.process_time() - start) / len(items) * 1_000_000), made


def profile(exchange: BenchExchange, sealed: Sequence[Sealed]) -> list[Step]:
    """Take submissions through the hub's own functions, step by step; they are logged for good.

    Args:
        exchange: its hub is not being served.
        sealed: none was submitted before; at least two batches.
    """
    hub = exchange.hub
    at = int(time.time())
    moment = datetime.fromtimestamp(at, UTC)
    ledger = open_ledger(hub.data, hub.keystore, lambda: at)
    state, directory = ledger.state, ledger.state.directory
    if directory is None:
        raise RuntimeError("no directory is in force")

    def request_key(keyid: str) -> bytes | None:
        desk = directory.desk_by_request_keyid(keyid)
        view = None if desk is None else directory.desk(desk, moment)
        return None if view is None else view.request_key

    def signed(each: Sealed) -> Request:
        plain = Request("POST", f"127.0.0.1:{hub.port}", PATH, body=each.body)
        fields = sign_request(plain, hub.desks[each.sender].request, EXCHANGE, at)
        return Request("POST", plain.authority, PATH, "", tuple(fields.items()), each.body)

    requests = [signed(each) for each in sealed]
    steps: list[Step] = []

    def step(what: str, work: Callable[[Any], Made], items: Sequence[Any]) -> list[Made]:
        # The first few load keys and rules, which then stay.
        for item in items[:BATCH]:
            work(item)
        cost, made = _cost(what, work, items)
        steps.append(cost)
        return made

    try:
        step("request signature", lambda each: verify_request(each, request_key, at), requests)
        submissions = step(
            "envelope parsed", lambda each: read_submission(each.body, each.sender), sealed
        )
        verdicts = step(
            "signature pair, rules", lambda each: judge(each, state, moment), submissions
        )
        works = [
            Relay(submission, verdict, state.size, moment)
            for submission, verdict in zip(submissions, verdicts, strict=True)
        ]
        nonces = [(f"{number:032x}", at + REQUEST_LIFE_SECONDS_MAX) for number in range(BATCH)]
        batches = [works[first : first + BATCH] for first in range(0, len(works), BATCH)]
        cost, answers = _cost("", lambda batch: ledger.commit(batch, nonces), batches)
        steps.append(Step(f"committed, {BATCH} together", cost.microseconds / BATCH))
        receipts = [receipt for batch in answers for receipt in batch]
        step("receipt written", dump_json, receipts)
    finally:
        ledger.engine.dispose()
    return steps


def section(steps: Iterable[Step]) -> Section:
    """The rows of the table."""
    figures = [Figure(each.what, each.microseconds, "µs") for each in steps]
    total = sum(each.value for each in figures)
    figures.append(Figure("all of it, without HTTP and TLS", total, "µs"))
    return Section("the hot path, processor time of a submission", tuple(figures))
