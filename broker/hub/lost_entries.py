"""What members give back: entries that this hub signed before it was set back to an old disk.

May import `broker.tlog`, `keys`, SQLAlchemy and the hub's own rooms; its route calls `take_back`. It believes
the hub's own signatures alone, and signs nothing: what was lost is put back, or carried into the next logs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from broker.hub.ledger import Ledger
from broker.hub.logbook import LogName, LogWriter, read_head, why_behind
from broker.hub.stored import read_trust_file
from broker.hub.tables import (
    carried_bulletin,
    carried_envelope,
    sealing_key,
    signed_beyond,
    trust_file,
)
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.merkle import leaf_hash
from broker.tlog.receipt import LogVerifier, verify_receipt
from keys.dsse import pae_sha256
from keys.envelope import parse_header
from keys.history import DirectoryHistory
from keys.tuf_files import TrustFileMissing
from schemas.entries import DeskSealingKey, EnvelopeAccepted, TreeHead, parse_directory_entry
from schemas.envelope import Header
from schemas.errors import ParseError, Problem, VerificationError
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.lost_entries import GivenBack, LostEntries, LostEnvelope
from schemas.receipts import Opening
from schemas.sealing_keys import SealingKey

_KEEP_FILE: Final = insert(trust_file).on_conflict_do_nothing()
_KEEP_KEY: Final = insert(sealing_key).on_conflict_do_nothing()
_CARRY_ID: Final = insert(carried_envelope).on_conflict_do_nothing()
_CARRY: Final = insert(carried_bulletin).on_conflict_do_nothing()


def take_back(ledger: Ledger, caller: str, lost: LostEntries) -> GivenBack:
    """Take back what a member knows of this hub's logs, in one transaction.

    1. The checkpoints are of this hub's log keys. One beyond what is here shows that this disk is old:
       nothing more is signed, also after a restart.
    2. Entries of the directory log make, after those that are here, the tree that its checkpoint signed:
       they are put back with the files that they name, and no others.
    3. Receipts of the caller's own envelopes verify: their ids are used up, and what was sent to whom counts
       for withdrawals, corrections and contents to come.

    Args:
        ledger: of the hub.
        caller: the desk that gives back.
        lost: as it came.

    Returns:
        How much is here now.

    Raises:
        Problem: `not-found`: no such generation; `inclusion`, `entry-invalid` or `directory-invalid`: not
            what this hub signed; `not-sender`: an envelope of another desk. Nothing is written then.
    """
    is_present = lost.generation == ledger.generation
    engine = ledger.engine_of(lost.generation)
    logs = ledger.signers if is_present else ledger.closed[lost.generation].signers
    keys = logs.logs()
    verifiers: dict[LogName, LogVerifier] = {
        "directory": LogVerifier.from_keys(keys.directory),
        "exchange": LogVerifier.from_keys(keys.exchange),
    }
    signed = _opened(verifiers, lost.checkpoints)
    envelopes = [_verified(verifiers["exchange"], each, caller) for each in lost.envelopes]

    def write(connection: Connection) -> None:
        if is_present:
            for log, checkpoint in signed.items():
                _note_beyond(connection, log, checkpoint, lost.checkpoints[log])
            if lost.openings and "directory" in signed:
                _put_back(connection, ledger.history, signed["directory"], lost)
        for header in envelopes:
            connection.execute(_CARRY_ID, {"sender": header.from_, "id": header.id})
            connection.execute(_CARRY, [_sent(header, desk) for desk in header.desks])

    ledger.take_back(write)
    with engine.connect() as connection, connection.begin():
        return GivenBack(
            directory=read_head(connection, "directory").size,
            exchange=read_head(connection, "exchange").size,
        )


def _opened(
    verifiers: Mapping[LogName, LogVerifier], texts: Mapping[str, str]
) -> dict[LogName, Checkpoint]:
    strangers = texts.keys() - verifiers.keys()
    if strangers:
        raise Problem("bad-parameter", f"checkpoints: there is no log {min(strangers)}")
    try:
        return {
            log: verifier.open(texts[log], both=True)
            for log, verifier in verifiers.items()
            if log in texts
        }
    except (ParseError, VerificationError) as error:
        raise Problem("inclusion", f"this hub signed no such checkpoint: {error}") from error


def _note_beyond(connection: Connection, log: LogName, signed: Checkpoint, text: str) -> None:
    tree = TreeHead(size=signed.size, root=signed.root.hex())
    if not why_behind(connection, log, tree):
        return
    known = connection.execute(select(signed_beyond.c.size).where(signed_beyond.c.log == log))
    if signed.size > (known.scalar() or -1):
        row = {"log": log, "checkpoint": text, "size": signed.size}
        new = insert(signed_beyond).values(row)
        connection.execute(new.on_conflict_do_update(index_elements=["log"], set_=row))


def _put_back(
    connection: Connection, history: DirectoryHistory, signed: Checkpoint, lost: LostEntries
) -> None:
    writer = LogWriter(connection, read_head(connection, "directory"))
    known = writer.head.size
    openings = [opening for opening in lost.openings if opening.index >= known]
    if [opening.index for opening in openings] != list(range(known, signed.size)):
        raise Problem(
            "inclusion",
            f"the directory log has {known} entries here: give back those up to {signed.size}",
        )
    if not openings:
        return
    at = _fold(connection, history.copy(), openings, lost.files)
    for opening in openings:
        statement = None if opening.statement is None else dump_json(opening.statement)
        writer.append(opening.entry, None, statement)
    writer.adopt(signed, lost.checkpoints["directory"], max(at, writer.head.at))


def _fold(
    connection: Connection,
    trial: DirectoryHistory,
    openings: Sequence[Opening],
    given: Mapping[str, bytes],
) -> int:
    """Fold entries into a copy of the history: every file that they name is there, or given, and kept then.

    Only what a directory was read from and is in force by is kept: whatever else a member gives would stand
    in the place of a file that governors, members or this hub are yet to sign.

    Returns:
        The newest time, in seconds since 1970.
    """
    at = 0
    used: dict[str, bytes] = {}

    def read(name: str, size_bytes_max: int) -> bytes:
        try:
            return read_trust_file(connection, name, size_bytes_max)
        except TrustFileMissing:
            if name not in given or len(given[name]) > size_bytes_max:
                raise
        used[name] = given[name]
        return given[name]

    for opening in openings:
        used.clear()
        try:
            leaf = leaf_hash(opening.entry).hex()
            void = trial.apply(opening.index, leaf, opening.entry, opening.statement, read)
            if used and not void:
                rows = [{"name": name, "data": data} for name, data in used.items()]
                connection.execute(_KEEP_FILE, rows)
            entry = parse_directory_entry(opening.entry)
        except TrustFileMissing as missing:
            raise Problem(
                "directory-invalid", f"give it back with its files: {missing}"
            ) from missing
        except ParseError as error:
            raise Problem("entry-invalid", str(error)) from error
        at = int(entry.at.timestamp())
        if isinstance(entry, DeskSealingKey) and opening.statement is not None:
            key = parse(SealingKey, opening.statement.payload, STATEMENT_BYTES_MAX)
            row = {
                "keyid": entry.pae,
                "desk": key.desk,
                "epoch": key.epoch,
                "entry_index": opening.index,
            }
            connection.execute(_KEEP_KEY, row)
    return at


def _verified(log: LogVerifier, lost: LostEnvelope, caller: str) -> Header:
    entry = verify_receipt(lost.receipt, log).entry
    if not isinstance(entry, EnvelopeAccepted) or entry.pae != pae_sha256(lost.statement):
        raise Problem("entry-invalid", "the receipt is not of this accepted envelope")
    header = parse_header(lost.statement)
    if header.from_ != caller:
        raise Problem("not-sender", f"{caller} gives back what {header.from_} sent")
    return header


def _sent(header: Header, desk: str) -> dict[str, object]:
    return {
        "sender": header.from_,
        "bulletin_id": header.bulletin.id,
        "desk": desk,
        "content": header.bulletin.content,
        "withdraws": header.withdraws,
    }
