"""What a desk may store, and for how long: quotas, and the collector of what nobody needs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from schemas.errors import Problem
from schemas.limits import ATTACHMENT_ORPHAN_SECONDS, UPLOAD_LIFE_SECONDS
from tests.exchange.acting import refusal, submit
from tests.exchange.attaching import (
    PIECE,
    Sealed,
    downloaded,
    naming,
    objects,
    piece,
    spools,
    store,
)
from tests.exchange.live import LiveHub, now, run
from tests.exchange.raw import rows

DAY_SECONDS = 24 * 3600
MARGIN_SECONDS = 3600
WAIT_SECONDS = 60.0


@contextmanager
def _hub(folder: Path, **settings: int) -> Iterator[LiveHub]:
    hub = LiveHub(folder / "hub")
    hub.settings = hub.settings.model_copy(update=settings)
    hub.start()
    run(hub.announce("tn/main", "ne/main"))
    try:
        yield hub
    finally:
        hub.stop()


def _restart(hub: LiveHub, later_seconds: int = 0) -> None:
    """Have the hub come back some time later, and wait until it has collected, as it does at once."""
    hub.stop()
    hub.clock_offset_seconds += later_seconds
    stray = hub.data / "uploads" / f"tn.main.{'0' * 64}"
    stray.write_bytes(b"no row")
    hub.start()
    # Files without their row go last.
    _wait_for(lambda: not stray.exists())


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _owners(hub: LiveHub) -> int:
    return rows(hub)["attachment_owner"]


def test_a_quota(tmp_path: Path) -> None:
    """A desk's uploads count whole from their first piece on, stored or not; another desk's do not."""
    large, half, rest = (Sealed(os.urandom(PIECE * n)) for n in (3, 2, 1))
    with _hub(tmp_path, attachment_quota_bytes=6 * PIECE) as hub:
        store(hub, "ly/main", large)
        run(piece(hub, "ly/main", half, 0, half.data[:1]))
        before = rows(hub)
        refused = refusal(piece(hub, "ly/main", Sealed(os.urandom(PIECE + 1)), 0, b"x"))
        assert (refused.word, refused.extensions) == (
            "quota",
            {"used": 5 * PIECE, "limit": 6 * PIECE},
        )
        assert (rows(hub), len(spools(hub))) == (before, 1)
        run(piece(hub, "ly/main", rest, 0, rest.data))
        store(hub, "ly/main", half)
        store(hub, "tn/main", Sealed(os.urandom(6 * PIECE)))
        # What is stored already costs nothing again.
        store(hub, "ly/main", large)


def test_a_quota_is_given_back(tmp_path: Path) -> None:
    """What had the wrong hash, or was begun under another size, counts no more."""
    whole, wrong = Sealed(os.urandom(3 * PIECE)), Sealed(os.urandom(3 * PIECE))
    with _hub(tmp_path, attachment_quota_bytes=3 * PIECE) as hub:
        assert refusal(piece(hub, "ly/main", wrong, 0, bytes(wrong.size))).word == "attachment-hash"
        run(piece(hub, "ly/main", whole, 0, whole.data[:PIECE]))
        assert refusal(piece(hub, "ly/main", wrong, 0, b"x")).word == "quota"
        run(piece(hub, "ly/main", whole, PIECE, whole.data[PIECE:]))


def test_an_unfinished_upload_is_collected(tmp_path: Path) -> None:
    """A week after it was begun, and not before, with its file and its part of the quota."""
    begun = Sealed()
    with _hub(tmp_path, attachment_quota_bytes=begun.size) as hub:
        run(piece(hub, "ly/main", begun, 0, begun.data[:PIECE]))
        # The clock runs meanwhile: a margin is left.
        _restart(hub, UPLOAD_LIFE_SECONDS - MARGIN_SECONDS)
        assert refusal(piece(hub, "ly/main", Sealed(), 0, b"x")).word == "quota"
        assert run(piece(hub, "ly/main", begun, PIECE, b"")) == PIECE
        _restart(hub, MARGIN_SECONDS)
        assert (_owners(hub), spools(hub)) == (0, {})
        refused = refusal(piece(hub, "ly/main", begun, PIECE, begun.data[PIECE:]))
        assert (refused.word, refused.extensions["offset"]) == ("upload-offset", 0)
        store(hub, "ly/main", Sealed())


def test_an_orphan_is_collected(tmp_path: Path) -> None:
    """Stored and never named, it goes after a day; stored again it is logged no second time."""
    lonely, sent = Sealed(), Sealed()
    with _hub(tmp_path) as hub:
        first = store(hub, "ly/main", lonely)
        store(hub, "ly/main", sent)
        # Another desk stored it as well, and names it nowhere: its part goes, the object stays.
        store(hub, "ne/main", sent)
        run(submit(hub, naming(hub, "ly/main", "tn/main", sealed=(sent,))))
        _restart(hub, ATTACHMENT_ORPHAN_SECONDS - MARGIN_SECONDS)
        assert (_owners(hub), objects(hub)) == (3, {lonely.sha256, sent.sha256})
        _restart(hub, MARGIN_SECONDS)
        assert (_owners(hub), objects(hub)) == (1, {sent.sha256})
        assert downloaded(hub, "tn/main", sent) == sent.data
        assert refusal(_download(hub, "ly/main", lonely)).word == "not-found"
        assert refusal(_download(hub, "ne/main", sent)).word == "not-found"
        envelope = naming(hub, "ly/main", "tn/main", sealed=(lonely,))
        assert refusal(submit(hub, envelope)).word == "attachments-missing"
        before = rows(hub)
        assert store(hub, "ly/main", lonely).entry == first.entry
        assert rows(hub)["entry"] == before["entry"]
        run(submit(hub, envelope))


async def _download(hub: LiveHub, desk: str, sealed: Sealed) -> None:
    async with hub.client(desk) as client:
        async for _ in client.download(sealed.sha256):
            pass


def test_a_slow_upload_is_no_orphan(tmp_path: Path) -> None:
    """The day counts from the storing: what took two days to upload is not gone the moment it is whole."""
    slow = Sealed()
    with _hub(tmp_path) as hub:
        run(piece(hub, "ly/main", slow, 0, slow.data[:PIECE]))
        _restart(hub, 2 * DAY_SECONDS)
        store(hub, "ly/main", slow)
        _restart(hub)
        assert objects(hub) == {slow.sha256}


def test_what_expired_is_collected(tmp_path: Path) -> None:
    """An attachment lives as long as an envelope names it that has not expired, and no longer."""
    short, both, again = Sealed(), Sealed(), Sealed()
    with _hub(tmp_path) as hub:
        for sealed in (short, both, again):
            store(hub, "ly/main", sealed)
        soon = now() + timedelta(days=2)
        run(
            submit(
                hub, naming(hub, "ly/main", "tn/main", sealed=(short, both, again), expires=soon)
            )
        )
        later = now() + timedelta(days=20)
        run(submit(hub, naming(hub, "ly/main", "ne/main", sealed=(both,), expires=later)))
        _restart(hub, 2 * DAY_SECONDS + 60)
        # The end of the first envelope is logged, and then what it alone had named is collected.
        _wait_for(lambda: _is_hidden(hub, "tn/main", short))
        _restart(hub)
        assert objects(hub) == {both.sha256}
        assert _is_hidden(hub, "tn/main", both)
        assert downloaded(hub, "ne/main", both) == both.data
        # Stored again for an envelope that is to come, it stays though all that named it have expired.
        store(hub, "ly/main", again)
        _restart(hub)
        assert objects(hub) == {both.sha256, again.sha256}


def _is_hidden(hub: LiveHub, desk: str, sealed: Sealed) -> bool:
    try:
        run(_download(hub, desk, sealed))
    except Problem as problem:
        return problem.word == "not-found"
    return False


def test_what_a_crash_left_behind_is_collected(tmp_path: Path) -> None:
    """Bytes without their row go at the next start; what belongs to an upload stays, as do strange files."""
    begun, stored = Sealed(), Sealed()
    with _hub(tmp_path) as hub:
        run(piece(hub, "ly/main", begun, 0, begun.data[:PIECE]))
        store(hub, "ly/main", stored)
        uploads, kept = hub.data / "uploads", hub.data / "attachments"
        ours = set(spools(hub))
        hub.stop()
        (uploads / f"tn.main.{begun.sha256}").write_bytes(b"no row")
        (uploads / f"ly.main.{stored.sha256}").write_bytes(b"stored meanwhile")
        (uploads / "README").write_bytes(b"not ours")
        (kept / Sealed().sha256).write_bytes(b"no row")
        (kept / "README").write_bytes(b"not ours")
        # Its row is there, its entry not: a crash between the two, after which the upload goes on.
        (kept / begun.sha256).write_bytes(begun.data)
        hub.start()
        _wait_for(lambda: set(spools(hub)) == {*ours, "README"})
        assert objects(hub) == {stored.sha256, begun.sha256, "README"}
        store(hub, "ly/main", begun)
        assert downloaded(hub, "ly/main", begun) == begun.data
