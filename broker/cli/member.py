"""`barid member`: what a member decides alone: its desks and their keys, signed by its own people.

May import `keys`, within the commands; `main` adds this group. Each command makes a proposal, signs it with
the keys that are at hand, and publishes it where enough have signed.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.directories import (
    DirectoryPath,
    InvitationPath,
    NodeData,
    opened_directory,
    read_file,
)
from broker.cli.exits import Exit
from broker.cli.holding import open_holder
from broker.cli.member_signing import MemberKeys, decide, node_member, write_request
from broker.cli.options import AsJson, utc_now
from broker.cli.output import note, print_json, say
from broker.cli.proposing import expiry_notes, show_member
from schemas.errors import ConfigurationError
from schemas.governance import DeskRequest
from schemas.loader import to_plain
from schemas.scalars import format_time

if TYPE_CHECKING:
    from keys.directory import MemberPart
    from keys.directory_files import OpenedDirectory

MEMBER_DAYS = 365
"""Life of a member's file: from then on none of its keys counts."""

app = typer.Typer(
    no_args_is_help=True,
    help="What a member decides alone: its desks, their keys, and which keys count no more.",
)

DeskRequests = Annotated[
    list[Path],
    typer.Option(
        "--desk-request",
        exists=True,
        dir_okay=False,
        help="A node's desk-request.json. Repeat it.",
    ),
]
MemberId = Annotated[
    str | None,
    typer.Option("--member", help="The member, where no node of it is named with --data."),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", dir_okay=False, help="Write a file instead of publishing through the node."
    ),
]


@app.command(
    "request",
    epilog="""\
Examples:

  barid member request --desk-request desk-request.json --key AMAL --key OMAR --threshold 2 --out REQUEST

  barid member request --desk-request desk-request.json --key AMAL --public OMAR/trust-public.json
      --threshold 2 --out REQUEST

With the second one Omar signs REQUEST/proposal.json on his own machine (`barid trust sign`), and
`barid trust publish REQUEST/proposal.json --signature … --out REQUEST` makes the request of it.""",
)
def request(
    desk_request: DeskRequests,
    out: Annotated[Path, typer.Option("--out", file_okay=False, help="A new folder.")],
    exchange: Annotated[
        str | None, typer.Option("--exchange", help="Where the files do not say it: its name.")
    ] = None,
    key: MemberKeys = None,
    public: Annotated[
        list[Path] | None,
        typer.Option(
            "--public",
            exists=True,
            dir_okay=False,
            help="The trust-public.json of a person who is not here. Repeat it.",
        ),
    ] = None,
    threshold: Annotated[
        int, typer.Option("--threshold", min=1, help="How many of these keys must sign.")
    ] = 1,
    version: Annotated[
        int,
        typer.Option(
            "--version", min=1, help="The next version of the member's file, where it had one."
        ),
    ] = 1,
    days: Annotated[
        int, typer.Option("--days", min=1, max=3650, help="Days until the file lapses.")
    ] = MEMBER_DAYS,
) -> None:
    """Ask to join, or to change the keys that sign for the member: the council decides.

    The keys of a member's people are made by `barid trust keygen`, and kept apart from its nodes.
    """
    from keys.default_council import classification_names
    from keys.member_files import first_file
    from keys.proposals import propose_joining
    from keys.trust_keys import read_trust_key_file

    if out.exists() and any(out.iterdir()):
        raise ConfigurationError(f"{out} is not empty: name another folder")
    requests = [_read_desk_request(path, exchange) for path in desk_request]
    file = first_file(requests, classification_names(requests[0].member))
    holders = [open_holder(folder, file.exchange) for folder in key or ()]
    absent = [read_trust_key_file(read_file(path), file.exchange)[1] for path in public or ()]
    keys = [*(holder.signer.public_key for holder in holders), *absent]
    now = utc_now()
    proposal = propose_joining(file, keys, threshold, now + timedelta(days=days), now, version)
    write_request(proposal, holders, out)


def _read_desk_request(path: Path, exchange: str | None) -> DeskRequest:
    from keys.desk_requests import exchange_of_request, read_desk_request

    data = read_file(path)
    return read_desk_request(data, exchange or exchange_of_request(data))


@app.command(
    "add",
    epilog="""\
Examples:

  barid member add --data NE --desk-request customs/desk-request.json --key AMAL --key OMAR

  barid member add --data NE --desk-request desk-request.json --key AMAL --out proposal.json""",
)
def add(
    desk_request: DeskRequests,
    data: NodeData = None,
    directory: DirectoryPath = None,
    invitation: InvitationPath = None,
    key: MemberKeys = None,
    out: Out = None,
) -> None:
    """Add desks to the member's file, or give them the new keys that their nodes made.

    The member signs alone: the council has granted what its desks may be.
    """
    from keys.member_files import with_desks

    opened = opened_directory(data, directory, invitation)
    council = opened.directory.council
    requests = [_read_desk_request(path, council.exchange) for path in desk_request]
    part = _part(opened, requests[0].member)
    file = part.file
    for each in requests:
        file = with_desks(file, each, council)
    decide(opened, file, part.expires, key, data, out)


@app.command(
    "revoke",
    epilog="""\
Examples:

  barid member revoke --data NE --desk customs --key AMAL --key OMAR

  barid member revoke --directory directory.json --invitation invitation.json --member ne
      --desk customs --key AMAL --key OMAR --out publication.json

The second one needs no node: the hub's operator loads the file (`barid hub load`), or any member publishes it
(`barid trust publish publication.json --data NODE`).""",
)
def revoke(
    desk: Annotated[
        list[str] | None,
        typer.Option("--desk", help="A desk whose machine is lost or stolen: customs. Repeat it."),
    ] = None,
    keyid: Annotated[
        list[str] | None,
        typer.Option("--keyid", help="A single key: one person's release key. Repeat it."),
    ] = None,
    data: NodeData = None,
    directory: DirectoryPath = None,
    invitation: InvitationPath = None,
    member: MemberId = None,
    key: MemberKeys = None,
    out: Out = None,
) -> None:
    """Revoke keys at once: from the directory's entry on nobody believes them, and nobody seals to them."""
    from keys.member_files import revoked

    opened = opened_directory(data, directory, invitation)
    part = _part(opened, member or node_member(data))
    file = revoked(part.file, desk or (), keyid or ())
    if decide(opened, file, part.expires, key, data, out):
        say()
        say(
            "From this entry on the hub answers these keys nothing, no node believes what they sign,"
        )
        say("and nobody seals to them. What was on its way to the desk waits for its new keys.")
        say("Next: a new machine (`barid node enrol`), then `barid member add`.")


@app.command(
    "renew",
    epilog="""\
Example:

  barid member renew --data NE --key AMAL --key OMAR""",
)
def renew(
    data: NodeData = None,
    directory: DirectoryPath = None,
    invitation: InvitationPath = None,
    member: MemberId = None,
    key: MemberKeys = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=3650, help="Days until the file lapses.")
    ] = MEMBER_DAYS,
    out: Out = None,
) -> None:
    """Sign the member's file anew before it lapses: from then on none of its keys would count."""
    opened = opened_directory(data, directory, invitation)
    part = _part(opened, member or node_member(data))
    decide(opened, part.file, utc_now() + timedelta(days=days), key, data, out)


@app.command(
    "show",
    epilog="""\
Example:

  barid member show --data NE""",
)
def show(
    data: NodeData = None,
    directory: DirectoryPath = None,
    invitation: InvitationPath = None,
    member: MemberId = None,
    as_json: AsJson = False,
) -> None:
    """Show a member's file: desks, keys, thresholds, what is revoked, who signs, and when it lapses.

    Ends with the code of findings where it lapses within 30 days.
    """
    opened = opened_directory(data, directory, invitation)
    name = member or node_member(data)
    part = _part(opened, name)
    delegated = part.delegation
    warnings = [line for line in expiry_notes(opened.directory, utc_now()) if f" {name} " in line]
    if as_json:
        print_json(
            {
                "file": to_plain(part.file),
                "version": part.metadata.version,
                "expires": format_time(part.expires),
                "threshold": delegated.role.threshold,
                "keys": sorted(delegated.keys),
                "warnings": warnings,
            }
        )
    else:
        show_member(part, opened.message.exchange)
        say(f"Lapses at {format_time(part.expires)}.")
        say(f"{delegated.role.threshold} of {len(delegated.keys)} keys sign it:")
        for keyid in sorted(delegated.keys):
            say(f"  {keyid}")
        for line in warnings:
            note(f"Warning: {line}")
    if warnings:
        raise typer.Exit(Exit.FINDINGS)


def _part(opened: OpenedDirectory, member: str) -> MemberPart:
    part = opened.directory.member_parts.get(member)
    if part is None:
        raise ConfigurationError(
            f"{member} has no file in the directory yet: it joins by `barid member request`"
        )
    return part
