"""An agency uploads: sealed before anything touches the disk, resumable, refused in one form each."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from broker.node.files import outgoing_folder
from broker.node.home import Home
from broker.node.outbox.attachments import file_of
from keys.streams import CHUNK_BYTES, sealed_size
from schemas.limits import ATTACHMENT_BYTES_MAX, UPLOAD_PIECE_BYTES_MAX
from tests.unit.node.agency import SENT, Agency, word
from tests.unit.node.uploading_desk import PLAINTEXT, SIZE, Desk, opened, refusal
from tests.unit.node.world import NodeWorld, new_id


@pytest.fixture
def desk(world: NodeWorld, ly: Home) -> Desk:
    """ly/main."""
    return Desk(world, ly)


def test_an_upload_is_sealed_on_its_way(desk: Desk) -> None:
    """Only ciphertext is on the disk, and it opens to the file."""
    announced = desk.announce()
    assert desk.uploads.offset(announced) == 0
    desk.upload(announced)
    assert desk.uploads.offset(announced) == SIZE
    [sealed] = desk.files()
    assert opened(desk, sealed) == PLAINTEXT
    row = desk.row()
    assert (row.sealed_size, row.sealed_sha256) == (
        sealed_size(SIZE),
        hashlib.sha256(sealed).hexdigest(),
    )
    everything = b"".join(p.read_bytes() for p in desk.home.data.rglob("*") if p.is_file())
    assert PLAINTEXT[:32] not in everything
    assert PLAINTEXT[3 * CHUNK_BYTES :][:32] not in everything


def test_an_upload_goes_on_after_kill_9(desk: Desk) -> None:
    """After each piece the process dies; what was answered is there, and the rest follows."""
    announced, offset = desk.announce(), 0
    while offset < SIZE:
        offset = desk.uploads.take(announced, offset, PLAINTEXT[offset : offset + 70_000])
        desk.restart()
        assert desk.uploads.offset(announced) == offset
    assert opened(desk, desk.files()[0]) == PLAINTEXT


def test_bytes_that_nobody_answered_for_are_cut_off(desk: Desk) -> None:
    """A crash between file and row leaves more in the file: it is sealed again from the row's count."""
    announced = desk.announce()
    desk.uploads.take(announced, 0, PLAINTEXT[: 2 * CHUNK_BYTES])
    path = file_of(desk.home, "ly/main", announced.bulletin_id, announced.attachment_id)
    with path.open("ab") as file:
        file.write(bytes(100_000))
    desk.restart()
    desk.upload(announced)
    assert opened(desk, desk.files()[0]) == PLAINTEXT


@pytest.mark.parametrize("restarted", [True, False])
@pytest.mark.parametrize("damage", ["gone", "cut", "altered"])
def test_an_upload_whose_file_is_damaged_begins_anew(
    desk: Desk, damage: str, *, restarted: bool
) -> None:
    """Nothing goes on from what was not written so."""
    announced = desk.announce()
    offset = desk.uploads.take(announced, 0, PLAINTEXT[: 2 * CHUNK_BYTES])
    path = file_of(desk.home, "ly/main", announced.bulletin_id, announced.attachment_id)
    data = path.read_bytes()
    changed = {
        "gone": None,
        "cut": data[:-1],
        "altered": data[:99] + bytes([data[99] ^ 1]) + data[100:],
    }[damage]
    path.unlink() if changed is None else path.write_bytes(changed)
    if restarted:
        desk.restart()
    elif damage == "altered":
        # What is in memory goes on; the hub finds the difference, since it hashes what it gets.
        return
    problem = refusal(lambda: desk.uploads.take(announced, offset, PLAINTEXT[offset:]))
    assert (problem.word, problem.extensions) == ("upload-offset", {"offset": 0})
    desk.upload(announced)
    assert opened(desk, desk.files()[0]) == PLAINTEXT


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES, 66 * CHUNK_BYTES + 1])
def test_files_of_all_sizes(desk: Desk, size: int) -> None:
    """Empty, tiny, whole chunks, and padded by chunks of their own."""
    plaintext = secrets.token_bytes(size)
    desk.upload(desk.announce(plaintext), plaintext, UPLOAD_PIECE_BYTES_MAX)
    assert opened(desk, desk.files()[0]) == plaintext


def test_the_last_piece_twice_is_harmless(desk: Desk) -> None:
    """An agency that heard no answer sends it again, and nothing changes."""
    announced = desk.announce()
    desk.upload(announced)
    before = desk.files()
    assert desk.uploads.take(announced, SIZE - 1000, PLAINTEXT[-1000:]) == SIZE
    assert desk.files() == before


def test_a_piece_at_another_offset_is_told_the_right_one(desk: Desk) -> None:
    """Whole chunks are kept; the rest of a piece comes again."""
    announced = desk.announce()
    assert desk.uploads.take(announced, 0, PLAINTEXT[:100_000]) == CHUNK_BYTES
    problem = refusal(lambda: desk.uploads.take(announced, 100_000, PLAINTEXT[100_000:]))
    assert (problem.word, problem.extensions) == ("upload-offset", {"offset": CHUNK_BYTES})
    assert refusal(lambda: desk.uploads.take(desk.announce(), 5, b"x")).extensions == {"offset": 0}


def test_another_file_than_announced_is_dropped(desk: Desk) -> None:
    """At the end its SHA-256 is another: nothing of it stays, and it may be uploaded anew."""
    announced = desk.announce()
    wrong = PLAINTEXT[:-1] + bytes([PLAINTEXT[-1] ^ 1])
    assert refusal(lambda: desk.upload(announced, wrong)).word == "attachment-hash"
    assert (desk.files(), desk.uploads.offset(announced)) == ([], 0)
    desk.upload(announced)
    assert opened(desk, desk.files()[0]) == PLAINTEXT


def test_pieces_have_their_limits(desk: Desk) -> None:
    """Too small in the middle, beyond the end, or of a file that is too large: refused."""
    announced = desk.announce()
    words = [
        refusal(lambda: desk.uploads.take(announced, 0, b"small")).word,
        refusal(lambda: desk.uploads.take(announced, 0, PLAINTEXT + b"x")).word,
        refusal(
            lambda: desk.uploads.take(replace(announced, size_bytes=ATTACHMENT_BYTES_MAX), 0, b"")
        ).word,
    ]
    assert words == ["bad-parameter", "bad-parameter", "too-large"]


def test_a_full_disk_loses_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The piece is refused as `disk-full`; what was answered stays, and it goes on with room."""
    announced = desk.announce()
    offset = desk.uploads.take(announced, 0, PLAINTEXT[: 2 * CHUNK_BYTES])
    before, real, written = desk.files(), os.write, []

    def full(descriptor: int, data: Any) -> int:
        written.append(len(data))
        if len(written) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    problem = refusal(lambda: desk.uploads.take(announced, offset, PLAINTEXT[offset:]))
    monkeypatch.undo()
    assert (problem.word, len(written)) == ("disk-full", 2)
    assert (desk.files(), desk.uploads.offset(announced)) == (before, offset)
    desk.upload(announced)
    assert opened(desk, desk.files()[0]) == PLAINTEXT


def test_what_is_answered_is_on_the_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is synced with all its bytes, and its folder's name of it, before the row counts them."""
    announced, synced, real = desk.announce(), [], os.fsync

    def watching(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_size, desk.uploads.offset(announced)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", watching)
    offset = desk.uploads.take(announced, 0, PLAINTEXT[: 2 * CHUNK_BYTES])
    desk.uploads.take(announced, offset, PLAINTEXT[offset:])
    assert (len(desk.files()[0]), offset) in synced
    assert (24 + 2 * (CHUNK_BYTES + 17), 0) in synced
    assert len(synced) >= 3


def test_two_desks_do_not_share_an_upload(desk: Desk) -> None:
    """The same ids from another desk are another file."""
    announced = desk.announce()
    desk.upload(announced)
    assert desk.uploads.offset(replace(announced, desk="ly/judicial")) == 0


# Over HTTP.


def put(agency: Agency, url: str, offset: object, body: bytes, method: str = "PUT") -> Any:
    """One call about an upload."""

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app=agency.app)
        async with httpx.AsyncClient(transport=transport, base_url="https://node") as client:
            headers = {"Authorization": f"Bearer {agency.tokens['send']}"}
            headers |= {} if offset is None else {"Upload-Offset": str(offset)}
            return await client.request(method, url, content=body, headers=headers)

    return asyncio.run(request())


def address(**changed: object) -> str:
    """Where an agency of tn/main uploads."""
    query = {"size": SIZE, "sha256": hashlib.sha256(PLAINTEXT).hexdigest()} | changed
    return f"{SENT}/{new_id()}/attachments/{new_id()}?{urlencode(query)}"


def test_an_agency_uploads_in_pieces(agency: Agency) -> None:
    """PUT says where to go on, HEAD says it again, and at the end it is whole."""
    url = address()
    assert put(agency, url, None, b"", "HEAD").headers["upload-offset"] == "0"
    answer = put(agency, url, 0, PLAINTEXT[:100_000])
    assert answer.json() == {"offset": CHUNK_BYTES, "size": SIZE}
    assert answer.headers["upload-offset"] == str(CHUNK_BYTES)
    assert put(agency, url, None, b"", "HEAD").headers["upload-offset"] == str(CHUNK_BYTES)
    wrong = put(agency, url, 100_000, PLAINTEXT[100_000:])
    assert (wrong.status_code, wrong.json()["offset"]) == (409, CHUNK_BYTES)
    assert put(agency, url, CHUNK_BYTES, PLAINTEXT[CHUNK_BYTES:]).json()["offset"] == SIZE
    assert put(agency, url, None, b"", "HEAD").headers["upload-offset"] == str(SIZE)


@pytest.mark.parametrize(
    ("url", "offset", "status"),
    [
        (address(size=-1), 0, 400),
        (address(size=2**31), 0, 400),
        (address(sha256="0" * 63), 0, 400),
        (address(), None, 400),
        (address(), "-1", 400),
        (address(), "1_0", 400),
        (address(), "0x1", 400),
        (address(), "9" * 17, 400),
        (f"{SENT}/{new_id()}/attachments/%2e%2e?size=1&sha256={'0' * 64}", 0, 400),
        (f"{SENT}/{new_id()}/attachments/x?size=1&sha256={'0' * 64}", 0, 400),
    ],
    ids=range(10),
)
def test_a_wrong_upload_is_refused(agency: Agency, url: str, offset: object, status: int) -> None:
    """Sizes, hashes, offsets and ids have one form each, and no file comes of another."""
    assert put(agency, url, offset, PLAINTEXT).status_code == status
    assert not list(outgoing_folder(agency.home.data).iterdir())


def test_a_piece_over_4_mib_is_refused(agency: Agency) -> None:
    """What is held in memory has a limit."""
    url = address(size=2 * UPLOAD_PIECE_BYTES_MAX)
    answer = put(agency, url, 0, bytes(UPLOAD_PIECE_BYTES_MAX + 1))
    assert (answer.status_code, word(answer)) == (413, "too-large")
