"""What an entry of the exchange log says by itself: parsed, held against its statement, and admitted or not.

Pure; may import `keys`, `broker.policy` and the auditor's own rooms. It depends on no entry before, so that
several processes examine at once; `exchange` then folds what came out, in order.
"""

from __future__ import annotations

from dataclasses import dataclass

from broker.audit.leaves import OpenedLeaf
from broker.audit.statements import SignedEntry, difference, payload_of, signature_fault
from broker.policy.admission import admit
from keys.history import DirectoryHistory, DirectoryState
from schemas.acknowledgements import Acknowledgement
from schemas.entries import (
    AcknowledgementEntry,
    ExchangeLogEntry,
    parse_exchange_entry,
)
from schemas.envelope import Header
from schemas.errors import ParseError, Problem
from schemas.limits import ACKNOWLEDGEMENT_BYTES_MAX, STATEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.scalars import Message
from schemas.statements import Statement


class Verdict(Message):
    """What the directory that an entry names says of its statement.

    `policies` are those that permit each recipient of an envelope; `word` and `detail` the problem where it
    is not admitted, or where an acknowledgement is not signed as it must be.
    """

    policies: dict[str, tuple[str, ...]] | None = None
    word: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Examined:
    """One entry, examined.

    Args:
        index: in the exchange log.
        leaf: its leaf hash, 32 bytes.
        entry: None where it is not well-formed.
        subject: the header or acknowledgement that it carries; None where nobody signs.
        form_fault: why it is not well-formed.
        statement_fault: how the statement differs from the one that the entry names; None if it does not.
        verdict: None where no statement stands behind it, or its directory is not known.
    """

    index: int
    leaf: bytes
    entry: ExchangeLogEntry | None
    subject: Header | Acknowledgement | None
    form_fault: str = ""
    statement_fault: str | None = None
    verdict: Verdict | None = None


def examine(leaf: OpenedLeaf, exchange: str, history: DirectoryHistory) -> Examined:
    """Examine one entry.

    1. It is well-formed, and so is what it carries.
    2. The statement behind it is the one that it names.
    3. The directory at its `directory_size` admits an envelope; an acknowledgement's desk signed it.

    Args:
        leaf: the entry, its statement, and where it stands.
        exchange: the exchange's name.
        history: the directory log, folded.
    """
    try:
        entry = parse_exchange_entry(leaf.entry)
        subject = subject_of(entry)
    except ParseError as error:
        return Examined(leaf.index, leaf.leaf, None, None, str(error))
    fault = difference(entry, leaf.statement)
    verdict = None
    if fault is None and leaf.statement is not None and entry.directory_size <= history.newest.size:
        state = history.at(entry.directory_size)
        verdict = _judge(leaf.statement, subject, entry, state, exchange)
    return Examined(leaf.index, leaf.leaf, entry, subject, "", fault, verdict)


def subject_of(entry: ExchangeLogEntry) -> Header | Acknowledgement | None:
    """Parse the payload that an entry carries; None where nobody signs. Raises ParseError."""
    if not isinstance(entry, SignedEntry):
        return None
    if isinstance(entry, AcknowledgementEntry):
        return parse(Acknowledgement, payload_of(entry), ACKNOWLEDGEMENT_BYTES_MAX)
    return parse(Header, payload_of(entry), STATEMENT_BYTES_MAX)


def _judge(
    statement: Statement,
    subject: Header | Acknowledgement | None,
    entry: ExchangeLogEntry,
    state: DirectoryState,
    exchange: str,
) -> Verdict | None:
    if isinstance(subject, Acknowledgement):
        fault = signature_fault(statement, subject.desk, exchange, state, entry.at)
        return Verdict() if fault is None else Verdict(word="statement-signature", detail=fault)
    if subject is None:
        return None
    try:
        return Verdict(policies=admit(statement, subject, state, entry.at))
    except Problem as problem:
        return Verdict(word=problem.word, detail=problem.detail)
