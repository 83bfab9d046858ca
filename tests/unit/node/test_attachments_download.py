"""An agency downloads what arrived: the file or a range of it, never as something a browser would run."""

from __future__ import annotations

import asyncio
import hashlib
from types import SimpleNamespace

import httpx
import pytest

from broker.node.inbox.attachments import file_of, plaintext_of
from schemas.errors import VerificationError
from tests.unit.node.agency import INBOX, Agency, word
from tests.unit.node.arriving import PLAINTEXT, download, send
from tests.unit.node.paper_files import SealedFile
from tests.unit.node.reader import Reader


@pytest.fixture
def there(agency: Agency, reader: Reader) -> tuple[Agency, SealedFile, str]:
    """An agency of tn/main whose inbox has a bulletin with an attachment; the attachment's address."""
    outgoing, file = send(reader, name="صورة “1”.svg", media_type="image/svg+xml")
    reader.fetch()
    download(reader)
    reader.fetch()
    url = f"{INBOX}/ly/main/{outgoing.bulletin_id}/attachments/{file.id}"
    return agency, file, url


There = tuple[Agency, SealedFile, str]


def get(there: There, **headers: str) -> httpx.Response:
    """Download with further headers."""
    agency, _, url = there

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app=agency.app)
        async with httpx.AsyncClient(transport=transport, base_url="https://node") as client:
            bearer = {"Authorization": f"Bearer {agency.tokens['read']}"}
            return await client.get(url, headers=bearer | headers)

    return asyncio.run(request())


def test_a_download_is_the_file(there: There) -> None:
    """Byte for byte, as a file to save that no browser runs, under the sender's name for it."""
    answer = get(there)
    assert (answer.status_code, answer.content) == (200, PLAINTEXT)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == (
        "attachment; filename*=UTF-8''%D8%B5%D9%88%D8%B1%D8%A9%20%E2%80%9C1%E2%80%9D.svg"
    )
    assert answer.headers["content-length"] == str(len(PLAINTEXT))
    assert hashlib.sha256(answer.content).hexdigest() == answer.headers["etag"].strip('"')


SIZE = len(PLAINTEXT)
RANGES = [
    ("bytes=0-0", 0, 1),
    ("bytes=65530-65540", 65530, 65541),
    ("bytes=100000-", 100_000, SIZE),
    ("bytes=-1000", SIZE - 1000, SIZE),
    ("bytes=5-999999999", 5, SIZE),
]


@pytest.mark.parametrize(("asked", "start", "end"), RANGES, ids=[r for r, _, _ in RANGES])
def test_a_range_is_that_part_of_the_file(there: There, asked: str, start: int, end: int) -> None:
    """One range, within one chunk or across several."""
    answer = get(there, Range=asked)
    assert (answer.status_code, answer.content) == (206, PLAINTEXT[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", "bytes=2-1", "bytes=-0", "bytes=0-1,3-4", "x"])
def test_a_range_outside_is_refused(there: There, reader: Reader, asked: str) -> None:
    """416, with the size; the bulletin does not count as exported for it."""
    answer = get(there, Range=asked)
    assert (answer.status_code, word(answer)) == (416, "range")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"
    assert [row.exported for row in reader.rows("incoming_bulletin")] == [None]


def test_a_download_counts_as_exported(there: There, reader: Reader) -> None:
    """Its sender learns of it if the bulletin is withdrawn later."""
    get(there)
    [row] = reader.rows("incoming_bulletin")
    assert row.exported is not None


def test_nobody_else_downloads(there: There) -> None:
    """Another desk, a token that may not read, an id that is none: refused."""
    agency, _, url = there
    assert agency.call("GET", url, None).status_code == 401
    assert word(agency.call("GET", url, "send")) == "token-scope"
    assert word(agency.call("GET", url, "judicial")) == "token-scope"
    assert word(agency.call("GET", url[:-1] + ("0" if url[-1] != "0" else "1"))) == "not-found"


def test_a_file_that_is_gone_is_not_found(there: There, reader: Reader) -> None:
    """A node restored without its files says so, and does not fail."""
    agency, file, url = there
    file_of(reader.home, file.ref.sha256).unlink()
    assert word(agency.call("GET", url)) == "not-found"


def test_a_file_altered_on_the_disk_is_not_given_as_whole(there: There, reader: Reader) -> None:
    """Its last bytes are held back until the whole is known to be right."""
    _, file, _ = there
    [row] = reader.rows("incoming_attachment")
    received: list[bytes] = []
    other = SimpleNamespace(**(dict(row._mapping) | {"sha256": "0" * 64}))
    with pytest.raises(VerificationError):
        received += plaintext_of(reader.home, other, 0, SIZE)
    assert 0 < sum(map(len, received)) < SIZE
    pieces = plaintext_of(reader.home, row, 0, SIZE)
    assert b"".join(pieces) == PLAINTEXT
    path = file_of(reader.home, file.ref.sha256)
    data = path.read_bytes()
    path.write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
    with pytest.raises(VerificationError):
        list(plaintext_of(reader.home, row, 0, SIZE))
