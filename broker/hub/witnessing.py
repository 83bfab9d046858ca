"""Witnessing at the hub: one checkpoint of each log is shown to the witnesses until a quorum has cosigned it.

May import SQLAlchemy, `broker.tlog` and the hub's tables; `witness_routes` calls it. The hub counts lines so
that it knows when to show the next one; nobody has to believe its counting.
"""

from __future__ import annotations

from statistics import median_low
from typing import Any, Final

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from broker.hub.logbook import Head
from broker.hub.tables import cosignature, witness_round, witnessed
from broker.tlog.note import Note, NoteSignature, parse_note
from broker.tlog.quorum import Quorum
from keys.derivation import sha256_hex
from schemas.errors import ParseError, Problem, VerificationError
from schemas.limits import WITNESS_ROUND_SECONDS

ROUND_SECONDS: Final = WITNESS_ROUND_SECONDS
"""After so long witnesses cosign anew, though a log has not grown: members see how old a quorum is."""


def shown(connection: Connection, head: Head, quorum: Quorum, now: int) -> str | None:
    """The checkpoint that witnesses are asked to cosign, with the cosignatures that are there already.

    Args:
        connection: reads.
        head: of the log.
        quorum: of the council in force.
        now: seconds since 1970.

    Returns:
        The note; None where the next one is to be shown (`show_next`): a quorum has cosigned this one and the
        log has grown, or it was shown for `ROUND_SECONDS`.
    """
    current = _round(connection, head)
    if current is None or _is_over(connection, head, current, quorum, now):
        return None
    return _with(current.checkpoint, _lines(connection, head, quorum))


def show_next(connection: Connection, head: Head, quorum: Quorum, now: int) -> str:
    """Show the newest checkpoint from now on, so that all sign the same tree, however fast the log grows.

    Args:
        connection: a writing transaction: whoever came first may have done it meanwhile.
        head: of the log.
        quorum: of the council in force.
        now: seconds since 1970.
    """
    if (already := shown(connection, head, quorum, now)) is not None:
        return already
    connection.execute(delete(cosignature).where(cosignature.c.log == head.log))
    row = {"checkpoint": head.checkpoint, "size": head.size, "begun": now}
    _put(connection, witness_round, head.log, row)
    return head.checkpoint


def has_cosigned(text: str, member: str, quorum: Quorum, known: str) -> bool:
    """Whether a note has a member's cosignature, and is over the note text with this SHA-256 (hex)."""
    note = parse_note(text)
    is_known = sha256_hex(note.text.encode()) == known
    return is_known and any(quorum.is_of(member, line) for line in note.signatures)


def take(connection: Connection, head: Head, quorum: Quorum, member: str, data: bytes) -> None:
    """Keep a member's cosignature of the checkpoint that is shown; with a quorum it is the witnessed one.

    Args:
        connection: a writing transaction.
        head: of the log.
        quorum: of the council in force.
        member: who calls.
        data: the note, with the cosignature among its lines.

    Raises:
        Problem: `cosignature`: another checkpoint is shown, the member has no witness, or its line is missing
            or does not verify.
    """
    current = _round(connection, head)
    verifier = quorum.verifiers.get(member)
    if verifier is None:
        raise Problem("cosignature", f"the council names no witness of {member}")
    try:
        note = parse_note(data)
        if current is None or note.text != parse_note(current.checkpoint).text:
            raise VerificationError("another checkpoint is shown now")
        own = [line for line in note.signatures if quorum.is_of(member, line)]
        if len(own) != 1:
            raise VerificationError(f"it has {len(own)} lines of the witness of {member}, not one")
        verifier.verify(note.text, own[0].signature)
    except (ParseError, VerificationError) as error:
        raise Problem("cosignature", str(error)) from error
    new = insert(cosignature).values(log=head.log, member=member, line=own[0].render())
    connection.execute(
        new.on_conflict_do_update(index_elements=["log", "member"], set_={"line": own[0].render()})
    )
    lines = _lines(connection, head, quorum)
    if len(lines) >= quorum.threshold:
        row = {"checkpoint": _with(current.checkpoint, lines), "size": current.size}
        _put(connection, witnessed, head.log, row)


def newest(connection: Connection, head: Head) -> str:
    """The newest checkpoint that a quorum cosigned. Raises Problem: `not-found` until there is one."""
    query = select(witnessed.c.checkpoint).where(witnessed.c.log == head.log)
    text: str | None = connection.execute(query).scalar()
    if text is None:
        raise Problem(
            "not-found", "no quorum of witnesses has cosigned a checkpoint of this log yet"
        )
    return text


def quorum_times(connection: Connection, quorum: Quorum) -> dict[str, int]:
    """For the operator: by log, the median time of the newest quorum, in seconds since 1970."""
    rows = connection.execute(select(witnessed.c.log, witnessed.c.checkpoint)).all()
    found = {}
    for row in rows:
        # They were verified when they came; each begins with its time (C2SP tlog-cosignature).
        times = [
            int.from_bytes(line.signature[:8], "big")
            for line in parse_note(row.checkpoint).signatures
            if any(quorum.is_of(member, line) for member in quorum.verifiers)
        ]
        if times:
            found[row.log] = median_low(times)
    return found


def _round(connection: Connection, head: Head) -> Any:
    query = select(witness_round).where(witness_round.c.log == head.log)
    return connection.execute(query).one_or_none()


def _is_over(connection: Connection, head: Head, current: Any, quorum: Quorum, now: int) -> bool:
    # Either way, since a clock that was set back must not keep the witnesses waiting for it.
    if abs(now - current.begun) >= ROUND_SECONDS:
        return True
    is_witnessed = len(_lines(connection, head, quorum)) >= quorum.threshold
    return is_witnessed and bool(head.size > current.size)


def _lines(connection: Connection, head: Head, quorum: Quorum) -> list[NoteSignature]:
    """The cosignatures of this round whose witnesses the council still names."""
    query = select(cosignature).where(cosignature.c.log == head.log).order_by(cosignature.c.member)
    rows = connection.execute(query).all()
    # A line is read as it stands in a note: there is no other form of it.
    parsed = [(row.member, parse_note(f"-\n\n{row.line}").signatures[0]) for row in rows]
    return [line for member, line in parsed if quorum.is_of(member, line)]


def _with(checkpoint: str, lines: list[NoteSignature]) -> str:
    note = parse_note(checkpoint)
    return Note(note.text, (*note.signatures, *lines)).render()


def _put(connection: Connection, table: Any, log: str, row: dict[str, Any]) -> None:
    new = insert(table).values(log=log, **row)
    connection.execute(new.on_conflict_do_update(index_elements=["log"], set_=row))
