"""Within one batch: each work sees what the works before it did, though their rows are written together."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import pytest

from broker.db import reading
from broker.hub.before import Before
from broker.hub.relay import Relay, prepare
from schemas.envelope import Envelope, Header
from schemas.errors import Problem
from schemas.limits import RECIPIENTS_MAX
from schemas.loader import dump_json
from schemas.receipts import Receipt
from tests.exchange.acting import verified
from tests.exchange.forging import check_whole
from tests.exchange.live import LiveHub, new_id
from tests.exchange.raw import rows

_SQLITE_VALUES_MAX: Final = 32_766
"""SQLITE_MAX_VARIABLE_NUMBER where nobody chose another when building it."""


def _works(hub: LiveHub, *envelopes: Envelope) -> list[Relay]:
    return [prepare(dump_json(each), "ly/main", hub.ledger, hub.moment()) for each in envelopes]


def _commit(hub: LiveHub, *envelopes: Envelope) -> list[Any]:
    return hub.ledger.commit(_works(hub, *envelopes))


def test_the_same_id_with_other_bytes(hub: LiveHub) -> None:
    """The second of one batch is told that the id is taken, and sees the first's receipt."""
    envelope_id = new_id()
    first, second = (
        hub.seal(hub.outgoing("ly/main"), "tn/main", envelope_id=envelope_id) for _ in range(2)
    )
    accepted, taken = _commit(hub, first, second)
    assert isinstance(accepted, Receipt)
    assert isinstance(taken, Problem)
    assert taken.word == "id-taken"
    (earlier,) = taken.extensions["earlier"]
    assert earlier["index"] == accepted.index


def test_the_same_again(hub: LiveHub) -> None:
    """Twice in one batch is logged once, and both are answered alike."""
    envelope = hub.seal(hub.outgoing("ly/main"), "tn/main", "ne/main")
    before = hub.ledger.heads()[1].size
    first, second = _commit(hub, envelope, envelope)
    assert first == second
    assert hub.ledger.heads()[1].size == before + 1


def test_other_content_under_one_bulletin_id(hub: LiveHub) -> None:
    """The second content of one batch is refused for good, with the first's receipt."""
    bulletin_id = new_id()
    first, second = (
        hub.seal(hub.outgoing("ly/main", bulletin_id=bulletin_id), "tn/main") for _ in range(2)
    )
    accepted, refused = _commit(hub, first, second)
    assert isinstance(accepted, Receipt)
    assert isinstance(refused, Problem)
    assert refused.word == "bulletin-differs"
    assert [each["index"] for each in refused.extensions["earlier"]] == [accepted.index]


@pytest.mark.parametrize(
    ("recipient", "expected"), [("tn/main", None), ("ne/main", "original-desks")]
)
def test_a_correction_of_what_stands_before_it(
    hub: LiveHub, recipient: str, expected: str | None
) -> None:
    """A correction finds its original in the same batch, and goes to its recipients alone."""
    original = hub.outgoing("ly/main")
    correction = hub.outgoing("ly/main", supersedes=original.bulletin_id)
    sealed = hub.seal(original, "tn/main"), hub.seal(correction, recipient)
    _, corrected = _commit(hub, *sealed)
    assert (corrected.word if isinstance(corrected, Problem) else None) == expected


def test_places_run_on(hub: LiveHub) -> None:
    """Numbers go on where the batch before ended, within a batch and for each pair alone."""
    pairs = (("dz/judicial",), ("dz/judicial", "ne/judicial"), ("ne/judicial",))
    told: dict[str, list[int]] = {}
    for _ in range(2):
        envelopes = [hub.seal(hub.outgoing("ly/main"), *to) for to in pairs]
        for receipt in _commit(hub, *envelopes):
            assert isinstance(receipt, Receipt)
            for place in receipt.places:
                told.setdefault(place.desk, []).append(place.n)
    start = {desk: numbers[0] for desk, numbers in told.items()}
    assert told == {desk: list(range(n, n + 4)) for desk, n in start.items()}
    check_whole(hub)


def test_a_receipt_is_the_one_that_is_read_back(hub: LiveHub) -> None:
    """What was made of the batch's own bytes equals what the database gives later, and verifies."""
    envelopes = [hub.seal(hub.outgoing("ly/main"), "tn/main", "ne/main") for _ in range(3)]
    given = _commit(hub, *envelopes)
    again = _commit(hub, *envelopes)
    assert given == again
    for receipt in given:
        verified(hub, receipt)


def test_a_refused_work_leaves_no_rows(hub: LiveHub) -> None:
    """One that is refused for now, between two that are accepted, leaves nothing behind."""
    good = [hub.seal(hub.outgoing("ly/main"), "tn/main") for _ in range(3)]
    _commit(hub, good.pop())
    first, last = _works(hub, *good)
    before = rows(hub)
    results = hub.ledger.commit([first, _Late(first), last])
    assert [isinstance(result, Receipt) for result in results] == [True, False, True]
    grown = {"entry": 2, "envelope": 2, "party": 4, "body": 2, "slot": 2}
    assert rows(hub) == {table: n + grown.get(table, 0) for table, n in before.items()}


class _Late:
    """A work that looks at the batch's rows, and is refused."""

    def __init__(self, first: Relay) -> None:
        self._id = first.submission.header.id

    def apply(self, batch: Any) -> Any:
        """See what the work before wrote, then be refused."""
        query = "SELECT count(*) FROM envelope WHERE id = ?"
        seen = batch.connection.exec_driver_sql(query, (self._id,)).scalar_one()
        if seen != 1:
            raise RuntimeError(f"{seen} envelopes are there")
        raise Problem("busy")


def test_more_pairs_than_one_question_takes(hub: LiveHub) -> None:
    """A batch of many desks to as many is asked for in parts: SQLite takes so many values at once."""
    (work,) = _works(hub, hub.seal(hub.outgoing("ly/main"), "tn/main"))
    header = work.submission.header
    (recipient,) = header.recipients
    desks = tuple(
        recipient.model_copy(update={"desk": f"zz/{n:03}"}) for n in range(RECIPIENTS_MAX)
    )
    many = [
        header.model_copy(update={"from_": f"zz/{n:03}", "recipients": desks}) for n in range(40)
    ]
    with reading(hub.ledger.engine) as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        before = raw.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, _SQLITE_VALUES_MAX)
        try:
            known = Before.of(connection, [*many, *_last_accepted(hub)])
        finally:
            raw.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, before)
    assert set(known.places) == {("ly/main", "tn/main")}


def _last_accepted(hub: LiveHub) -> list[Header]:
    (work,) = _works(hub, hub.seal(hub.outgoing("ly/main"), "tn/main"))
    hub.ledger.commit([work])
    return [work.submission.header]
