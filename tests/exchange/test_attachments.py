"""Uploads of attachments: in pieces, resumed where they were cut, checked, logged once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from broker.client import HubClient
from schemas.entries import AttachmentStored, parse_exchange_entry
from schemas.errors import Problem
from schemas.limits import ATTACHMENT_BYTES_MAX, UPLOAD_PIECE_BYTES_MAX
from schemas.loader import parse
from schemas.receipts import Receipt
from tests.exchange.acting import openings, refusal, submit, verified
from tests.exchange.attaching import (
    PIECE,
    Sealed,
    as_desk,
    downloaded,
    naming,
    objects,
    offset_of,
    piece,
    put,
    signed,
    spool,
    spools,
    store,
)
from tests.exchange.live import LiveHub, run
from tests.exchange.raw import bare, http, problem, rows, send, word


@pytest.fixture(scope="module")
def client(hub: LiveHub) -> Iterator[httpx.Client]:
    """One connection for all requests."""
    with http(hub) as opened:
        yield opened


def test_an_attachment_arrives(hub: LiveHub) -> None:
    """Piece by piece to the hub, from there to its recipient, byte for byte; logged with its size."""
    sealed = Sealed()
    receipt = store(hub, "ly/main", sealed)
    verified(hub, receipt)
    entry = parse_exchange_entry(receipt.entry)
    assert isinstance(entry, AttachmentStored)
    assert (entry.sha256, entry.size) == (sealed.sha256, sealed.size)
    assert entry.directory_size == hub.ledger.state.size
    assert (objects(hub) & {sealed.sha256}, spool(hub, "ly/main", sealed).exists()) == (
        {sealed.sha256},
        False,
    )
    run(submit(hub, naming(hub, "ly/main", "tn/main", sealed=(sealed,))))
    assert downloaded(hub, "tn/main", sealed) == sealed.data


def test_an_envelope_waits_for_its_attachments(hub: LiveHub) -> None:
    """It is refused, and nothing logged, until every attachment is whole; then the same bytes pass."""
    half, none = Sealed(), Sealed()
    run(piece(hub, "ly/main", half, 0, half.data[:PIECE]))
    envelope = naming(hub, "ly/main", "tn/main", sealed=(half, none))
    before = rows(hub)
    refused = refusal(submit(hub, envelope))
    assert refused.word == "attachments-missing"
    assert refused.extensions["missing"] == sorted([half.sha256, none.sha256])
    assert rows(hub) == before
    store(hub, "ly/main", half)
    assert refusal(submit(hub, envelope)).extensions["missing"] == [none.sha256]
    store(hub, "ly/main", none)
    run(submit(hub, envelope))


def test_another_desks_attachment_is_missing(hub: LiveHub) -> None:
    """A sender who knows the hash of what another has stored cannot send it, nor with half the bytes."""
    sealed = Sealed()
    store(hub, "ly/main", sealed)
    for begun in (False, True):
        if begun:
            run(piece(hub, "ne/main", sealed, 0, sealed.data[:PIECE]))
        refused = refusal(submit(hub, naming(hub, "ne/main", "tn/main", sealed=(sealed,))))
        assert refused.word == "attachments-missing"
        assert refused.extensions["missing"] == [sealed.sha256]


def test_an_attachment_of_another_size_is_missing(hub: LiveHub) -> None:
    """A header that lies about the size names nothing that is stored, also where it tells the truth too."""
    sealed = Sealed()
    store(hub, "ly/main", sealed)
    right = sealed.ref
    wrong = sealed.ref.model_copy(update={"size": sealed.size + 1})
    for refs in ((wrong,), (right, wrong), (wrong, right)):
        keys = {ref.id: bytes(32) for ref in refs}
        outgoing = hub.outgoing("ly/main", attachments=refs, attachment_keys=keys)
        refused = refusal(submit(hub, hub.seal(outgoing, "tn/main")))
        assert refused.word == "attachments-missing"
        assert refused.extensions["missing"] == [sealed.sha256]


def test_the_same_bytes_again(hub: LiveHub) -> None:
    """The same receipt, whatever piece is sent, and nothing more is logged."""
    sealed = Sealed()
    first = store(hub, "ly/main", sealed)
    before = rows(hub)
    for offset, data in ((0, sealed.data[:PIECE]), (sealed.size, b""), (7, b"else")):
        again = run(piece(hub, "ly/main", sealed, offset, data))
        assert (again.entry, again.salt, again.index) == (first.entry, first.salt, first.index)
    assert rows(hub) == before
    assert spools(hub).keys() & {spool(hub, "ly/main", sealed).name} == set()


def test_an_upload_goes_on_where_it_was_cut(hub: LiveHub) -> None:
    """Each client is told how much has come, and goes on from there."""
    sealed = Sealed()
    assert offset_of(hub, "ly/main", sealed) == 0
    assert run(piece(hub, "ly/main", sealed, 0, sealed.data[:1])) == 1
    assert run(piece(hub, "ly/main", sealed, 1, sealed.data[1:PIECE])) == PIECE
    assert offset_of(hub, "ly/main", sealed) == PIECE
    store(hub, "ly/main", sealed)
    assert offset_of(hub, "ly/main", sealed) == sealed.size
    assert downloaded(hub, "ly/main", sealed) == sealed.data


def test_an_upload_outlives_a_restart(hub: LiveHub) -> None:
    """What has come is still there when the hub comes back; so is what was stored."""
    sealed, stored = Sealed(), Sealed()
    receipt = store(hub, "ly/main", stored)
    run(piece(hub, "ly/main", sealed, 0, sealed.data[:PIECE]))
    hub.stop()
    hub.start()
    assert offset_of(hub, "ly/main", sealed) == PIECE
    store(hub, "ly/main", sealed)
    assert downloaded(hub, "ly/main", sealed) == sealed.data
    assert store(hub, "ly/main", stored).index == receipt.index


def test_a_wrongoffset_of(hub: LiveHub) -> None:
    """A piece before or behind the end of what has come is refused with the right offset."""
    sealed = Sealed()
    early = refusal(piece(hub, "ly/main", sealed, 5, b"x"))
    assert (early.word, early.extensions["offset"]) == ("upload-offset", 0)
    run(piece(hub, "ly/main", sealed, 0, sealed.data[:PIECE]))
    for offset in (0, PIECE - 1, PIECE + 1, sealed.size):
        refused = refusal(piece(hub, "ly/main", sealed, offset, sealed.data[:10]))
        assert (refused.word, refused.extensions["offset"]) == ("upload-offset", PIECE)
    assert spool(hub, "ly/main", sealed).read_bytes() == sealed.data[:PIECE]


def test_the_wrong_bytes(hub: LiveHub) -> None:
    """What does not hash to its name is dropped with its part of the quota, and can be uploaded anew."""
    sealed = Sealed()
    before = rows(hub)
    run(piece(hub, "ly/main", sealed, 0, sealed.data[:PIECE]))
    wrong = bytes(sealed.size - PIECE)
    assert refusal(piece(hub, "ly/main", sealed, PIECE, wrong)).word == "attachment-hash"
    assert rows(hub) == before
    assert spool(hub, "ly/main", sealed).exists() is False
    assert sealed.sha256 not in objects(hub)
    assert offset_of(hub, "ly/main", sealed) == 0
    store(hub, "ly/main", sealed)


def test_a_lie_about_the_size(hub: LiveHub) -> None:
    """Too small, the last piece does not fit; too large, the end never comes; another size begins anew."""
    sealed = Sealed()
    small = Sealed(sealed.data)
    target = f"/v1/attachments/{small.sha256}?size={PIECE}"
    with http(hub) as client:
        answer = put(client, hub, "ly/main", target, sealed.data[: PIECE + 1])
        assert (answer.status_code, word(answer)) == (413, "too-large")
        large = f"/v1/attachments/{small.sha256}?size={sealed.size + 1}"
        answer = put(client, hub, "ly/main", large, sealed.data)
        assert (answer.status_code, answer.headers["upload-offset"]) == (200, str(sealed.size))
        assert (answer.content, sealed.sha256 in objects(hub)) == (b"", False)
        # Under the true size nothing has come.
        assert offset_of(hub, "ly/main", sealed) == 0
        answer = put(client, hub, "ly/main", sealed.target, b"x", str(sealed.size))
        assert (word(answer), problem(answer)["offset"]) == ("upload-offset", 0)
        answer = put(client, hub, "ly/main", sealed.target, sealed.data)
        assert (answer.status_code, answer.headers["upload-offset"]) == (201, str(sealed.size))
        answer = put(client, hub, "ly/main", large, b"x", str(sealed.size))
        assert (answer.status_code, word(answer)) == (422, "attachment-hash")


def test_an_upload_is_its_desks_own(hub: LiveHub) -> None:
    """Another desk goes on with nobody's upload, and learns nothing of it."""
    sealed = Sealed()
    run(piece(hub, "ly/main", sealed, 0, sealed.data[:PIECE]))
    assert offset_of(hub, "ne/main", sealed) == 0
    refused = refusal(piece(hub, "ne/main", sealed, PIECE, sealed.data[PIECE:]))
    assert (refused.word, refused.extensions["offset"]) == ("upload-offset", 0)
    assert offset_of(hub, "ly/main", sealed) == PIECE


def test_a_second_owner_uploads_all_of_it(hub: LiveHub) -> None:
    """A hash alone gives nothing; with all the bytes a desk becomes an owner, and nothing more is logged."""
    sealed = Sealed()
    first = store(hub, "ly/main", sealed)
    assert offset_of(hub, "ne/main", sealed) == 0
    before = rows(hub)
    assert store(hub, "ne/main", sealed).index == first.index
    changed = {"attachment_owner": 1, "party": 1}
    assert rows(hub) == {name: count + changed.get(name, 0) for name, count in before.items()}
    run(submit(hub, naming(hub, "ne/main", "tn/main", sealed=(sealed,))))
    for desk in ("ly/main", "ne/main"):
        page = run(openings(hub, desk, "exchange", first.index, first.index + 1))
        assert [opening.entry for opening in page.openings] == [first.entry]


def test_nobody_else_opens_its_entry(hub: LiveHub) -> None:
    """The entry of a stored attachment opens for who uploaded it, and for auditors."""
    index = store(hub, "ly/main", Sealed()).index
    desks = ("ly/main", "auc/audit", "tn/main")
    found = {d: len(run(openings(hub, d, "exchange", index, index + 1)).openings) for d in desks}
    assert found == {"ly/main": 1, "auc/audit": 1, "tn/main": 0}


def test_two_uploads_race(hub: LiveHub) -> None:
    """The same piece sent twice at once is written once: one is taken, the other told where to go on."""
    sealed = Sealed()

    async def both(client: HubClient) -> list[object]:
        sending = [
            client.upload_piece(sealed.sha256, sealed.size, 0, sealed.data[:PIECE])
            for _ in range(6)
        ]
        return await asyncio.gather(*sending, return_exceptions=True)

    answers = as_desk(hub, "ly/main", both)
    taken = [answer for answer in answers if answer == PIECE]
    refused = [answer for answer in answers if isinstance(answer, Problem)]
    assert (len(taken), len(refused)) == (1, 5)
    assert {(each.word, each.extensions["offset"]) for each in refused} == {
        ("upload-offset", PIECE)
    }
    assert spool(hub, "ly/main", sealed).read_bytes() == sealed.data[:PIECE]


def test_two_desks_race_to_the_end(hub: LiveHub) -> None:
    """Two desks that upload the same bytes at once both own them, and one entry is logged."""
    sealed = Sealed()
    desks = ("ly/main", "ne/main", "tn/main")

    async def whole(desk: str) -> Receipt:
        async with hub.client(desk) as client:
            answer = await client.upload_piece(sealed.sha256, sealed.size, 0, sealed.data)
            assert isinstance(answer, Receipt)
            return answer

    async def all_of_them() -> list[Receipt]:
        return await asyncio.gather(*(whole(desk) for desk in desks))

    before = rows(hub)
    receipts = run(all_of_them())
    assert len({receipt.index for receipt in receipts}) == 1
    after = rows(hub)
    assert (after["attachment"], after["attachment_owner"]) == (
        before["attachment"] + 1,
        before["attachment_owner"] + 3,
    )


@pytest.mark.parametrize("offset", ["", "-1", "+0", "00", "0x0", "0, 0", "1" * 17])
def test_an_offset_that_is_none(hub: LiveHub, client: httpx.Client, offset: str) -> None:
    """An offset is a decimal number, and nothing else."""
    sealed = Sealed()
    before = rows(hub)
    headers = signed(hub, "ly/main", "PUT", sealed.target, b"x", upload_offset=offset)
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    answer = client.put(sealed.target, content=b"x", headers=fields)
    assert (answer.status_code, word(answer)) == (400, "bad-parameter")
    assert rows(hub) == before


def test_a_missingoffset_of(hub: LiveHub, client: httpx.Client) -> None:
    """An upload without its offset is refused, also where the signature is in order."""
    sealed = Sealed()
    before = rows(hub)
    answer = send(client, hub, "ly/main", "PUT", sealed.target, b"x")
    assert (answer.status_code, word(answer)) == (400, "bad-parameter")
    assert rows(hub) == before


def test_an_offset_that_is_not_signed(hub: LiveHub, client: httpx.Client) -> None:
    """Who adds an offset on the way, or changes it, spoils the signature."""
    sealed = Sealed()
    before = rows(hub)
    headers = signed(hub, "ly/main", "PUT", sealed.target, b"x")
    answer = client.put(sealed.target, content=b"x", headers={**headers, "Upload-Offset": "0"})
    assert (answer.status_code, word(answer)) == (401, "signature-components")
    headers = signed(hub, "ly/main", "PUT", sealed.target, b"x", upload_offset="0")
    answer = client.put(sealed.target, content=b"x", headers={**headers, "upload-offset": "1"})
    assert (answer.status_code, word(answer)) == (401, "signature-invalid")
    assert rows(hub) == before


def test_two_offsets(hub: LiveHub, client: httpx.Client) -> None:
    """Of two lines two readers might choose differently: neither is taken, signed together or not."""
    sealed = Sealed()
    before = rows(hub)
    for covered, refused in (("0", 401), ("0, 0", 400)):
        headers = signed(hub, "ly/main", "PUT", sealed.target, b"x", upload_offset=covered)
        del headers["upload-offset"]
        fields = [*headers.items(), ("Upload-Offset", "0"), ("Upload-Offset", "0")]
        answer = client.put(sealed.target, content=b"x", headers=fields)
        assert (answer.status_code, rows(hub)) == (refused, before)


def test_a_piece_that_is_too_large(hub: LiveHub, client: httpx.Client) -> None:
    """A byte more than a piece may have is refused unread; exactly as many are taken."""
    sealed = Sealed(bytes(UPLOAD_PIECE_BYTES_MAX + 1))
    before = rows(hub)
    answer = put(client, hub, "ly/main", sealed.target, sealed.data)
    assert (answer.status_code, word(answer)) == (413, "too-large")
    assert rows(hub) == before
    assert run(piece(hub, "ly/main", sealed, 0, sealed.data[:-1])) == UPLOAD_PIECE_BYTES_MAX


@pytest.mark.parametrize(
    "query", ["", "?size=0", "?size=-1", "?size=x", f"?size={ATTACHMENT_BYTES_MAX + 1}"]
)
def test_a_size_that_is_none(hub: LiveHub, client: httpx.Client, query: str) -> None:
    """An upload declares its size, between one byte and the limit."""
    before = rows(hub)
    answer = put(client, hub, "ly/main", f"/v1/attachments/{'0' * 64}{query}", b"x")
    assert (answer.status_code, word(answer)) == (400, "bad-parameter")
    assert rows(hub) == before


@pytest.mark.parametrize(
    "name",
    ["A" * 64, "0" * 63, "0" * 65, "0" * 63 + "g", "%2e%2e", "%2e%2e%2fhub.db", "0" * 62 + "%30"],
    ids=["upper-case", "short", "long", "no hex", "parent", "a file", "encoded digit"],
)
@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD"])
def test_a_name_that_is_none(hub: LiveHub, client: httpx.Client, method: str, name: str) -> None:
    """The path holds 64 lower-case hex digits: no file of the hub has another name."""
    before = rows(hub), spools(hub)
    target = f"/v1/attachments/{name}?size=5"
    headers = signed(hub, "ly/main", method, target, upload_offset="0")
    url = httpx.URL(scheme="https", host="127.0.0.1", port=hub.port, raw_path=target.encode())
    answer = client.request(method, url, headers=headers)
    assert answer.status_code in {400, 404}
    assert (rows(hub), spools(hub)) == before


@pytest.mark.parametrize("name", ["..", "../hub.db", "../../etc/passwd", "./x"])
def test_a_path_that_climbs(hub: LiveHub, name: str) -> None:
    """Sent as they are, which no ordinary client does, dots lead nowhere."""
    before = rows(hub), spools(hub)
    for method in ("PUT", "GET"):
        target = f"/v1/attachments/{name}?size=5"
        headers = signed(hub, "ly/main", method, target, upload_offset="0")
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        host = f"{method} {target} HTTP/1.1\r\nHost: {hub.invitation.hub.authority}\r\n"
        answered = bare(hub, f"{host}{lines}Connection: close\r\n\r\n".encode())
        assert answered.split(b" ")[1] in {b"400", b"404"}
    assert (rows(hub), spools(hub)) == before


def test_a_body_in_place_of_the_signed_one(hub: LiveHub, client: httpx.Client) -> None:
    """A piece that was altered on the way is not written."""
    sealed = Sealed()
    headers = signed(hub, "ly/main", "PUT", sealed.target, b"right", upload_offset="0")
    before = rows(hub)
    answer = client.put(sealed.target, content=b"wrong", headers=headers)
    assert (answer.status_code, word(answer)) == (400, "content-digest")
    assert rows(hub) == before


def test_a_receipt_is_what_the_schema_says(hub: LiveHub, client: httpx.Client) -> None:
    """The last piece's answer is JSON as every receipt, without places."""
    sealed = Sealed(b"small")
    answer = put(client, hub, "ly/main", sealed.target, sealed.data)
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/json")
    assert parse(Receipt, answer.content, 10**6).places == ()
