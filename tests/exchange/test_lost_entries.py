"""What members give back: the hub believes its own signatures, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from broker.db import reading
from broker.hub.tables import carried_bulletin, carried_envelope
from schemas.envelope import Envelope
from schemas.errors import Problem
from schemas.lost_entries import GivenBack, LostEntries, LostEnvelope
from schemas.receipts import Opening
from schemas.statements import Statement
from tests.exchange.acting import openings, submit
from tests.exchange.live import EXCHANGE, LiveHub, now, run


class Forgetful:
    """A hub that was set back to before a directory, a sealing key and an envelope."""

    def __init__(self, hub: LiveHub) -> None:
        self.hub = hub
        run(hub.announce("ly/main"))
        saved = hub.data.with_name("saved")
        hub.stop()
        hub.ledger.close()
        shutil.copytree(hub.data, saved)
        hub.start()
        hub.publish(hub.signed_member("dz", 2, now().replace(year=now().year + 1)))
        run(hub.announce("tn/main"))
        self.envelope = hub.seal(hub.outgoing("ly/main"), "tn/main")
        self.receipt = run(submit(hub, self.envelope))
        self.checkpoints = {head.log: head.checkpoint for head in hub.ledger.heads()}
        self.size = hub.ledger.heads()[0].size
        page = run(openings(hub, "ly/main", "directory", 0, self.size))
        self.openings: tuple[Opening, ...] = page.openings
        hub.stop()
        hub.ledger.close()
        shutil.rmtree(hub.data)
        saved.rename(hub.data)
        hub.start()

    def lost(self, **changes: Any) -> LostEntries:
        """What a member gives back."""
        fields: dict[str, Any] = {
            "v": 1,
            "exchange": EXCHANGE,
            "generation": 1,
            "checkpoints": self.checkpoints,
        }
        return LostEntries(**(fields | changes))

    def lost_envelope(self) -> LostEnvelope:
        """The envelope with its receipt."""
        return LostEnvelope(statement=_statement(self.envelope), receipt=self.receipt)

    def give_back(self, lost: LostEntries, desk: str = "ly/main") -> GivenBack:
        """As a desk."""

        async def give() -> GivenBack:
            async with self.hub.client(desk) as client:
                return await client.give_back(lost)

        return run(give())  # type: ignore[no-any-return]

    def refused(self, lost: LostEntries, desk: str = "ly/main") -> Problem:
        """Why it is not taken."""
        with pytest.raises(Problem) as refusal:
            self.give_back(lost, desk)
        return refusal.value


def _statement(envelope: Envelope) -> Statement:
    return Statement(
        payload_type=envelope.payload_type,
        payload=envelope.payload,
        signatures=envelope.signatures,
    )


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Forgetful]:
    """Served over TLS."""
    hub = LiveHub(tmp_path / "hub")
    hub.start()
    yield Forgetful(hub)
    hub.stop()


def test_a_longer_checkpoint_ends_the_signing(forgetful: Forgetful) -> None:
    """Anybody's, once it is this hub's own; what it has is told, and nobody can submit any more."""
    told = forgetful.give_back(forgetful.lost(), "dz/main")
    assert (told.directory < forgetful.size, told.exchange) == (True, 0)
    with pytest.raises(Problem) as refusal:
        run(submit(forgetful.hub, forgetful.hub.seal(forgetful.hub.outgoing("ly/main"), "ly/main")))
    assert refusal.value.word == "hub-halted"
    assert "members showed a checkpoint" in refusal.value.detail


def test_what_it_did_not_sign_is_refused(forgetful: Forgetful) -> None:
    """Another log's checkpoint, altered text, one line alone: and it goes on signing."""
    directory = forgetful.checkpoints["directory"]
    first, second = directory.index("\u2014"), directory.rindex("\u2014")
    for text in (
        forgetful.checkpoints["exchange"],
        directory.replace(f"\n{forgetful.size}\n", f"\n{forgetful.size + 1}\n"),
        directory[:second],
        directory[:first] + directory[second:],
        "nothing",
    ):
        refusal = forgetful.refused(forgetful.lost(checkpoints={"directory": text}))
        assert refusal.word == "inclusion"
    assert (
        forgetful.refused(forgetful.lost(checkpoints={"other": directory})).word == "bad-parameter"
    )
    assert forgetful.refused(forgetful.lost(generation=2)).word == "not-found"
    assert forgetful.refused(forgetful.lost(exchange="another-exchange")).word == "wrong-exchange"
    assert not forgetful.hub.ledger.halted


def test_entries_must_make_the_signed_tree(forgetful: Forgetful) -> None:
    """Altered, left out, or without their files: nothing is put back."""
    here = forgetful.give_back(forgetful.lost()).directory
    rest = forgetful.openings[here:]
    altered = rest[0].model_copy(update={"entry": rest[0].entry + b" "})
    # An entry older than the one that this hub logged when it started is void: then no file is missed.
    for openings_, words in (
        (rest[:-1], {"inclusion"}),
        (rest[1:], {"inclusion"}),
        ((altered, *rest[1:]), {"directory-invalid", "inclusion"}),
        (rest, {"directory-invalid", "inclusion"}),
    ):
        assert forgetful.refused(forgetful.lost(openings=openings_)).word in words
    assert forgetful.hub.ledger.heads()[0].size == here


def test_receipts_of_own_envelopes_are_carried(forgetful: Forgetful) -> None:
    """Once, however often they come; not those of others, nor with another statement."""
    lost = forgetful.lost(checkpoints={}, envelopes=(forgetful.lost_envelope(),))
    assert forgetful.refused(lost, "tn/main").word == "not-sender"
    other = _statement(forgetful.hub.seal(forgetful.hub.outgoing("ly/main"), "ly/main"))
    swapped = LostEnvelope(statement=other, receipt=forgetful.receipt)
    assert forgetful.refused(forgetful.lost(envelopes=(swapped,))).word == "entry-invalid"
    altered = forgetful.receipt.model_copy(update={"index": 1})
    moved = LostEnvelope(statement=_statement(forgetful.envelope), receipt=altered)
    assert forgetful.refused(forgetful.lost(envelopes=(moved,))).word == "inclusion"
    for _ in range(2):
        forgetful.give_back(lost)
    with reading(forgetful.hub.ledger.engine) as connection:
        ids = connection.execute(select(carried_envelope)).all()
        sent = connection.execute(select(carried_bulletin)).all()
    assert (len(ids), [(row.sender, row.desk) for row in sent]) == (1, [("ly/main", "tn/main")])
    with pytest.raises(Problem) as refusal:
        run(submit(forgetful.hub, forgetful.envelope))
    assert refusal.value.word in {"log-closed", "stale-directory", "stale-key"}
