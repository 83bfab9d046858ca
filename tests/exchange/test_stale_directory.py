"""What the hub says with `stale-directory`: whose file changed since the directory that an envelope names."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from broker.hub import publishing as publishing_module
from broker.hub.relay import Relay, judge, read_submission
from schemas.envelope import Envelope
from schemas.errors import Problem
from schemas.loader import dump_json
from tests.exchange.acting import refusal, submit
from tests.exchange.live import LiveHub, live_hub, run
from tests.exchange.nodes import document, live_exchange, wait_for
from tests.exchange.publishing import grace, publish, revoking, signers

DESKS = ("tn/main", "dz/main")

PATIENCE_SECONDS = 100.0
"""Each of several refusals may be followed by half a minute of pause."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub whose desks have sealing keys."""
    patch = pytest.MonkeyPatch()
    patch.setattr(publishing_module, "PUBLICATIONS_PER_HOUR_MAX", 10_000)
    with live_hub(tmp_path_factory.mktemp("stale") / "hub") as serving:
        run(serving.announce(*DESKS))
        yield serving
    patch.undo()


def _sealed(hub: LiveHub, **changes: Any) -> Envelope:
    return hub.seal(hub.outgoing("ly/main"), *DESKS, **changes)


def _changed(hub: LiveHub, envelope: Envelope) -> Any:
    """What the refusal of an envelope says of who changed."""
    problem = refusal(submit(hub, envelope))
    assert problem.word == "stale-directory"
    assert problem.extensions["in_force"] == hub.directory_ref.model_dump(mode="json")
    return problem.extensions.get("changed", "nothing is said")


def _publish(hub: LiveHub, *members: str) -> None:
    for member in members:
        parties = signers(hub)
        number = parties.version(f"member-{member}")
        publish(hub, parties.member(member, revoking(number)), "dz/main")


def test_members_whose_file_changed_are_named(hub: LiveHub) -> None:
    """Those of the envelope, sorted, its sender's too; others are nobody's business."""
    envelope = _sealed(hub)
    _publish(hub, "tn", "eg")
    assert _changed(hub, envelope) == ["tn"]
    _publish(hub, "ma", "ly", "dz")
    assert _changed(hub, envelope) == ["dz", "ly", "tn"]


def test_another_council_is_named_in_their_place(hub: LiveHub) -> None:
    """It is stale for everybody, whoever published besides."""
    envelope = _sealed(hub)
    _publish(hub, "tn")
    publish(hub, signers(hub).targets(grace(7200 + hub.ledger.state.size)))
    assert _changed(hub, envelope) == "council"


def test_a_file_signed_again_is_no_change(hub: LiveHub) -> None:
    """Another version with the same content makes nothing stale."""
    envelope = _sealed(hub)
    publish(hub, signers(hub).member("tn"))
    run(submit(hub, envelope))


def test_a_directory_that_is_only_old(hub: LiveHub) -> None:
    """After ten minutes it is stale though nobody of the envelope published: nobody is named."""
    envelope = _sealed(hub)
    _publish(hub, "eg")
    hub.clock_offset_seconds = 700
    try:
        assert _changed(hub, envelope) == []
    finally:
        hub.clock_offset_seconds = 0


@pytest.mark.parametrize(
    "lie", [{"index": 2**40}, {"leaf": "0" * 64}, {"origin": "another/directory/1"}, {"index": 1}]
)
def test_a_directory_that_never_was(hub: LiveHub, lie: dict[str, Any]) -> None:
    """The hub does not know what has changed since, and says nothing of it."""
    named = hub.directory_ref.model_copy(update=lie)
    assert _changed(hub, _sealed(hub, directory=named)) == "nothing is said"


def test_a_directory_that_comes_between_verdict_and_commit(hub: LiveHub) -> None:
    """The envelope is judged again in its batch, and who changed is named all the same."""
    submission = read_submission(dump_json(_sealed(hub)), "ly/main")
    at = hub.moment()
    work = Relay(submission, judge(submission, hub.ledger.state, at), hub.ledger.state.size, at)
    _publish(hub, "dz")
    (answer,) = hub.ledger.commit([work])
    assert isinstance(answer, Problem)
    assert (answer.word, answer.extensions["changed"]) == ("stale-directory", ["dz"])


def test_a_member_that_publishes_without_end_delays_itself_alone(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes to another desk too is split off; its own comes once it is quiet. Nothing is lost."""
    monkeypatch.setattr(publishing_module, "PUBLICATIONS_PER_HOUR_MAX", 10_000)
    with live_exchange(tmp_path_factory.mktemp("endless"), "ly", "tn") as (hub, nodes):
        run(hub.announce("dz/main"))
        wait_for(lambda: nodes["ly"].status()["logs"]["directory_entry"] is not None)
        endless = Endless(hub, "dz")
        endless.start()
        try:
            sent = [document("ly/main", f"bulletin {number}") for number in range(5)]
            for _, data in sent:
                assert nodes["ly"].send(data, "tn/main", "dz/main").status_code == 202
            wait_for(
                lambda: all(
                    nodes["ly"].states(bulletin)["tn/main"] == "delivered" for bulletin, _ in sent
                ),
                PATIENCE_SECONDS,
            )
        finally:
            endless.stop()
        assert endless.failure is None
        wait_for(
            lambda: all(
                nodes["ly"].states(bulletin)["dz/main"] == "accepted" for bulletin, _ in sent
            ),
            PATIENCE_SECONDS,
        )


class Endless(threading.Thread):
    """A member that publishes its file again and again."""

    def __init__(self, hub: LiveHub, member: str) -> None:
        super().__init__(daemon=True)
        self._hub, self._member = hub, member
        self._ends = threading.Event()
        self.failure: Exception | None = None

    def run(self) -> None:
        """Publish until it is stopped."""
        while not self._ends.is_set():
            try:
                _publish(self._hub, self._member)
            except Exception as error:  # noqa: BLE001 - the test shows what it was
                self.failure = error
                return

    def stop(self) -> None:
        """Be quiet."""
        self._ends.set()
        self.join(10)
