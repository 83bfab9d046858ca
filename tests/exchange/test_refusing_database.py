"""A database that refuses: locked, read-only, full, failing; what the hub says, and what it never loses."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from broker.db import reading, writing
from broker.hub import routes
from broker.hub.directory_log import Operate
from broker.hub.sequencer import Sequencer
from broker.hub.setup import open_ledger
from broker.hub.tables import nonce
from schemas.envelope import Envelope
from schemas.errors import Problem
from schemas.loader import dump_json
from schemas.receipts import Receipt
from tests.exchange.acting import envelope_id, refusal, submit, verified
from tests.exchange.forging import check_whole
from tests.exchange.live import LiveHub, live_hub, run
from tests.exchange.raw import http, rows, send, word


def test_nonces_wait_for_a_batch_that_is_written(hub: LiveHub) -> None:
    """A nonce whose batch the database refused is written with the next."""

    async def submit_twice() -> None:
        queue = Sequencer(hub.ledger)
        queue.remember("f" * 32, hub.now_unix() + 60)
        queue.remember("e" * 32, hub.now_unix() - 60)
        queue.start()
        with _on_each_connection(hub, "PRAGMA query_only = ON"), pytest.raises(Problem):
            await queue.submit(Operate("configuration"))
        await queue.submit(Operate("configuration"))
        await queue.stop()

    run(submit_twice())
    with reading(hub.ledger.engine) as connection:
        stored = set(connection.execute(nonce.select()).scalars())
    assert "f" * 32 in stored
    assert "e" * 32 not in stored


@contextmanager
def _on_each_connection(hub: LiveHub, *pragmas: str) -> Iterator[None]:
    """Have each connection of the running hub begin with these, until the block ends."""

    def checkout(raw: Any, _record: Any, _proxy: Any) -> None:
        for pragma in pragmas:
            raw.execute(pragma)

    engine = hub.ledger.engine
    event.listen(engine, "checkout", checkout)
    try:
        yield
    finally:
        event.remove(engine, "checkout", checkout)
        # What is pooled would keep the settings.
        engine.dispose()


@contextmanager
def _locked(hub: LiveHub) -> Iterator[None]:
    """Another process holds the database's write lock."""
    other = open_ledger(hub.data, hub.keystore, hub.now_unix)
    with _on_each_connection(hub, "PRAGMA busy_timeout = 50"), writing(other.engine):
        yield
    other.engine.dispose()


@contextmanager
def _read_only(hub: LiveHub) -> Iterator[None]:
    """The database takes no writes."""
    with _on_each_connection(hub, "PRAGMA query_only = ON"):
        yield


@contextmanager
def _full(hub: LiveHub) -> Iterator[None]:
    """The database may not grow by a page."""
    with reading(hub.ledger.engine) as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    with _on_each_connection(hub, f"PRAGMA max_page_count = {pages}"):
        yield
    with reading(hub.ledger.engine) as connection:
        connection.execute(text("PRAGMA max_page_count = 1073741823"))


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [(_locked, (503, "busy")), (_read_only, (503, "busy")), (_full, (507, "disk-full"))],
    ids=["locked", "read-only", "full"],
)
def test_a_database_that_refuses(
    hub: LiveHub, trouble: Callable[[LiveHub], Any], expected: tuple[int, str]
) -> None:
    """`busy` with a time to come back, or `disk-full`; nothing is written, and the same bytes pass later."""
    # Large enough that no free page of the database takes it.
    outgoing = hub.outgoing("ly/main", bulletin_json=b'{"title":"' + b"x" * 200_000 + b'"}')
    envelope = hub.seal(outgoing, "tn/main")
    body = dump_json(envelope)
    before, heads = rows(hub), hub.ledger.heads()
    with http(hub) as client:
        with trouble(hub):
            for _ in range(2):
                answer = send(client, hub, "ly/main", "POST", "/v1/envelopes", body)
                assert (answer.status_code, word(answer)) == expected
                assert ("retry-after" in answer.headers) == (word(answer) == "busy")
            # Reading goes on.
            target = "/v1/log/exchange/1/checkpoint"
            assert send(client, hub, "tn/main", "GET", target).status_code == 200
        assert (rows(hub), hub.ledger.heads()) == (before, heads)
        assert hub.ledger.halted == ""
        answer = send(client, hub, "ly/main", "POST", "/v1/envelopes", body)
    assert answer.status_code == 201
    verified(hub, Receipt.model_validate_json(answer.content))
    assert envelope.body == run(_body(hub, envelope))
    check_whole(hub)


async def _body(hub: LiveHub, envelope: Envelope) -> bytes:
    async with hub.client("tn/main") as client:
        return await client.body("ly/main", envelope_id(envelope))


def test_a_question_that_the_database_does_not_answer(
    hub: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading that fails is `busy` as well, and quotes nothing of the database."""

    def fail(*_arguments: object, **_more: object) -> None:
        raise OperationalError("SELECT somebody", {}, sqlite3.OperationalError("somebody"))

    monkeypatch.setattr(routes, "inbox_page", fail)
    with http(hub) as client:
        answer = send(client, hub, "tn/main", "GET", "/v1/desks/tn/main/inbox?limit=1")
    assert (answer.status_code, word(answer)) == (503, "busy")
    assert "somebody" not in answer.text


@pytest.mark.parametrize("name", ["SQLITE_IOERR_FSYNC", "SQLITE_CORRUPT", "SQLITE_NOTADB"])
def test_a_disk_that_fails_halts_the_hub(tmp_path: Path, name: str) -> None:
    """After a failed fsync nobody knows what the disk holds: the hub signs nothing until it is restarted."""
    with live_hub(tmp_path / "hub") as hub:
        run(hub.announce("tn/main"))
        envelope = hub.seal(hub.outgoing("ly/main"), "tn/main")

        def fail(connection: Any) -> None:
            if not connection.get_execution_options().get("barid_write"):
                return
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = getattr(sqlite3, name)
            connection.connection.dbapi_connection.rollback()
            raise OperationalError("COMMIT", {}, error)

        event.listen(hub.ledger.engine, "commit", fail)
        problem_ = refusal(submit(hub, envelope))
        event.remove(hub.ledger.engine, "commit", fail)
        assert problem_.word == "hub-halted"
        assert refusal(submit(hub, envelope)).word == "hub-halted"
        assert hub.ledger.halted
        assert hub.ledger.heads()[1].size == 0
        hub.stop()
        hub.start()
        verified(hub, run(submit(hub, envelope)))
