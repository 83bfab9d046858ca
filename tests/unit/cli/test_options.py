"""What people type: desks, ids, addresses, durations, times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

from broker.cli.exits import Exit
from broker.cli.options import read_address, read_moment, utc_now
from broker.settings import Listen
from tests.unit.cli.conftest import Barid

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_address_is_read() -> None:
    """Host and port are told apart at the last colon."""
    assert read_address("127.0.0.1:8443", "--listen") == Listen(host="127.0.0.1", port=8443)
    assert read_address("::1:8443", "--listen") == Listen(host="::1", port=8443)


@pytest.mark.parametrize("text", ["", "8443", "host:", ":8443", "host:70000", "host:-1", "ho st:1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """A wrong address is a wrong call, and the message shows a right one."""
    with pytest.raises(typer.BadParameter, match=r"127\.0\.0\.1:8443"):
        read_address(text, "--listen")


@pytest.mark.parametrize(
    ("text", "later"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
    ],
)
def test_duration_counts_from_now(text: str, later: timedelta) -> None:
    """Seconds, minutes, hours and days."""
    assert read_moment(text, NOW, "--expires") == NOW + later


def test_moment_is_read() -> None:
    """A time as the protocol writes it."""
    assert read_moment("2026-12-01T12:00:00Z", NOW, "--expires") == NOW + timedelta(days=7)


@pytest.mark.parametrize(
    "text", ["", "7", "d", "0d", "-1d", "1w", "tomorrow", "2026-12-01", "2026-12-01T12:00:00+01:00"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    """Neither guessed nor repaired."""
    with pytest.raises(typer.BadParameter, match="neither a duration"):
        read_moment(text, NOW, "--expires")


def test_now_has_whole_seconds_in_utc() -> None:
    """The protocol's times have no fractions."""
    now = utc_now()
    assert (now.microsecond, now.tzinfo) == (0, UTC)


ID = "019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"


@pytest.mark.parametrize(
    "words",
    [
        ("bulletin", "new", "--kind", "threat_bulletin", "--desk", "{}"),
        ("bulletin", "send", "b.json", "--to", "tn/main", "--to", "{}"),
        ("bulletin", "resend", ID, "--desk", "ly/main", "--to", "{}"),
        ("inbox", "read", "{}", ID, "--desk", "ly/main"),
        ("inbox", "list", "--desk", "{}"),
        ("desk", "show", "{}"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("typed", ["libya", "LY/main", "ly/", "ly/main/x", "../x"])
def test_what_is_no_desk_is_explained_before_anybody_is_called(
    words: tuple[str, ...], typed: str, barid: Barid, tmp_path: Path
) -> None:
    """The form that a desk has, and the command that lists them; there is no node to ask here."""
    result = barid(*(word.format(typed) for word in words), *_options(tmp_path, words))
    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert "is no desk: MEMBER/UNIT, as tn/main" in _plain(result.stderr)


@pytest.mark.parametrize(
    "words",
    [
        ("bulletin", "status", "{}", "--desk", "ly/main"),
        ("bulletin", "withdraw", "{}", "--desk", "ly/main", "--reason", "x"),
        ("inbox", "save", "tn/main", "{}", "--desk", "ly/main", "--out", "x"),
        ("release", "show", "{}", "--desk", "ly/main"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("typed", ["0000", ID.upper(), ID + "0", ID.replace("-7", "-4")])
def test_what_is_no_id_is_explained_before_anybody_is_called(
    words: tuple[str, ...], typed: str, barid: Barid, tmp_path: Path
) -> None:
    """Which commands show ids."""
    result = barid(*(word.format(typed) for word in words), *_options(tmp_path, words))
    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert "is no bulletin's id" in _plain(result.stderr)


def _options(folder: Path, words: tuple[str, ...]) -> tuple[object, ...]:
    """Those of a node that is not there."""
    token = folder / "token"
    token.touch(mode=0o600)
    return () if words[1] == "new" else ("--node", "https://127.0.0.1:9", "--token-file", token)


def _plain(text: str) -> str:
    """What stands in the frame of an error, on one line."""
    return " ".join(text.replace("│", " ").split())
