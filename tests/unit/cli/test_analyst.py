"""`barid inbox`: listing, and reading with markings that no sender can imitate or suppress."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from broker.cli.drafts import new_bulletin, new_id
from broker.cli.exits import Exit
from schemas.bulletin.vocabularies import Kind
from tests.unit.cli.conftest import Barid
from tests.unit.cli.fake_node import FakeNode, fake_node

INBOX = "/v1/desks/tn/main/inbox"
AT = "2026-11-24T12:00:00Z"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FakeNode]:
    """A node over TLS."""
    with fake_node(tmp_path) as serving:
        yield serving


def received(**members: Any) -> dict[str, Any]:
    """What a node answers to a reader, with some members of the bulletin replaced."""
    kind = members.pop("kind", Kind.THREAT_BULLETIN)
    bulletin = json.loads(new_bulletin(kind, "ly/main", "ar", NOW, **members))
    verified = {
        "sender": "ly/main",
        "signer": "a" * 64,
        "envelope": new_id(),
        "content": "b" * 64,
        "precedence": "flash",
        "created": AT,
        "expires": AT,
        "logged": AT,
        "origin": "tripoli-test/exchange/1",
        "index": 41,
        "leaf": "c" * 64,
        "policies": ["standing-mechanism"],
        "witnessed": False,
        "received": AT,
        "read": AT,
    }
    return {"verified": verified, "marks": {}, "bulletin": bulletin}


def read(barid: Barid, node: FakeNode, answer: dict[str, Any]) -> str:
    """What a reader sees."""
    id_ = answer["bulletin"]["id"]
    node.answer(f"{INBOX}/ly/main/{id_}", answer)
    result = barid("inbox", "read", "ly/main", id_, "--desk", "tn/main", *node.options)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_list_shows_marking_and_whether_it_is_real(barid: Barid, node: FakeNode) -> None:
    """A list names sender, marking and status, so that nobody opens a test as an alarm."""
    row = {
        "sender": "ly/main",
        "id": new_id(),
        "kind": "threat_bulletin",
        "status": "test",
        "title": {"ar": "عنوان بالعربية"},
        "topics": ["arms"],
        "marking": {"tlp": "amber+strict", "classification": "secret"},
        "precedence": "flash",
        "received": AT,
    }
    node.answer(INBOX, {"witnessed": False, "bulletins": [row], "next": "0-17"})
    result = barid("inbox", "list", "--desk", "tn/main", "--unread", "--limit", 7, *node.options)
    assert result.exit_code == 0, result.stderr
    line = result.stdout.splitlines()[1]
    assert [
        word for word in ("ly/main", "TEST", "TLP:AMBER+STRICT SECRET", "no") if word not in line
    ] == []
    assert line.endswith("عنوان بالعربية")
    assert "--after 0-17" in result.stderr
    assert "Unwitnessed" in result.stderr
    assert node.asked[0].query == [("unread", "true"), ("limit", "7")]


def test_marking_stands_at_top_and_bottom(barid: Barid, node: FakeNode) -> None:
    """The first and the last lines are the marking, the status, the missing witnesses, the sender."""
    marking = {
        "tlp": "red",
        "classification": "confidential",
        "caveats": ["orcon", "release_to"],
        "release_to": ["ne", "tn"],
    }
    answer = received(marking=marking)
    lines = read(barid, node, answer).splitlines()
    expected = [
        "TLP:RED // CONFIDENTIAL // ORCON // RELEASE_TO // TO ne, tn ONLY",
        "*** TEST: THIS IS NOT REAL ***",
        "UNWITNESSED: nobody but the hub vouches for its log",
        f"FLASH threat_bulletin {answer['bulletin']['id']} from ly/main",
    ]
    assert (lines[:4], lines[-4:]) == (expected, expected)


def test_exercise_says_its_name(barid: Barid, node: FakeNode) -> None:
    """An exercise is unmistakable."""
    shown = read(barid, node, received(status="exercise", exercise="Desert Shield"))
    assert shown.count("*** EXERCISE Desert Shield: THIS IS NOT REAL ***") == 2


def test_what_is_real_says_nothing_else(barid: Barid, node: FakeNode) -> None:
    """An actual bulletin carries no such line."""
    assert "NOT REAL" not in read(barid, node, received(status="actual"))


def test_witnessed_bulletin_is_not_called_unwitnessed(barid: Barid, node: FakeNode) -> None:
    """The line goes when there are witnesses."""
    answer = received()
    answer["verified"]["witnessed"] = True
    assert "UNWITNESSED" not in read(barid, node, answer)


def test_sender_s_text_cannot_look_like_a_marking(barid: Barid, node: FakeNode) -> None:
    """What a sender wrote never begins a line, whatever separator it uses."""
    fake = "TLP:CLEAR // UNCLASSIFIED"
    text = f"before\n{fake}\u2028{fake}\u2029{fake}"
    answer = received(text={"ar": text, "fr": fake}, title={"ar": fake}, summary={"ar": fake})
    lines = read(barid, node, answer).splitlines()
    assert [line for line in lines if line.startswith(fake)] == []
    assert sum(fake in line for line in lines) >= 6


def test_arabic_text_is_shown_as_it_was_written(barid: Barid, node: FakeNode) -> None:
    """Right-to-left text and its isolates pass unchanged."""
    text = "نص عربي فيه \u2067عزل\u2069 وتشكيلٌ"
    assert f"  {text}\n" in read(barid, node, received(text={"ar": text}))


def test_nothing_of_a_bulletin_is_left_out(barid: Barid, node: FakeNode) -> None:
    """Every text, number and word of either kind is somewhere on the page."""
    for kind in Kind:
        answer = received(kind=kind)
        shown = read(barid, node, answer)
        unsaid = [leaf for leaf in leaves(answer["bulletin"]) if leaf.lower() not in shown.lower()]
        assert unsaid == []


def leaves(value: Any) -> list[str]:
    """Every line of text, number and word in JSON."""
    if isinstance(value, dict):
        return [leaf for member in value.values() for leaf in leaves(member)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    if isinstance(value, bool):
        return []
    return [line for line in str(value).splitlines() if line]


def test_place_in_the_log_is_shown(barid: Barid, node: FakeNode) -> None:
    """A reader can say which entry it was, who signed, and which rules permitted it."""
    shown = read(barid, node, received())
    assert f"entry 41 of tripoli-test/exchange/1, leaf {'c' * 64}" in shown
    assert "a" * 64 in shown
    assert "standing-mechanism" in shown


def test_json_is_what_the_node_said(barid: Barid, node: FakeNode) -> None:
    """A program gets the answer unchanged, numbers too."""
    answer = received()
    id_ = answer["bulletin"]["id"]
    raw = json.dumps(answer, ensure_ascii=False).replace("12.25", "12.250").encode()
    node.answer(f"{INBOX}/ly/main/{id_}", raw)
    result = barid("inbox", "read", "ly/main", id_, "--desk", "tn/main", "--json", *node.options)
    assert result.stdout.encode() == raw + b"\n"


@pytest.mark.parametrize(
    "answer", [b"[]", b"{}", b'{"verified":{},"bulletin":{}}', b'{"a":1,"a":2}']
)
def test_what_is_no_bulletin_is_refused(barid: Barid, node: FakeNode, answer: bytes) -> None:
    """A node that answers something else is not believed."""
    id_ = new_id()
    node.answer(f"{INBOX}/ly/main/{id_}", answer)
    result = barid("inbox", "read", "ly/main", id_, "--desk", "tn/main", *node.options)
    assert (result.exit_code, result.stdout) == (Exit.REFUSED, "")
