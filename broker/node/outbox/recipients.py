"""Who shall receive a bulletin: desks and groups as an agency named them, or where an earlier one went.

May import `keys`, `schemas` and the node's own rooms; `queueing` asks it. An empty list never means everyone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from broker.node.outbox.originals import Original
from keys.directory import Directory
from schemas.errors import Problem
from schemas.limits import RECIPIENTS_MAX


def resolve(
    sender: str, to: Iterable[str], groups: Iterable[str], directory: Directory, now: datetime
) -> tuple[str, ...]:
    """The desks that an agency named, groups expanded; at least one.

    Args:
        sender: the own desk.
        to: desks.
        groups: of the council; each stands for the main desks of its members.
        directory: in force.
        now: UTC.

    Returns:
        Sorted desks.

    Raises:
        Problem: `bad-parameter`, or `unknown-recipient`.
    """
    desks = set(to)
    if sender in desks:
        raise Problem("bad-parameter", f"{sender} does not send to itself")
    for group in groups:
        desks |= set(directory.expand_group(group, now)) - {sender}
    if not 1 <= len(desks) <= RECIPIENTS_MAX:
        raise Problem("bad-parameter", f"a bulletin goes to 1 to {RECIPIENTS_MAX} desks")
    for desk in sorted(desks):
        if not can_receive(desk, directory, now):
            detail = (
                f"{desk} is no desk that can receive, in the directory that this node read last;"
                " if it joined just now, send again in a minute"
            )
            raise Problem("unknown-recipient", detail, desk=desk)
    return tuple(sorted(desks))


def can_receive(desk: str, directory: Directory, now: datetime) -> bool:
    """Whether bulletins may be meant for a desk: one whose keys were revoked waits for its next ones."""
    view = directory.desk(desk, now)
    return view is not None and view.receives


def follow(original: Original, wanted: Collection[str], named: Sequence[str]) -> tuple[str, ...]:
    """The desks of a withdrawal or a correction: all that the original went to, and no others.

    Args:
        original: the bulletin that it is about.
        wanted: all desks that it must go to.
        named: desks that the agency named; none stands for all.

    Returns:
        Sorted desks.

    Raises:
        Problem: `original-desks` where a named one is not among them; `bad-parameter` where one of them
            was left out, since it would go on believing the original.
    """
    strangers = sorted(set(named) - set(wanted))
    if strangers:
        raise Problem(
            "original-desks",
            f"{original.bulletin_id} did not go to {', '.join(strangers)}: name no desk to reach all",
        )
    missing = sorted(set(wanted) - set(named)) if named else []
    if missing:
        raise Problem(
            "bad-parameter",
            f"to: {', '.join(missing)} got the original and must hear of this too: name no desk, or all",
        )
    return tuple(sorted(wanted))
