"""Downloads of attachments: who may have them, whole or a range of bytes, and what a HEAD tells."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from broker.client import HubClient
from schemas.errors import Problem
from tests.exchange.acting import submit
from tests.exchange.attaching import (
    PIECE,
    Sealed,
    as_desk,
    downloaded,
    get,
    naming,
    offset_of,
    piece,
    signed,
    store,
)
from tests.exchange.live import LiveHub, run
from tests.exchange.raw import http, problem, rows, word


@pytest.fixture(scope="module")
def client(hub: LiveHub) -> Iterator[httpx.Client]:
    """One connection for all requests."""
    with http(hub) as opened:
        yield opened


@pytest.fixture(scope="module")
def sent(hub: LiveHub) -> Sealed:
    """An attachment of ly/main that an accepted envelope to tn/main names."""
    sealed = Sealed()
    store(hub, "ly/main", sealed)
    run(submit(hub, naming(hub, "ly/main", "tn/main", sealed=(sealed,))))
    return sealed


def test_a_stranger(hub: LiveHub, client: httpx.Client, sent: Sealed) -> None:
    """Who does not sign neither uploads, nor asks, nor downloads."""
    target = f"/v1/attachments/{sent.sha256}"
    assert word(client.get(target)) == "signature-missing"
    assert client.head(target).status_code == 401
    answer = client.put(sent.target, content=b"x", headers={"Upload-Offset": "0"})
    assert word(answer) == "signature-missing"


def test_who_may_download(hub: LiveHub, client: httpx.Client, sent: Sealed) -> None:
    """Its owner and the recipients of an accepted envelope that names it; for others it does not exist."""
    desks = ("ly/main", "tn/main", "ne/main", "ly/judicial", "tn/judicial", "auc/audit")
    statuses = {desk: get(client, hub, desk, sent).status_code for desk in desks}
    allowed = {"ly/main": 200, "tn/main": 200}
    assert statuses == {desk: allowed.get(desk, 404) for desk in desks}
    assert {d: get(client, hub, d, sent, "HEAD").status_code for d in desks} == statuses
    unknown = get(client, hub, "ne/main", Sealed())
    hidden = get(client, hub, "ne/main", sent)
    assert hidden.content == unknown.content


def test_an_uploader_who_is_not_done_downloads_nothing(hub: LiveHub, client: httpx.Client) -> None:
    """Neither what has come so far, nor what another desk has stored under the same hash."""
    sealed = Sealed()
    run(piece(hub, "ly/main", sealed, 0, sealed.data[:PIECE]))
    assert word(get(client, hub, "ly/main", sealed)) == "not-found"
    store(hub, "ne/main", sealed)
    assert word(get(client, hub, "ly/main", sealed)) == "not-found"


def test_what_a_head_tells(hub: LiveHub, client: httpx.Client, sent: Sealed) -> None:
    """An uploader the offset, a reader the length; a recipient that asks for its own upload has none."""

    def told(desk: str, target: str) -> tuple[int, str | None, str]:
        answer = client.head(target, headers=signed(hub, desk, "HEAD", target))
        headers = answer.headers
        return answer.status_code, headers.get("upload-offset"), headers["content-length"]

    bare_target = f"/v1/attachments/{sent.sha256}"
    assert told("ly/main", sent.target) == (200, str(sent.size), str(sent.size))
    assert told("ly/main", bare_target) == (200, None, str(sent.size))
    assert told("tn/main", sent.target) == (200, "0", str(sent.size))
    assert told("tn/main", bare_target) == (200, None, str(sent.size))
    assert told("ne/main", sent.target) == (200, "0", "0")
    assert told("ne/main", bare_target)[:2] == (404, None)


RANGES = [
    ("bytes=0-0", 0, 1),
    ("bytes=0-", 0, None),
    ("bytes=10-19", 10, 20),
    (f"bytes={PIECE - 1}-{PIECE}", PIECE - 1, PIECE + 1),
    ("bytes=-1", -1, None),
    ("bytes=-9999999999999999", 0, None),
    ("bytes=5-9999999999999999", 5, None),
    (f"bytes={3 * PIECE}-", 3 * PIECE, None),
]


@pytest.mark.parametrize(("asked", "start", "end"), RANGES, ids=[each[0] for each in RANGES])
def test_a_range(
    hub: LiveHub, client: httpx.Client, sent: Sealed, asked: str, start: int, end: int | None
) -> None:
    """One range of bytes, as RFC 9110 counts them, with what it is and of how many."""
    answer = get(client, hub, "tn/main", sent, Range=asked)
    expected = sent.data[start:end]
    first = start if start >= 0 else sent.size + start
    assert (answer.status_code, answer.content) == (206, expected)
    described = f"bytes {first}-{first + len(expected) - 1}/{sent.size}"
    assert answer.headers["content-range"] == described
    assert answer.headers["content-length"] == str(len(expected))


@pytest.mark.parametrize(
    "asked",
    [
        f"bytes={3 * PIECE + 1}-",
        "bytes=9999999999999999-",
        "bytes=5-4",
        "bytes=-0",
        "bytes=-",
        "bytes=0-1,3-4",
        "bytes=0-1, 3-4",
        "bytes= 0-1",
        "bytes=a-b",
        "bytes=0",
        "octets=0-1",
        "bytes=" + "9" * 17 + "-",
        "",
    ],
)
def test_a_range_that_is_none(hub: LiveHub, client: httpx.Client, sent: Sealed, asked: str) -> None:
    """A range outside the attachment, several, or none at all: refused with the size."""
    answer = get(client, hub, "tn/main", sent, Range=asked)
    assert (answer.status_code, word(answer)) == (416, "range")
    assert answer.headers["content-range"] == f"bytes */{sent.size}"
    assert problem(answer)["size"] == sent.size


def test_two_lines_of_ranges(hub: LiveHub, client: httpx.Client, sent: Sealed) -> None:
    """One line asks for one range; of two neither is served."""
    target = f"/v1/attachments/{sent.sha256}"
    fields = [*signed(hub, "tn/main", "GET", target).items(), *[("Range", "bytes=0-1")] * 2]
    answer = client.get(target, headers=fields)
    assert (answer.status_code, word(answer)) == (416, "range")


def test_the_whole_without_a_range(hub: LiveHub, client: httpx.Client, sent: Sealed) -> None:
    """All of it, with its length, and no shared cache may keep it."""
    answer = get(client, hub, "tn/main", sent)
    assert (answer.status_code, answer.content) == (200, sent.data)
    headers = {
        "content-length": str(sent.size),
        "accept-ranges": "bytes",
        "cache-control": "no-store",
    }
    assert {name: answer.headers[name] for name in headers} == headers


def test_a_download_goes_on_where_it_was_cut(hub: LiveHub, sent: Sealed) -> None:
    """From any offset to the end."""
    for offset in (1, PIECE, sent.size - 1):
        assert downloaded(hub, "tn/main", sent, offset) == sent.data[offset:]

    async def beyond(client: HubClient) -> None:
        async for _ in client.download(sent.sha256, sent.size, sent.size):
            pass

    with pytest.raises(Problem, match="range"):
        as_desk(hub, "tn/main", beyond)


@pytest.mark.parametrize("left", [None, b"", b"half of it"])
def test_an_object_that_is_damaged(hub: LiveHub, client: httpx.Client, left: bytes | None) -> None:
    """The hub says that it failed; its uploader brings the bytes again, and nothing more is logged."""
    sealed = Sealed()
    receipt = store(hub, "ly/main", sealed)
    run(submit(hub, naming(hub, "ly/main", "tn/main", sealed=(sealed,))))
    kept = hub.data / "attachments" / sealed.sha256
    kept.unlink()
    if left is not None:
        kept.write_bytes(left)
    assert word(get(client, hub, "tn/main", sealed)) == "internal"
    assert offset_of(hub, "ly/main", sealed) == 0
    before = rows(hub)
    assert store(hub, "ly/main", sealed).index == receipt.index
    assert rows(hub) == before
    assert downloaded(hub, "tn/main", sealed) == sealed.data
