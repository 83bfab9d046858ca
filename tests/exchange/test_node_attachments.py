"""Attachments between real nodes through a real hub: from one agency's file to the other's."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exchange.live import LiveHub, new_id
from tests.exchange.nodes import LiveNode, document, live_exchange, wait_for

Exchange = tuple[LiveHub, dict[str, LiveNode]]

SIZE_BYTES = 9 * 1024 * 1024 + 17
PIECE_BYTES = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A hub with the nodes of Libya and Tunisia."""
    with live_exchange(tmp_path_factory.mktemp("attachments"), "ly", "tn") as running:
        yield running


def enclosing(plaintext: bytes) -> tuple[str, str, bytes]:
    """A bulletin of ly/main with one attachment: its id, the attachment's, the document."""
    attachment = {
        "id": new_id(),
        "name": "aerial photograph.jpg",
        "media_type": "image/jpeg",
        "size": len(plaintext),
        "sha256": hashlib.sha256(plaintext).hexdigest(),
    }
    bulletin_id, data = document("ly/main", "with a photograph", attachments=[attachment])
    return bulletin_id, str(attachment["id"]), data


def upload(node: LiveNode, bulletin_id: str, attachment_id: str, plaintext: bytes) -> None:
    """Upload in pieces, as an agency does."""
    path = f"/bulletins/{bulletin_id}/attachments/{attachment_id}"
    query = {"size": len(plaintext), "sha256": hashlib.sha256(plaintext).hexdigest()}
    for offset in range(0, max(1, len(plaintext)), PIECE_BYTES):
        answer = node.call(
            "PUT",
            path,
            params=query,
            content=plaintext[offset : offset + PIECE_BYTES],
            headers={"Upload-Offset": str(offset)},
        )
        assert answer.status_code == 200, answer.text


def test_a_file_arrives_byte_for_byte(exchange: Exchange) -> None:
    """Uploaded, sealed, carried, fetched, opened, delivered, downloaded; neither disk nor hub saw it."""
    hub, nodes = exchange
    plaintext = secrets.token_bytes(SIZE_BYTES)
    bulletin_id, attachment_id, sent = enclosing(plaintext)
    early = nodes["ly"].send(sent, "tn/main")
    assert (early.status_code, early.json()["missing"]) == (409, [attachment_id])
    upload(nodes["ly"], bulletin_id, attachment_id, plaintext)
    assert nodes["ly"].send(sent, "tn/main").status_code == 202
    wait_for(lambda: nodes["ly"].states(bulletin_id) == {"tn/main": "delivered"})
    path = f"/inbox/ly/main/{bulletin_id}/attachments/{attachment_id}"
    answer = nodes["tn"].call("GET", path)
    assert (answer.status_code, answer.content == plaintext) == (200, True)
    marker = plaintext[5_000_000:5_000_032]
    for folder in (hub.data, nodes["ly"].data, nodes["tn"].data):
        files = [each.read_bytes() for each in _files(folder)]
        assert any(len(each) > SIZE_BYTES for each in files)
        assert not any(marker in each for each in files)


def test_an_empty_file_arrives(exchange: Exchange) -> None:
    """It is one chunk, and an attachment like any other."""
    _, nodes = exchange
    bulletin_id, attachment_id, sent = enclosing(b"")
    upload(nodes["ly"], bulletin_id, attachment_id, b"")
    assert nodes["ly"].send(sent, "tn/main").status_code == 202
    wait_for(lambda: nodes["ly"].states(bulletin_id) == {"tn/main": "delivered"})
    answer = nodes["tn"].call("GET", f"/inbox/ly/main/{bulletin_id}/attachments/{attachment_id}")
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_bulletin_without_attachments_is_not_kept_waiting(exchange: Exchange) -> None:
    """It is delivered while a large one is still on its way, or long before."""
    _, nodes = exchange
    large = secrets.token_bytes(4 * SIZE_BYTES)
    slow_id, attachment_id, slow = enclosing(large)
    upload(nodes["ly"], slow_id, attachment_id, large)
    assert nodes["ly"].send(slow, "tn/main").status_code == 202
    quick_id, quick = document("ly/main", "no attachment")
    assert nodes["ly"].send(quick, "tn/main").status_code == 202
    wait_for(lambda: nodes["ly"].states(quick_id) == {"tn/main": "delivered"})
    wait_for(lambda: nodes["ly"].states(slow_id) == {"tn/main": "delivered"}, 40)
    assert _index(nodes["ly"], quick_id) < _index(nodes["ly"], slow_id)


def test_a_hub_that_alters_an_attachment_is_caught(exchange: Exchange) -> None:
    """The recipient answers nothing and alarms; with the right bytes it is delivered."""
    hub, nodes = exchange
    plaintext = secrets.token_bytes(300_000)
    bulletin_id, attachment_id, sent = enclosing(plaintext)
    nodes["tn"].stop()
    upload(nodes["ly"], bulletin_id, attachment_id, plaintext)
    assert nodes["ly"].send(sent, "tn/main").status_code == 202
    wait_for(lambda: nodes["ly"].states(bulletin_id) == {"tn/main": "accepted"})
    [sealed] = nodes["ly"].data.rglob(f"*.{attachment_id}")
    right = sealed.read_bytes()
    [stored] = [each for each in _files(hub.data) if each.read_bytes() == right]
    stored.write_bytes(right[:1000] + bytes([right[1000] ^ 1]) + right[1001:])
    nodes["tn"].start()
    wait_for(lambda: "hub-fault" in _alarms(nodes["tn"]))
    assert nodes["ly"].states(bulletin_id) == {"tn/main": "accepted"}
    stored.write_bytes(right)
    wait_for(lambda: nodes["ly"].states(bulletin_id) == {"tn/main": "delivered"})


def _files(folder: Path) -> list[Path]:
    return [each for each in sorted(folder.rglob("*")) if each.is_file()]


def _index(node: LiveNode, bulletin_id: str) -> int:
    [envelope] = node.call("GET", f"/bulletins/{bulletin_id}").json()["envelopes"]
    return int(envelope["receipt"]["index"])


def _alarms(node: LiveNode) -> set[str]:
    # The status is the node's, not a desk's.
    listed = node.call("GET", "/../../../status").json()["alarms"]
    return {each["kind"] for each in listed}
