"""`barid inbox save`, `thread`, and the marks of what was withdrawn or superseded."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.cli.drafts import new_id
from broker.cli.exits import Exit
from broker.cli.saving import safe_name
from broker.node.api.examples import EXAMPLES
from broker.node.api.inbox_views import ExportView, ThreadView
from schemas.bulletin.vocabularies import Kind
from schemas.errors import Problem
from tests.unit.cli.conftest import Barid
from tests.unit.cli.fake_node import FakeNode, fake_node
from tests.unit.cli.test_analyst import AT, INBOX, read, received

WITHDRAWN: dict[str, Any] = {"at": AT, "by": new_id(), "reason": {"en": "It was wrong.\nTLP:CLEAR"}}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FakeNode]:
    """A node over TLS."""
    with fake_node(tmp_path) as serving:
        yield serving


# Marks.


def test_what_was_withdrawn_after_reading_says_so_at_both_ends(
    barid: Barid, node: FakeNode
) -> None:
    """It is shown, with a warning that no reader overlooks, and the sender's reason, indented."""
    answer = received() | {"marks": {"withdrawn": WITHDRAWN}}
    shown = read(barid, node, answer)
    assert shown.count("*** WITHDRAWN BY ITS SENDER: DO NOT USE IT ***") == 2
    assert "  reason [en] It was wrong.\n  TLP:CLEAR\n" in shown
    assert answer["bulletin"]["title"]["ar"] in shown


def test_what_was_withdrawn_unread_is_a_word_and_a_reason(barid: Barid, node: FakeNode) -> None:
    """Who sent it, when, why it was taken back; there is nothing else to show."""
    answer = received() | {"marks": {"withdrawn": WITHDRAWN}}
    bulletin = answer.pop("bulletin")
    del answer["verified"]["read"]
    node.answer(f"{INBOX}/ly/main/{bulletin['id']}", answer)
    result = barid("inbox", "read", "ly/main", bulletin["id"], "--desk", "tn/main", *node.options)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("BEFORE ANYBODY HERE READ IT") == 2
    assert f"FLASH bulletin {bulletin['id']} from ly/main" in result.stdout
    assert WITHDRAWN["by"] in result.stdout


def test_corrections_name_each_other(barid: Barid, node: FakeNode) -> None:
    """A reader of the old one is sent to the new one."""
    newer, older = new_id(), new_id()
    marks = {"supersedes": older, "superseded_by": newer, "exported": AT}
    shown = read(barid, node, received() | {"marks": marks})
    assert shown.count(f"*** SUPERSEDED: READ {newer} ***") == 2
    assert shown.count(f"Supersedes {older}.") == 2
    assert shown.count(f"Saved as a file since {AT}.") == 2


def test_the_list_shows_what_became_of_each(barid: Barid, node: FakeNode) -> None:
    """Withdrawn unread: neither title nor marking; superseded: both, and the word."""
    common = {"sender": "ly/main", "kind": "threat_bulletin", "status": "exercise"}
    common |= {"precedence": "flash", "received": AT}
    hidden = common | {"id": new_id(), "withdrawn": WITHDRAWN}
    older = common | {
        "id": new_id(),
        "title": {"en": "An old route"},
        "superseded_by": new_id(),
        "marking": {"tlp": "red", "classification": "secret"},
    }
    node.answer(INBOX, {"witnessed": False, "bulletins": [hidden, older]})
    result = barid("inbox", "list", "--desk", "tn/main", *node.options)
    _, first, second, *_ = result.stdout.splitlines()
    assert first.endswith("WITHDRAWN")
    assert "EXERCISE" in first
    assert "TLP" not in first
    assert second.endswith("SUPERSEDED  An old route")


def test_a_thread_is_a_table(barid: Barid, node: FakeNode) -> None:
    """Each bulletin with its desk, what it answers and its title; more are announced."""
    view = EXAMPLES[ThreadView] | {"complete": False}
    question, answer = view["bulletins"]
    node.answer(f"/v1/desks/tn/main/thread/ly/main/{question['id']}", view)
    result = barid("inbox", "thread", "ly/main", question["id"], "--desk", "tn/main", *node.options)
    assert result.exit_code == 0, result.stderr
    _, first, second, *_ = result.stdout.splitlines()
    assert question["id"] in first
    assert answer["id"] in second
    assert f"ly/main {question['id']}" in second
    assert "There is more" in result.stderr


# Saving.

FILE = b"a photograph of a convoy" * 100


def exported(node: FakeNode, *names: str) -> tuple[str, bytes]:
    """A bulletin with attachments that the node gives away; its id and exact bytes."""
    members = [
        {
            "id": new_id(),
            "name": name,
            "media_type": "image/jpeg",
            "size": len(FILE),
            "sha256": hashlib.sha256(FILE).hexdigest(),
        }
        for name in names
    ]
    answer = received(kind=Kind.THREAT_BULLETIN, attachments=members)
    # The bytes that were sealed, blanks and all: no program writes them so.
    document = json.dumps(answer["bulletin"], ensure_ascii=False, indent=3).encode()
    bulletin_id = answer["bulletin"]["id"]
    view = EXAMPLES[ExportView] | {
        "verified": answer["verified"],
        "marks": {},
        "document": base64.b64encode(document).decode(),
    }
    place = f"{INBOX}/ly/main/{bulletin_id}"
    node.answer(f"{place}/export", view)
    for each in members:
        node.answer(f"{place}/attachments/{each['id']}", FILE)
    return bulletin_id, document


def save(barid: Barid, node: FakeNode, bulletin_id: str, out: Path) -> Any:
    """What the command does."""
    where = ("--out", out, "--desk", "tn/main")
    return barid("inbox", "save", "ly/main", bulletin_id, *where, *node.options)


def test_a_bulletin_is_saved_whole_with_its_evidence(
    barid: Barid, node: FakeNode, tmp_path: Path
) -> None:
    """In a folder of its own: exact bytes, statement, receipt, what was verified, attachments; all 0600."""
    bulletin_id, document = exported(node, "convoy.jpg", "convoy.jpg")
    result = save(barid, node, bulletin_id, tmp_path / "case")
    assert result.exit_code == 0, result.stderr
    folder = tmp_path / "case" / f"ly-main-{bulletin_id}"
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(found) == [
        *("01-convoy.jpg", "02-convoy.jpg", "bulletin.json"),
        *("receipt.json", "statement.json", "verified.json"),
    ]
    assert found["bulletin.json"] == document
    assert found["01-convoy.jpg"] == FILE
    assert json.loads(found["receipt.json"]) == EXAMPLES[ExportView]["receipt"]
    assert json.loads(found["statement.json"]) == EXAMPLES[ExportView]["statement"]
    assert json.loads(found["verified.json"])["sender"] == "ly/main"
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert result.stdout.splitlines() == [
        str(folder / name)
        for name in (
            *("bulletin.json", "statement.json", "receipt.json", "verified.json"),
            *("01-convoy.jpg", "02-convoy.jpg"),
        )
    ]
    assert node.asked[0].method == "POST"


def test_a_bulletin_is_saved_as_a_file(barid: Barid, node: FakeNode, tmp_path: Path) -> None:
    """A name that ends in .json: the rest lies beside it under the same stem."""
    bulletin_id, document = exported(node, "convoy.jpg")
    assert save(barid, node, bulletin_id, tmp_path / "new" / "arms.json").exit_code == 0
    assert (tmp_path / "new" / "arms.json").read_bytes() == document
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        *("arms.01-convoy.jpg", "arms.json"),
        *("arms.receipt.json", "arms.statement.json", "arms.verified.json"),
    ]


@pytest.mark.parametrize("taken", ["arms.json", "arms.receipt.json", "arms.01-convoy.jpg"])
def test_nothing_is_overwritten(barid: Barid, node: FakeNode, tmp_path: Path, taken: str) -> None:
    """Whatever is there stays as it is."""
    bulletin_id, _ = exported(node, "convoy.jpg")
    (tmp_path / taken).write_bytes(b"mine")
    result = save(barid, node, bulletin_id, tmp_path / "arms.json")
    assert result.exit_code == Exit.CONFIGURATION
    assert taken in result.stderr
    assert (tmp_path / taken).read_bytes() == b"mine"
    # The node learns of it only where the bulletin itself may have been saved.
    assert bool(node.asked) == (taken != "arms.json")


def test_no_link_is_followed(barid: Barid, node: FakeNode, tmp_path: Path) -> None:
    """A link that lies where a file should go leads nowhere."""
    bulletin_id, _ = exported(node)
    (tmp_path / "arms.receipt.json").symlink_to(tmp_path / "elsewhere")
    assert save(barid, node, bulletin_id, tmp_path / "arms.json").exit_code == Exit.CONFIGURATION
    assert not (tmp_path / "elsewhere").exists()


def test_a_save_that_was_cut_is_gone_on_with(barid: Barid, node: FakeNode, tmp_path: Path) -> None:
    """The same again fetches what is missing; what is there with the same bytes stays."""
    bulletin_id, document = exported(node, "convoy.jpg")
    out = tmp_path / "arms.json"
    out.write_bytes(document)
    assert save(barid, node, bulletin_id, out).exit_code == 0
    asked = len(node.asked)
    assert save(barid, node, bulletin_id, out).exit_code == 0
    assert [each.method for each in node.asked[asked:]] == ["POST"]


def test_another_file_than_the_bulletin_names_is_refused(
    barid: Barid, node: FakeNode, tmp_path: Path
) -> None:
    """Its SHA-256 stands in the bulletin that was verified."""
    bulletin_id, _ = exported(node, "convoy.jpg")
    [path] = [each for each in node.answers if "/attachments/" in each]
    node.answer(path, bytes(len(FILE)))
    result = save(barid, node, bulletin_id, tmp_path / "arms.json")
    assert result.exit_code == Exit.VERIFICATION
    assert not (tmp_path / "arms.01-convoy.jpg").exists()


def test_what_may_not_be_shown_is_not_saved(barid: Barid, node: FakeNode, tmp_path: Path) -> None:
    """Withdrawn before anybody read it: the node's reason, and no file."""
    bulletin_id = new_id()
    problem = Problem("not-found", "ly/main withdrew it before it was read")
    node.refuse(f"{INBOX}/ly/main/{bulletin_id}/export", problem)
    result = save(barid, node, bulletin_id, tmp_path / "case")
    assert result.exit_code == Exit.REFUSED
    assert "withdrew it before it was read" in result.stderr
    assert not (tmp_path / "case").exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("convoy.jpg", "convoy.jpg"),
        ("صورة القافلة.jpg", "صورة القافلة.jpg"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..\\..\\boot.ini", "_.._boot.ini"),
        (".bashrc", "bashrc"),
        ("...", "file"),
        ("a\x00b\n.txt", "a_b_.txt"),
        ("gpj.\u202efdp.exe", "gpj._fdp.exe"),
        ("x" * 300 + ".pdf", "x" * 146 + ".pdf"),
        ("ش" * 200 + ".pdf", "ش" * 73 + ".pdf"),
        ("a." + "b" * 300, "a." + "b" * 37),
        ("trailing. . ", "trailing"),
    ],
)
def test_a_hostile_name_is_tamed(name: str, expected: str) -> None:
    """No path, no hidden file, nothing that reads backwards, nothing too long."""
    assert safe_name(name) == expected


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=300))
def test_every_name_is_a_name(name: str) -> None:
    """Whatever a sender writes: one component of a path, visible, and of bounded length."""
    safe = safe_name(name.encode(errors="ignore").decode() or "x")
    assert safe == Path(safe).name
    assert not safe.startswith(".")
    assert safe.isprintable()
    assert 0 < len(safe.encode()) <= 150
