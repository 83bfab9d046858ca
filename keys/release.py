"""Releases: what the people of a desk sign once before a bulletin may leave.

May import `schemas`, `keys.envelope` and what lies below it; the releaser's own tool reviews and
signs, the sender's node checks before it sends, the recipient after it opened.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from keys.derivation import label, sha256_hex
from keys.dsse import sign_statement, verify_statement
from keys.envelope import Outgoing
from keys.signing import SigningIdentity, VerifyingIdentity
from schemas.envelope import Header
from schemas.errors import ParseError, Problem, VerificationError
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.release import Release, ReleasedBulletin
from schemas.statements import PayloadType, Statement

SALT_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class ReleaseDraft:
    """A release to sign, and all its salts: the releaser's tool gets them, recipients only theirs."""

    release: Release
    salts: Mapping[str, bytes] = field(repr=False)
    """32 bytes for each desk."""
    empty_salts: tuple[bytes, ...] = field(repr=False)
    """32 bytes for each empty name."""


def recipient_hash(salt: bytes, desk: str) -> str:
    """SHA-256(`barid/v1/release` 00 ‖ salt ‖ desk) in hex; an empty name fills up."""
    return sha256_hex(label("barid/v1/release", b""), salt, label(desk))


def draft_release(
    outgoing: Outgoing,
    exchange: str,
    desks: Sequence[str],
    released: datetime,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> ReleaseDraft:
    """Write a release, its recipients filled to a power of two with salted empty names.

    Args:
        outgoing: the bulletin; no envelope of it may live longer than its `expires`.
        exchange: the exchange's name.
        desks: whom it may go to, at least one, none twice.
        released: UTC, whole seconds; no envelope may be older.
        random: gives that many random bytes.

    Raises:
        ParseError: no desk, one twice, or an empty name among them.
    """
    salts = {desk: random(SALT_BYTES) for desk in desks}
    if not salts or len(salts) != len(desks) or "" in salts:
        raise ParseError("a release names at least one desk, and none twice")
    filled = 1 << (len(salts) - 1).bit_length()
    empty_salts = tuple(random(SALT_BYTES) for _ in range(filled - len(salts)))
    release = Release(
        v=1,
        exchange=exchange,
        bulletin=ReleasedBulletin(
            id=outgoing.bulletin_id, sha256=sha256_hex(outgoing.bulletin_json)
        ),
        from_=outgoing.sender,
        recipients=_recipient_hashes(salts, empty_salts),
        precedence=outgoing.precedence,
        expires=outgoing.expires,
        released=released,
        supersedes=outgoing.supersedes,
        withdraws=outgoing.withdraws,
    )
    return ReleaseDraft(release, salts, empty_salts)


def _recipient_hashes(salts: Mapping[str, bytes], empty_salts: Sequence[bytes]) -> tuple[str, ...]:
    hashes = [recipient_hash(salt, desk) for desk, salt in salts.items()]
    return tuple(sorted(hashes + [recipient_hash(salt, "") for salt in empty_salts]))


def review_release(draft: ReleaseDraft, bulletin_json: bytes) -> None:
    """Check a draft before a person signs it: the bytes shown, and a name behind every hash.

    The person's own tool calls this, since a node that was taken over might show one bulletin and
    have another signed, or add a desk unseen.

    Args:
        draft: as the node handed it over.
        bulletin_json: the bytes that the tool shows.

    Raises:
        VerificationError: the release is for other bytes, or holds a hash of none of the names.
    """
    if draft.release.bulletin.sha256 != sha256_hex(bulletin_json):
        raise VerificationError("the release is for another bulletin than the one shown")
    if "" in draft.salts:
        raise VerificationError("an empty name stands among the desks")
    if draft.release.recipients != _recipient_hashes(draft.salts, draft.empty_salts):
        raise VerificationError("a recipient of the release has no name to show")


def sign_release(release: Release, identities: Sequence[SigningIdentity]) -> Statement:
    """Sign a release with each identity; `keys.dsse.join_statements` joins those who sign apart."""
    return sign_statement(PayloadType.RELEASE, dump_json(release), release.exchange, identities)


def verify_release(
    statement: Statement | None,
    header: Header,
    bulletin_json: bytes,
    release_salts: Mapping[str, bytes],
    identities: Sequence[VerifyingIdentity],
    threshold: int,
) -> Release | None:
    """Check the release of an envelope (the protocol's Release paragraph).

    1. Where the desk demands none (threshold 0), nothing is checked.
    2. Every signature is valid and of a release identity of the desk, and there are enough.
    3. Bulletin, sender, precedence, supersedes and withdraws are those of the header; its times
       cover the envelope's; it is for these exact bytes.
    4. Each desk of the envelope, and no other, comes with the salt of one of the recipient hashes.

    Args:
        statement: the release as it travelled, or None.
        header: of the envelope, its signature verified.
        bulletin_json: the opened bulletin's exact bytes.
        release_salts: by desk, 32 bytes each, as they travelled in the sealed part.
        identities: the sending desk's release identities in the directory that counts, unrevoked.
        threshold: how many of them must sign, m.

    Returns:
        The release, or None where the desk demands none.

    Raises:
        Problem: `not-released` (step 2) or `release-differs` (steps 3 and 4).
    """
    if threshold <= 0:
        return None
    release = _verify_signatures(statement, header.exchange, identities, threshold)
    differing = _first_difference(release, header, sha256_hex(bulletin_json))
    if differing is not None:
        raise Problem("release-differs", f"the release has another {differing}")
    if set(release_salts) != set(header.desks):
        raise Problem("release-differs", "the release's salts are not those of the recipients")
    released = set(release.recipients)
    for desk in header.desks:
        if recipient_hash(release_salts[desk], desk) not in released:
            raise Problem("release-differs", f"the bulletin was not released to {desk}")
    return release


def _verify_signatures(
    statement: Statement | None,
    exchange: str,
    identities: Sequence[VerifyingIdentity],
    threshold: int,
) -> Release:
    if statement is None:
        raise Problem("not-released", "the desk demands a release, and there is none")
    try:
        by_keyid = {identity.keyid(exchange): identity for identity in identities}
        verify_statement(statement, PayloadType.RELEASE, by_keyid)
        release = parse(Release, statement.payload, STATEMENT_BYTES_MAX)
    except (VerificationError, ParseError) as error:
        raise Problem("not-released", f"the release does not verify: {error}") from error
    # The statement's model holds the keyids distinct, so that each signature is another person's.
    if len(statement.signatures) < threshold:
        raise Problem(
            "not-released", f"{len(statement.signatures)} of {threshold} people released it"
        )
    return release


def _first_difference(release: Release, header: Header, bulletin_sha256: str) -> str | None:
    equal = {
        "exchange": release.exchange == header.exchange,
        "bulletin id": release.bulletin.id == header.bulletin.id,
        "bulletin": release.bulletin.sha256 == bulletin_sha256,
        "sender": release.from_ == header.from_,
        "precedence": release.precedence is header.precedence,
        "supersedes": release.supersedes == header.supersedes,
        "withdraws": release.withdraws == header.withdraws,
        "expiry than it needs": release.expires >= header.expires,
        "time than it may": release.released <= header.created,
    }
    return next((what for what, holds in equal.items() if not holds), None)
