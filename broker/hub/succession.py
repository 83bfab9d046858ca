"""New logs in place of those that lost entries: their keys, how the old ones ended, and their first entry.

May import `keys`, `broker.db` and the hub's own rooms; `barid hub new-origins` prepares them, and `setup`
begins them with a directory whose council, signed by k of n governors, names them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, insert, select, union

from broker.archive import sync_folder
from broker.db import reading, writing
from broker.hub.directory_log import Operate
from broker.hub.generations import (
    DESCRIPTION_FILE,
    Database,
    key_names,
    load_signers,
    make_log_keys,
    open_database,
    open_logs,
    origin_of,
    read_description,
)
from broker.hub.ledger import Ledger
from broker.hub.logbook import read_head
from broker.hub.publications import Publish
from broker.hub.tables import (
    carried_bulletin,
    carried_envelope,
    envelope,
    nonce,
    purge,
    signed_beyond,
    slot,
    trust_file,
)
from broker.settings import write_whole
from broker.tlog.checkpoint import parse_checkpoint_text
from broker.tlog.note import parse_note
from keys.keystore import Keystore
from schemas.directory import ClosedLog, ClosedLogs, Council, HubDescription
from schemas.entries import TreeHead
from schemas.errors import ConfigurationError, ParseError, Problem
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, parse

NEXT_FILE: Final = "new-origins.json"
"""The description of the hub with the logs that are to come: governors take them from it into the council."""

_UNFINISHED: Final = ".new"
_ROWS_AT_ONCE: Final = 1000
_ASK_AGAIN: Final = "have the governors sign what `barid hub new-origins` says now"


def prepare_next(data: Path, keystore: Keystore, ledger: Ledger) -> HubDescription:
    """Make the keys of the next generation's logs, and say how the present ones end; harmless to repeat.

    Both logs end where this hub last signed them, as far as it knows: from its own disk, from its anchor, and
    from what members showed. The directory log must be here up to there, since all that it fixed stays fixed.

    Args:
        data: the hub's directory.
        keystore: opened.
        ledger: of the hub, which does not serve meanwhile.

    Returns:
        The description for the governors, also written to `new-origins.json`.

    Raises:
        ConfigurationError: entries of the directory log are missing, no directory is in force, or files
            cannot be read.
    """
    directory = ledger.state.directory
    if directory is None:
        raise ConfigurationError("no directory is in force: there is nothing to follow")
    closed = _ends(ledger)
    generation = ledger.generation + 1
    if not set(key_names("directory", generation)) <= set(keystore.names()):
        make_log_keys(keystore, generation)
    signers = load_signers(keystore, directory.council.exchange, generation)
    present = read_description(data / DESCRIPTION_FILE)
    logs = signers.logs((*directory.council.logs.previous, closed))
    description = present.model_copy(update={"logs": logs})
    write_whole(data / NEXT_FILE, dump_json(description))
    return description


def _ends(ledger: Ledger) -> ClosedLogs:
    """How both logs end: with the longest trees that are known to have been signed."""
    with reading(ledger.engine) as connection:
        heads = {log: read_head(connection, log) for log in ("directory", "exchange")}
        known = {log: [head.tree] for log, head in heads.items()}
        for row in connection.execute(select(signed_beyond)):
            signed = parse_checkpoint_text(parse_note(row.checkpoint).text)
            known[row.log].append(TreeHead(size=signed.size, root=signed.root.hex()))
    anchored = ledger.anchor.read() if ledger.anchor else None
    for log, noted in (anchored.logs if anchored else {}).items():
        if noted.origin == heads[log].origin:
            known[log].append(noted.head)
    ends = {log: max(trees, key=lambda tree: tree.size) for log, trees in known.items()}
    if ends["directory"].size > heads["directory"].size:
        raise ConfigurationError(
            f"the directory log has {heads['directory'].size} entries here, and {ends['directory'].size} were"
            " signed: start this hub and let a member's node call it, which gives the others back; then again"
        )

    def closed(log: str) -> ClosedLog:
        return ClosedLog(origin=heads[log].origin, size=ends[log].size, root=ends[log].root)

    return ClosedLogs(directory=closed("directory"), exchange=closed("exchange"))


def names_next_logs(files: Mapping[str, bytes], generation: int) -> bool:
    """Whether the newest council among TUF files names logs that follow those of a generation."""
    for name, data in files.items():
        if name.endswith(".council.json"):
            with contextlib.suppress(ParseError):
                if parse(Council, data, TRUST_FILE_BYTES_MAX).logs.generation == generation + 1:
                    return True
    return False


@dataclass(frozen=True, slots=True)
class Loaded:
    """Where a directory stands in the directory log: the log's generation, and the index of the entry.

    `is_new_log` where the log began with it.
    """

    generation: int
    index: int
    is_new_log: bool


def begin_next(
    data: Path, keystore: Keystore, ledger: Ledger, files: Mapping[str, bytes], now: datetime
) -> Loaded:
    """Close both logs, and begin those that the council names in their place.

    1. The keys of the next generation are here, and the council closes the present logs where they ended, or
       later: nothing that was noted as signed is cut off.
    2. A new database is made beside the present one: two empty logs, the TUF files, and what the closed logs
       had fixed: ids, contents and recipients.
    3. Its first entry is the directory of these files, judged as the successor of the one in force.
    4. Its file gets its name. That is the one moment at which the old logs end and the new ones begin: a
       crash before it leaves the old ones, one after it the new ones.

    Args:
        data: the hub's directory.
        keystore: opened.
        ledger: of the hub, which does not serve meanwhile; its history goes on with the new logs.
        files: what the governors signed, as `load_repository` takes it.
        now: UTC, whole seconds.

    Raises:
        ConfigurationError: the files are not what follows.
    """
    directory = ledger.state.directory
    if directory is None:
        raise ConfigurationError("no directory is in force: there is nothing to follow")
    exchange, generation = directory.council.exchange, ledger.generation + 1
    signers = load_signers(keystore, exchange, generation)
    wanted = _ends(ledger)
    target = Database.of(data, generation)
    unfinished = Database(generation, target.path.with_name(target.path.name + _UNFINISHED))
    _remove(unfinished.path)
    engine = open_database(unfinished)
    try:
        at = int(now.timestamp())
        open_logs(engine, signers, at)
        _carry(ledger.engine, engine)
        ledger.history.begin(origin_of(exchange, "directory", generation))
        following = Ledger(engine, signers, ledger.history, lambda: at)
        is_lost = wanted.exchange.size > ledger.heads()[1].size
        restored = (Operate("restore"),) if is_lost else ()
        results = following.commit([Publish(files, signers), *restored])
        for result in results:
            if isinstance(result, Problem):
                raise ConfigurationError(f"the new logs do not begin: {result.detail}")
        begun = following.state.directory or directory
        _check_ends(begun.council, directory.council, wanted)
    except BaseException:
        engine.dispose()
        _remove(unfinished.path)
        raise
    # The last connection takes the write-ahead log with it.
    engine.dispose()
    unfinished.path.rename(target.path)
    sync_folder(data)
    description = read_description(data / DESCRIPTION_FILE)
    description = description.model_copy(update={"logs": begun.council.logs})
    write_whole(data / DESCRIPTION_FILE, dump_json(description))
    return Loaded(generation, int(results[0].index), is_new_log=True)


def _check_ends(after: Council, before: Council, wanted: ClosedLogs) -> None:
    named = after.logs.previous
    if named[:-1] != before.logs.previous or named[-1].directory != wanted.directory:
        raise ConfigurationError(
            f"the council closes the directory log with {named[-1].directory.size} entries, where"
            f" {wanted.directory.size} are here: {_ASK_AGAIN}"
        )
    end = named[-1].exchange
    if end.origin != wanted.exchange.origin or end.size < wanted.exchange.size:
        raise ConfigurationError(
            f"the council closes the exchange log with {end.size} entries, where {wanted.exchange.size} were"
            f" signed: {_ASK_AGAIN}"
        )


def _remove(path: Path) -> None:
    for each in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        each.unlink(missing_ok=True)


def _carry(old: Engine, new: Engine) -> None:
    """Copy what outlives a log: TUF files, nonces, which bulletins went to whom, what was destroyed."""
    ids = union(
        select(envelope.c.sender, envelope.c.id),
        select(carried_envelope.c.sender, carried_envelope.c.id),
    )
    sent = union(
        select(
            envelope.c.sender,
            envelope.c.bulletin_id,
            slot.c.desk,
            envelope.c.content,
            envelope.c.withdraws,
        )
        .join(slot, slot.c.entry_index == envelope.c.entry_index)
        .where(envelope.c.problem.is_(None)),
        select(carried_bulletin),
    )
    with reading(old) as reader, writing(new) as writer:
        for query, table in (
            (select(trust_file), trust_file),
            (select(nonce), nonce),
            (ids, carried_envelope),
            (sent, carried_bulletin),
            (select(purge).where(purge.c.purged_index.is_not(None)), purge),
        ):
            rows = reader.execution_options(yield_per=_ROWS_AT_ONCE).execute(query)
            for some in rows.mappings().partitions():
                writer.execute(insert(table).prefix_with("OR IGNORE"), [dict(row) for row in some])
