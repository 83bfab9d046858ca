"""`barid bulletin withdraw|correct|resend`: what is composed, what the node is asked, what a person reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.cli.drafts import new_bulletin
from broker.cli.exits import Exit
from broker.cli.lifecycle import TAKEN_OVER
from schemas.bulletin import Withdrawal, parse_bulletin
from schemas.bulletin.vocabularies import Kind
from schemas.errors import Problem
from tests.unit.cli.conftest import Barid
from tests.unit.cli.fake_node import Asked, FakeNode, fake_node

POST = "/v1/desks/ly/main/bulletins"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
AT = "2026-11-24T12:00:00Z"
QUEUED = {
    "id": "019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b",
    "desk": "ly/main",
    "witnessed": False,
    "recipients": [{"desk": "tn/main", "state": "queued"}],
}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FakeNode]:
    """A node over TLS that takes every bulletin."""
    with fake_node(tmp_path) as serving:
        serving.answer(POST, QUEUED, 202)
        yield serving


@pytest.fixture(params=["en", "ar", "fr"])
def original(request: pytest.FixtureRequest, node: FakeNode) -> dict[str, Any]:
    """A flash bulletin that ly/main has sent, as the node shows it."""
    document = new_bulletin(Kind.THREAT_BULLETIN, "ly/main", request.param, NOW)
    members: dict[str, Any] = json.loads(document)
    node.answer(f"{POST}/{members['id']}/document", document)
    node.answer(f"{POST}/{members['id']}", sent(members))
    return members


def sent(members: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What the node shows of an own bulletin."""
    return {
        "id": members["id"],
        "desk": "ly/main",
        "kind": members["kind"],
        "status": members["status"],
        "title": members["title"],
        "content": "0" * 64,
        "precedence": "flash",
        "queued": AT,
        "expires": AT,
        "witnessed": False,
        "recipients": [],
        "envelopes": [],
    } | more


def posted(node: FakeNode) -> Asked:
    """The one order that the node got."""
    [asked] = [each for each in node.asked if each.method == "POST"]
    return asked


def test_a_withdrawal_is_composed_from_its_original(
    barid: Barid, node: FakeNode, original: dict[str, Any]
) -> None:
    """Title, topics, marking and purpose are taken over; it goes where the original went, as urgently."""
    result = barid(
        *("bulletin", "withdraw", original["id"], "--desk", "ly/main"),
        *("--reason", "كان خطأ", "--language", "ar", *node.options),
    )
    assert result.exit_code == 0, result.stderr
    asked = posted(node)
    assert (asked.path, asked.query) == (POST, [("precedence", "flash")])
    members = json.loads(asked.body)
    assert {name: members.get(name) for name in TAKEN_OVER} == {
        name: original.get(name) for name in TAKEN_OVER
    }
    withdrawal = parse_bulletin(asked.body)
    assert isinstance(withdrawal, Withdrawal)
    assert (withdrawal.withdraws, withdrawal.reason) == (original["id"], {"ar": "كان خطأ"})
    assert withdrawal.id != original["id"]
    assert "tn/main  queued" in result.stdout


def test_a_withdrawal_without_reason_does_not_leave(
    barid: Barid, node: FakeNode, original: dict[str, Any]
) -> None:
    """Whoever is told to forget a bulletin is told why."""
    result = barid(
        *("bulletin", "withdraw", original["id"], "--desk", "ly/main", "--reason", ""),
        *node.options,
    )
    assert (result.exit_code, [each.method for each in node.asked]) == (Exit.REFUSED, ["GET"])
    assert "$.reason" in result.stderr


def test_what_was_withdrawn_before_says_so(
    barid: Barid, node: FakeNode, original: dict[str, Any]
) -> None:
    """The node's refusal tells what to do instead."""
    node.refuse(POST, Problem("withdrawn"))
    result = barid(
        *("bulletin", "withdraw", original["id"], "--desk", "ly/main", "--reason", "x"),
        *node.options,
    )
    assert (result.exit_code, "(withdrawn)" in result.stderr) == (Exit.REFUSED, True)


def test_an_unknown_bulletin_is_not_withdrawn(barid: Barid, node: FakeNode) -> None:
    """There is nothing to compose from."""
    unknown = QUEUED["id"]
    node.refuse(f"{POST}/{unknown}/document", Problem("not-found"))
    result = barid(
        *("bulletin", "withdraw", unknown, "--desk", "ly/main", "--reason", "x", *node.options)
    )
    assert (result.exit_code, len(node.asked)) == (Exit.REFUSED, 1)


@pytest.mark.parametrize(
    ("options", "urgency"), [((), "flash"), (("--precedence", "routine"), "routine")]
)
def test_a_correction_names_what_it_replaces(
    barid: Barid,
    node: FakeNode,
    original: dict[str, Any],
    tmp_path: Path,
    options: tuple[str, ...],
    urgency: str,
) -> None:
    """The exact bytes of the file leave, as urgently as the original unless somebody says otherwise."""
    file = tmp_path / "new.json"
    file.write_bytes(new_bulletin(Kind.THREAT_BULLETIN, "ly/main", "en", NOW))
    result = barid("bulletin", "correct", original["id"], file, *options, *node.options, "--json")
    assert result.exit_code == 0, result.stderr
    asked = posted(node)
    assert asked.body == file.read_bytes()
    assert asked.query == [("supersedes", original["id"]), ("precedence", urgency)]
    assert json.loads(result.stdout) == QUEUED


@pytest.mark.parametrize("wrong", ["same id", "withdrawal"])
def test_what_corrects_nothing_is_a_wrong_call(
    barid: Barid, node: FakeNode, original: dict[str, Any], tmp_path: Path, wrong: str
) -> None:
    """The message says how to get an id, or which command withdraws."""
    file = tmp_path / "new.json"
    kind = Kind.THREAT_BULLETIN if wrong == "same id" else Kind.WITHDRAWAL
    more = {"id": original["id"]} if wrong == "same id" else {}
    file.write_bytes(new_bulletin(kind, "ly/main", "en", NOW, **more))
    result = barid("bulletin", "correct", original["id"], file, *node.options)
    assert (result.exit_code, node.asked) == (Exit.USAGE, [])
    # Within its frame the message is folded where the terminal ends.
    said = " ".join(result.stderr.replace("│", " ").split())
    assert f"barid bulletin {'new' if wrong == 'same id' else 'withdraw'}" in said


@pytest.mark.parametrize("confirm", [False, True])
def test_sending_again_asks_for_one_desk(barid: Barid, node: FakeNode, confirm: bool) -> None:
    """With --confirm also a desk that had it; nothing else is sent along."""
    path = f"{POST}/{QUEUED['id']}/resend"
    node.answer(path, QUEUED, 202)
    result = barid(
        *("bulletin", "resend", QUEUED["id"], "--desk", "ly/main", "--to", "tn/main"),
        *("--expires", "7d", *(("--confirm",) if confirm else ()), *node.options),
    )
    assert result.exit_code == 0, result.stderr
    asked = posted(node)
    query = dict(asked.query)
    expires = datetime.fromisoformat(query.pop("expires"))
    assert abs(expires - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=1)
    assert (asked.path, asked.body) == (path, b"")
    assert query == {"to": "tn/main"} | ({"confirm": "true"} if confirm else {})


def test_a_withdrawal_may_be_sent_from_a_file(barid: Barid, node: FakeNode, tmp_path: Path) -> None:
    """`send` asks for no recipients: it goes where the original went. `--separately` is handed on."""
    file = tmp_path / "withdrawal.json"
    file.write_bytes(new_bulletin(Kind.WITHDRAWAL, "ly/main", "en", NOW))
    result = barid("bulletin", "send", file, "--separately", *node.options)
    assert result.exit_code == 0, result.stderr
    assert posted(node).query == [("precedence", "routine"), ("separately", "true")]


def test_the_status_says_what_became_of_it(
    barid: Barid, node: FakeNode, original: dict[str, Any]
) -> None:
    """Withdrawn, replaced, an answer, kept apart: one line each."""
    other = QUEUED["id"]
    more = {
        "withdrawn": AT,
        "withdrawn_by": other,
        "superseded_by": other,
        "in_reply_to": {"desk": "tn/main", "id": other},
        "separately": True,
    }
    node.answer(f"{POST}/{original['id']}", sent(original, **more))
    result = barid("bulletin", "status", original["id"], "--desk", "ly/main", *node.options)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert f"It answers {other} of tn/main." in lines
    assert "Its recipients do not learn of each other." in lines
    assert f"REPLACED by {other}." in lines
    assert any(line.startswith(f"WITHDRAWN since {AT} by {other}") for line in lines)


def test_a_check_shows_its_warnings(barid: Barid, node: FakeNode, tmp_path: Path) -> None:
    """They do not fail it."""
    file = tmp_path / "new.json"
    file.write_bytes(new_bulletin(Kind.THREAT_BULLETIN, "ly/main", "en", NOW))
    decision = {"desk": "tn/main", "allowed": True, "policies": ["p"]}
    view = {"id": QUEUED["id"], "allowed": True, "recipients": [decision], "warnings": ["W 1"]}
    node.answer(f"{POST}/check", view)
    result = barid("bulletin", "check", file, "--to", "tn/main", *node.options)
    assert (result.exit_code, "W 1" in result.stderr) == (0, True)
