"""New logs in place of closed ones: what a member demands before it follows them.

May import `schemas`; pure. `following` asks, and the hub's operator and the governors do what it demands:
the council alone closes logs, and none before a tree that witnesses cosigned.
"""

from __future__ import annotations

from schemas.directory import ClosedLog, ClosedLogs, Logs
from schemas.entries import TreeHead
from schemas.errors import Problem


def check_succession(
    was: Logs, now: Logs, directory: TreeHead, exchange: TreeHead, witnessed_size: int
) -> ClosedLogs:
    """Check that a council closed the logs that are followed where they end, and began others.

    1. The next generation follows, and how the earlier ones ended is as it was.
    2. The directory log ended with the tree that was read to its end: nothing that it had fixed is lost.
    3. The exchange log ended no sooner than a quorum of witnesses had cosigned it, and as long as it is no
       longer here, nor shorter, it is the same tree.

    Args:
        was: the logs that were followed.
        now: those of the council that k of n governors signed.
        directory: the followed directory log, read to its end.
        exchange: the newest verified tree of the followed exchange log.
        witnessed_size: entries of the exchange log that a quorum, or this node, had cosigned.

    Returns:
        How the followed logs ended.

    Raises:
        Problem: `inconsistent-log`, with what is wrong.
    """
    if (now.generation, now.previous[:-1]) != (was.generation + 1, was.previous):
        raise _refused("they are not the next generation after those that are followed")
    closed = now.previous[-1]
    own = ClosedLog(origin=was.directory.origin, size=directory.size, root=directory.root)
    if closed.directory != own:
        raise _refused(
            f"the directory log ended with {directory.size} entries, and the council says with"
            f" {closed.directory.size}, or with others"
        )
    if closed.exchange.origin != was.exchange.origin:
        raise _refused(f"the council closes another exchange log, {closed.exchange.origin}")
    if closed.exchange.size < witnessed_size:
        raise _refused(
            f"the council closes the exchange log with {closed.exchange.size} entries, and"
            f" {witnessed_size} were cosigned"
        )
    is_same_size = closed.exchange.size == exchange.size
    if is_same_size and closed.exchange.root != exchange.root:
        raise _refused("the council closes the exchange log with another tree than was signed")
    return closed


def _refused(why: str) -> Problem:
    return Problem("inconsistent-log", f"the new logs are not followed: {why}")
