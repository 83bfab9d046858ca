"""Closed logs: how they ended, by the council's word, held against what the hub still has of them.

Pure; may import `broker.tlog`, `keys` and `schemas`; `verify` asks before it goes on to the logs that follow.
"""

from __future__ import annotations

from broker.audit.remarks import Remark
from broker.tlog.checkpoint import Checkpoint
from keys.history import DirectoryHistory
from keys.tuf_files import Fetch
from schemas.directory import ClosedLog, ClosedLogs, Logs
from schemas.entries import DirectoryPublished, parse_directory_entry
from schemas.errors import VerificationError
from schemas.receipts import OpeningsPage


def first_logs(page: OpeningsPage | None, history: DirectoryHistory, fetch: Fetch) -> Logs:
    """Read the logs of the council with which the next directory log begins.

    Args:
        page: what the hub shows of its entry 0.
        history: of the closed log, to its end; it is not changed.
        fetch: gives TUF files.

    Raises:
        ParseError, VerificationError: it is no directory that follows the one in force.
        TrustFileMissing: a file of it is not served.
    """
    if page is None or [opening.index for opening in page.openings] != [0]:
        raise VerificationError("a log is closed, and the hub shows none that follows it")
    entry = parse_directory_entry(page.openings[0].entry)
    if not isinstance(entry, DirectoryPublished):
        raise VerificationError("the log that follows a closed one begins without a directory")
    logs = history.successor(entry.root, entry.snapshot, fetch).council.logs
    if logs.generation != history.generation + 1:
        raise VerificationError("the council of the log that follows names no further logs")
    return logs


def check_end(
    closed: Logs, following: Logs, directory: Checkpoint, exchange: Checkpoint
) -> str | None:
    """Say how the ends that the council names differ from what the hub signed; None if they do not.

    The directory log must be whole. Of the exchange log less may be left than was signed.
    """
    if following.previous[:-1] != closed.previous:
        return "the council tells the ends of earlier logs otherwise than before"
    end = following.previous[-1]
    if end.directory != _closed(directory):
        return f"the directory log ends with {directory.size} entries, the council says otherwise"
    if end.exchange.origin != exchange.origin:
        return "the council closes another exchange log"
    if end.exchange.size < exchange.size:
        return f"the exchange log has {exchange.size} entries, the council says {end.exchange.size}"
    if end.exchange.size == exchange.size and end.exchange != _closed(exchange):
        return f"the council closes the exchange log with another root at {exchange.size} entries"
    return None


def lost_remark(closed: ClosedLogs, size: int) -> list[Remark]:
    """What is lost of a closed exchange log of which `size` entries are left; nothing where all is there."""
    lost = closed.exchange.size - size
    if lost <= 0:
        return []
    text = (
        f"of {closed.exchange.origin} the last {lost} entries are lost: the council closed it with"
        f" {closed.exchange.size}, the hub has {size}"
    )
    return [Remark("exchange", "entries-lost", None, None, text)]


def _closed(checkpoint: Checkpoint) -> ClosedLog:
    return ClosedLog(origin=checkpoint.origin, size=checkpoint.size, root=checkpoint.root.hex())
