"""`barid desk`, and what the shell completes: what the node says of its directory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from broker.cli.exits import Exit
from broker.cli.main import app
from schemas.errors import Problem
from tests.unit.cli.conftest import Barid
from tests.unit.cli.fake_node import FakeNode, fake_node

DIRECTORY: dict[str, Any] = {
    "exchange": "tripoli-test",
    "entry": 3,
    "since": "2026-11-24T21:00:00Z",
    "desks": [
        {
            "desk": "td/main",
            "names": {"ar": "td/main", "fr": "td/main", "en": "td/main"},
            "member_names": {"ar": "تشاد", "fr": "Tchad", "en": "Chad"},
            "kind": "state",
            "functions": ["main"],
            "receives": False,
            "may_send": ["threat_bulletin", "incident_report"],
        },
        {
            "desk": "tn/judicial",
            "names": {"ar": "النيابة", "fr": "Parquet", "en": "Prosecutor"},
            "member_names": {"ar": "تونس", "fr": "Tunisie", "en": "Tunisia"},
            "kind": "state",
            "functions": ["judicial"],
            "receives": True,
            "may_send": [],
        },
    ],
    "groups": [
        {
            "group": "cen_sad",
            "names": {"ar": "الساحل", "fr": "Sahel", "en": "Sahel"},
            "desks": ["td/main"],
        },
        {
            "group": "tripoli",
            "names": {"ar": "طرابلس", "fr": "Tripoli", "en": "Tripoli"},
            "desks": ["td/main", "tn/judicial"],
        },
    ],
}
SENT = {
    "bulletins": [{"id": "019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"}, {"id": "01a00000-0000-7000"}],
}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FakeNode]:
    """A node over TLS that has read the directory."""
    with fake_node(tmp_path) as serving:
        serving.answer("/v1/directory", DIRECTORY)
        serving.answer("/v1/desks/ly/main/bulletins", SENT)
        yield serving


def test_list_has_desks_and_groups_in_the_reader_s_language(barid: Barid, node: FakeNode) -> None:
    """Who receives, how much may be sent there, and the names last, where they move no column."""
    result = barid("desk", "list", "--language", "ar", *node.options)
    assert result.exit_code == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows == [
        ["DESK", "FUNCTIONS", "RECEIVES", "YOU", "MAY", "SEND", "NAME"],
        ["td/main", "main", "NOT", "YET", "2", "kinds", "تشاد"],
        ["tn/judicial", "judicial", "yes", "NOTHING", "تونس:", "النيابة"],
        [],
        ["GROUP", "DESKS", "NAME"],
        ["cen_sad", "1", "الساحل"],
        ["tripoli", "2", "طرابلس"],
    ]


def test_list_of_a_group_has_its_desks_alone(barid: Barid, node: FakeNode) -> None:
    """As `bulletin send --group` would address them; a group that is none is answered with those that are."""
    result = barid("desk", "list", "--group", "cen_sad", "--json", *node.options)
    listed = json.loads(result.stdout)
    assert [each["desk"] for each in listed["desks"]] == ["td/main"]
    assert [each["group"] for each in listed["groups"]] == ["cen_sad"]
    wrong = barid("desk", "list", "--group", "sahel", *node.options)
    assert (wrong.exit_code, wrong.stdout) == (Exit.CONFIGURATION, "")
    assert "cen_sad, tripoli" in wrong.stderr


def test_list_as_json_is_what_the_node_said(barid: Barid, node: FakeNode) -> None:
    """For a program."""
    assert json.loads(barid("desk", "list", "--json", *node.options).stdout) == DIRECTORY


def test_show_says_what_may_be_sent(barid: Barid, node: FakeNode) -> None:
    """One desk: member, functions, groups, whether it receives, every kind."""
    result = barid("desk", "show", "td/main", "--language", "fr", *node.options)
    assert result.stdout.splitlines() == [
        "td/main  Tchad",
        "  member:       state",
        "  functions:    main",
        "  groups:       cen_sad, tripoli",
        "  receives:     not yet: it has no sealing key, and what is sent to it waits at your node",
        "  you may send: threat_bulletin, incident_report",
    ]
    as_json = barid("desk", "show", "td/main", "--json", *node.options)
    assert json.loads(as_json.stdout) == DIRECTORY["desks"][0]


def test_desk_that_is_none_is_explained(barid: Barid, node: FakeNode) -> None:
    """A mistake is answered with the command that helps."""
    result = barid("desk", "show", "tn/mian", *node.options)
    assert (result.exit_code, result.stdout) == (Exit.CONFIGURATION, "")
    assert "`barid desk list`" in result.stderr


def test_node_without_a_directory_says_so(barid: Barid, node: FakeNode) -> None:
    """It has not reached the hub yet: refused, with what to do."""
    node.refuse("/v1/directory", Problem("busy", "this node has not read the directory yet"))
    result = barid("desk", "list", *node.options)
    assert (result.exit_code, "(busy)" in result.stderr) == (Exit.REFUSED, True)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("bulletin send x --to t", ["td/main", "tn/judicial"]),
        ("bulletin send x --to tn", ["tn/judicial"]),
        ("bulletin send x --group c", ["cen_sad"]),
        ("desk show td", ["td/main"]),
        ("inbox read tn", ["tn/judicial"]),
        ("bulletin status --desk ly/main 019", [SENT["bulletins"][0]["id"]]),
        ("desk li", ["list"]),
    ],
)
def test_shell_completes_what_the_node_knows(
    typed: str, offered: list[str], node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Desks, groups and ids of own bulletins, with the settings of the environment."""
    monkeypatch.setenv("BARID_NODE", node.url)
    monkeypatch.setenv("BARID_TOKEN_FILE", str(node.token_file))
    monkeypatch.setenv("BARID_CA", str(node.certificate))
    assert _completed(typed) == offered


def test_shell_completes_nothing_without_a_node(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No settings, a token of nobody, no desk of one's own: nothing is offered, and no error printed."""
    for name in ("NODE", "TOKEN_FILE", "CA", "DESK"):
        monkeypatch.delenv(f"BARID_{name}", raising=False)
    assert _completed("bulletin send x --to t") == []
    monkeypatch.setenv("BARID_NODE", node.url)
    monkeypatch.setenv("BARID_TOKEN_FILE", str(node.token_file))
    monkeypatch.setenv("BARID_CA", str(node.certificate))
    assert _completed("bulletin status 019") == []
    node.refuse("/v1/directory", Problem("token-missing"))
    assert _completed("bulletin send x --to t") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_is_shown_for_each_shell(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--show-completion` prints a script that asks `barid` itself."""
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    shown = CliRunner().invoke(app, ["--show-completion", shell], prog_name="barid")
    assert (shown.exit_code, "_BARID_COMPLETE" in shown.stdout) == (0, True)


def _completed(typed: str) -> list[str]:
    """What the shell is offered for a line."""
    runner = CliRunner()
    line = f"barid {typed}"
    environment = {
        "_BARID_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    result = runner.invoke(app, [], prog_name="barid", env=environment)
    assert isinstance(result.exception, SystemExit | None)
    assert result.stderr == ""
    return result.stdout.split()
