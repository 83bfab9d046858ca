"""`barid bulletin`: writing, checking, sending, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker.cli.drafts import new_bulletin, new_id
from broker.cli.exits import Exit
from schemas.bulletin import parse_bulletin
from schemas.bulletin.vocabularies import Kind
from schemas.errors import Problem
from schemas.rules import explain
from tests.unit.cli.conftest import Barid
from tests.unit.cli.fake_node import TOKEN, FakeNode, fake_node

POST = "/v1/desks/ly/main/bulletins"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FakeNode]:
    """A node over TLS."""
    with fake_node(tmp_path) as serving:
        yield serving


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A bulletin of ly/main in a file."""
    path = tmp_path / "bulletin.json"
    path.write_bytes(new_bulletin(Kind.THREAT_BULLETIN, "ly/main", "ar", NOW))
    return path


def queued(document: Path, **states: str) -> dict[str, object]:
    """What a node answers to a bulletin handed in."""
    recipients = [
        {"desk": desk.replace("_", "/"), "state": state} for desk, state in states.items()
    ]
    bulletin = parse_bulletin(document.read_bytes())
    desk = bulletin.originator.desk
    return {"id": bulletin.id, "desk": desk, "witnessed": False, "recipients": recipients}


def test_new_bulletin_goes_to_standard_output(barid: Barid) -> None:
    """What is printed is a bulletin in the language asked for, and nothing else."""
    result = barid(
        *("bulletin", "new", "--kind", "threat_bulletin", "--desk", "ly/main", "--language", "ar")
    )
    assert result.exit_code == 0
    assert list(parse_bulletin(result.stdout.encode()).title) == ["ar"]


def test_new_bulletin_overwrites_nothing(barid: Barid, tmp_path: Path) -> None:
    """A file that somebody edited stays as it is."""
    path = tmp_path / "request.json"
    arguments = (
        "bulletin",
        "new",
        "--kind",
        "judicial_request",
        "--desk",
        "ne/judicial",
        "--out",
        path,
    )
    assert barid(*arguments).exit_code == 0
    written = path.read_bytes()
    assert set(parse_bulletin(written).title) == {"en"}
    assert barid(*arguments).exit_code == Exit.CONFIGURATION
    assert path.read_bytes() == written


@pytest.mark.parametrize("language", ["ar", "fr", "en"])
def test_broken_rules_are_told_in_the_reader_s_language(
    barid: Barid, document: Path, language: str
) -> None:
    """Path, rule and value, the rule in Arabic, French or English."""
    broken = json.loads(document.read_bytes())
    del broken["purpose"]
    document.write_text(json.dumps(broken))
    result = barid("bulletin", "check", document, "--language", language)
    assert (result.exit_code, result.stdout) == (Exit.REFUSED, "")
    with pytest.raises(Exception, match="purpose") as caught:
        parse_bulletin(document.read_bytes())
    (rule,) = explain(caught.value.errors, language)  # type: ignore[arg-type, attr-defined]
    assert f"$.purpose: {rule.rule}" in result.stderr


def test_check_without_recipients_needs_no_node(barid: Barid, document: Path) -> None:
    """A schema is checked on any machine, without a network."""
    result = barid("bulletin", "check", document)
    assert (result.exit_code, "threat_bulletin" in result.stdout) == (0, True)
    plain = json.loads(barid("bulletin", "check", document, "--json").stdout)
    assert plain["size_bytes"] == document.stat().st_size


def test_bulletin_is_read_from_standard_input(barid: Barid, document: Path) -> None:
    """`-` is standard input."""
    result = barid("bulletin", "check", "-", text=document.read_text())
    assert result.exit_code == 0


def test_check_with_recipients_asks_the_node(barid: Barid, document: Path, node: FakeNode) -> None:
    """A recipient that the rules forbid ends as refused, with the rules of each."""
    answer = {
        "id": new_id(),
        "allowed": False,
        "recipients": [
            {"desk": "tn/main", "allowed": True, "policies": ["standing-mechanism"]},
            {"desk": "tn/judicial", "allowed": False, "policies": ["some-rule"]},
        ],
    }
    node.answer(POST + "/check", answer)
    to = ("--to", "tn/main", "--to", "tn/judicial")
    result = barid("bulletin", "check", document, *to, *node.options)
    assert result.exit_code == Exit.REFUSED
    assert [line.split() for line in result.stdout.splitlines()[1:]] == [
        ["tn/main", "yes", "standing-mechanism"],
        ["tn/judicial", "NO", "some-rule"],
    ]


def test_check_with_recipients_and_no_node_is_a_wrong_call(barid: Barid, document: Path) -> None:
    """Nobody is left to believe that the rules were asked."""
    result = barid("bulletin", "check", document, "--to", "tn/main")
    assert (result.exit_code, "--node" in result.stderr) == (Exit.USAGE, True)


def test_sent_are_the_exact_bytes_of_the_file(barid: Barid, document: Path, node: FakeNode) -> None:
    """The node gets the file as it is, the recipients, the urgency, the time, and the token."""
    node.answer(POST, queued(document, tn_main="queued", td_main="waiting"), 202)
    result = barid(
        *("bulletin", "send", document, "--to", "tn/main", "--group", "tripoli"),
        *("--precedence", "flash", "--expires", "7d", *node.options),
    )
    assert result.exit_code == 0, result.stderr
    (asked,) = node.asked
    assert asked.body == document.read_bytes()
    assert (asked.method, asked.path, asked.token) == ("POST", POST, f"Bearer {TOKEN}")
    query = dict(asked.query)
    expires = datetime.fromisoformat(query.pop("expires"))
    assert query == {"to": "tn/main", "group": "tripoli", "precedence": "flash"}
    assert abs(expires - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=1)
    assert "td/main  waiting" in result.stdout


def test_settings_may_stand_in_the_environment(
    barid: Barid, document: Path, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Node, token and certificate need not be typed each time."""
    monkeypatch.setenv("BARID_NODE", node.url)
    monkeypatch.setenv("BARID_TOKEN_FILE", str(node.token_file))
    monkeypatch.setenv("BARID_CA", str(node.certificate))
    node.answer(POST, queued(document, tn_main="queued"), 202)
    result = barid("bulletin", "send", document, "--to", "tn/main", "--json")
    assert json.loads(result.stdout) == queued(document, tn_main="queued")


def test_refusal_names_the_rule(barid: Barid, document: Path, node: FakeNode) -> None:
    """Who may not send it reads which rule says so."""
    rule = "judicial-requests-to-judicial-desks-only"
    node.refuse(POST, Problem("access-denied", f"tn/main: {rule}", policies=[rule]))
    result = barid("bulletin", "send", document, "--to", "tn/main", *node.options)
    assert (result.exit_code, result.stdout) == (Exit.REFUSED, "")
    assert rule in result.stderr


def test_bulletin_goes_to_somebody(barid: Barid, document: Path, node: FakeNode) -> None:
    """No recipient never means everyone, and is not even asked of the node."""
    result = barid("bulletin", "send", document, *node.options)
    assert (result.exit_code, node.asked) == (Exit.USAGE, [])


def test_broken_bulletin_does_not_leave(barid: Barid, document: Path, node: FakeNode) -> None:
    """What breaks the schema is refused here."""
    document.write_bytes(document.read_bytes().replace(b'"test"', b'"real"'))
    result = barid("bulletin", "send", document, "--to", "tn/main", *node.options)
    assert (result.exit_code, node.asked) == (Exit.REFUSED, [])


def test_node_that_is_down_ends_with_4(barid: Barid, document: Path, node: FakeNode) -> None:
    """A line that is cut is told from a refusal."""
    options = ("--node", "https://127.0.0.1:9", *node.options[2:])
    result = barid("bulletin", "send", document, "--to", "tn/main", *options)
    assert (result.exit_code, "https://127.0.0.1:9" in result.stderr) == (Exit.UNREACHABLE, True)


def test_node_with_another_certificate_gets_no_token(
    barid: Barid, document: Path, node: FakeNode
) -> None:
    """A node that cannot prove to be the one trusted is not told the token."""
    options = node.options[:4]
    result = barid("bulletin", "send", document, "--to", "tn/main", *options)
    assert (result.exit_code, node.asked) == (Exit.CONFIGURATION, [])
    assert "--ca" in result.stderr


def test_token_is_not_sent_in_the_clear(barid: Barid, document: Path, node: FakeNode) -> None:
    """An address without TLS is refused before anything is sent."""
    options = ("--node", node.url.replace("https", "http"), *node.options[2:])
    result = barid("bulletin", "send", document, "--to", "tn/main", *options)
    assert (result.exit_code, node.asked) == (Exit.CONFIGURATION, [])


def test_token_that_others_can_read_is_refused(
    barid: Barid, document: Path, node: FakeNode
) -> None:
    """A token in an open file may be in other hands: the message says how to close it."""
    node.token_file.chmod(0o644)
    result = barid("bulletin", "send", document, "--to", "tn/main", *node.options)
    assert (result.exit_code, node.asked) == (Exit.CONFIGURATION, [])
    assert f"chmod 0600 {node.token_file}" in result.stderr


@pytest.mark.parametrize("text", ["", "two words", "رمز"])
def test_file_without_a_token_is_refused(
    barid: Barid, document: Path, node: FakeNode, text: str
) -> None:
    """What is no token is not sent."""
    node.token_file.write_text(text)
    result = barid("bulletin", "send", document, "--to", "tn/main", *node.options)
    assert (result.exit_code, node.asked) == (Exit.CONFIGURATION, [])


def test_what_answers_like_no_node_is_unreachable(
    barid: Barid, document: Path, node: FakeNode
) -> None:
    """Another server at that address is not taken for a node."""
    result = barid("bulletin", "send", document, "--to", "tn/main", *node.options)
    assert (result.exit_code, "is it a node?" in result.stderr) == (Exit.UNREACHABLE, True)


def test_status_lists_the_newest(barid: Barid, node: FakeNode) -> None:
    """Each bulletin with its recipients' states, and whether it is real."""
    row = {
        "id": new_id(),
        "kind": "threat_bulletin",
        "status": "exercise",
        "title": {"ar": "عنوان", "fr": "titre"},
        "precedence": "routine",
        "queued": "2026-11-24T12:00:00Z",
        "expires": "2026-12-24T12:00:00Z",
        "recipients": [
            {"desk": "tn/main", "state": "read"},
            {"desk": "td/main", "state": "waiting"},
        ],
    }
    node.answer(POST, {"witnessed": False, "bulletins": [row]})
    result = barid("bulletin", "status", "--desk", "ly/main", *node.options)
    assert result.exit_code == 0, result.stderr
    line = result.stdout.splitlines()[1]
    assert "EXERCISE" in line
    assert "tn/main read, td/main waiting" in line
    assert line.endswith("titre")
    assert "Unwitnessed" in result.stderr


def test_status_of_one_shows_every_step(barid: Barid, node: FakeNode) -> None:
    """Step, time, reason and rules; and that nobody witnesses the log."""
    id_, at = new_id(), "2026-11-24T12:00:00Z"
    steps = [
        {"state": "queued", "at": at, "policies": []},
        {"state": "refused", "at": at, "reason": "access-denied", "policies": ["some-rule"]},
    ]
    sent = {
        "id": id_,
        "desk": "ly/main",
        "kind": "threat_bulletin",
        "status": "test",
        "title": {"en": "A title"},
        "content": "0" * 64,
        "precedence": "flash",
        "queued": at,
        "expires": at,
        "witnessed": False,
        "recipients": [{"desk": "tn/main", "state": "refused", "steps": steps}],
        "envelopes": [],
    }
    node.answer(f"{POST}/{id_}", sent)
    result = barid("bulletin", "status", id_, "--desk", "ly/main", *node.options)
    assert result.exit_code == 0, result.stderr
    assert "access-denied" in result.stdout
    assert "some-rule" in result.stdout
    assert "Unwitnessed" in result.stdout
    plain = barid("bulletin", "status", id_, "--desk", "ly/main", "--json", *node.options).stdout
    assert json.loads(plain)["recipients"][0]["steps"][1]["policies"] == ["some-rule"]
