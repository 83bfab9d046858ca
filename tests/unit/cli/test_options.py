"""What people type: addresses, durations, times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import typer

from broker.cli.options import read_address, read_moment, utc_now
from broker.settings import Listen

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
