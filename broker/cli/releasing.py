"""What a releaser is about to sign, checked on the releaser's own machine and shown there.

May import `keys`, the node's views and `schemas`; `release` calls it. The node may be in a thief's hands:
nothing that it says is believed before its hash was computed again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from broker.cli.node_client import ANSWER_BYTES_MAX
from broker.cli.output import say
from broker.cli.reading import mark_content, say_content
from broker.node.api.release_views import ReleaseToSign
from keys.derivation import sha256_hex
from keys.release import ReleaseDraft, review_release
from schemas.bulletin import Bulletin, parse_bulletin
from schemas.bulletin.agreement import header_fields
from schemas.errors import ParseError, VerificationError
from schemas.limits import ENVELOPE_LIFE_SECONDS_MAX, STATEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.release import Release
from schemas.scalars import format_time

CLOCKS_DIFFER: Final = timedelta(minutes=5)
"""How far the clocks of node and releaser may differ: as much as a node's from the log (the protocol)."""

_LIFE: Final = timedelta(seconds=ENVELOPE_LIFE_SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A release whose every hash was computed again here.

    Args:
        release: what is signed.
        payload: its exact bytes.
        bulletin: that it is for.
        desks: all that it goes to, sorted: there is no other name behind its hashes.
        signers: keyids of those who have signed, as the node says.
        needed: how many must, as the node says.
    """

    release: Release
    payload: bytes = field(repr=False)
    bulletin: Bulletin
    desks: tuple[str, ...]
    signers: tuple[str, ...]
    needed: int

    @property
    def sha256(self) -> str:
        """SHA-256 of what is signed, hex: it stands for bulletin, desks, precedence and times at once."""
        return sha256_hex(self.payload)


def review(answer: bytes, desk: str, bulletin_id: str, now: datetime) -> Reviewed:
    """Check what the node wants signed.

    1. Answer, release and bulletin are well-formed.
    2. The release is for the bulletin that was asked for, of this desk.
    3. It is for the very bytes of the bulletin that is shown, and behind each recipient's hash stands the
       name of a desk that is shown, or none (`review_release`).
    4. The bulletin says the same of its id, its desk and what it withdraws.
    5. It was drawn up before now, and ends after now, at most 30 days after it was drawn up.

    Args:
        answer: of the node.
        desk: the desk that sends, as the person named it.
        bulletin_id: as the person named it.
        now: of this machine, UTC, whole seconds.

    Raises:
        VerificationError: any of it does not hold: nothing must be signed.
    """
    try:
        view = parse(ReleaseToSign, answer, ANSWER_BYTES_MAX)
        release = parse(Release, view.payload, STATEMENT_BYTES_MAX)
        bulletin = parse_bulletin(view.document)
    except ParseError as error:
        raise VerificationError(f"the node shows no release to sign: {error}") from error
    if (release.bulletin.id, release.from_) != (bulletin_id, desk):
        raise VerificationError("the release is for another bulletin, or of another desk")
    review_release(ReleaseDraft(release, view.salts, view.empty_salts), view.document)
    repeated = header_fields(bulletin)
    said = (repeated.id, repeated.sender, repeated.withdraws)
    if said != (bulletin_id, desk, release.withdraws):
        raise VerificationError("the bulletin and its release name different things")
    if release.released > now + CLOCKS_DIFFER:
        raise VerificationError(
            f"the release is of {format_time(release.released)}, and it is {format_time(now)} here"
        )
    if not now < release.expires <= release.released + _LIFE:
        raise VerificationError(f"{format_time(release.expires)} is no time for it to expire")
    return Reviewed(
        release, view.payload, bulletin, tuple(sorted(view.salts)), view.signers, view.needed
    )


def show_reviewed(reviewed: Reviewed) -> None:
    """Print what is signed for the person who signs: the bulletin first, then all that leaves with it."""
    release, bulletin = reviewed.release, reviewed.bulletin
    mark_content(bulletin)
    say(f"{bulletin.kind} {bulletin.id} of {release.from_}")
    say()
    say_content(bulletin)
    say()
    mark_content(bulletin)
    say(f"What leaves {release.from_}, in the exchange {release.exchange}:")
    say(f"  written     {format_time(bulletin.created)}")
    say(f"  precedence  {release.precedence}")
    say(f"  expires     {format_time(release.expires)}")
    say(f"  drawn up    {format_time(release.released)}")
    if release.withdraws is not None:
        say(f"  WITHDRAWS   {release.withdraws}")
    if release.supersedes is not None:
        say(f"  REPLACES    {release.supersedes}")
    say(f"  attachments {len(bulletin.attachments)}")
    for each in bulletin.attachments:
        say(f"              {each.size} bytes, SHA-256 {each.sha256}, {each.name}")
    say(f"  bulletin    SHA-256 {release.bulletin.sha256}")
    say(f"  release     SHA-256 {reviewed.sha256}")
    say(f"to {len(reviewed.desks)} desks, and no other:")
    for number, name in enumerate(reviewed.desks, start=1):
        say(f"  {number:>3}  {name}")
    say(f"The node says that {len(reviewed.signers)} of {reviewed.needed} people have signed.")
    for keyid in reviewed.signers:
        say(f"  {keyid}")
