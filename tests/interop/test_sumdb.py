"""golang.org/x/mod/sumdb reads logs of Barid's, Barid reads one of sumdb's; neither takes a wrong one."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.hub.directory_log import Operate
from broker.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from broker.tlog.cosignature import (
    Ed25519CosignatureVerifier,
    MlDsa44CosignatureSigner,
    MlDsa44CosignatureVerifier,
)
from broker.tlog.merkle import leaf_hash, root
from broker.tlog.note import (
    Ed25519NoteSigner,
    Ed25519NoteVerifier,
    SignatureType,
    VerifierKey,
    parse_note,
    parse_verifier_key,
)
from broker.tlog.proof import verify_consistency, verify_inclusion
from broker.tlog.receipt import exchange_leaf_data
from broker.tlog.receipt_file import write_receipt_file
from broker.tlog.tiles import (
    TILE_WIDTH,
    append,
    decode_entries,
    encode_entries,
    reader_from_tiles,
    tile_path,
    tile_width,
)
from broker.tlog.tlog_proof import TlogProof
from schemas.errors import VerificationError
from tests.exchange.acting import submit
from tests.exchange.live import LiveHub, live_hub, run
from tests.interop.sumdb_tool import answer, build

ORIGIN = "example.org/log"
SIZE = TILE_WIDTH * TILE_WIDTH + 300
"""Full and partial tiles on all of three levels."""


@pytest.fixture(scope="module")
def sumdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command."""
    return build(tmp_path_factory.mktemp("sumdb"))


def _store(folder: Path, name: str, data: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _paths(size: int) -> Iterator[str]:
    """Every tile and entry bundle of a tree, as tlog-tiles names them."""
    for level in ("entries", 0, 1, 2):
        index = 0
        while width := tile_width(level, index, size):
            yield tile_path(level, index, width)
            index += 1


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A log of many entries that Barid wrote as files, and its verifier key."""
    folder = tmp_path_factory.mktemp("ours")
    entries = [secrets.token_bytes(1 + index % 40) for index in range(SIZE)]
    tiles = append(0, lambda _level, _index: b"", [leaf_hash(each) for each in entries]).tiles
    read = reader_from_tiles(lambda level, index: tiles.get((level, index), b""), SIZE)
    for level, index in tiles:
        width = tile_width(level, index, SIZE)
        _store(folder, tile_path(level, index, width), tiles[level, index])
    for index in range(0, SIZE, TILE_WIDTH):
        bundle = entries[index : index + TILE_WIDTH]
        path = tile_path("entries", index // TILE_WIDTH, len(bundle))
        _store(folder, path, encode_entries(bundle))
    signer = Ed25519NoteSigner(ORIGIN, secrets.token_bytes(32))
    second = MlDsa44CosignatureSigner(ORIGIN, secrets.token_bytes(32))
    checkpoint = Checkpoint(ORIGIN, SIZE, root(SIZE, read))
    _store(folder, "checkpoint", sign_checkpoint(checkpoint, (signer, second), 1).encode())
    return signer.key.render(), folder


def test_sumdb_reads_a_log_of_ours(sumdb: Path, ours: tuple[str, Path]) -> None:
    """Note, tiles, every entry, inclusion and growth: all of it verifies there."""
    found = answer(sumdb, "check", *ours)
    assert (found["origin"], found["size"], found["entries"]) == (ORIGIN, SIZE, SIZE)
    assert found["grew"] > 20


def _flipped(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("checkpoint", len(ORIGIN) + 1),
        ("checkpoint", -40),
        ("tile/0/001", 17),
        ("tile/1/000", 31),
        ("tile/2/000.p/1", 0),
        ("tile/entries/000", 2),
        ("tile/entries/257.p/44", -1),
    ],
)
def test_sumdb_finds_what_is_altered(
    sumdb: Path, ours: tuple[str, Path], name: str, at: int
) -> None:
    """One bit in any part of the log."""
    key, folder = ours
    path = folder / name
    before = path.read_bytes()
    # The last line of the note is of a key that sumdb does not know: the one before it is altered.
    position = before.rindex("\n— ".encode()) + at if (name, at) == ("checkpoint", -40) else at
    _flipped(path, position)
    try:
        with pytest.raises(AssertionError):
            answer(sumdb, "check", key, folder)
    finally:
        path.write_bytes(before)


async def _download(hub: LiveHub, log: str, folder: Path) -> None:
    async with hub.client("mr/main") as client:
        text = await client.checkpoint(log, 1)
        _store(folder, "checkpoint", text.encode())
        for path in _paths(int(text.split("\n")[1])):
            _store(folder, path, await client.tile(log, 1, path))


def test_sumdb_reads_both_logs_of_a_hub(sumdb: Path, tmp_path: Path) -> None:
    """As any member downloads them over HTTPS."""
    with live_hub(tmp_path / "hub") as hub:
        run(hub.announce("ly/main", "tn/main"))
        hub.ledger.commit([Operate("configuration")] * TILE_WIDTH)
        for _ in range(3):
            run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main")))
        logs = hub.invitation.logs
        for log, keys, size in (
            ("directory", logs.directory, hub.ledger.state.size),
            ("exchange", logs.exchange, 3),
        ):
            run(_download(hub, log, tmp_path / log))
            key = VerifierKey(keys.origin, SignatureType.ED25519, keys.ed25519).render()
            assert answer(sumdb, "check", key, tmp_path / log)["entries"] == size
        assert hub.ledger.state.size > TILE_WIDTH


@pytest.fixture(scope="module")
def theirs(sumdb: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A log that sumdb wrote as files, with its key and proofs."""
    folder = tmp_path_factory.mktemp("theirs")
    return answer(sumdb, "make", ORIGIN, SIZE, folder), folder


def _opened(made: dict[str, Any], folder: Path) -> Checkpoint:
    key = parse_verifier_key(made["key"])
    verifier = Ed25519NoteVerifier(key.name, key.public)
    return open_checkpoint((folder / "checkpoint").read_bytes(), ORIGIN, [verifier]).checkpoint


def test_barid_reads_a_log_of_sumdb(theirs: tuple[dict[str, Any], Path]) -> None:
    """Key, note, tiles and bundles are read as they stand, and make the tree that was signed."""
    made, folder = theirs
    checkpoint = _opened(made, folder)
    assert checkpoint.size == SIZE

    def read(level: int, index: int) -> bytes:
        return (folder / tile_path(level, index, tile_width(level, index, SIZE))).read_bytes()

    reader = reader_from_tiles(read, SIZE)
    assert root(SIZE, reader) == checkpoint.root
    leaves: list[bytes] = []
    for path in _paths(SIZE):
        if path.startswith("tile/entries/"):
            width = min(TILE_WIDTH, SIZE - len(leaves))
            bundle = decode_entries((folder / path).read_bytes(), width)
            leaves += [leaf_hash(each) for each in bundle]
    tiles = append(0, lambda _level, _index: b"", leaves).tiles
    for (level, index), data in tiles.items():
        assert data == read(level, index)


def _hashes(values: list[str]) -> list[bytes]:
    return [base64.b64decode(each) for each in values]


def _included(each: dict[str, Any], checkpoint: Checkpoint, path: list[bytes]) -> None:
    leaf = leaf_hash(b"entry %d" % each["index"])
    verify_inclusion(leaf, each["index"], checkpoint.size, path, checkpoint.root)


def _grown(each: dict[str, Any], checkpoint: Checkpoint, path: list[bytes]) -> None:
    (before,) = _hashes([each["root"]])
    verify_consistency(each["index"], before, checkpoint.size, checkpoint.root, path)


@pytest.mark.parametrize(("kind", "verify"), [("inclusion", _included), ("growth", _grown)])
def test_barid_verifies_proofs_of_sumdb(
    theirs: tuple[dict[str, Any], Path],
    kind: str,
    verify: Callable[[dict[str, Any], Checkpoint, list[bytes]], None],
) -> None:
    """Each of them, and none with a hash altered, left out or added."""
    made, folder = theirs
    checkpoint = _opened(made, folder)
    assert len(made[kind]) > 10
    for each in made[kind]:
        path = _hashes(each["path"])
        verify(each, checkpoint, path)
        wrong = [[*path, bytes(32)]] + ([[bytes(32), *path[1:]], path[1:]] if path else [])
        for altered in wrong:
            with pytest.raises(VerificationError):
                verify(each, checkpoint, altered)


def test_barid_verifies_what_go_cosigned(sumdb: Path, tmp_path: Path) -> None:
    """A checkpoint of Barid's with the line of a witness written in Go, beside both lines of the log."""
    log = Ed25519NoteSigner(ORIGIN, secrets.token_bytes(32))
    second = MlDsa44CosignatureSigner(ORIGIN, secrets.token_bytes(32))
    text = sign_checkpoint(Checkpoint(ORIGIN, 1, leaf_hash(b"entry")), (log, second), 1_795_000_000)
    (tmp_path / "checkpoint").write_text(text, encoding="utf-8")
    made = answer(sumdb, "cosign", "witness.example/go", 1_795_000_000, tmp_path / "checkpoint")
    key = parse_verifier_key(made["key"])
    assert key.render() == made["key"]
    witness = Ed25519CosignatureVerifier(key.name, key.public)
    first = Ed25519NoteVerifier(ORIGIN, log.key.public)
    also = MlDsa44CosignatureVerifier(ORIGIN, second.key.public)
    opened = open_checkpoint(text + made["line"], ORIGIN, [first, witness], [also])
    assert [each.at for each in opened.signatures] == [None, 1_795_000_000, 1_795_000_000]
    other = parse_note(text + made["line"]).text.replace("\n1\n", "\n2\n")
    with pytest.raises(VerificationError):
        witness.verify(other, parse_note(text + made["line"]).signatures[-1].signature)


def test_go_verifies_a_receipt_of_a_hub(sumdb: Path, tmp_path: Path) -> None:
    """As a node exports it, a tlog-proof: its path and the log's line hold, and no other leaf does."""
    with live_hub(tmp_path / "hub") as hub:
        run(hub.announce("ly/main", "tn/main"))
        receipts = [
            run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main"))) for _ in range(5)
        ]
        keys = hub.invitation.logs.exchange
    key = VerifierKey(keys.origin, SignatureType.ED25519, keys.ed25519).render()
    for receipt in receipts:
        path = tuple(bytes.fromhex(each) for each in receipt.path)
        proof = TlogProof(receipt.index, path, receipt.checkpoint)
        file = tmp_path / f"{receipt.index}.tlog-proof"
        text = write_receipt_file(receipt.entry, receipt.salt, proof, None, receipt.places)
        file.write_text(text, encoding="utf-8")
        data = exchange_leaf_data(receipt.salt, receipt.entry)
        found = answer(sumdb, "proof", key, file, data.hex())
        assert (found["origin"], found["size"] > receipt.index) == (keys.origin, True)
        with pytest.raises(AssertionError):
            answer(sumdb, "proof", key, file, bytes(32).hex())
