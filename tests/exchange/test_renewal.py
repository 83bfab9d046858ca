"""The hub's own signatures in the trust root: renewed by itself, by its clock, after any absence."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from tuf.api.metadata import Metadata, Snapshot, Timestamp

from broker.db import reading, writing
from broker.hub import renewal
from broker.hub.logbook import LogWriter
from broker.hub.renewal import renew
from broker.hub.stored import read_trust_file
from broker.hub.tables import trust_file
from keys.timestamps import TimestampFault, judge_timestamp
from keys.tuf_files import metadata_name
from schemas.limits import TRUST_FILE_BYTES_MAX
from tests.exchange.acting import submit, verified
from tests.exchange.live import LiveHub, live_hub, run
from tests.exchange.publishing import in_force, publish, revoking, signers
from tests.exchange.raw import rows

HOUR, DAY = 3600, 24 * 3600
TIMESTAMP = "metadata/timestamp.json"


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub of its own for each test."""
    with live_hub(tmp_path_factory.mktemp("renewal") / "hub") as serving:
        run(serving.announce("tn/main"))
        yield serving


def _look(hub: LiveHub) -> None:
    """The hub looks whether something is due, as it does every few minutes."""
    running = hub.app.state.hub
    loop = running.sequencer._task.get_loop()
    asyncio.run_coroutine_threadsafe(
        renew(hub.ledger, running.sequencer, hub.now_unix), loop
    ).result(20)


def _stored(hub: LiveHub, name: str) -> bytes:
    with reading(hub.ledger.engine) as connection:
        return read_trust_file(connection, name, TRUST_FILE_BYTES_MAX)


def _timestamp(hub: LiveHub) -> Timestamp:
    return Metadata[Timestamp].from_bytes(_stored(hub, TIMESTAMP)).signed


def _snapshot(hub: LiveHub) -> bytes:
    return _stored(hub, metadata_name("snapshot", in_force(hub).versions["snapshot"]))


def _fault(hub: LiveHub, seen: bytes | None = None) -> TimestampFault | None:
    """What a node finds wrong with the timestamp by the hub's clock."""
    data, size = _stored(hub, TIMESTAMP), len(_snapshot(hub))
    return judge_timestamp(data, seen, in_force(hub), size, hub.moment()).fault


def test_a_timestamp_is_renewed_every_hour(hub: LiveHub) -> None:
    """Without an entry; its version rises, it vouches for the same snapshot, and members are served it."""
    first, before, ref = _stored(hub, TIMESTAMP), rows(hub), hub.directory_ref
    hub.clock_offset_seconds = HOUR - 60
    _look(hub)
    assert _stored(hub, TIMESTAMP) == first
    hub.clock_offset_seconds = HOUR + 1
    _look(hub)
    assert _stored(hub, TIMESTAMP) != first
    assert _fault(hub, first) is None
    assert _timestamp(hub).expires - hub.moment() > timedelta(hours=23, minutes=59)
    assert (rows(hub), hub.directory_ref) == (before, ref)

    async def fetched() -> bytes:
        async with hub.client("tn/main") as client:
            return await client.trust_file(TIMESTAMP)

    assert run(fetched()) == _stored(hub, TIMESTAMP)


def test_nobody_renews_by_itself(hub: LiveHub) -> None:
    """Without the looks a timestamp lapses within a day: what the other tests see is their doing."""
    hub.clock_offset_seconds = DAY
    assert _fault(hub) is TimestampFault.EXPIRED


def test_every_version_is_higher(hub: LiveHub) -> None:
    """Whatever signs a timestamp: publishing, renewing, and a clock that was set back."""
    versions = [_timestamp(hub).version]
    for offset, publishes in ((2 * HOUR, False), (2 * HOUR, True), (4 * HOUR, False), (0, True)):
        hub.clock_offset_seconds = offset
        if publishes:
            publish(hub, signers(hub).member("ly", revoking(len(versions))))
        else:
            _look(hub)
        versions.append(_timestamp(hub).version)
        assert _fault(hub) is None
    assert versions == sorted(set(versions))


def test_a_clock_that_ran_ahead(hub: LiveHub) -> None:
    """Once it is set right, a timestamp of the far future is replaced by one that lapses in its time."""
    hub.clock_offset_seconds = 5 * DAY
    _look(hub)
    hub.clock_offset_seconds = 0
    _look(hub)
    assert _timestamp(hub).expires - hub.moment() <= timedelta(days=1)


def test_a_snapshot_is_renewed_before_it_lapses(hub: LiveHub) -> None:
    """As an entry of its own: its version rises, and all else of the directory is the same."""
    before, size = in_force(hub), hub.ledger.state.size
    hub.clock_offset_seconds = 20 * DAY - HOUR
    _look(hub)
    assert hub.ledger.state.size == size
    hub.clock_offset_seconds = 20 * DAY + HOUR
    _look(hub)
    after = in_force(hub)
    assert hub.ledger.state.size == size + 1
    assert {r: f for r, f in after.files.items() if r != "snapshot"} == {
        r: f for r, f in before.files.items() if r != "snapshot"
    }
    assert after.versions["snapshot"] == before.versions["snapshot"] + 1
    assert _fault(hub) is None
    expires = Metadata[Snapshot].from_bytes(_snapshot(hub)).signed.expires
    assert expires - hub.moment() > timedelta(days=29)
    _look(hub)
    assert hub.ledger.state.size == size + 1


def test_what_was_sealed_before_a_renewal_is_taken(hub: LiveHub) -> None:
    """Nothing that matters has changed: nobody has to seal again."""
    hub.clock_offset_seconds = 21 * DAY
    envelope = hub.seal(
        hub.outgoing("ly/main", expires=hub.moment() + timedelta(days=7)), "tn/main"
    )
    ref = hub.directory_ref
    _look(hub)
    assert hub.directory_ref != ref
    verified(hub, run(submit(hub, envelope)))


def test_a_hub_that_was_off_for_a_month(hub: LiveHub) -> None:
    """Both are renewed before anybody is answered."""
    hub.stop()
    hub.clock_offset_seconds = 35 * DAY
    hub.start()
    assert _fault(hub) is None
    assert in_force(hub).versions["snapshot"] == 2


def test_a_hub_that_was_off_for_a_night(hub: LiveHub) -> None:
    """The timestamp alone is renewed at its start, and nothing is logged for it but the start."""
    size = hub.ledger.state.size
    hub.stop()
    hub.clock_offset_seconds = 30 * HOUR
    hub.start()
    assert _fault(hub) is None
    assert hub.ledger.state.size == size + 1


@pytest.mark.parametrize("offset", [2 * HOUR, 21 * DAY])
def test_a_hub_that_is_killed_while_it_renews(
    hub: LiveHub, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    """Before the commit there is what there was; the next look does all of it."""
    before, stamp = rows(hub), _stored(hub, TIMESTAMP)

    def dies(*_arguments: object) -> None:
        raise RuntimeError("killed")

    hub.clock_offset_seconds = offset
    with monkeypatch.context() as patch:
        patch.setattr(LogWriter, "close", dies)
        with pytest.raises(RuntimeError, match="killed"):
            _look(hub)
    assert (rows(hub), _stored(hub, TIMESTAMP)) == (before, stamp)
    _look(hub)
    assert _fault(hub, stamp) is None


def test_a_timestamp_that_was_spoilt(hub: LiveHub) -> None:
    """What is not there, or cannot be read, is signed anew at the next look."""
    for data in (None, b"garbage"):
        with writing(hub.ledger.engine) as connection:
            connection.execute(trust_file.delete().where(trust_file.c.name == TIMESTAMP))
            if data is not None:
                connection.execute(trust_file.insert().values(name=TIMESTAMP, data=data))
        _look(hub)
        assert _fault(hub) is None


def test_the_hub_looks_by_itself(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it serves, again and again."""
    monkeypatch.setattr(renewal, "LOOK_SECONDS", 0.05)
    with live_hub(tmp_path_factory.mktemp("renewal") / "hub") as serving:
        hub = serving
        for hours in (2, 4):
            seen = _stored(hub, TIMESTAMP)
            hub.clock_offset_seconds = hours * HOUR
            for _ in range(200):
                if _stored(hub, TIMESTAMP) != seen:
                    break
                run(asyncio.sleep(0.05))
            assert _stored(hub, TIMESTAMP) != seen
            assert _fault(hub, seen) is None
