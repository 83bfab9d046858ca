"""What a member demands of new logs before it follows them."""

from __future__ import annotations

from typing import Any

import pytest

from broker.succession import check_succession
from schemas.directory import ClosedLog, ClosedLogs, LogKeys, Logs
from schemas.entries import TreeHead
from schemas.errors import Problem

ROOT, OTHER = "a" * 64, "b" * 64
DIRECTORY, EXCHANGE = TreeHead(size=7, root=ROOT), TreeHead(size=20, root=ROOT)
WITNESSED = 18


def _keys(origin: str) -> LogKeys:
    return LogKeys(origin=origin, ed25519=bytes(32), ml_dsa_44=bytes(1312))


def _logs(generation: int, *previous: ClosedLogs) -> Logs:
    names = (f"x-test/{log}/{generation}" for log in ("directory", "exchange"))
    directory, exchange = (_keys(name) for name in names)
    return Logs(generation=generation, directory=directory, exchange=exchange, previous=previous)


def _closed(generation: int = 1, **changes: Any) -> ClosedLogs:
    fields: dict[str, Any] = {
        "directory_size": 7,
        "directory_root": ROOT,
        "exchange_size": 20,
        "exchange_root": ROOT,
    }
    fields |= {"exchange_origin": f"x-test/exchange/{generation}"} | changes
    return ClosedLogs(
        directory=ClosedLog(
            origin=f"x-test/directory/{generation}",
            size=fields["directory_size"],
            root=fields["directory_root"],
        ),
        exchange=ClosedLog(
            origin=fields["exchange_origin"],
            size=fields["exchange_size"],
            root=fields["exchange_root"],
        ),
    )


def _check(now: Logs, was: Logs | None = None) -> ClosedLogs:
    return check_succession(was or _logs(1), now, DIRECTORY, EXCHANGE, WITNESSED)


@pytest.mark.parametrize("size", [18, 19, 20, 21, 1000])
def test_a_log_may_end_at_or_behind_what_was_cosigned(size: int) -> None:
    """What was signed and never cosigned may be lost; entries that this member never saw may stand behind."""
    closed = _closed(exchange_size=size)
    assert _check(_logs(2, closed)) == closed


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"exchange_size": 17}, "18 were cosigned"),
        ({"exchange_root": OTHER}, "another tree"),
        ({"exchange_origin": "x-test/exchange/0"}, "closes another exchange log"),
        ({"directory_size": 6}, "ended with 7 entries"),
        ({"directory_size": 8}, "ended with 7 entries"),
        ({"directory_root": OTHER}, "ended with 7 entries"),
    ],
)
def test_other_ends_are_refused(changes: dict[str, Any], why: str) -> None:
    """However many governors signed them."""
    with pytest.raises(Problem, match=why) as refusal:
        _check(_logs(2, _closed(**changes)))
    assert refusal.value.word == "inconsistent-log"


def test_generations_follow_one_another() -> None:
    """None is left out, and how an earlier one ended is not told otherwise."""
    first, second = _closed(1, exchange_size=3), _closed(2)
    was = _logs(2, first)
    assert _check(_logs(3, first, second), was) == second
    for now in (
        _logs(2, first),
        _logs(4, first, second, _closed(3)),
        _logs(3, _closed(1, exchange_size=4), second),
    ):
        with pytest.raises(Problem, match="not the next generation"):
            _check(now, was)
