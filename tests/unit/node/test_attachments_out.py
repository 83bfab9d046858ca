"""Attachments leave before their envelope, past no flash, and again where the hub lost them; then they go."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select

from broker.db import reading
from broker.node import tables
from broker.node.home import Home
from broker.node.outbox.attachments import file_of
from broker.node.uploading import collect
from keys.streams import CHUNK_BYTES
from schemas.acknowledgements import Result
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import HubUnreachable, Problem
from schemas.limits import UPLOAD_PIECE_BYTES_MAX
from tests.unit.node.uploading_desk import PLAINTEXT, SIZE, Desk, opened, refusal
from tests.unit.node.world import NodeWorld, open_database


@pytest.fixture
def desk(world: NodeWorld, ly: Home) -> Desk:
    """ly/main."""
    return Desk(world, ly)


# The bulletin that names it.


def test_a_bulletin_waits_for_its_attachments(desk: Desk) -> None:
    """It is not queued before all are whole, and the refusal says which are not."""
    announced = desk.announce()
    desk.uploads.take(announced, 0, PLAINTEXT[: 2 * CHUNK_BYTES])
    problem = refusal(lambda: desk.queue(announced))
    assert problem.word == "attachments-missing"
    assert problem.extensions == {"missing": [announced.attachment_id]}
    desk.upload(announced)
    desk.queue(announced)
    assert desk.bench.states(announced.bulletin_id) == {"tn/main": "queued"}


def test_what_the_bulletin_names_is_what_was_uploaded(desk: Desk) -> None:
    """Another size or hash under the same id is missing."""
    announced = desk.announce()
    desk.upload(announced)
    for changed in ({"size_bytes": SIZE + 1}, {"sha256": "0" * 64}):
        other = replace(announced, **changed)
        assert refusal(partial(desk.queue, other)).word == "attachments-missing"


def test_uploads_that_the_bulletin_does_not_name_are_dropped(desk: Desk) -> None:
    """They must not keep it from leaving."""
    announced = desk.announce()
    desk.upload(announced)
    other = desk.announce(b"other", announced.bulletin_id)
    desk.uploads.take(replace(other, size_bytes=CHUNK_BYTES + 5), 0, bytes(CHUNK_BYTES))
    desk.queue(announced)
    assert desk.row().attachment_id == announced.attachment_id
    assert refusal(lambda: desk.upload(other, b"other")).word == "id-taken"


def test_attachments_leave_before_their_envelope(desk: Desk) -> None:
    """The envelope is not due before the hub has the file; header and sealed part then name it."""
    announced = desk.announce()
    desk.upload(announced)
    desk.queue(announced)
    assert desk.bench.send() == 0
    assert desk.bench.client.submitted == []
    assert desk.carry() == [True]
    assert desk.bench.send() == 1
    assert desk.bench.states(announced.bulletin_id) == {"tn/main": "accepted"}
    [header] = desk.headers()
    [ref] = header.attachments
    stored = desk.bench.client.stored[ref.sha256]
    assert (ref.id, ref.size) == (announced.attachment_id, len(stored))
    assert opened(desk, stored) == PLAINTEXT


def test_a_flash_passes_a_large_upload(desk: Desk) -> None:
    """While pieces of a routine attachment travel, an envelope without one leaves, and so does a flash's."""
    large = secrets.token_bytes(3 * UPLOAD_PIECE_BYTES_MAX)
    routine, flash = desk.announce(large), desk.announce()
    desk.upload(routine, large, UPLOAD_PIECE_BYTES_MAX)
    desk.queue(routine)
    desk.bench.send()
    assert asyncio.run(desk.uploader.step()) is False
    plain = desk.bench.queue("tn/main", precedence=Precedence.FLASH)
    assert desk.bench.send() == 1
    assert desk.bench.states(plain) == {"tn/main": "accepted"}
    desk.upload(flash)
    desk.queue(flash, precedence=Precedence.FLASH)
    desk.bench.send()
    assert asyncio.run(desk.uploader.step()) is True
    assert desk.bench.send() == 1
    assert desk.bench.states(flash.bulletin_id) == {"tn/main": "accepted"}
    assert desk.bench.states(routine.bulletin_id) == {"tn/main": "queued"}
    assert desk.carry()[-1] is True


def test_an_upload_to_the_hub_goes_on_after_kill_9(desk: Desk) -> None:
    """The hub says how much it has; what it has travels once."""
    large = secrets.token_bytes(3 * UPLOAD_PIECE_BYTES_MAX)
    announced = desk.announce(large)
    desk.upload(announced, large, UPLOAD_PIECE_BYTES_MAX)
    desk.queue(announced)
    desk.bench.send()
    assert asyncio.run(desk.uploader.step()) is False
    desk.restart()
    assert desk.carry() == [False, False, True]
    offsets = [offset for _, offset in desk.bench.client.pieces]
    assert offsets == [i * UPLOAD_PIECE_BYTES_MAX for i in (1, 2, 3)]
    assert desk.bench.send() == 1


def test_a_hub_that_lost_it_gets_it_again(desk: Desk) -> None:
    """Collected before the envelope came: uploaded again, then accepted."""
    announced = desk.announce()
    desk.upload(announced)
    desk.queue(announced)
    desk.bench.send()
    desk.carry()
    desk.bench.client.stored.clear()
    assert desk.bench.send() == 1
    assert desk.bench.states(announced.bulletin_id) == {"tn/main": "queued"}
    assert desk.carry() == [True]
    desk.world.later(minutes=2)
    assert desk.bench.send() == 1
    assert desk.bench.states(announced.bulletin_id) == {"tn/main": "accepted"}


def test_a_refused_upload_waits_and_the_others_go_on(desk: Desk) -> None:
    """A quota that is used up raises an alarm; another bulletin's attachment is not kept waiting."""
    first, second = desk.announce(), desk.announce()
    for each in (first, second):
        desk.upload(each)
        desk.queue(each)
    desk.bench.send()
    with reading(desk.home.engine) as connection:
        query = select(tables.outgoing_attachment.c.sealed_sha256).where(
            tables.outgoing_attachment.c.bulletin_id == first.bulletin_id
        )
        sealed = connection.execute(query).scalar_one()
    desk.bench.client.refused[sealed] = Problem("quota", used=1, limit=1)
    desk.uploader._pauses._base_seconds = 1000.0
    assert sorted(desk.carry(), key=str) == [False, True]
    assert desk.bench.alarms().keys() == {"hub-refuses-requests"}
    assert desk.bench.send() == 1
    assert desk.bench.states(second.bulletin_id) == {"tn/main": "accepted"}


def test_an_unreachable_hub_is_the_loops_matter(desk: Desk) -> None:
    """Nothing is paused by itself: the loop waits and tries again."""
    announced = desk.announce()
    desk.upload(announced)
    desk.queue(announced)
    desk.bench.send()

    async def away(*_: object) -> int:
        raise HubUnreachable("away")

    desk.bench.client.attachment_offset = away  # type: ignore[method-assign,assignment]
    with pytest.raises(HubUnreachable):
        desk.carry()
    del desk.bench.client.attachment_offset
    assert desk.carry() == [True]


def test_a_receipt_of_something_else_does_not_count(desk: Desk) -> None:
    """The hub must prove that it logged this attachment."""
    announced = desk.announce()
    desk.upload(announced)
    desk.queue(announced)
    desk.bench.send()
    client = desk.bench.client
    other = client.world.accept(client.world.envelope("ly/main", "tn/main"))

    async def lying(*_: object) -> object:
        return client.world.receipt(other, "ly/main")

    client.upload_piece = lying  # type: ignore[method-assign,assignment]
    desk.uploader._pauses._base_seconds = 1000.0
    assert desk.carry() == [False]
    assert desk.row().stored is None
    assert desk.bench.alarms().keys() == {"hub-fault"}


def test_sealing_again_keeps_the_attachments(desk: Desk) -> None:
    """A header that was called stale is made anew, and names the same sealed file."""
    announced = desk.announce()
    desk.upload(announced)
    desk.queue(announced)
    desk.bench.send()
    desk.carry()
    desk.bench.client.refusals.append(Problem("stale-directory"))
    assert desk.bench.send() == 1
    desk.world.later(minutes=2)
    assert desk.bench.send() == 1
    assert desk.bench.states(announced.bulletin_id) == {"tn/main": "accepted"}
    [header] = desk.headers()
    assert [ref.sha256 for ref in header.attachments] == list(desk.bench.client.stored)


# What nobody needs any more.


def collected(desk: Desk) -> list[bytes]:
    """The files that are left after a look."""
    collect(desk.home, "ly/main", lambda: desk.world.now)
    return desk.files()


def test_unused_uploads_are_dropped_after_a_week(desk: Desk) -> None:
    """No bulletin named it: row and file go, and not a day earlier."""
    announced = desk.announce()
    desk.upload(announced)
    desk.world.later(days=6)
    assert len(collected(desk)) == 1
    desk.world.later(days=1)
    assert collected(desk) == []
    assert desk.uploads.offset(announced) == 0


def test_files_go_once_everybody_has_answered(desk: Desk) -> None:
    """Kept while a recipient owes an answer; then the file goes, and what seals it again stays."""
    announced = desk.announce()
    desk.upload(announced)
    desk.queue(announced)
    desk.bench.send()
    desk.carry()
    desk.bench.send()
    assert len(collected(desk)) == 1
    index = desk.world.find(desk.headers()[0].id)
    assert index is not None
    desk.world.log_answer(desk.world.answer("tn/main", index, Result.DELIVERED))
    desk.world.later(minutes=5)
    desk.bench.ask()
    assert desk.bench.states(announced.bulletin_id) == {"tn/main": "delivered"}
    assert collected(desk) == []
    assert desk.row().sealed_sha256 is not None


def test_files_of_what_expired_go_after_30_days(desk: Desk) -> None:
    """Nobody answered: kept as long as the envelope's bytes."""
    announced = desk.announce()
    desk.upload(announced)
    desk.queue(announced, expires=desk.world.now + timedelta(days=1))
    desk.world.later(days=30)
    assert len(collected(desk)) == 1
    desk.world.later(days=1)
    assert collected(desk) == []


def test_a_file_that_was_lost_is_uploaded_anew_and_sealed_anew(desk: Desk) -> None:
    """An envelope that names the lost sealing is given up; another one carries the bulletin."""
    announced = desk.announce()
    desk.upload(announced)
    desk.queue(announced)
    desk.bench.send()
    file_of(desk.home, "ly/main", announced.bulletin_id, announced.attachment_id).unlink()
    desk.uploader._pauses._base_seconds = 1000.0
    assert desk.carry() == [False]
    assert desk.bench.alarms().keys() == {"internal"}
    assert desk.uploads.offset(announced) == 0
    desk.upload(announced)
    assert desk.bench.send() == 0
    assert [row.state for row in desk.bench.envelopes()] == ["abandoned", "sealed"]
    assert desk.carry() == [True]
    assert desk.bench.send() == 1
    assert desk.bench.states(announced.bulletin_id) == {"tn/main": "accepted"}


def test_a_database_opened_again_has_it_all(desk: Desk) -> None:
    """The rows are in the encrypted database, keys and all."""
    announced = desk.announce()
    desk.upload(announced)
    key = desk.row().key
    again = open_database(desk.home.data)
    with again.connect() as connection:
        rows = connection.execute(select(tables.outgoing_attachment.c.key)).scalars().all()
    again.dispose()
    assert rows == [key]
    assert key not in (desk.home.data / "node.db").read_bytes()
