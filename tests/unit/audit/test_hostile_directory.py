"""What a hub may not log or serve of the directory: each wrong thing is one finding, at its entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keys.signing import SigningIdentity
from schemas.directory import Council
from schemas.entries import FileVersion, HubOperated, TreeHead, parse_directory_entry
from schemas.loader import dump_json
from schemas.statements import PayloadType
from tests.exchange.trust_world import LogSecrets
from tests.unit.audit.fake_hub import FakeHub
from tests.unit.audit.world import AuditWorld, audit, found

Case = Callable[[AuditWorld], object]


def _operate(world: AuditWorld, **changed: Any) -> None:
    """Log an operation, in which a hostile hub changes what it likes."""
    world.log(
        HubOperated(
            type="hub.operated", at=world.now, exchange_log=world.exchange_head(), operation="start"
        )
    )
    logged = world.entries[-1]
    entry = parse_directory_entry(logged.data).model_copy(update=changed)
    world.entries[-1] = replace(logged, data=dump_json(entry))


def _without_statement(world: AuditWorld) -> None:
    world.announce(_next_key(world))
    world.entries[-1] = replace(world.entries[-1], statement=None)


def _another_statement(world: AuditWorld) -> None:
    world.announce(_next_key(world))
    logged = world.entries[-1]
    assert logged.statement is not None
    altered = logged.statement.model_copy(update={"payload_type": PayloadType.RELEASE})
    world.entries[-1] = replace(logged, statement=altered)


def _next_key(world: AuditWorld, epoch: int = 2, **changed: Any) -> Any:
    world.later(days=1)
    return world.sealing_statement("tn/judicial", epoch, **changed)


def _other_logs(council: Council) -> Council:
    other = LogSecrets.generate(council.logs.exchange.origin).public
    logs = council.logs.model_copy(update={"exchange": other})
    return council.model_copy(update={"logs": logs})


def _publish_council(world: AuditWorld, change: Callable[[Council], Council]) -> None:
    world.change_council(change)
    world.publish()


def _publish_broken_rules(world: AuditWorld) -> None:
    world.policy_text = "permit (principal, action, resource);"
    world.change_council()
    world.publish()


def _publish_unsigned(world: AuditWorld) -> None:
    world.change_council(signing=2)
    world.publish()


def _publish_jump(world: AuditWorld) -> None:
    world.publish(snapshot=world.snapshot(version=9))


CASES: list[tuple[str, Case, int, str]] = [
    ("signed by two governors of three", _publish_unsigned, 20, "directory"),
    ("a snapshot out of turn", _publish_jump, 20, "directory"),
    ("rules that do not load", _publish_broken_rules, 20, "access-rules"),
    ("other logs", lambda w: _publish_council(w, _other_logs), 20, "directory"),
    (
        "a file that nobody has",
        lambda w: w.publish(snapshot=FileVersion(version=3, sha256="0" * 64)),
        20,
        "trust-file-missing",
    ),
    ("a key without statement", _without_statement, 20, "statement"),
    ("a key with another statement", _another_statement, 20, "statement"),
    ("a key out of turn", lambda w: w.announce(_next_key(w, 3)), 20, "sealing-key-epoch"),
    (
        "a key on the same day",
        lambda w: [w.announce(_next_key(w)), w.announce(w.sealing_statement("tn/judicial", 3))],
        21,
        "sealing-key-rate",
    ),
    (
        "a key that revokes a stranger",
        lambda w: w.announce(_next_key(w, revokes=("0" * 64,))),
        20,
        "sealing-key-revokes",
    ),
    (
        "a key of zeros",
        lambda w: w.announce(_next_key(w, public_key=bytes(1216))),
        20,
        "sealing-key-unusable",
    ),
    (
        "a key of another exchange",
        lambda w: w.announce(_next_key(w, exchange="other-exchange")),
        20,
        "sealing-key-exchange",
    ),
    (
        "a key that its desk did not sign",
        lambda w: w.announce(_next_key(w, signer=SigningIdentity.generate())),
        20,
        "signature",
    ),
    ("an earlier time", lambda w: _operate(w, at=w.now - timedelta(days=1)), 20, "at-decreasing"),
    ("a time to come", lambda w: _operate(w, at=w.now + timedelta(hours=1)), 20, "at-future"),
    (
        "a smaller exchange log",
        lambda w: _operate(w, exchange_log=TreeHead(size=1, root="0" * 64)),
        20,
        "exchange-head-falls",
    ),
    (
        "a larger exchange log",
        lambda w: _operate(w, exchange_log=TreeHead(size=10, root="0" * 64)),
        20,
        "exchange-head-beyond",
    ),
    (
        "another root",
        lambda w: _operate(w, exchange_log=TreeHead(size=8, root="0" * 64)),
        20,
        "exchange-head",
    ),
    (
        "another root at a size named before",
        lambda w: _operate(w, exchange_log=TreeHead(size=6, root="0" * 64)),
        20,
        "exchange-head",
    ),
]


@pytest.mark.parametrize(
    ("case", "index", "rule"),
    [case[1:] for case in CASES],
    ids=[f"{rule}: {name}" for name, _, _, rule in CASES],
)
def test_one_wrong_directory_entry_is_one_finding(
    story: AuditWorld, tmp_path: Path, case: Case, index: int, rule: str
) -> None:
    """A hub that logs one thing wrongly in the directory log is found out once, there, for that."""
    case(story)
    assert found(audit(story.served(), story, tmp_path)) == [("directory", index, rule)]


def test_entry_that_is_none(story: AuditWorld, tmp_path: Path) -> None:
    """Bytes that are no entry are one finding."""
    story.entries.append(replace(story.entries[-1], data=b"{}", statement=None))
    assert found(audit(story.served(), story, tmp_path)) == [("directory", 20, "entry")]


@pytest.mark.parametrize("name", ["metadata/2.member-ly.json", "metadata/2.snapshot.json"])
@pytest.mark.parametrize("how", ["altered", "withheld", "swelled"])
def test_trust_file_that_is_not_the_signed_one(
    story: AuditWorld, tmp_path: Path, name: str, how: str
) -> None:
    """A TUF file that is altered or withheld leaves its directory, and what follows, unjudged."""
    hub = story.served()
    if how == "withheld":
        del hub.files[name]
    else:
        hub.files[name] += b" " * (5 * 1024 * 1024 if how == "swelled" else 1)
    report = audit(hub, story, tmp_path)
    assert found(report) == [("directory", 19, "trust-file-missing")]
    assert report.counts is not None
    assert report.counts.unjudged == 3


def test_files_that_did_not_change_are_not_fetched_again(story: AuditWorld, tmp_path: Path) -> None:
    """A directory costs the files that are new in it."""
    asked: list[str] = []

    class Counting(FakeHub):
        async def trust_file(self, name: str) -> bytes:
            asked.append(name)
            return await super().trust_file(name)

    hub = story.served()
    assert found(audit(Counting(hub.logs, hub.files), story, tmp_path)) == []
    kinds = [name.partition("/")[2].split(".", 1)[-1] for name in asked[-3:]]
    assert kinds == ["snapshot.json", "member-ly.json", "ly.json"]
    assert len(set(asked[:-3])) == len(asked) - 3


def test_broken_rules_permit_nothing(world: AuditWorld, tmp_path: Path) -> None:
    """What is accepted under rules that do not load is a finding, and so is a refusal in their name."""
    _publish_broken_rules(world)
    world.accept(world.envelope("ly/main", "tn/main"))
    world.refuse(world.envelope("ly/main", "tn/main"), "access-denied")
    assert found(audit(world.served(), world, tmp_path)) == [
        ("directory", 19, "access-rules"),
        ("exchange", 0, "accepted-directory-invalid"),
        ("exchange", 1, "refused-otherwise"),
    ]


def test_nothing_is_accepted_without_a_directory(world: AuditWorld, tmp_path: Path) -> None:
    """An envelope that was accepted before any directory was in force is a finding."""
    envelope = world.envelope("ly/main", "tn/main")
    del world.entries[:]
    world.accept(envelope)
    assert found(audit(world.served(), world, tmp_path)) == [
        ("exchange", 0, "accepted-stale-directory")
    ]
