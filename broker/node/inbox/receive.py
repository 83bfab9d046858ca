"""Receiving one envelope: the verification plan of the protocol, step by step, in its order; pure.

May import `keys`, `broker.tlog`, `broker.policy` and `schemas`; `fetching` feeds it and acts on whose
fault a failure is.

    entry        1 the entry is well-formed, and this envelope's
    inclusion    2 it stands in the log; the caller proves that the log is the one it follows
    place        3 the number told to this desk is the one logged
    directory    4 the directory that the header names was in force at the entry's directory size
    signature    5 the sender's node identity in that directory signed
    recipient    6 addressed to this desk, under the highest key usable then
    rules        7 the access rules permit it, by exactly the policies logged
    slot hash    8
    body hash    9
    -- up to here the hub's fault: fetch again, raise an alarm, never acknowledge
    slot opens  10
    commitment  11
    -- up to here nobody's: rejected, with `cannot_open`
    body opens  12
    padding     13
    bulletin    14 well-formed, and it agrees with its header
    content     15
    release     16
    -- up to here the sender's, provable with the content key: rejected, with the reason
    attachments 17 each opens to its end, to the file that the bulletin names: else the sender's, too
    -- the bytes of an attachment, missing or altered, are the hub's fault at any time
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from broker.opening import Enclosed as Enclosed
from broker.opening import open_content
from broker.policy.admission import admit
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.receipt import LogVerifier, verify_receipt
from keys.content import verify_commitment
from keys.dsse import pae_sha256, signatures_sha256
from keys.envelope import check_body, check_slot, parse_header
from keys.history import DirectoryState
from keys.sealing import SealingPrivateKey, open_slot
from keys.streams import attachment_label, open_stream
from schemas.bulletin.parts import BulletinReference
from schemas.entries import EnvelopeAccepted
from schemas.envelope import AttachmentRef, Header
from schemas.errors import BaridError, Fault, ParseError, Problem, VerificationError
from schemas.receipts import InboxItem


class Faulty(BaridError):
    """An envelope that fails a step, and who answers for it.

    Args:
        fault: of the hub, of nobody, or of the sender.
        problem: what is wrong.
        content_key: 32 bytes, the proof where it is the sender's.
    """

    def __init__(self, fault: Fault, problem: Problem, content_key: bytes | None = None) -> None:
        self.fault = fault
        self.problem = problem
        self.content_key = content_key
        super().__init__(f"{fault}: {problem.word}")


@dataclass(frozen=True, slots=True)
class Arrived:
    """An envelope for one desk, and the entry that is proved to stand in the log (steps 1 to 3)."""

    desk: str
    item: InboxItem
    header: Header
    entry: EnvelopeAccepted
    origin: str
    index: int
    leaf: str
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Opened:
    """What was inside, verified to the end: the bulletin's exact bytes, and what proves them."""

    document: bytes = field(repr=False)
    content_key: bytes = field(repr=False)
    retain_until: datetime | None
    review_by: datetime | None
    in_reply_to: BulletinReference | None = None
    attachments: tuple[Enclosed, ...] = ()


def check_entry(item: InboxItem, desk: str, log: LogVerifier) -> Arrived:
    """Steps 1 to 3: the entry, its inclusion, the place.

    Args:
        item: as the hub served it.
        desk: the own desk that it was served to.
        log: the exchange log's keys.

    Raises:
        Faulty: the hub's fault.
    """
    try:
        header = parse_header(item.statement)
    except ParseError as error:
        raise Faulty(Fault.HUB, Problem("entry-invalid", f"no header: {error}")) from error
    try:
        verified = verify_receipt(item.receipt, log)
        entry = verified.entry
        if not isinstance(entry, EnvelopeAccepted):
            raise Problem("entry-invalid", "the entry is not of an accepted envelope")
        _check_is_of(entry, item, header)
        if [place.desk for place in item.receipt.places] != [desk]:
            raise Problem("place", f"not exactly the place of {desk} was told")
    except Problem as problem:
        raise Faulty(Fault.HUB, problem) from problem
    return Arrived(
        desk,
        item,
        header,
        entry,
        log.origin,
        verified.index,
        verified.leaf.hex(),
        verified.checkpoint,
    )


def _check_is_of(entry: EnvelopeAccepted, item: InboxItem, header: Header) -> None:
    same = (
        entry.pae == pae_sha256(item.statement)
        and entry.signatures == signatures_sha256(item.statement)
        and entry.header == item.statement.payload
        and tuple(recipient.desk for recipient in entry.recipients) == header.desks
    )
    if not same:
        raise Problem("entry-invalid", "the entry is another envelope's")


def check_sealed(arrived: Arrived, body: bytes, state: DirectoryState) -> None:
    """Steps 4 to 9: directory, signature, recipient, rules, and the hashes of what is still sealed.

    Args:
        arrived: steps 1 to 3.
        body: the ciphertext with its tag.
        state: of the directory log at the entry's `directory_size`.

    Raises:
        Faulty: the hub's fault.
    """
    header, entry = arrived.header, arrived.entry
    try:
        if state.size != entry.directory_size:
            raise Problem("directory-invalid", f"there is no directory size {entry.directory_size}")
        policies = admit(arrived.item.statement, header, state, entry.at)
        if arrived.desk not in header.desks:
            raise Problem("not-addressed")
        logged = {recipient.desk: recipient.policies for recipient in entry.recipients}
        if policies != logged:
            raise Problem("wrong-policies")
        check_slot(header, arrived.desk, arrived.item.slot)
        check_body(header, body)
    except Problem as problem:
        raise Faulty(Fault.HUB, problem) from problem


def open_sealed(
    arrived: Arrived, body: bytes, private: SealingPrivateKey | None, state: DirectoryState
) -> Opened:
    """Steps 10 to 16: open the slot, then the body, and check what is inside.

    Args:
        arrived: steps 1 to 3, after `check_sealed`.
        body: the ciphertext with its tag.
        private: the own sealing key that the header names; None if this node has it no more.
        state: of the directory log at the entry's `directory_size`.

    Raises:
        Faulty: nobody's fault, or the sender's with the content key.
    """
    content_key = _open_slot(arrived, private)
    try:
        return _open_body(arrived, body, content_key, state)
    except Problem as problem:
        raise Faulty(Fault.SENDER, problem, content_key) from problem


def open_attachments(
    arrived: Arrived, opened: Opened, read: Callable[[AttachmentRef], Iterable[bytes]]
) -> None:
    """Step 17: open each attachment to its end; nothing of it is kept.

    Args:
        arrived: steps 1 to 9.
        opened: steps 10 to 16.
        read: gives an attachment's ciphertext, whose SHA-256 the caller has checked.

    Raises:
        Faulty: the sender's fault, with the content key.
    """
    header = arrived.header
    for each in opened.attachments:
        label = attachment_label(header.exchange, header.bulletin.id, each.sealed.id)
        stream = open_stream(read(each.sealed), each.key, label, each.size_bytes, each.sha256)
        try:
            for _ in stream:
                pass
        except VerificationError as error:
            problem = Problem("attachment-unreadable", f"{each.sealed.id}: {error}")
            raise Faulty(Fault.SENDER, problem, opened.content_key) from error


def keyid_of(arrived: Arrived) -> str:
    """The keyid of the sealing key that the header names for this desk; `not-addressed` without one."""
    for recipient in arrived.header.recipients:
        if recipient.desk == arrived.desk:
            return recipient.keyid
    raise Faulty(Fault.HUB, Problem("not-addressed"))


def _open_slot(arrived: Arrived, private: SealingPrivateKey | None) -> bytes:
    header = arrived.header
    if private is None:
        raise Faulty(Fault.NOBODY, Problem("cannot_open", "the sealing key is not here any more"))
    try:
        content_key = open_slot(
            arrived.item.slot,
            private,
            exchange=header.exchange,
            envelope_id=header.id,
            sender=header.from_,
            recipient=arrived.desk,
            keyid=keyid_of(arrived),
        )
        # A key that is not the committed one proves nothing against anybody.
        verify_commitment(content_key, header.exchange, header.id, header.body.commitment)
    except (VerificationError, Problem) as error:
        raise Faulty(Fault.NOBODY, Problem("cannot_open", str(error))) from error
    return content_key


def _open_body(arrived: Arrived, body: bytes, content_key: bytes, state: DirectoryState) -> Opened:
    header = arrived.header
    sender = state.directory.desk(header.from_, arrived.entry.at) if state.directory else None
    content = open_content(header, body, content_key, sender)
    bulletin = content.bulletin
    return Opened(
        content.document,
        content_key,
        bulletin.retain_until,
        bulletin.review_by,
        bulletin.in_reply_to,
        content.attachments,
    )
