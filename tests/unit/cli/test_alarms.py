"""`barid alarms`: what a duty officer reads, acknowledges and tries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.cli.exits import Exit
from broker.node.api.alarm_views import ALARM_EXAMPLES, AlarmsView
from schemas.errors import Problem
from tests.unit.cli.conftest import Barid
from tests.unit.cli.fake_node import FakeNode, fake_node

EXAMPLE: dict[str, Any] = ALARM_EXAMPLES[AlarmsView]["alarms"][0]
LIST = "/v1/alarms"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FakeNode]:
    """A node over TLS."""
    with fake_node(tmp_path) as serving:
        yield serving


def test_list_says_what_is_wrong_and_what_to_do(barid: Barid, node: FakeNode) -> None:
    """In the reader's language, with ids and times; who acknowledged, and what is over."""
    over = {
        **EXAMPLE,
        "acknowledged": "2026-11-24T22:30:00Z",
        "acknowledged_by": "Salma (duty)",
        "cleared": "2026-11-24T23:00:00Z",
    }
    node.answer(LIST, {"alarms": [EXAMPLE, over]})
    result = barid("alarms", "list", "--all", "--language", "fr", *node.options)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[:6] == [
        "CRITICAL  Un bulletin urgent n'a pas été remis à temps",
        f"  unanswered-urgent  {EXAMPLE['subject']}",
        f"  {EXAMPLE['text']}",
        "  do: Appelez le bureau maintenant ; sans réponse, son suppléant.",
        "  since 2026-11-24T22:15:20Z, last 2026-11-24T22:20:20Z, 1 times, told 2 times",
        "",
    ]
    assert "  acknowledged 2026-11-24T22:30:00Z by Salma (duty)" in lines
    assert "  over since 2026-11-24T23:00:00Z" in lines
    assert node.asked[0].query == [("all", "true")]


def test_list_as_json_is_what_the_node_said(barid: Barid, node: FakeNode) -> None:
    """For a program."""
    node.answer(LIST, {"alarms": [EXAMPLE]})
    result = barid("alarms", "list", "--json", *node.options)
    assert json.loads(result.stdout) == {"alarms": [EXAMPLE]}
    assert node.asked[0].query == [("all", "false")]


def test_a_text_cannot_command_the_terminal(barid: Barid, node: FakeNode) -> None:
    """It may quote what the hub said: control characters are written out, its lines indented."""
    node.answer(LIST, {"alarms": [{**EXAMPLE, "text": "a\x1b[2Jb\nCRITICAL  all is lost"}]})
    result = barid("alarms", "list", *node.options)
    assert "\x1b" not in result.stdout
    assert [line for line in result.stdout.splitlines() if line.startswith("CRITICAL  all")] == []


def test_nothing_wrong_is_said(barid: Barid, node: FakeNode) -> None:
    """Beside the result, which is empty."""
    node.answer(LIST, {"alarms": []})
    result = barid("alarms", "list", *node.options)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing is wrong." in result.stderr


def test_acknowledge_names_alarm_and_person(barid: Barid, node: FakeNode) -> None:
    """One subject, or all of the kind."""
    path = f"{LIST}/gap/acknowledge"
    node.answer(path, {"acknowledged": 2, "by": "Salma (duty)"})
    subject = "tn/main > ly/main"
    result = barid("alarms", "acknowledge", "gap", subject, "--by", "Salma", *node.options)
    assert (result.exit_code, result.stdout) == (0, "Acknowledged by Salma (duty): 2.\n")
    barid("alarms", "acknowledge", "gap", *node.options)
    first, second = node.asked
    assert (first.method, first.path) == ("POST", path)
    assert first.query == [("subject", subject), ("by", "Salma")]
    assert second.query == []


def test_acknowledging_what_is_not_there(barid: Barid, node: FakeNode) -> None:
    """The node's problem is explained."""
    node.refuse(f"{LIST}/gap/acknowledge", Problem("not-found", "no such alarm stands"))
    result = barid("alarms", "acknowledge", "gap", *node.options)
    assert result.exit_code == Exit.REFUSED
    assert "no such alarm stands" in result.stderr


@pytest.mark.parametrize(
    ("channels", "code", "says"),
    [
        ([{"channel": "command"}, {"channel": "smtp"}], 0, "command: sent\nsmtp: sent\n"),
        (
            [{"channel": "smtp", "problem": "the mail server answered 535"}],
            Exit.CONFIGURATION,
            "smtp: the mail server answered 535\n",
        ),
        ([], Exit.CONFIGURATION, ""),
    ],
)
def test_a_trial_says_what_became_of_it(
    barid: Barid, node: FakeNode, channels: list[Any], code: int, says: str
) -> None:
    """A script learns it by the exit code, also where no way is set up at all."""
    node.answer(f"{LIST}/test", {"channels": channels})
    result = barid("alarms", "test", *node.options)
    assert (result.exit_code, result.stdout) == (code, says)
    assert channels or "notices" in result.stderr
