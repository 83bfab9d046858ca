"""Drafts: what leaves, before it is sealed, as the sealing and the access rules want to see it.

May import `keys.envelope` and `schemas`; `queueing` and `outbox` call it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from keys.content import content_hash
from keys.envelope import Outgoing, Sealed, build_header
from keys.sealing import CONTENT_KEY_BYTES
from schemas.bulletin import parse_bulletin
from schemas.bulletin.agreement import header_fields
from schemas.bulletin.vocabularies import Precedence
from schemas.envelope import DirectoryRef, Header, Recipient
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
    """Write the header that these desks would see, with nothing yet of what only sealing can tell.

    Args:
        outgoing: the bulletin and its sender's choices.
        exchange: the exchange's name.
        desks: the recipients, sorted.
        created: now, UTC, whole seconds.
    """
    # No envelope exists yet: the bulletin's id stands in for its own, and its body is empty.
    content = content_hash(outgoing.content_salt, outgoing.bulletin_json)
    unsealed = Sealed(outgoing.bulletin_id, content, tuple(desks), bytes(CONTENT_KEY_BYTES), b"")
    recipients = tuple(
        Recipient(desk=desk, keyid=_NOT_SEALED, slot_sha256=_NOT_SEALED) for desk in desks
    )
    directory = DirectoryRef(origin=exchange, index=0, leaf=_NOT_SEALED)
    return build_header(outgoing, unsealed, exchange, recipients, directory, created)
