"""A node is stolen at night: its member revokes it with one command, and reads what waited on another one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.client import HubClient
from broker.node.home import DeskKeys
from schemas.errors import Problem
from schemas.loader import dump_json
from tests.exchange.live import EXCHANGE, LiveHub, free_port, run
from tests.exchange.memberships import beside
from tests.exchange.nodes import LiveNode, document, live_exchange, wait_for
from tests.unit.cli.conftest import make_barid
from tests.unit.cli.founding import Barid
from tests.unit.cli.founding import run as command

DESK = "ly/main"


@pytest.fixture
def barid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Barid:
    """The command as the officer on duty types it."""
    return make_barid(tmp_path, monkeypatch)


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[tuple[LiveHub, dict[str, LiveNode]]]:
    """A hub, and the nodes of Libya and Tunisia."""
    with live_exchange(tmp_path / "exchange", "ly", "tn") as (hub, nodes):
        yield hub, nodes


def enrolled(barid: Barid, hub: LiveHub, data: Path) -> LiveNode:
    """A new machine for the main desk, made by command; not started yet."""
    invitation = data.with_suffix(".invitation.json")
    invitation.write_bytes(dump_json(hub.invitation))
    node = LiveNode.__new__(LiveNode)
    node.data, node.member, node.port = data, "ly", free_port()
    node._server, node._thread = None, None
    command(
        barid,
        *("node", "enrol", "--data", data, "--invitation", invitation, "--member", "ly"),
        *("--desk", "main", "--listen", f"127.0.0.1:{node.port}"),
    )
    return node


async def _is_refused(hub: LiveHub, keys: DeskKeys, other: DeskKeys) -> None:
    """What a thief calls for or signs: 401, and no statement of the stolen identity counts."""
    async with HubClient(hub.invitation.hub, EXCHANGE, keys.request, hub.now_unix) as client:
        with pytest.raises(Problem, match="unknown-key") as problem:
            await client.inbox(DESK, limit=1)
        assert problem.value.type.status == 401
        with pytest.raises(Problem, match="unknown-key"):
            await client.submit(
                dump_json(hub.seal(hub.outgoing(DESK), "tn/main", identity=keys.node))
            )
    async with HubClient(hub.invitation.hub, EXCHANGE, other.request, hub.now_unix) as client:
        with pytest.raises(Problem, match="not-sender"):
            await client.submit(
                dump_json(hub.seal(hub.outgoing(DESK), "tn/main", identity=keys.node))
            )


def test_a_stolen_node(
    exchange: tuple[LiveHub, dict[str, LiveNode]], barid: Barid, tmp_path: Path
) -> None:
    """Revoked in one command, refused by hub and members, replaced; nothing that was sent is lost."""
    hub, nodes = exchange
    ly, tn = nodes["ly"], nodes["tn"]
    read, content = document("tn/main", "read before the night")
    assert tn.send(content, DESK).status_code == 202
    wait_for(lambda: tn.states(read)[DESK] == "delivered")
    with beside(ly) as home:
        stolen, other = home.desks[DESK], home.desks["ly/judicial"]
    ly.stop()
    sealed, content = document("tn/main", "sealed to the stolen key")
    assert tn.send(content, DESK).status_code == 202
    wait_for(lambda: tn.states(sealed)[DESK] == "accepted")

    told = command(barid, "member", "revoke", "--data", ly.data, "--desk", "main")
    assert "In force: entry" in told
    hub.ledger.catch_up()
    directory = hub.ledger.state.directory
    assert directory is not None
    view = directory.desk(DESK, hub.moment())
    assert view is not None
    assert (view.node, view.request_key) == (None, None)
    run(_is_refused(hub, stolen, other))
    entry = hub.directory_ref.index
    wait_for(lambda: tn.status()["logs"]["directory_entry"] == entry)
    waiting, content = document("tn/main", "waits for new keys")
    assert tn.send(content, DESK).status_code == 202
    wait_for(lambda: tn.states(waiting)[DESK] == "waiting")

    fresh = enrolled(barid, hub, tmp_path / "ly-new")
    request = fresh.data / "desk-request.json"
    command(barid, "member", "add", "--data", ly.data, "--desk-request", request)
    fresh.start()
    try:
        wait_for(lambda: tn.states(waiting)[DESK] == "delivered")
        wait_for(lambda: tn.states(sealed)[DESK] == "delivered")
        shown = sorted(each["id"] for each in fresh.inbox())
        assert shown == sorted([sealed, waiting])
    finally:
        fresh.stop()


def test_one_key_is_not_enough(
    exchange: tuple[LiveHub, dict[str, LiveNode]], barid: Barid, tmp_path: Path
) -> None:
    """A key that the directory does not name for the member revokes nothing, and says so."""
    hub, nodes = exchange
    command(
        barid,
        *("trust", "keygen", "--out", tmp_path / "k", "--exchange", EXCHANGE, "--name", "nobody"),
    )
    before = hub.directory_ref
    result = barid(
        *("member", "revoke", "--data", nodes["ly"].data, "--desk", "main"),
        *("--key", tmp_path / "k"),
    )
    assert "nothing in this proposal is for the key" in result.stderr
    hub.ledger.catch_up()
    assert hub.directory_ref == before
