"""Schemathesis over a node's OpenAPI document: whatever an agency sends, the node has an answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from requests.auth import AuthBase

from tests.exchange.crawling import Target, operations
from tests.exchange.live import LiveHub
from tests.exchange.nodes import LiveNode, document, live_exchange, wait_for

LEFT_OUT: dict[str, str] = {}
OPERATIONS = operations("node.json", LEFT_OUT)


class Bearer(AuthBase):
    """Carries the token of an agency in the place of whatever was made up."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the one header."""
        prepared.headers["Authorization"] = f"Bearer {self._token}"
        return prepared


@pytest.fixture(scope="module")
def exchange(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[LiveHub, dict[str, LiveNode]]]:
    """A hub, and the nodes of Libya and Tunisia, both serving."""
    folder: Path = tmp_path_factory.mktemp("crawled")
    with live_exchange(folder, "ly", "tn") as (hub, nodes):
        yield hub, nodes


@pytest.fixture(scope="module")
def places(exchange: tuple[LiveHub, dict[str, LiveNode]]) -> dict[str, str]:
    """What stands in paths: Libya's desk, a bulletin that it has sent, and one that it has received."""
    node, other = exchange[1]["ly"], exchange[1]["tn"]
    sent, data = document("ly/main", "sent")
    assert node.send(data, "tn/main").status_code == 202
    received, data = document("tn/main", "received")
    assert other.send(data, "ly/main").status_code == 202
    wait_for(lambda: [each["id"] for each in node.inbox()] == [received])
    own = {"member": "ly", "unit": "main", "sender_member": "tn", "sender_unit": "main"}
    return own | {"bulletin_id": sent, "received": received}


@pytest.mark.parametrize(
    "label", sorted(OPERATIONS), ids=lambda label: label.replace("{member}/{unit}", "_")
)
def test_the_node_answers_whatever_is_called(
    exchange: tuple[LiveHub, dict[str, LiveNode]], places: dict[str, str], label: str
) -> None:
    """No 500, every refusal a problem document, every answer as the document says."""
    node = exchange[1]["ly"]
    target = Target(
        url=f"https://127.0.0.1:{node.port}",
        certificate=node.data / "tls.crt",
        auth=Bearer(node.tokens["ly/main"]),
        own=places | ({"bulletin_id": places["received"]} if "sender_member" in label else {}),
    )
    target.crawl(OPERATIONS[label])
