"""Each entry is judged by the directory in force at it, and at its own moment; what was, stays sound."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from broker.audit.directory import DirectoryAudit
from broker.audit.leaves import OpenedLeaf
from broker.audit.rules import Findings
from broker.tlog.merkle import leaf_hash
from keys.dsse import sign_statement
from schemas.acknowledgements import Result
from schemas.bulletin.vocabularies import Classification, DeskFunction, Purpose, Status, Tlp
from schemas.directory import Ceiling, Council, Group, Names
from schemas.envelope import Header, HeaderMarking
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.statements import PayloadType, Statement
from tests.unit.audit.governing import (
    granted,
    publish_council,
    publish_member,
    revoke,
    with_seat,
    without,
)
from tests.unit.audit.world import AuditWorld, audit_exchange_log, found

SECRET = HeaderMarking(tlp=Tlp.RED, classification=Classification.SECRET, caveats=())
OPERATION_HOURS = 2

Send = Callable[[AuditWorld], Statement]
Change = Callable[[AuditWorld], object]


def _send(sender: str, *desks: str, **changed: Any) -> Send:
    return lambda world: world.envelope(sender, *desks, **changed)


def _council(change: Callable[[Council], Council]) -> Change:
    return lambda world: publish_council(world, change)


LOW = Ceiling(tlp=Tlp.GREEN, classification=Classification.UNCLASSIFIED)

RULES: list[tuple[str, Send, Change]] = [
    (
        "a desk loses its function",
        _send("ly/main", "tn/main"),
        _council(lambda council: granted(council, "ly", "main", DeskFunction.OBSERVER)),
    ),
    (
        "a member's ceiling falls",
        _send("ly/main", "tn/main", marking=SECRET),
        _council(with_seat("tn", ceiling=LOW)),
    ),
    (
        "a member leaves every group",
        _send("ly/main", "tn/main"),
        _council(lambda council: council.model_copy(update={"groups": without(council, "tn")})),
    ),
]


@pytest.mark.parametrize(
    ("send", "change"), [case[1:] for case in RULES], ids=[case[0] for case in RULES]
)
def test_a_changed_council_decides_from_its_entry_on(
    story: AuditWorld, send: Send, change: Change
) -> None:
    """Accepted before it: sound. Refused after it: sound. Accepted after it: a finding, there."""
    story.accept(send(story))
    change(story)
    story.refuse(send(story), "access-denied")
    findings, _ = audit_exchange_log(story)
    assert found(findings) == []
    index = story.accept(send(story))
    findings, _ = audit_exchange_log(story)
    assert found(findings) == [("exchange", index, "accepted-access-denied")]


def _node_keyid(world: AuditWorld, desk: str) -> str:
    directory = world.known().newest.directory
    view = directory.desk(desk, world.now) if directory else None
    assert view is not None
    assert view.node_keyid is not None
    return view.node_keyid


def _revoke_node(member: str) -> Change:
    desk = f"{member}/main"
    return lambda world: publish_member(world, member, revoke(_node_keyid(world, desk)))


def _revoke_sealing(member: str) -> Change:
    def change(world: AuditWorld) -> None:
        key = world.known().newest.sealing_key(f"{member}/main", world.now)
        assert key is not None
        publish_member(world, member, revoke(key.keyid))

    return change


def _expire(member: str) -> Change:
    """Its file lapses within the hour."""

    def change(world: AuditWorld) -> None:
        publish_member(world, member, expires=world.now + timedelta(hours=1))
        world.later(hours=1)

    return change


def _suspend(member: str) -> Change:
    return _council(with_seat(member, suspended=True))


KEYS: list[tuple[str, Change, str]] = [
    ("the sender is suspended", _suspend("ly"), "signature"),
    ("the recipient is suspended", _suspend("tn"), "accepted-stale-key"),
    ("the sender's node key is revoked", _revoke_node("ly"), "signature"),
    ("the recipient's node key is revoked", _revoke_node("tn"), "accepted-stale-key"),
    ("the recipient's sealing key is revoked", _revoke_sealing("tn"), "accepted-stale-key"),
    ("the sender's file lapses", _expire("ly"), "signature"),
    ("the recipient's file lapses", _expire("tn"), "accepted-stale-key"),
]


@pytest.mark.parametrize(
    ("change", "rule"), [case[1:] for case in KEYS], ids=[case[0] for case in KEYS]
)
def test_keys_count_as_long_as_the_directory_says(
    story: AuditWorld, change: Change, rule: str
) -> None:
    """What was logged before stays sound; what a hub accepts afterwards is a finding, there."""
    story.accept(story.envelope("ly/main", "tn/main"))
    statement = _sealed_before(story, change)
    findings, _ = audit_exchange_log(story)
    assert found(findings) == []
    index = story.accept(statement)
    findings, _ = audit_exchange_log(story)
    assert found(findings) == [("exchange", index, rule)]


def _sealed_before(world: AuditWorld, change: Change) -> Statement:
    """Sealed to the key of before a change, and signed in the name of the directory after it."""
    header = parse(Header, world.envelope("ly/main", "tn/main").payload, STATEMENT_BYTES_MAX)
    change(world)
    in_force = world.known().newest.in_force
    payload = dump_json(header.model_copy(update={"directory": in_force, "created": world.now}))
    identity = world.identity("ly/main")
    return sign_statement(PayloadType.ENVELOPE, payload, world.exchange, [identity])


def test_a_revoked_desk_answers_no_more(story: AuditWorld) -> None:
    """An acknowledgement that a thief's node signs after the revocation is a finding."""
    first = story.accept(story.envelope("ly/main", "tn/main", "dz/main"))
    story.acknowledge("tn/main", first, Result.DELIVERED)
    _revoke_node("tn")(story)
    _revoke_node("dz")(story)
    findings, _ = audit_exchange_log(story)
    assert found(findings) == []
    index = story.acknowledge("dz/main", first, Result.DELIVERED)
    findings, _ = audit_exchange_log(story)
    assert found(findings) == [("exchange", index, "signature")]


def test_a_joint_operation_ends_at_its_own_moment(story: AuditWorld) -> None:
    """One directory throughout: accepted until the end, and a finding from that second on."""
    until = story.now + timedelta(hours=OPERATION_HOURS)
    dune = Group(
        names=Names(ar="x", fr="x", en="Dune"),
        kind="operation",
        members=("ly", "tn"),
        until=until,
    )
    publish_council(
        story,
        lambda council: council.model_copy(
            update={"groups": {**without(council, "tn"), "dune": dune}}
        ),
    )
    send = _send("ly/main", "tn/main", purpose=Purpose.BORDER_OPERATION, status=Status.ACTUAL)
    story.now = until - timedelta(seconds=1)
    story.accept(send(story))
    findings, _ = audit_exchange_log(story)
    assert found(findings) == []
    story.now = until
    story.refuse(send(story), "access-denied")
    index = story.accept(send(story))
    findings, _ = audit_exchange_log(story)
    assert found(findings) == [("exchange", index, "accepted-access-denied")]


def test_what_is_judged_by_many_directories_keeps_the_keys_of_one(story: AuditWorld) -> None:
    """Keys loaded for a directory are let go when the log has moved on from it."""
    for _ in range(3):
        publish_member(story, "ly")
        story.accept(story.envelope("ly/main", "tn/main"))
    audit_exchange_log(story)
    history = story.known()
    directories = {id(d): d for n in range(history.size) if (d := history.at(n + 1).directory)}
    in_use = {name: len(directory._views) for name, directory in directories.items()}
    assert sorted(in_use.values())[:-1] == [0] * (len(in_use) - 1)
    assert sorted(in_use.values())[-1] > 0


def test_folding_the_directory_log_keeps_the_keys_of_one(story: AuditWorld) -> None:
    """Keys that were loaded for announcements are let go with their directory."""
    findings = Findings()
    folding = DirectoryAudit(story.invitation, None, story.now, findings)
    for index, logged in enumerate(story.entries):
        leaf = OpenedLeaf(index, leaf_hash(logged.data), logged.data, logged.statement)
        folding.add(leaf, story.fetch)
    assert findings.total == 0
    first = folding.history.at(1).directory
    assert first is not folding.history.newest.directory
    assert first is not None
    assert len(first._views) == 0
