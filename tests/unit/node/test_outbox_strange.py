"""The outbox beside strange clocks and hubs: nothing waits for them, and they fill no disk."""

from __future__ import annotations

import asyncio

import pytest

from broker.node.home import Home
from broker.node.outbox.sealing import seal_queued
from schemas.bulletin.vocabularies import Precedence
from schemas.envelope import Envelope
from schemas.errors import HubUnreachable, Problem
from schemas.limits import ENVELOPE_BYTES_MAX
from schemas.loader import parse
from tests.unit.node.bench import Bench
from tests.unit.node.world import NodeWorld


@pytest.fixture
def bench(world: NodeWorld, ly: Home) -> Bench:
    """ly/main's outbox; every desk but ne/main has a sealing key."""
    return Bench(world, ly)


def _sealed(bench: Bench) -> list[Envelope]:
    seal_queued(bench.home, "ly/main", bench.world.newest, bench.world.now)
    return [parse(Envelope, row.sealed, ENVELOPE_BYTES_MAX) for row in bench.envelopes()]


def test_what_a_clock_that_ran_ahead_put_off_is_sent_once_it_is_set_right(bench: Bench) -> None:
    """Six hours ahead when it was sealed, and when its answers were asked for: nothing waits for that."""
    bench.world.later(hours=6)
    bench.client.away = True
    bulletin = bench.queue("tn/main", precedence=Precedence.FLASH)
    with pytest.raises(HubUnreachable):
        bench.send()
    bench.client.away = False
    bench.world.later(hours=-6)
    assert bench.send() == 1
    assert bench.states(bulletin) == {"tn/main": "accepted"}
    bench.world.later(hours=6)
    assert bench.ask() == 1
    bench.world.later(hours=-6)
    assert bench.ask() == 1


def test_a_refusal_and_an_acceptance_of_one_envelope_are_noticed(bench: Bench) -> None:
    """The hub logs both, shows the sender the refusal, and the recipients the envelope."""
    asyncio.run(bench.sender.watch())
    bulletin = bench.queue("tn/main")
    [sealed] = _sealed(bench)
    bench.client.refusals = [bench.world.refuse(sealed, "access-denied")]
    bench.world.accept(sealed)
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "refused"}
    asyncio.run(bench.sender.watch())
    assert bulletin in bench.alarms()["hub-fault"]


def test_a_hub_that_calls_everything_stale_fills_no_disk(bench: Bench) -> None:
    """A header that would say the same again is not written anew: the same bytes go out."""
    bulletin = bench.queue("tn/main")
    for _ in range(5):
        bench.client.refusals = [Problem("stale-directory")]
        bench.send()
        bench.world.later(minutes=2)
    assert bench.headers() == 1
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "accepted"}


def test_a_stale_header_is_made_anew_once_it_is_old(bench: Bench) -> None:
    """After an hour, since the hub may judge its age."""
    bench.queue("tn/main")
    for _ in range(2):
        bench.client.refusals = [Problem("created-skew")]
        bench.send()
        bench.world.later(minutes=61)
    bench.send()
    assert bench.headers() == 3


def test_a_stale_header_is_made_anew_for_a_new_key_at_once(bench: Bench) -> None:
    """However young it is, and though the directory is the same."""
    bench.world.later(hours=25)
    bench.follow()
    bulletin = bench.queue("tn/main")
    bench.client.refusals = [Problem("stale-key", desk="tn/main")]
    bench.send()
    bench.world.announce(bench.world.sealing_statement("tn/main", 2))
    bench.world.later(minutes=2)
    bench.send()
    assert bench.headers() == 2
    assert bench.states(bulletin) == {"tn/main": "accepted"}
