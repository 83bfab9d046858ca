"""How often a member may publish: what it costs the hub counts, what it does not, does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from broker.hub import publishing as publishing_module
from broker.hub.publishing import Publishing
from schemas.errors import Problem
from schemas.limits import PUBLICATIONS_PER_HOUR_MAX
from schemas.loader import dump_json
from tests.exchange.live import LiveHub, live_hub, run
from tests.exchange.publishing import (
    PUBLICATION,
    Files,
    grace,
    publication,
    publish,
    refused,
    revoking,
    signers,
)
from tests.exchange.raw import http, word
from tests.exchange.raw import send as send_raw


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub of its own for each test, whose members have published nothing."""
    with live_hub(tmp_path_factory.mktemp("rate") / "hub") as serving:
        yield serving


def _wrong(hub: LiveHub, number: int) -> Files:
    """Signed by another member: refused, each time for other bytes."""
    stranger = hub.member_signers["dz"]
    return signers(hub).member("ly", revoking(number), signer=stranger)


def test_a_member_that_publishes_without_end(hub: LiveHub) -> None:
    """It is told when there is room again, by whichever of its desks it comes; the others publish on."""
    for number in range(PUBLICATIONS_PER_HOUR_MAX):
        publish(hub, signers(hub).member("ly", revoking(number)), "ly/main")
    problem = refused(hub, signers(hub).member("ly", revoking(99)), "ly/judicial")
    assert problem.word == "publication-rate"
    assert 3590 <= problem.extensions["retry_after"] <= 3600
    publish(hub, signers(hub).member("tn", revoking(1)), "tn/main")
    publish(hub, signers(hub).member("ly", revoking(99)), "tn/main")
    hub.clock_offset_seconds = 3601
    publish(hub, signers(hub).member("ly", revoking(100)), "ly/main")


def test_a_day_has_room_for_four_hours(hub: LiveHub) -> None:
    """Whoever publishes each hour as much as there is room for waits for the next day."""
    for hour in range(4):
        hub.clock_offset_seconds = hour * 3601
        for number in range(PUBLICATIONS_PER_HOUR_MAX):
            refused(hub, _wrong(hub, hour * 100 + number), "ly/main")
    hub.clock_offset_seconds = 5 * 3601
    problem = refused(hub, _wrong(hub, 999), "ly/main")
    assert problem.word == "publication-rate"
    assert 18 * 3600 < problem.extensions["retry_after"] <= 20 * 3600
    hub.clock_offset_seconds = 24 * 3600 + 10
    publish(hub, signers(hub).member("ly", revoking(1)), "ly/main")


def test_the_answer_says_when_in_its_head_too(hub: LiveHub) -> None:
    """429 with `Retry-After`, as HTTP has it."""
    for number in range(PUBLICATIONS_PER_HOUR_MAX):
        refused(hub, _wrong(hub, number), "ly/main")
    body = dump_json(publication(_wrong(hub, 99)))
    with http(hub) as client:
        answer = send_raw(client, hub, "ly/main", "PUT", PUBLICATION, body)
    assert (answer.status_code, word(answer)) == (429, "publication-rate")
    assert 3590 <= int(answer.headers["Retry-After"]) <= 3600


def test_what_was_refused_counts_once(hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same again is refused as before without being judged; another one counts."""
    first = _wrong(hub, 0)
    said = refused(hub, first, "ly/main").detail
    with monkeypatch.context() as patch:
        # Whoever is asked to judge it now fails, and the hub with it.
        patch.delattr(publishing_module, "judge")
        for _ in range(2 * PUBLICATIONS_PER_HOUR_MAX):
            assert refused(hub, first, "ly/main").detail == said
    for number in range(1, PUBLICATIONS_PER_HOUR_MAX):
        assert refused(hub, _wrong(hub, number), "ly/main").word == "publication"
    assert refused(hub, _wrong(hub, 99), "ly/main").word == "publication-rate"
    assert refused(hub, first, "ly/main").detail == said


def test_what_was_published_counts_nothing_again(hub: LiveHub) -> None:
    """Who got no answer asks as often as it takes, also when there is no room."""
    first = signers(hub).member("ly", revoking(0))
    answer = publish(hub, first, "ly/main")
    for _ in range(2 * PUBLICATIONS_PER_HOUR_MAX):
        assert publish(hub, first, "ly/main") == answer
    for number in range(1, PUBLICATIONS_PER_HOUR_MAX):
        assert refused(hub, _wrong(hub, number), "ly/main").word == "publication"
    assert refused(hub, _wrong(hub, 99), "ly/main").word == "publication-rate"
    assert publish(hub, first, "ly/main") == answer


def test_what_was_refused_is_judged_again_beside_another_directory(hub: LiveHub) -> None:
    """A version that came too early is taken in its turn."""
    early = signers(hub).member("ly", revoking(1, 2), version=3)
    assert "does not follow" in refused(hub, early, "ly/main").detail
    publish(hub, signers(hub).member("ly", revoking(1)), "ly/main")
    publish(hub, early, "ly/main")


def test_what_is_no_publication_counts_nothing(hub: LiveHub) -> None:
    """No signature was looked at: its form alone was wrong."""
    with http(hub) as client:
        for _ in range(PUBLICATIONS_PER_HOUR_MAX + 1):
            answer = send_raw(client, hub, "ly/main", "PUT", PUBLICATION, b"{}")
            assert word(answer) == "schema-violation"
    publish(hub, signers(hub).member("ly", revoking(1)), "ly/main")


def test_a_clock_that_was_set_back(hub: LiveHub) -> None:
    """What was counted by a clock that ran ahead keeps nobody waiting for it."""
    hub.clock_offset_seconds = 7 * 24 * 3600
    for number in range(PUBLICATIONS_PER_HOUR_MAX):
        refused(hub, _wrong(hub, number), "ly/main")
    hub.clock_offset_seconds = 0
    publish(hub, signers(hub).member("ly", revoking(1)), "ly/main")


def test_one_at_a_time(hub: LiveHub) -> None:
    """While a member's publication is read and judged it brings no other; others do."""
    publishing: Publishing = hub.app.state.hub.publishing
    with publishing.turn("ly"):
        assert refused(hub, signers(hub).member("ly", revoking(1)), "ly/main").word == "busy"
        publish(hub, signers(hub).targets(grace(7200)), "tn/main")
    publish(hub, signers(hub).member("ly", revoking(1)), "ly/main")
    with pytest.raises(Problem, match="publication"):
        run(publishing.publish("ly", dump_json(publication(_wrong(hub, 1)))))
