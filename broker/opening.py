"""Opening the body of an envelope with its content key, and checking what is inside; pure.

May import `keys` and `schemas`. A recipient's node opens so after its slot, a bundle years later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from keys.content import open_body, verify_content
from keys.directory import DeskView
from keys.release import verify_release
from keys.streams import sealed_size
from schemas.bulletin import Bulletin, parse_bulletin
from schemas.bulletin.agreement import check_against_header
from schemas.envelope import AttachmentRef, Header, SealedPart
from schemas.errors import ParseError, Problem


@dataclass(frozen=True, slots=True)
class Enclosed:
    """An attachment, as bulletin, header and sealed part describe it together."""

    name: str = field(repr=False)
    media_type: str
    size_bytes: int
    """Of the plaintext, as `sha256`."""
    sha256: str
    sealed: AttachmentRef
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Content:
    """What was inside: the bulletin, its exact bytes, and its attachments."""

    document: bytes = field(repr=False)
    bulletin: Bulletin = field(repr=False)
    attachments: tuple[Enclosed, ...]


def open_content(
    header: Header, body: bytes, content_key: bytes, sender: DeskView | None
) -> Content:
    """Open a body, and check what is inside: the protocol's steps behind the commitment.

    1. The body opens; its padding is exact.
    2. The bulletin is well-formed, agrees with its header, and is the content that the header names.
    3. Where the sending desk demands a release, enough of its people signed one for just this.
    4. The attachments' keys are those of its attachments, and their sizes fit.

    Args:
        header: of the envelope, whose signature and commitment were verified.
        body: the ciphertext with its tag; its hash is the header's.
        content_key: 32 bytes, the one to which the header commits.
        sender: the sending desk in the directory in force.

    Raises:
        Problem: the sender's fault, by step.
    """
    inside = open_body(content_key, header.exchange, header.id, body)
    bulletin = _read_bulletin(inside.bulletin_json)
    check_against_header(bulletin, header)
    verify_content(inside.sealed_part.salt, inside.bulletin_json, header.bulletin.content)
    if sender is None:
        raise Problem("not-released", f"{header.from_} is not a desk of that directory")
    verify_release(
        inside.sealed_part.release,
        header,
        inside.bulletin_json,
        inside.sealed_part.release_salts,
        sender.release,
        sender.release_threshold,
    )
    return Content(inside.bulletin_json, bulletin, _enclosed(bulletin, header, inside.sealed_part))


def _read_bulletin(document: bytes) -> Bulletin:
    try:
        return parse_bulletin(document)
    except ParseError as error:
        # The path tells where; the values stay out, since they are sealed content.
        path = error.errors[0].path if error.errors else "$"
        raise Problem("bulletin-invalid", f"the bulletin is not well-formed at {path}") from error


def _enclosed(bulletin: Bulletin, header: Header, sealed_part: SealedPart) -> tuple[Enclosed, ...]:
    """Put together what is known of each attachment; their ids agree already, in their order."""
    keys = sealed_part.attachment_keys
    if set(keys) != {each.id for each in header.attachments}:
        raise Problem("attachment-unreadable", "the keys are not exactly those of the attachments")
    pairs = tuple(zip(bulletin.attachments, header.attachments, strict=True))
    for inside, outside in pairs:
        if outside.size != sealed_size(inside.size):
            raise Problem("attachment-unreadable", f"{outside.id} is not as long as its file")
    return tuple(
        Enclosed(
            name=inside.name,
            media_type=inside.media_type,
            size_bytes=inside.size,
            sha256=inside.sha256,
            sealed=outside,
            key=keys[outside.id],
        )
        for inside, outside in pairs
    )
