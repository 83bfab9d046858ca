"""Drafts: what leaves, before it is sealed, as the sealing and the access rules want to see it.

May import `keys.envelope` and `schemas`; `queueing` and `outbox` call it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from keys.content import content_hash
from keys.envelope import Outgoing
from schemas.bulletin import parse_bulletin
from schemas.bulletin.agreement import header_fields
from schemas.bulletin.vocabularies import Precedence
from schemas.envelope import BodyRef, BulletinRef, DirectoryRef, Header, Recipient
from schemas.statements import Statement

_NOT_SEALED: Final = "0" * 64


def outgoing_of(
    document: bytes,
    precedence: Precedence,
    expires: datetime,
    content_salt: bytes,
    release: Statement | None = None,
    release_salts: Mapping[str, bytes] | None = None,
    supersedes: str | None = None,
) -> Outgoing:
    """Put a bulletin together with what its sender chooses for the header.

    Args:
        document: the bulletin's exact JSON.
        precedence: of the delivery.
        expires: UTC, whole seconds.
        content_salt: 32 bytes, drawn once for the bulletin.
        release: the people's statement, where the desk demands one.
        release_salts: by desk, 32 bytes each.
        supersedes: the bulletin of the same desk that this one replaces; what it withdraws stands in
            the document.

    Raises:
        ParseError: the bulletin breaks its schema.
    """
    repeated = header_fields(parse_bulletin(document))
    return Outgoing(
        bulletin_id=repeated.id,
        bulletin_json=document,
        content_salt=content_salt,
        status=repeated.status,
        sender=repeated.sender,
        expires=expires,
        precedence=precedence,
        kind=repeated.kind,
        topics=repeated.topics,
        purpose=repeated.purpose,
        personal_data=repeated.personal_data,
        marking=repeated.marking,
        supersedes=supersedes,
        withdraws=repeated.withdraws,
        release=release,
        release_salts=release_salts or {},
    )


def draft_header(
    outgoing: Outgoing, exchange: str, desks: Sequence[str], created: datetime
) -> Header:
    """Write the header that these desks would see, with zeros for what only sealing can tell.

    Args:
        outgoing: the bulletin and its sender's choices.
        exchange: the exchange's name.
        desks: the recipients, sorted.
        created: now, UTC, whole seconds.
    """
    return Header(
        v=1,
        exchange=exchange,
        # No envelope exists yet: the bulletin's id stands in for its own.
        id=outgoing.bulletin_id,
        bulletin=BulletinRef(
            id=outgoing.bulletin_id,
            content=content_hash(outgoing.content_salt, outgoing.bulletin_json),
        ),
        status=outgoing.status,
        from_=outgoing.sender,
        created=created,
        expires=outgoing.expires,
        precedence=outgoing.precedence,
        kind=outgoing.kind,
        topics=outgoing.topics,
        purpose=outgoing.purpose,
        personal_data=outgoing.personal_data,
        marking=outgoing.marking,
        recipients=tuple(
            Recipient(desk=desk, keyid=_NOT_SEALED, slot_sha256=_NOT_SEALED) for desk in desks
        ),
        body=BodyRef(sha256=_NOT_SEALED, size=0, commitment=_NOT_SEALED),
        attachments=outgoing.attachments,
        directory=DirectoryRef(origin=exchange, index=0, leaf=_NOT_SEALED),
        supersedes=outgoing.supersedes,
        withdraws=outgoing.withdraws,
    )
