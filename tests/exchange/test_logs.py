"""Both logs as anybody can check them: trees rebuilt from what is served, proofs, partial tiles."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from broker.fetched_tiles import over_tiles
from broker.hub.directory_log import Operate
from broker.hub.ledger import Answer, Batch
from broker.hub.logbook import LogName
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.merkle import consistency_path
from broker.tlog.proof import verify_consistency
from broker.tlog.receipt import LogVerifier
from broker.tlog.tiles import TILE_WIDTH, decode_entries, tile_path, tile_width
from schemas.errors import Problem, VerificationError
from tests.exchange.acting import refusal, submit, verified
from tests.exchange.forging import ForgedLog
from tests.exchange.live import LiveHub, live_hub, run
from tests.exchange.raw import http, send, signature

READER = "mr/judicial"
LOGS: tuple[LogName, ...] = ("directory", "exchange")
SIZES = (1, 2, 255, 256, 257, 300, 512, 700)
"""Of both logs, around the edges of tiles."""


@dataclass(frozen=True)
class Fill:
    """A work that appends one leaf to the exchange log: a tree does not ask what stands behind it."""

    number: int

    def apply(self, batch: Batch) -> Answer:
        """Append."""
        data = b'{"filler":%d}' % self.number
        index = batch.exchange.append(data, hashlib.sha256(data).digest(), None)
        return lambda _committed: index


def grow(hub: LiveHub, size: int) -> None:
    """Let both logs grow to `size` leaves, in one batch."""
    directory, exchange = hub.ledger.heads()
    works = [Operate("configuration")] * (size - directory.size)
    hub.ledger.commit([*works, *(Fill(n) for n in range(exchange.size, size))])


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub whose two logs have 700 entries each, and a real envelope first."""
    with live_hub(tmp_path_factory.mktemp("logs") / "hub") as serving:
        run(serving.announce("tn/main"))
        for size in SIZES[2:]:
            grow(serving, size)
        yield serving


def mth(leaves: list[bytes]) -> bytes:
    """The Merkle tree hash, as RFC 6962 section 2.1 writes it."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + mth(leaves[:split]) + mth(leaves[split:])).digest()


async def checkpoint(hub: LiveHub, log: LogName) -> Checkpoint:
    """The newest checkpoint as served; both of the log's keys must have signed it."""
    async with hub.client(READER) as client:
        text = await client.checkpoint(log, 1)
    keys = getattr(hub.invitation.logs, log)
    return LogVerifier.from_keys(keys).open(text, both=True)


async def bundles(hub: LiveHub, log: LogName, size: int) -> list[bytes]:
    """All leaf data of a tree, out of its entry bundles."""
    leaves: list[bytes] = []
    async with hub.client(READER) as client:
        for index in range(-(-size // TILE_WIDTH)):
            width = tile_width("entries", index, size)
            data = await client.tile(log, 1, tile_path("entries", index, width))
            leaves += decode_entries(data, width)
    return leaves


async def tiles(hub: LiveHub, log: LogName, level: int, size: int) -> list[bytes]:
    """All hashes of one level of tiles."""
    hashes = b""
    async with hub.client(READER) as client:
        index = 0
        while width := tile_width(level, index, size):
            data = await client.tile(log, 1, tile_path(level, index, width))
            assert len(data) == 32 * width
            hashes += data
            index += 1
    return [hashes[at : at + 32] for at in range(0, len(hashes), 32)]


@pytest.mark.parametrize("log", LOGS)
def test_the_tree_is_rebuilt(grown: LiveHub, log: LogName) -> None:
    """From the entry bundles alone the root comes out, and every tile is what the leaves make."""
    signed = run(checkpoint(grown, log))
    leaves = run(bundles(grown, log, signed.size))
    assert len(leaves) == signed.size >= 700
    assert mth(leaves) == signed.root
    assert run(tiles(grown, log, 0, signed.size)) == [mth([leaf]) for leaf in leaves]
    full = [leaves[at : at + 256] for at in range(0, len(leaves) - 255, 256)]
    assert run(tiles(grown, log, 1, signed.size)) == [mth(each) for each in full]


def test_the_bundles_are_the_entries(grown: LiveHub) -> None:
    """The directory log's leaf data are its entries; the exchange log's are 32 bytes that tell nothing."""
    for log in LOGS:
        size = run(checkpoint(grown, log)).size
        assert run(bundles(grown, log, size)) == ForgedLog.of(grown, log).data
    exchange = run(bundles(grown, "exchange", run(checkpoint(grown, "exchange")).size))
    assert {len(leaf) for leaf in exchange} == {32}


@pytest.mark.parametrize("log", LOGS)
def test_every_former_tree_is_the_beginning(grown: LiveHub, log: LogName) -> None:
    """A proof out of the tiles connects each size with the newest; another root it does not connect."""
    newest = run(checkpoint(grown, log))
    leaves = run(bundles(grown, log, newest.size))

    async def proof(size: int) -> list[bytes]:
        async with grown.client(READER) as client:
            return await over_tiles(
                client, log, 1, newest.size, lambda read: consistency_path(size, newest.size, read)
            )

    for size in SIZES:
        path: list[bytes] = run(proof(size))
        verify_consistency(size, mth(leaves[:size]), newest.size, newest.root, path)
        with pytest.raises(VerificationError):
            verify_consistency(size, mth(leaves[1 : size + 1]), newest.size, newest.root, path)


def test_partial_tiles_stay(grown: LiveHub) -> None:
    """A tile is served at every width that it ever had, and not beyond the tree."""
    size = run(checkpoint(grown, "exchange")).size
    last = (size - 1) // TILE_WIDTH
    width = tile_width(0, last, size)
    assert 1 < width < TILE_WIDTH

    async def tile(level: int, index: int, wide: int) -> bytes:
        async with grown.client(READER) as client:
            return await client.tile("exchange", 1, tile_path(level, index, wide))

    for index, wide in ((0, TILE_WIDTH), (last, width)):
        whole: bytes = run(tile(0, index, wide))
        for part in (1, 2, wide - 1):
            assert run(tile(0, index, part)) == whole[: 32 * part]
    beyond = (
        (0, last, width + 1),
        (0, last, TILE_WIDTH),
        (0, last + 1, 1),
        (1, 0, last + 1),
        (2, 0, 1),
    )
    for level, index, wide in beyond:
        assert refusal(tile(level, index, wide)).word == "not-found"


def test_an_early_receipt_holds_in_later_trees(hub: LiveHub) -> None:
    """Asked again, the hub proves the same entry within the newest tree; the first proof still holds."""
    envelopes = [hub.seal(hub.outgoing("ly/main"), "tn/main") for _ in range(12)]
    early = [run(submit(hub, envelope)) for envelope in envelopes]
    again = [run(submit(hub, envelope)) for envelope in envelopes]
    size = hub.ledger.heads()[1].size
    for before, after in zip(early, again, strict=True):
        old, new = verified(hub, before), verified(hub, after)
        assert (old.index, old.leaf, old.entry_bytes) == (new.index, new.leaf, new.entry_bytes)
        assert new.checkpoint.size == size
        if old.checkpoint.size == size:
            continue
        # A path belongs to its tree: within another it proves nothing.
        swapped = before.model_copy(update={"checkpoint": after.checkpoint})
        with pytest.raises(Problem, match="inclusion"):
            verified(hub, swapped)


def test_a_checkpoint_is_signed_by_both_keys(hub: LiveHub) -> None:
    """Each log's own pair and no other; a receipt's carries the Ed25519 line alone."""
    directory, exchange = (LogVerifier.from_keys(getattr(hub.invitation.logs, log)) for log in LOGS)
    texts = [head.checkpoint for head in hub.ledger.heads()]
    assert directory.open(texts[0], both=True).size == hub.ledger.heads()[0].size
    assert exchange.open(texts[1], both=True).size == hub.ledger.heads()[1].size
    for verifier, text in ((exchange, texts[0]), (directory, texts[1])):
        with pytest.raises(VerificationError):
            verifier.open(text, both=True)
    receipt = run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main")))
    assert receipt.checkpoint.count("\n— ") == 1
    with pytest.raises(VerificationError):
        exchange.open(receipt.checkpoint, both=True)


def test_what_is_served_as_tlog_tiles_says(grown: LiveHub) -> None:
    """Media types; tiles and bundles are kept for ever, a checkpoint is not; no empty tile, no other path."""
    with http(grown) as client:
        for log in LOGS:
            prefix = f"/v1/log/{log}/1"
            answer = send(client, grown, READER, "GET", f"{prefix}/checkpoint")
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert answer.headers["cache-control"] == "no-store"
            for path in ("0/000", "0/001.p/7", "1/000.p/2", "entries/000", "entries/001.p/7"):
                answer = send(client, grown, READER, "GET", f"{prefix}/tile/{path}")
                assert (answer.status_code, path) == (200, path)
                assert answer.headers["content-type"] == "application/octet-stream"
                assert "max-age=31536000, immutable" in answer.headers["cache-control"]
            for path in ("2/000.p/0", "1/000.p/0", "00/000", "0/0", "0/x000/000", "0/000.p/256"):
                answer = send(client, grown, READER, "GET", f"{prefix}/tile/{path}")
                assert (answer.status_code, path) == (404, path)


@pytest.mark.parametrize(
    ("asked", "log", "coding"),
    [
        ("gzip", "directory", "gzip"),
        ("identity, GZIP;q=0.5", "directory", "gzip"),
        ("identity", "directory", None),
        ("gzip;q=0, identity", "directory", None),
        # Hashes do not grow smaller.
        ("gzip", "exchange", None),
    ],
)
def test_bundles_are_compressed_for_who_asks(
    grown: LiveHub, asked: str, log: LogName, coding: str | None
) -> None:
    """Unpacked they are the same bytes."""
    target = f"/v1/log/{log}/1/tile/entries/000"
    with http(grown) as client:
        headers = signature(grown, READER, "GET", target)
        answer = client.get(target, headers=headers | {"Accept-Encoding": asked})
    assert answer.headers.get("content-encoding") == coding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert list(decode_entries(answer.content, TILE_WIDTH)) == ForgedLog.of(grown, log).data[:256]
