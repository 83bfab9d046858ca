"""An attachment sealed, sent, fetched and opened, against secretstream's own rate; and the memory of it.

May import `keys.streams`, `broker.client` and the exchange of `world`; `__main__` calls it. Run as
`python -m tests.bench.attachments`, it is the member's process, which does what a node does; its memory and
the hub's are measured from outside.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
from nacl.bindings import (
    crypto_secretstream_xchacha20poly1305_init_pull,
    crypto_secretstream_xchacha20poly1305_init_push,
    crypto_secretstream_xchacha20poly1305_pull,
    crypto_secretstream_xchacha20poly1305_push,
    crypto_secretstream_xchacha20poly1305_state,
)

from broker.client import HubClient
from keys.signing import RequestSigningKey
from keys.streams import (
    CHUNK_BYTES,
    STREAM_KEY_BYTES,
    Sealer,
    attachment_label,
    open_stream,
    sealed_size,
)
from schemas.directory import Invitation
from schemas.limits import TRUST_FILE_BYTES_MAX, UPLOAD_PIECE_BYTES_MAX
from schemas.loader import dump_json, parse
from tests.bench.figures import Bar, Figure, Section
from tests.bench.processes import ROOT
from tests.bench.world import BenchExchange
from tests.exchange.live import EXCHANGE, new_id

SIZE_BYTES: Final = 100 * (1 << 20)
RATE_BAR: Final = 0.3
MEMORY_BAR_MIB: Final = 64.0

_SENDER: Final = "ly/main"
_MIB: Final = 1 << 20
_TIMEOUT_SECONDS: Final = 240
_WATCH_SECONDS: Final = 0.02


class _Peak:
    """The most memory that a process has beyond what it had, watched from a thread."""

    def __init__(self, process_id: int) -> None:
        self._process = psutil.Process(process_id)
        self._before = self._most = self._process.memory_info().rss
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(_WATCH_SECONDS):
            try:
                self._most = max(self._most, self._process.memory_info().rss)
            except psutil.NoSuchProcess:
                return

    def extra_mib(self) -> float:
        """Stop watching; MiB beyond what it had at first."""
        self._ended.set()
        self._thread.join()
        return (self._most - self._before) / _MIB


def own_rate(size_bytes: int) -> float:
    """Secretstream alone, a plaintext sealed and opened again in memory: MiB a second."""
    chunk, key = secrets.token_bytes(CHUNK_BYTES), secrets.token_bytes(STREAM_KEY_BYTES)
    there = crypto_secretstream_xchacha20poly1305_state()
    back = crypto_secretstream_xchacha20poly1305_state()
    header = crypto_secretstream_xchacha20poly1305_init_push(there, key)
    crypto_secretstream_xchacha20poly1305_init_pull(back, header, key)
    start = time.perf_counter()
    for _ in range(size_bytes // CHUNK_BYTES):
        sealed = crypto_secretstream_xchacha20poly1305_push(there, chunk, b"label")
        crypto_secretstream_xchacha20poly1305_pull(back, sealed, b"label")
    return size_bytes / _MIB / (time.perf_counter() - start)


def measure(exchange: BenchExchange, size_bytes: int = SIZE_BYTES) -> Section:
    """Send one attachment from a file to the hub and back into a file, by two processes.

    Raises:
        RuntimeError: the member's process failed, or what arrived differs.
    """
    folder = exchange.folder / "member"
    folder.mkdir(exist_ok=True)
    (folder / "invitation.json").write_bytes(dump_json(exchange.hub.invitation))
    (folder / "seed").touch(mode=0o600)
    (folder / "seed").write_bytes(exchange.hub.desks[_SENDER].request.seed())
    with (folder / "plain").open("wb") as file:
        for _ in range(size_bytes // _MIB):
            file.write(secrets.token_bytes(_MIB))
    before = own_rate(size_bytes)
    with exchange.serving() as hub:
        told, extra = _member(folder, hub.pid)
    own = (before + own_rate(size_bytes)) / 2
    size_mib = size_bytes / _MIB
    steps = {name: size_mib / told[name] for name in ("seal", "upload", "download_and_open")}
    whole = size_mib / (told["seal"] + told["upload"] + told["download_and_open"])
    return Section(
        f"an attachment of {size_mib:.0f} MiB",
        (
            Figure(
                "sealed, sent, fetched, opened: against secretstream's own rate",
                whole / own,
                "x",
                Bar(RATE_BAR),
                "from file to file, through TLS and the hub's disk",
            ),
            Figure("sealed and opened against secretstream's own rate", told["local"] / own, "x"),
            Figure("secretstream alone, sealed and opened in memory", own, "MiB/s"),
            Figure("sealed into a file", steps["seal"], "MiB/s"),
            Figure("uploaded, stored and logged", steps["upload"], "MiB/s"),
            Figure("downloaded and opened", steps["download_and_open"], "MiB/s"),
            Figure(
                "extra memory of the hub", extra["hub"], "MiB", Bar(MEMORY_BAR_MIB, at_most=True)
            ),
            Figure(
                "extra memory of the member's process",
                extra["member"],
                "MiB",
                Bar(MEMORY_BAR_MIB, at_most=True),
            ),
        ),
    )


def _member(folder: Path, hub_id: int) -> tuple[dict[str, float], dict[str, float]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.attachments", str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the member's process has no pipes")
    # It says when its libraries are loaded: memory is counted from there.
    process.stdout.readline()
    peaks = {"hub": _Peak(hub_id), "member": _Peak(process.pid)}
    process.stdin.write(b"\n")
    process.stdin.flush()
    printed, _ = process.communicate(timeout=_TIMEOUT_SECONDS)
    extra = {name: peak.extra_mib() for name, peak in peaks.items()}
    if process.returncode:
        raise RuntimeError("the member's process failed")
    told: dict[str, float] = json.loads(printed)
    return told, extra


def _pieces(path: Path, size_bytes: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(size_bytes):
            yield piece


def main(folder: Path) -> None:
    """Seal, upload, download and open; print seconds for each step, and MiB a second without the hub."""
    invitation = parse(Invitation, (folder / "invitation.json").read_bytes(), TRUST_FILE_BYTES_MAX)
    request = RequestSigningKey.from_seed((folder / "seed").read_bytes())
    print("ready", flush=True)
    sys.stdin.readline()
    key = secrets.token_bytes(STREAM_KEY_BYTES)
    label = attachment_label(EXCHANGE, new_id(), new_id())
    plain, sealed, opened = folder / "plain", folder / "sealed", folder / "opened"
    size_bytes = plain.stat().st_size
    start = time.perf_counter()
    sha256, sealed_sha256 = _seal(plain, sealed, key, label)
    seal = time.perf_counter() - start
    start = time.perf_counter()
    for _ in open_stream(_pieces(sealed, _MIB), key, label, size_bytes, sha256):
        pass
    local = size_bytes / _MIB / (seal + time.perf_counter() - start)

    async def there_and_back() -> tuple[float, float]:
        async with HubClient(invitation.hub, EXCHANGE, request, lambda: int(time.time())) as client:
            begun = time.perf_counter()
            await _upload(client, sealed, sealed_size(size_bytes), sealed_sha256)
            stored = time.perf_counter()
            await _download(client, sealed_sha256, sealed)
            with opened.open("wb") as file:
                for chunk in open_stream(_pieces(sealed, _MIB), key, label, size_bytes, sha256):
                    file.write(chunk)
            return stored - begun, time.perf_counter() - stored

    upload, back = asyncio.run(there_and_back())
    print(json.dumps({"seal": seal, "upload": upload, "download_and_open": back, "local": local}))


def _seal(plain: Path, sealed: Path, key: bytes, label: bytes) -> tuple[str, str]:
    sealer = Sealer(key, label, plain.stat().st_size)
    digest = hashlib.sha256()
    with sealed.open("wb") as file:
        for piece in _pieces(plain, _MIB):
            for chunk in sealer.push(piece):
                file.write(chunk)
                digest.update(chunk)
        for chunk in sealer.finish():
            file.write(chunk)
            digest.update(chunk)
        os.fsync(file.fileno())
    return sealer.sha256, digest.hexdigest()


async def _upload(client: HubClient, sealed: Path, size_bytes: int, sha256: str) -> None:
    offset = 0
    for piece in _pieces(sealed, UPLOAD_PIECE_BYTES_MAX):
        await client.upload_piece(sha256, size_bytes, offset, piece)
        offset += len(piece)


async def _download(client: HubClient, sha256: str, path: Path) -> None:
    with path.open("wb") as file:
        async for piece in client.download(sha256, 0):
            file.write(piece)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
