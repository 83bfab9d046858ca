"""What commands print: harmless in a terminal, and errors that say what, why and what next."""

from __future__ import annotations

import json
import re
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.cli.exits import DemoFailure, NodeUnreachable
from broker.cli.output import (
    FIELD_ERRORS_SHOWN_MAX,
    explain,
    harmless,
    print_json,
    print_table,
    show_error,
)
from schemas.errors import (
    BaridError,
    ConfigurationError,
    FieldError,
    HubUnreachable,
    ParseError,
    Problem,
    VerificationError,
)


@settings(deadline=None, max_examples=50)
@given(st.text())
def test_no_control_character_reaches_a_terminal(text: str) -> None:
    """Whatever a sender wrote, the terminal gets no escape sequence."""
    controls = [c for c in harmless(text) if unicodedata.category(c) == "Cc" and c not in "\n\t"]
    assert controls == []


def test_escape_sequence_is_written_out() -> None:
    """An escape sequence is shown, not obeyed."""
    assert harmless("a\x1b[2Jb\x9bc") == "a\\u001b[2Jb\\u009bc"


def test_what_would_be_read_otherwise_is_written_out() -> None:
    """No text is shown backwards or on another line; the marks that Arabic needs stay."""
    assert harmless("permit\u202eforbid\u2028") == "permit\\u202eforbid\\u2028"
    assert harmless("تونس\u200f \u2066tn\u2069") == "تونس\u200f \u2066tn\u2069"


def test_arabic_is_left_as_it_is() -> None:
    """Right-to-left text, its marks and its line breaks pass unchanged."""
    text = "أمن الحدود: \u2067نص\u2069\nسطر ثان"
    assert harmless(text) == text


def test_json_is_json_whatever_is_inside(capsys: pytest.CaptureFixture[str]) -> None:
    """A program reads back what was printed, control characters too."""
    print_json({"title": "حدود", "odd": "\x1b\x9b"})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"title": "حدود", "odd": "\x1b\x9b"}
    assert "حدود" in printed
    assert "\x9b" not in printed


def test_table_that_is_piped_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """A row for another program stays on one line, however long."""
    print_table(("ID", "TITLE"), [("1", "t" * 500)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "t" * 500 in lines[1]


def test_table_does_not_read_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """A title with brackets is shown as it was written."""
    print_table(("TITLE",), [("[red]alarm[/red]",)])
    assert "[red]alarm[/red]" in capsys.readouterr().out


WIDE = [
    "FROM     ID                    FATE  TITLE",
    "ly/main  019ab5f0-1c2d-7e3f          قافلة",
    "ne/main  019ab5f0-1c2d-7e3f-8        ID 7 NO",
]
NARROW = [
    "FROM ly/main  ID 019ab5f0-1c2d-7e3f",
    "TITLE قافلة",
    "",
    "FROM ne/main",
    "ID 019ab5f0-1c2d-7e3f-8",
    "TITLE ID 7 NO",
    "",
]


@pytest.mark.parametrize(("columns", "shown"), [(60, WIDE), (36, NARROW)], ids=["wide", "narrow"])
def test_table_in_a_terminal_folds_no_id(
    columns: int,
    shown: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where it is too narrow each row is a paragraph without empty cells; a cell is one line anyway."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    rows = [
        ("ly/main", "019ab5f0-1c2d-7e3f", "", "قافلة"),
        ("ne/main", "019ab5f0-1c2d-7e3f-8", "", "ID 7\nNO"),
    ]
    print_table(("FROM", "ID", "FATE", "TITLE"), rows)
    printed = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert [line.rstrip() for line in printed.splitlines()] == shown


def test_refusal_names_rule_and_advice() -> None:
    """Who was refused reads which rule it was, and what to do."""
    problem = Problem("access-denied", "tn/main may not receive this", policies=["judicial-only"])
    explanation = explain(problem)
    assert explanation.what == "The access rules forbid this (access-denied)"
    assert explanation.why == ("tn/main may not receive this", "rule: judicial-only")
    assert explanation.next == problem.type.advice


def test_schema_violation_names_fields() -> None:
    """Who sent a wrong bulletin reads path, rule and value, whether the node or this machine checked."""
    field = {"path": "$.title", "rule": "this member is required", "value": "{}"}
    expected = ("$.title: this member is required (here: {})",)
    answered = explain(Problem("schema-violation", errors=[field]))
    assert answered.why == expected
    checked = explain(
        ParseError("wrong", (FieldError(field["path"], field["rule"], field["value"]),))
    )
    assert checked.why == expected


def test_many_fields_are_counted() -> None:
    """A hundred broken rules do not fill the screen."""
    errors = tuple(FieldError(f"$.places[{n}]", "rule", "value") for n in range(100))
    why = explain(ParseError("wrong", errors)).why
    assert len(why) == FIELD_ERRORS_SHOWN_MAX + 1
    assert why[-1] == "and 80 more"


@pytest.mark.parametrize(
    "error",
    [
        Problem("busy"),
        ParseError("not strict JSON"),
        HubUnreachable("the hub did not answer: ConnectError"),
        NodeUnreachable("no answer"),
        VerificationError("the file was altered"),
        ConfigurationError("there is no token: see `barid node token list`"),
        DemoFailure("expected 3, found 2"),
        BaridError("anything else"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_is_shown(error: BaridError, capsys: pytest.CaptureFixture[str]) -> None:
    """Every error says what it is, on standard error, and standard output stays for results."""
    show_error(error)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("barid: ")
    detail = error.detail if isinstance(error, Problem) else str(error)
    assert detail in captured.err
