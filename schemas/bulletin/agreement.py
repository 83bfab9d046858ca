"""Where a bulletin and its header must agree: what the header repeats, and the check.

May import pydantic and `schemas`; the sender's node builds headers from `header_fields`, the recipient's
node checks what it opened.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from schemas.bulletin.common import Bulletin
from schemas.bulletin.marking import HeaderMarking
from schemas.bulletin.vocabularies import Kind, Purpose, Status, Topic
from schemas.bulletin.withdrawal import Withdrawal
from schemas.envelope import Header
from schemas.errors import Problem


@dataclass(frozen=True, slots=True)
class HeaderFields:
    """What the header repeats of a bulletin (the protocol, "Bulletin, release, envelope").

    `sender` is the header's `from`; `attachments` are ids in their order; `withdraws` is the bulletin that
    a withdrawal withdraws, None for other kinds. `supersedes` is not here: it is the sender's choice beside
    the document.
    """

    id: str
    sender: str
    status: Status
    kind: Kind
    topics: tuple[Topic, ...]
    marking: HeaderMarking
    purpose: Purpose
    personal_data: bool
    attachments: tuple[str, ...]
    withdraws: str | None


def header_fields(bulletin: Bulletin) -> HeaderFields:
    """Take from a bulletin what its header repeats; of the marking, not what only the bulletin has."""
    return HeaderFields(
        id=bulletin.id,
        sender=bulletin.originator.desk,
        status=bulletin.status,
        kind=bulletin.kind,
        topics=bulletin.topics,
        marking=bulletin.marking.for_header(),
        purpose=bulletin.purpose,
        personal_data=bulletin.personal_data,
        attachments=tuple(attachment.id for attachment in bulletin.attachments),
        withdraws=bulletin.withdraws if isinstance(bulletin, Withdrawal) else None,
    )


def fields_of_header(header: Header) -> HeaderFields:
    """Take the same from a header."""
    return HeaderFields(
        id=header.bulletin.id,
        sender=header.from_,
        status=header.status,
        kind=header.kind,
        topics=header.topics,
        marking=header.marking,
        purpose=header.purpose,
        personal_data=header.personal_data,
        attachments=tuple(attachment.id for attachment in header.attachments),
        withdraws=header.withdraws,
    )


def check_against_header(bulletin: Bulletin, header: Header) -> None:
    """Refuse a bulletin that disagrees with the header it came under.

    Raises:
        Problem: `bulletin-header`; the detail and `members` name what differs, without its content.
    """
    inside, outside = header_fields(bulletin), fields_of_header(header)
    differing = [
        field.name
        for field in fields(HeaderFields)
        if getattr(inside, field.name) != getattr(outside, field.name)
    ]
    if differing:
        raise Problem(
            "bulletin-header",
            f"The bulletin and its header differ in: {', '.join(differing)}",
            members=differing,
        )
