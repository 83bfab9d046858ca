"""Nodes cosign what only grew, the hub collects it, and everybody sees whether a quorum stands for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.audit.seen import SeenStore
from broker.audit.verify import verify_exchange
from tests.exchange.live import LiveHub, now, run
from tests.exchange.nodes import LiveNode, document, live_exchange, wait_for

Exchange = tuple[LiveHub, dict[str, LiveNode]]


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """Three nodes are witnesses, of whom two must cosign."""
    with live_exchange(tmp_path_factory.mktemp("witnesses"), "dz", "ly", "tn", quorum=2) as live:
        yield live


def _steps(node: LiveNode, bulletin_id: str, recipient: str) -> list[str]:
    sent = node.call("GET", f"/bulletins/{bulletin_id}").json()
    (found,) = (each for each in sent["recipients"] if each["desk"] == recipient)
    return [step["state"] for step in found["steps"]]


def test_what_is_accepted_is_witnessed(exchange: Exchange) -> None:
    """A bulletin whose recipient has no node is accepted, then witnessed, and its sender sees both."""
    hub, nodes = exchange
    run(hub.announce("ml/main"))
    wait_for(lambda: nodes["ly"].status()["witnessed"])
    bulletin, data = document("ly/main", "to somebody who is away")
    wait_for(lambda: nodes["ly"].send(data, "ml/main").status_code == 202)
    wait_for(lambda: nodes["ly"].states(bulletin)["ml/main"] == "witnessed")
    assert _steps(nodes["ly"], bulletin, "ml/main")[-2:] == ["accepted", "witnessed"]
    assert nodes["ly"].call("GET", f"/bulletins/{bulletin}").json()["witnessed"]


def test_a_reader_sees_that_a_quorum_stands_for_it(exchange: Exchange) -> None:
    """What was received is marked as witnessed once it stands in a tree that a quorum cosigned."""
    _, nodes = exchange
    bulletin, data = document("ly/main", "to be read")
    assert nodes["ly"].send(data, "tn/main").status_code == 202
    path = f"/inbox/ly/main/{bulletin}"
    wait_for(lambda: nodes["tn"].call("GET", path).status_code == 200)
    wait_for(lambda: nodes["tn"].call("GET", path).json()["verified"]["witnessed"])
    assert nodes["tn"].call("GET", "/inbox").json()["witnessed"]


def test_an_auditor_holds_the_quorum_against_the_trees(exchange: Exchange, tmp_path: Path) -> None:
    """Without a finding; the report names who cosigned which trees."""
    hub, nodes = exchange
    wait_for(lambda: nodes["dz"].status()["witnessed"])

    async def audit() -> None:
        async with hub.client("auc/audit") as client:
            report = await verify_exchange(client, hub.invitation, SeenStore(tmp_path), now)
        assert report.findings == ()
        assert report.is_witnessed
        assert report.witnesses.named == ("dz", "ly", "tn")
        assert set(report.witnesses.logs) == {"directory", "exchange"}
        assert all(len(found.members) >= 2 for found in report.witnesses.logs.values())

    run(audit())
