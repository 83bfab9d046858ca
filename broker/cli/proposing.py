"""A proposal as people see it: what it changes, what that opens and closes, who signs; and its fingerprint.

May import `keys` and `broker.policy`, within functions; `barid trust` and `barid member` show it before
anyone signs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from broker.cli.options import utc_now
from broker.cli.output import banner, say
from schemas.errors import ConfigurationError
from schemas.scalars import format_time

if TYPE_CHECKING:
    from datetime import datetime

    from broker.policy.differences import Report
    from keys.directory import Directory, MemberPart
    from keys.proposal_reading import ReadProposal, Task

RED: Final = (255, 80, 80)

EXPIRY_WARNING: Final = timedelta(days=30)
"""How long before something lapses people are told: the governors have to meet."""

FINGERPRINT_TYPED: Final = 8
"""Hex digits of a proposal's fingerprint that a person types before signing."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A proposal with all that is said of it.

    Args:
        report: the difference; None where a member asks to join, and nothing is in force here to compare.
        signed: role → keyids whose signatures verify, of those given.
    """

    proposal: ReadProposal
    fingerprint: str
    report: Report | None
    signed: Mapping[str, frozenset[str]]

    @property
    def errors(self) -> tuple[str, ...]:
        """Why nobody should sign it."""
        return tuple(each.sentence() for each in self.report.errors) if self.report else ()

    def to_plain(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "exchange": self.proposal.message.exchange,
            "fingerprint": self.proposal.sha256,
            "made": format_time(self.proposal.message.made),
            "roles": {
                task.role: {
                    "version": task.metadata.signed.version,
                    "expires": format_time(task.metadata.signed.expires),
                    "signed": sorted(self.signed[task.role]),
                    "missing": task.missing(self.signed[task.role]),
                }
                for task in self.proposal.tasks
            },
            "difference": self.report.to_plain() if self.report else None,
        }


def shown(data: bytes, initial_root: bytes | None, signatures: Sequence[bytes] = ()) -> Shown:
    """Read a proposal with the signatures that are there, and work out what it would do.

    Args:
        data: its exact bytes.
        initial_root: the reader's trust root; None at a founding.
        signatures: signature files.

    Raises:
        ConfigurationError, VerificationError: as `read_proposal` and `collect`.
    """
    from broker.policy.differences import describe
    from keys.directory_files import fingerprint
    from keys.endorsing import collect
    from keys.proposal_reading import read_proposal

    read = read_proposal(data, initial_root)
    report = None
    if read.after is not None:
        # What is wrong with council and rules no member can mend: it keeps nobody from revoking a stolen key.
        judged = read.member is None
        report = describe(read.before, read.after, utc_now(), judged=judged)
    collected = collect(read, signatures)
    signed = {role: frozenset(found) for role, found in collected.items()}
    return Shown(read, fingerprint(data), report, signed)


def show(proposal: Shown) -> None:
    """Print a proposal for the person who is asked to sign it."""
    read = proposal.proposal
    say(
        f"A proposal for the exchange {read.message.exchange}, made {format_time(read.message.made)}."
    )
    say(f"Fingerprint: {proposal.fingerprint}")
    say()
    if proposal.report is not None:
        for line in proposal.report.lines():
            say(line)
    elif read.member is not None:
        show_member(read.member, read.message.exchange)
    say()
    say("Who signs")
    for task in read.tasks:
        show_task(task, proposal.signed[task.role], read.after or read.before)
    for error in proposal.errors:
        banner(f"Nobody should sign this: {error}", RED)


def show_task(task: Task, signed: frozenset[str], directory: Directory | None) -> None:
    """Print whose signatures a role needs, and which are there."""
    expires = format_time(task.metadata.signed.expires)
    say(f"  {task.role}, version {task.metadata.signed.version}, until {expires}:")
    for quorum in task.quorums:
        present = sorted(signed & quorum.keys.keys())
        say(
            f"    {quorum.threshold} of {len(quorum.keys)} {quorum.what} must sign; signed:"
            f" {len(present)}"
        )
        for keyid in sorted(quorum.keys):
            mark = "x" if keyid in signed else " "
            say(f"      [{mark}] {keyid}{_holder(keyid, directory)}")


def _holder(keyid: str, directory: Directory | None) -> str:
    member = directory.council.governors.get(keyid) if directory else None
    return f" ({member})" if member else ""


def show_member(part: MemberPart, exchange: str) -> None:
    """Print a member's file: its desks, and the keys to be compared with what their holders read out."""
    from keys.signing import identity_keyid, request_keyid

    file = part.file
    say(f"The file of {file.member}, version {part.metadata.version}")
    for unit, desk in sorted(file.desks.items()):
        say(f"  {file.member}/{unit}: {desk.names.en}")
        if desk.node is not None:
            say(f"    node identity  {identity_keyid(exchange, desk.node)}")
        say(f"    request key    {request_keyid(exchange, desk.request)}")
        for identity in desk.release:
            say(f"    release key    {identity_keyid(exchange, identity)}")
        if desk.release:
            say(f"    {desk.release_threshold} of {len(desk.release)} people release what it sends")
    for keyid in file.revoked:
        say(f"  revoked: {keyid}")


def refuse_errors(proposal: Shown) -> None:
    """Refuse what nobody should sign. Raises ConfigurationError with every reason."""
    if proposal.errors:
        raise ConfigurationError(
            "\n- ".join(
                ("nobody should sign this; correct it, and propose again:", *proposal.errors)
            )
        )


def write_proposal(out: Path, data: bytes) -> None:
    """Write a proposal where it is named. Raises ConfigurationError if something is there."""
    from broker.settings import write_whole

    if out.exists():
        raise ConfigurationError(f"{out} is there already: name another file")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, data)


def expiry_notes(directory: Directory, now: datetime) -> tuple[str, ...]:
    """What lapses within 30 days, or has lapsed, and what to do; empty if nothing."""
    notes = []
    for what, expires, advice in (
        ("the root", directory.root.expires, "`barid trust rotate-root`"),
        ("council and rules", directory.council_part.expires, "`barid trust propose`"),
        *(
            (f"the file of {member}", part.expires, f"{member} renews it: `barid member renew`")
            for member, part in sorted(directory.member_parts.items())
        ),
    ):
        if expires - now <= EXPIRY_WARNING:
            verb = "lapsed" if expires <= now else "lapses"
            notes.append(f"{what} {verb} at {format_time(expires)}: {advice}")
    return tuple(notes)
