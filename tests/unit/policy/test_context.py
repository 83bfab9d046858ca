"""Desks and contexts are taken from council and header, complete."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from broker.policy.context import Party, cedar_context, cedar_entity, context_of, party_of
from schemas.bulletin.vocabularies import Caveat, Classification, DeskFunction, Tlp
from schemas.directory import (
    Ceiling,
    Council,
    CouncilMember,
    Deadlines,
    Group,
    HubAddress,
    LogKeys,
    Logs,
    Names,
)
from schemas.envelope import Header
from tests.unit.policy.examples import AT, ORDINARY, marked

_NAMES = Names(ar="a", fr="a", en="a")


def _logs() -> Logs:
    def keys(origin: str) -> LogKeys:
        return LogKeys(origin=origin, ed25519=bytes(32), ml_dsa_44=bytes(1312))

    return Logs(generation=1, directory=keys("log/directory"), exchange=keys("log/exchange"))


@pytest.fixture
def council() -> Council:
    """A council of one state and one organisation."""
    red = Ceiling(tlp=Tlp.RED, classification=Classification.RESTRICTED)
    green = Ceiling(tlp=Tlp.GREEN, classification=Classification.UNCLASSIFIED)
    grants: dict[str, tuple[DeskFunction, ...]] = {
        "main": (DeskFunction.CUSTOMS, DeskFunction.MAIN),
        "idle": (),
    }
    observer: dict[str, tuple[DeskFunction, ...]] = {"observer": (DeskFunction.OBSERVER,)}
    return Council(
        v=1,
        exchange="test-exchange",
        test=True,
        members={
            "tn": CouncilMember(kind="state", names=_NAMES, ceiling=red, desks=grants),
            "auc": CouncilMember(kind="organisation", names=_NAMES, ceiling=green, desks=observer),
        },
        groups={
            "sahel": Group(names=_NAMES, members=("tn",)),
            "all": Group(names=_NAMES, members=("auc", "tn")),
        },
        logs=_logs(),
        witnesses="none",
        hub=HubAddress(authority="hub.test", url="https://hub.test", tls_trust="none"),
        deadlines_seconds=Deadlines(flash=1, immediate=1, priority=1, routine=1),
        grace_seconds=1,
    )


def test_party_of(council: Council) -> None:
    """A desk has its member's kind, ceiling and groups, and its own functions."""
    assert party_of(council, "tn/main", AT) == Party(
        desk="tn/main",
        kind="state",
        functions=(DeskFunction.CUSTOMS, DeskFunction.MAIN),
        tlp_ceiling=Tlp.RED,
        classification_ceiling=Classification.RESTRICTED,
        groups=("all", "sahel"),
    )
    observer = party_of(council, "auc/observer", AT)
    assert observer is not None
    assert (observer.member, observer.kind, observer.tlp_ceiling, observer.groups) == (
        "auc",
        "organisation",
        Tlp.GREEN,
        ("all",),
    )


@pytest.mark.parametrize("desk", ["tn/police", "ly/main", "tn", "tn/", "", "tn/main/x"])
def test_unknown_desks(desk: str, council: Council) -> None:
    """A desk to which the council grants nothing is no party."""
    assert party_of(council, desk, AT) is None


def test_desk_without_functions(council: Council) -> None:
    """A desk that is listed with no function is a party that can do nothing."""
    idle = party_of(council, "tn/idle", AT)
    assert idle is not None
    assert idle.functions == ()


def test_context_of(header_to: Callable[..., Header]) -> None:
    """A header gives each fact that a rule may read; the time is given apart."""
    at = datetime(2026, 12, 1, tzinfo=UTC)
    header = header_to("ly/main")
    assert context_of(header, at) == replace(ORDINARY, at=at)
    assert context_of(header, ORDINARY.at) == ORDINARY


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 12, 1, tzinfo=UTC).replace(tzinfo=None),
        datetime(2026, 12, 1, tzinfo=timezone(timedelta(hours=1))),
        datetime(2026, 12, 1, microsecond=1, tzinfo=UTC),
    ],
)
def test_time_is_utc_with_whole_seconds(at: datetime) -> None:
    """Two evaluators cannot differ by a fraction of a second or a zone."""
    with pytest.raises(ValueError, match="whole seconds"):
        replace(ORDINARY, at=at)


def test_cedar_context() -> None:
    """What Cedar reads is written out in full, level words with their ranks."""
    what = marked(Tlp.AMBER_STRICT, Classification.SECRET, (Caveat.RELEASE_TO,), ("ly", "td"))
    assert json.loads(cedar_context(what)) == {
        "status": {"type": "Status", "id": "actual"},
        "kind": {"type": "Kind", "id": "threat_bulletin"},
        "topics": [{"type": "Topic", "id": "arms"}, {"type": "Topic", "id": "smuggling"}],
        "purpose": {"type": "Purpose", "id": "border_monitoring"},
        "precedence": {"type": "Precedence", "id": "routine"},
        "personal_data": False,
        "marking": {
            "tlp": {"type": "Tlp", "id": "amber+strict"},
            "tlp_rank": 3,
            "classification": {"type": "Classification", "id": "secret"},
            "classification_rank": 3,
            "caveats": [{"type": "Caveat", "id": "release_to"}],
            "release_to": ["ly", "td"],
        },
        "at": "2026-11-24T22:00:00Z",
    }


def test_cedar_entity(council: Council) -> None:
    """A desk is one entity, without parents, with all that the council grants."""
    party = party_of(council, "auc/observer", AT)
    assert party is not None
    assert json.loads(cedar_entity(party)) == {
        "uid": {"type": "Desk", "id": "auc/observer"},
        "attrs": {
            "member": "auc",
            "kind": {"type": "MemberKind", "id": "organisation"},
            "functions": [{"type": "Function", "id": "observer"}],
            "groups": ["all"],
            "channels": [],
            "operations": [],
            "ceiling": {
                "tlp": {"type": "Tlp", "id": "green"},
                "tlp_rank": 1,
                "classification": {"type": "Classification", "id": "unclassified"},
                "classification_rank": 0,
            },
        },
        "parents": [],
    }


def test_an_operation_ends_at_its_second(council: Council) -> None:
    """A joint operation is one until the second before it ends; a channel and a grouping stay."""
    ends = AT + timedelta(hours=1)
    groups = {
        **council.groups,
        "joint": Group(names=_NAMES, kind="operation", members=("tn",), until=ends),
        "line": Group(names=_NAMES, kind="bilateral", members=("auc", "tn")),
    }
    wider = council.model_copy(update={"groups": groups})
    before = party_of(wider, "tn/main", ends - timedelta(seconds=1))
    after = party_of(wider, "tn/main", ends)
    assert before is not None
    assert after is not None
    assert (before.operations, after.operations) == (("joint",), ())
    assert (before.channels, after.channels) == (("line",), ("line",))
    assert before.groups == after.groups == ("all", "sahel")
