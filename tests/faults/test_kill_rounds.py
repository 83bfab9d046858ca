"""kill -9 of the hub and of both nodes, round after round: nothing taken is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.audit.report import AuditReport
from broker.audit.seen import SeenStore
from broker.audit.verify import verify_exchange
from broker.hub.setup import open_ledger
from schemas.errors import HubUnreachable
from schemas.loader import dump_json, parse
from schemas.problems import PROBLEM_BYTES_MAX
from schemas.receipts import Receipt
from tests.exchange.hostile_sealing import bulletin
from tests.exchange.live import LiveHub, now, run
from tests.exchange.nodes import LiveNode, document, wait_for
from tests.faults.hub_process import check_receipts
from tests.faults.served import ServedExchange, running

SOAK = bool(os.environ.get("BARID_SOAK"))
ROUNDS = int(os.environ.get("BARID_SOAK_KILLS", "300")) if SOAK else 25
EACH_ROUND = 2
"""Bulletins that Libya's agency hands to its node in a round, and as many that Algeria submits by hand."""

VICTIMS = ("hub", "hub", "ly", "tn")
KILLED_WITHIN_SECONDS = 0.5
WAIT_SECONDS = 120.0
RETRY_SECONDS = 0.05
BY_HAND = "dz/main"
PAGE = 100


def _hand_in(node: LiveNode, content: bytes) -> None:
    """As an agency that hears no answer and tries again."""
    wait_for(partial(_taken, node, content), WAIT_SECONDS)


def _taken(node: LiveNode, content: bytes) -> bool:
    try:
        status = node.send(content, "tn/main").status_code
    except httpx.HTTPError:
        return False
    # A node that has just started and has not yet read the directory says 503.
    assert status in {202, 503}
    return status == 202


async def _submit(hub: LiveHub, envelope: bytes) -> Receipt:
    """As a sender that hears no answer and submits the same bytes again."""
    deadline = time.monotonic() + WAIT_SECONDS
    async with hub.client(BY_HAND) as client:
        while True:
            try:
                return await client.submit(envelope)
            except HubUnreachable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(RETRY_SECONDS)


def _inbox(node: LiveNode) -> list[str]:
    """Every bulletin id that the inbox lists, page after page."""
    ids: list[str] = []
    query: dict[str, Any] = {"limit": PAGE}
    while True:
        page = node.call("GET", "/inbox", params=query).json()
        ids += [each["id"] for each in page["bulletins"]]
        if "next" not in page:
            return ids
        query["after"] = page["next"]


def _receipts(node: LiveNode, bulletin_ids: list[str]) -> Iterator[Receipt]:
    """Every receipt that the sender's node keeps."""
    for bulletin_id in bulletin_ids:
        view = node.call("GET", f"/bulletins/{bulletin_id}").json()
        for envelope in view["envelopes"]:
            yield parse(Receipt, dump_json(envelope["receipt"]), PROBLEM_BYTES_MAX)


async def _audit(hub: LiveHub, folder: Path) -> AuditReport:
    async with hub.client("auc/audit") as client:
        return await verify_exchange(client, hub.invitation, SeenStore(folder), now)


def _sealed(hub: LiveHub, count: int) -> dict[str, bytes]:
    """Envelopes of Algeria by bulletin id; the directory and the keys are read beside the hub's process."""
    hub.ledger = open_ledger(hub.data, hub.keystore, hub.now_unix)

    def has_key() -> bool:
        hub.ledger.catch_up()
        return hub.ledger.state.sealing_key("tn/main", now()) is not None

    wait_for(has_key)
    outgoing = [bulletin(hub, BY_HAND) for _ in range(count)]
    sealed = {each.bulletin_id: dump_json(hub.seal(each, "tn/main")) for each in outgoing}
    hub.ledger.engine.dispose()
    return sealed


class Rounds:
    """What was sent, and what was answered to whoever sent it."""

    def __init__(self, exchange: ServedExchange, chance: random.Random) -> None:
        self.exchange = exchange
        self.chance = chance
        self.by_node = dict(document("ly/main", f"number {n}") for n in range(ROUNDS * EACH_ROUND))
        self.by_hand = _sealed(exchange.hub, ROUNDS * EACH_ROUND)
        self.receipts: dict[str, Receipt] = {}
        self.killed: Counter[str] = Counter()

    def play(self) -> None:
        """Kill one of the three in each round, while two are being sent to."""
        contents, envelopes = list(self.by_node.values()), list(self.by_hand.items())
        with ThreadPoolExecutor(2) as pool:
            for start in range(0, len(contents), EACH_ROUND):
                end = start + EACH_ROUND
                sending = [
                    pool.submit(self._agency, contents[start:end]),
                    pool.submit(self._sender, envelopes[start:end]),
                ]
                time.sleep(self.chance.uniform(0.0, KILLED_WITHIN_SECONDS))
                victim = self.chance.choice(VICTIMS)
                self.killed[victim] += 1
                self.exchange.restart(victim)
                for each in wait(sending).done:
                    each.result()

    def _agency(self, contents: list[bytes]) -> None:
        for content in contents:
            _hand_in(self.exchange.ly, content)

    def _sender(self, envelopes: list[tuple[str, bytes]]) -> None:
        for bulletin_id, envelope in envelopes:
            self.receipts[bulletin_id] = run(_submit(self.exchange.hub, envelope))


@pytest.mark.timeout(3600 if SOAK else 400)
def test_killed_round_after_round(tmp_path: Path) -> None:
    """Whoever dies: each bulletin arrives once, every receipt that was given holds, the audit is sound."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - a failure must be repeatable
    with running(tmp_path) as exchange:
        ly, tn, hub = exchange.ly, exchange.tn, exchange.hub
        rounds = Rounds(exchange, random.Random(seed))
        rounds.play()
        sent = [*rounds.by_node, *rounds.by_hand]
        wait_for(lambda: len(_inbox(tn)) >= len(sent), WAIT_SECONDS)
        delivered = {"tn/main": "delivered"}
        wait_for(lambda: all(ly.states(each) == delivered for each in rounds.by_node), WAIT_SECONDS)
        assert Counter(_inbox(tn)) == Counter(sent)
        by_node = list(_receipts(ly, list(rounds.by_node)))
        report = run(_audit(hub, tmp_path))
    assert report.findings == ()
    assert len(by_node) == len(rounds.by_node)
    given = [*by_node, *rounds.receipts.values()]
    check_receipts(hub, dict(enumerate(given)))
    assert len({receipt.index for receipt in given}) == len(sent)
    print(f"{ROUNDS} rounds, killed: {dict(rounds.killed)}, {len(sent)} bulletins")  # noqa: T201
