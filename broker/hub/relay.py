"""Relaying an envelope: to all its recipients, or to none.

May import `keys`, `broker.policy`, `broker.tlog` and the hub's own rooms; routes hand bytes in, the ledger
applies the work. The access decision is `broker.policy.admission.admit`, asked here once for each submission.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from broker.db import reading
from broker.hub.before import Before
from broker.hub.ledger import Answer, Batch, Committed, Ledger
from broker.hub.logbook import Prover
from broker.hub.precedents import check_attachments, check_refusal_rate, contradiction
from broker.hub.staleness import changes_told
from broker.hub.tables import body, entry, envelope, envelope_attachment, party, slot
from broker.policy.admission import admit, admit_again
from broker.tlog.receipt import place_hash
from keys.dsse import pae_sha256, signatures_sha256
from keys.envelope import check_sealed_bytes, parse_header
from keys.history import DirectoryState
from schemas.entries import ENTRY_BYTES_MAX, AcceptedRecipient, EnvelopeAccepted, EnvelopeRefused
from schemas.envelope import Envelope, Header
from schemas.errors import Finality, Problem
from schemas.limits import ENVELOPE_BYTES_MAX
from schemas.loader import dump_json, parse, to_plain
from schemas.problems import from_document, to_document
from schemas.receipts import SALT_BYTES, Place, Receipt
from schemas.scalars import encode_base64
from schemas.statements import Statement

_ENTRY_FRAME_BYTES: Final = 512
"""Of an accepted entry without header and recipients."""

_RECIPIENT_BYTES: Final = 192
"""Of one recipient in it without its policies: desk, place, names of the members."""

EARLIER_MAX: Final = 16
"""Earlier receipts shown with a refusal."""

# Built once: to build a statement takes SQLAlchemy several times as long as to run it.
_ENVELOPE: Final = insert(envelope)
_PARTY: Final = insert(party)
_BODY: Final = insert(body)
_SLOT: Final = insert(slot)
_ATTACHMENT: Final = insert(envelope_attachment)
_BY_ID: Final = select(envelope).where(
    envelope.c.sender == bindparam("from"), envelope.c.id == bindparam("of_id")
)

Verdict = dict[str, tuple[str, ...]] | Problem
"""The policies that permit each recipient, or the final refusal."""


@dataclass(frozen=True, slots=True)
class Submission:
    """An envelope as it was submitted, parsed once; `pae` identifies it."""

    envelope: Envelope
    header: Header
    pae: str

    @property
    def statement(self) -> Statement:
        """The signed part, without slots and body."""
        return Statement(
            payload_type=self.envelope.payload_type,
            payload=self.envelope.payload,
            signatures=self.envelope.signatures,
        )


def read_submission(data: bytes, caller: str) -> Submission:
    """Parse an envelope; the caller must be its `from` before anything else is looked at.

    Raises:
        ParseError: not an envelope.
        Problem: `not-sender`.
    """
    parsed = parse(Envelope, data, ENVELOPE_BYTES_MAX)
    header = parse_header(parsed)
    if header.from_ != caller:
        raise Problem("not-sender", f"{caller} submits what {header.from_} signed")
    return Submission(parsed, header, pae_sha256(parsed))


def prepare(data: bytes, caller: str, ledger: Ledger, at: datetime) -> Relay:
    """Read and judge what a desk submitted, before the sequencer's transaction.

    Raises:
        ParseError: not an envelope.
        Problem: `not-sender`, or a refusal that is not logged.
    """
    submission = read_submission(data, caller)
    state = ledger.state
    try:
        with changes_told(submission.header, ledger.history, state):
            verdict = judge(submission, state, at)
    except Problem:
        # What is known is answered as before, however old it is by now: nobody judges it again.
        with reading(ledger.engine) as connection:
            if _find(connection, submission.header) is None:
                raise
        verdict = {}
    return Relay(submission, verdict, state.size, at)


def judge(submission: Submission, state: DirectoryState, at: datetime) -> Verdict:
    """Verify an envelope and ask the access rules, outside the transaction.

    1. Slots and body are those that the header names.
    2. Signature, directory, times, keys, access rules (`admit`).

    Returns:
        The policies for each recipient, or a final refusal that will be logged.

    Raises:
        Problem: a refusal that is not logged, since trying again may help or nobody is authenticated.
    """
    check_sealed_bytes(submission.header, submission.envelope.slots, submission.envelope.body)
    return _verdict(lambda: admit(submission.statement, submission.header, state, at))


def _verdict(ask: Callable[[], dict[str, tuple[str, ...]]]) -> Verdict:
    try:
        return ask()
    except Problem as problem:
        if problem.type.finality is not Finality.FINAL:
            raise
        return problem


@dataclass(frozen=True, slots=True)
class Relay:
    """The work of one submission: relayed whole, or refused, or answered as before."""

    submission: Submission
    verdict: Verdict
    judged_size: int  # of the directory log, when the verdict was reached
    judged_at: datetime

    def apply(self, batch: Batch) -> Answer:
        """Accept or refuse within the batch.

        1. The same bytes again get the same answer, before anything is judged; what was destroyed under an
           order, none.
        2. An id is used once, in closed logs as well.
        3. Members and auditors judge by the directory and the time that the entry names: if either
           moved since the verdict, the envelope is judged again.
        4. One bulletin id has one content; withdrawals and corrections go where the original went.
        5. Its attachments are stored, by this sender.
        6. Accept for all recipients, or log the refusal.
        """
        header, before = self.submission.header, batch.once(_before)
        row = _find(batch.connection, header) if before.has_id(header) else None
        if row is not None and row.purged_index is not None:
            raise Problem("purged")
        if row is not None and row.pae != self.submission.pae:
            return lambda committed: Problem("id-taken", earlier=[_shown(row, committed)])
        if row is not None:
            self._replace_damaged(batch.connection, row)
            return lambda committed: _answer(row, committed)
        if before.is_carried(header):
            raise Problem("log-closed")
        verdict = self._judged(batch)
        if before.concerns(header) and not isinstance(verdict, Problem):
            verdict = contradiction(batch.connection, header) or verdict
        if isinstance(verdict, Problem):
            return self._refuse(batch, verdict)
        if header.attachments:
            check_attachments(batch.connection, header)
        return self._accept(batch, verdict)

    def _judged(self, batch: Batch) -> Verdict:
        if self.judged_size != batch.state.size:
            with changes_told(self.submission.header, batch.trial, batch.state):
                return judge(self.submission, batch.state, batch.at)
        if self.judged_at != batch.at:
            return _verdict(lambda: admit_again(self.submission.header, batch.state, batch.at))
        return self.verdict

    def _replace_damaged(self, connection: Connection, row: Row[Any]) -> None:
        # What is stored may have rotted. What is submitted may have been spoilt on purpose, to have the
        # hub blamed: slots and body are no part of the PAE by which the envelope is known.
        submitted = self.submission.envelope
        try:
            check_sealed_bytes(self.submission.header, submitted.slots, submitted.body)
        except Problem:
            return
        # What was deleted when it expired stays so.
        if row.problem is not None or row.expired_index is not None:
            return
        at = body.c.entry_index == row.entry_index
        connection.execute(update(body).where(at).values(ciphertext=submitted.body))
        for desk, data in submitted.slots.items():
            mine = (slot.c.entry_index == row.entry_index) & (slot.c.desk == desk)
            connection.execute(update(slot).where(mine).values(slot=data))

    def _check_entry_size(self, policies: dict[str, tuple[str, ...]]) -> None:
        # An entry that no reader takes must not be logged: a padded header with many policies could be one.
        size_bytes = _ENTRY_FRAME_BYTES + len(encode_base64(self.submission.envelope.payload))
        for named in policies.values():
            size_bytes += _RECIPIENT_BYTES + sum(len(word) + len('"",') for word in named)
        if size_bytes > ENTRY_BYTES_MAX:
            raise Problem("too-large", f"its log entry would be over {ENTRY_BYTES_MAX} bytes")

    def _accept(self, batch: Batch, policies: dict[str, tuple[str, ...]]) -> Answer:
        self._check_entry_size(policies)
        header = self.submission.header
        # Drawn in one go: each draw is a call of the system, and lets another thread run meanwhile.
        salt, *place_salts = _salts(1 + len(header.desks))
        places = tuple(
            batch.once(_before).next_place(batch, header.from_, desk, place_salt)
            for desk, place_salt in zip(header.desks, place_salts, strict=True)
        )
        logged = EnvelopeAccepted(
            type="envelope.accepted",
            at=batch.at,
            pae=self.submission.pae,
            signatures=signatures_sha256(self.submission.envelope),
            header=self.submission.envelope.payload,
            directory_size=batch.directory_size,
            recipients=tuple(
                AcceptedRecipient(
                    desk=given.desk,
                    place=place_hash(given.place_salt, given.n),
                    policies=policies[given.desk],
                )
                for given in places
            ),
        )
        entry_bytes = dump_json(logged)
        index = self._write(batch, entry_bytes, salt, (header.from_, *header.desks), None)
        ciphertext = self.submission.envelope.body
        batch.insert(_BODY, {"entry_index": index, "ciphertext": ciphertext})
        rank = header.precedence.rank
        batch.insert(_SLOT, *(self._slot(index, rank, given) for given in places))
        names = sorted({each.sha256 for each in header.attachments})
        if names:
            batch.insert(_ATTACHMENT, *({"entry_index": index, "sha256": name} for name in names))
        return lambda committed: committed.prover.receipt(index, entry_bytes, salt, places)

    def _slot(self, index: int, rank: int, given: Place) -> dict[str, object]:
        return {
            "entry_index": index,
            "desk": given.desk,
            "rank": rank,
            "slot": self.submission.envelope.slots[given.desk],
            "n": given.n,
            "place_salt": given.place_salt,
            "answered": 0,
        }

    def _refuse(self, batch: Batch, problem: Problem) -> Answer:
        header = self.submission.header
        check_refusal_rate(batch, header.from_)
        logged = EnvelopeRefused(
            type="envelope.refused",
            at=batch.at,
            pae=self.submission.pae,
            signatures=signatures_sha256(self.submission.envelope),
            header=self.submission.envelope.payload,
            problem=problem.word,
            directory_size=batch.directory_size,
        )
        salt = secrets.token_bytes(SALT_BYTES)
        self._write(batch, dump_json(logged), salt, (header.from_,), problem)
        return lambda committed: _answer(_find_again(committed, header), committed)

    def _write(
        self,
        batch: Batch,
        logged: bytes,
        salt: bytes,
        parties: tuple[str, ...],
        problem: Problem | None,
    ) -> int:
        header = self.submission.header
        batch.once(_before).add(header)
        index = batch.exchange.append(logged, salt, dump_json(self.submission.statement))
        row = {
            "sender": header.from_,
            "id": header.id,
            "pae": self.submission.pae,
            "entry_index": index,
            "at": batch.at_unix,
            "problem": None if problem is None else problem.word,
            "refusal": None if problem is None else dump_json(to_document(problem)),
            "bulletin_id": header.bulletin.id,
            "content": header.bulletin.content,
            "withdraws": header.withdraws,
            "expires": int(header.expires.timestamp()),
        }
        batch.insert(_ENVELOPE, row)
        desks = sorted(set(parties))
        batch.insert(_PARTY, *({"desk": desk, "entry_index": index} for desk in desks))
        return index


def _before(batch: Batch) -> Before:
    works = (work for work in batch.works if isinstance(work, Relay))
    return Before.of(batch.connection, [work.submission.header for work in works])


def _find(connection: Connection, header: Header) -> Row[Any] | None:
    which = {"from": header.from_, "of_id": header.id}
    return connection.execute(_BY_ID, which).one_or_none()


def _find_again(committed: Committed, header: Header) -> Row[Any]:
    which = {"from": header.from_, "of_id": header.id}
    return committed.connection.execute(_BY_ID, which).one()


def _salts(count: int) -> list[bytes]:
    drawn = secrets.token_bytes(count * SALT_BYTES)
    return [drawn[at : at + SALT_BYTES] for at in range(0, len(drawn), SALT_BYTES)]


def envelope_receipt(
    connection: Connection, prover: Prover, index: int, recipient: str | None = None
) -> Receipt:
    """The receipt of an envelope's entry: for a recipient with its place alone, for the sender with all."""
    told = select(slot.c.desk, slot.c.n, slot.c.place_salt).where(slot.c.entry_index == index)
    if recipient is not None:
        told = told.where(slot.c.desk == recipient)
    rows = connection.execute(told.order_by(slot.c.desk))
    places = [Place(desk=row.desk, n=row.n, place_salt=row.place_salt) for row in rows]
    return entry_receipt(connection, prover, index, places)


def entry_receipt(
    connection: Connection, prover: Prover, index: int, places: Sequence[Place] = ()
) -> Receipt:
    """The receipt of any entry of the exchange log. Raises Problem: `purged`: its opening was destroyed."""
    of = (entry.c.log == "exchange") & (entry.c.entry_index == index)
    row = connection.execute(select(entry.c.entry, entry.c.salt).where(of)).one()
    if row.salt is None:
        raise Problem("purged")
    return prover.receipt(index, row.entry, row.salt, places)


def _answer(row: Row[Any], committed: Committed) -> Receipt | Problem:
    """What the sender of an envelope is told: its receipt, or the refusal with its entry's."""
    receipt = envelope_receipt(committed.connection, committed.prover, row.entry_index)
    if row.problem is None:
        return receipt
    refusal = from_document(row.refusal)
    extensions = {**refusal.extensions, "receipt": to_plain(receipt)}
    if row.problem == "bulletin-differs":
        extensions["earlier"] = _earlier(row, committed)
    return Problem(row.problem, refusal.detail, **extensions)


def _shown(row: Row[Any], committed: Committed) -> object:
    answer = _answer(row, committed)
    return to_document(answer) if isinstance(answer, Problem) else to_plain(answer)


def _earlier(row: Row[Any], committed: Committed) -> list[object]:
    """The receipts of what the caller sent under this bulletin id, so that it finds its way."""
    earlier = (
        select(envelope)
        .where(
            envelope.c.sender == row.sender,
            envelope.c.bulletin_id == row.bulletin_id,
            envelope.c.problem.is_(None),
            envelope.c.purged_index.is_(None),
        )
        .order_by(envelope.c.entry_index)
        .limit(EARLIER_MAX)
    )
    return [_shown(other, committed) for other in committed.connection.execute(earlier)]
