"""`barid member`: what a member decides alone: its desks and their keys, signed by its own people.

May import `keys`, within the commands; `main` adds this group, and `member_joining` has what the council
decides. Each command makes a proposal, signs it with the keys that are at hand, and publishes it where enough
have signed.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli import member_joining
from broker.cli.directories import (
    DirectoryPath,
    InvitationPath,
    NodeData,
    opened_directory,
    read_file,
    write_new,
)
from broker.cli.exits import Exit
from broker.cli.member_joining import MEMBER_DAYS, read_desk_request
from broker.cli.member_signing import MemberKeys, decide, node_member
from broker.cli.options import AsJson, utc_now
from broker.cli.output import note, print_json, say
from broker.cli.proposing import expiry_notes, show_member
from schemas.directory import MemberFile
from schemas.errors import ConfigurationError, ParseError
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import parse, to_plain
from schemas.scalars import format_time

if TYPE_CHECKING:
    from keys.directory import MemberPart
    from keys.directory_files import OpenedDirectory

app = typer.Typer(
    no_args_is_help=True,
    help="What a member decides alone: its desks, their keys, and which keys count no more.",
)
app.add_typer(member_joining.app)

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

    The member signs alone: the council has granted what its desks may be. A desk that is there already keeps
    its names, its profile, and its people who release, unless its request names others.
    """
    from keys.member_files import with_desks

    opened = opened_directory(data, directory, invitation)
    council = opened.directory.council
    requests = [read_desk_request(path, council.exchange) for path in desk_request]
    part = _part(opened, requests[0].member)
    file = part.file
    for each in requests:
        file = with_desks(file, each, council)
    if file == part.file:
        raise ConfigurationError("these desks and keys are in the member's file already")
    decide(opened, file, _lapses(part), key, data, out)


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
    in_force = decide(opened, file, _lapses(part), key, data, out)
    _warn_of_mute_desks(file)
    if in_force:
        say()
        say(
            "From this entry on the hub answers these keys nothing, no node believes what they sign,"
        )
        say("and nobody seals to them. What was on its way to the desk waits for its new keys.")
        if desk:
            say("Next: a new machine (`barid node enrol`), then `barid member add`.")


def _warn_of_mute_desks(file: MemberFile) -> None:
    from keys.member_files import mute_desks

    for unit in mute_desks(file):
        note(
            f"Warning: too few people of {file.member}/{unit} are left to release what it sends: name others"
            " (`barid node rekey --release-key`)"
        )


def _lapses(part: MemberPart) -> datetime:
    """When a changed file lapses: as before; but one that has lapsed would carry nothing into force."""
    now = utc_now()
    if part.expires > now:
        return part.expires
    note(f"The file lapsed at {format_time(part.expires)}: it is signed for {MEMBER_DAYS} days.")
    return now + timedelta(days=MEMBER_DAYS)


@app.command(
    "draft",
    epilog="""\
Example:

  barid member draft --data NE --out ne.json

Then edit it, and `barid member change ne.json`.""",
)
def draft(
    out: Annotated[Path, typer.Option("--out", dir_okay=False, help="A new file.")],
    data: NodeData = None,
    directory: DirectoryPath = None,
    invitation: InvitationPath = None,
    member: MemberId = None,
) -> None:
    """Write the member's file as it is in force, to be edited: names, profiles, deputies, national levels."""
    opened = opened_directory(data, directory, invitation)
    part = _part(opened, member or node_member(data))
    write_new(out, f"{json.dumps(to_plain(part.file), ensure_ascii=False, indent=2)}\n".encode())
    say(f"The file of {part.file.member}, version {part.metadata.version}, is in {out}.")
    say(f"Next: edit it, then `barid member change {out}`.")


@app.command(
    "change",
    epilog="""\
Example:

  barid member change ne.json --data NE --key AMAL --key OMAR""",
)
def change(
    edited: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="What `draft` wrote, edited by hand."),
    ],
    data: NodeData = None,
    directory: DirectoryPath = None,
    invitation: InvitationPath = None,
    key: MemberKeys = None,
    out: Out = None,
) -> None:
    """Put an edited file into force: names, profiles, deputies, who releases; or a desk given up.

    What is revoked stays revoked.
    """
    from keys import member_files

    opened = opened_directory(data, directory, invitation)
    try:
        read = parse(MemberFile, read_file(edited, TRUST_FILE_BYTES_MAX), TRUST_FILE_BYTES_MAX)
    except ParseError as error:
        raise ConfigurationError(f"{edited} is no member's file: {error}") from error
    part = _part(opened, read.member)
    file = member_files.edited(part.file, read, opened.directory.council)
    decide(opened, file, _lapses(part), key, data, out)
    _warn_of_mute_desks(file)


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
        if opened.directory.suspended(name):
            say("The council has suspended the member: none of its keys counts.")
        say(f"Lapses at {format_time(part.expires)}.")
        say(f"{delegated.role.threshold} of {len(delegated.keys)} keys sign it:")
        for keyid in sorted(delegated.keys):
            say(f"  {keyid}")
        for line in warnings:
            note(f"Warning: {line}")
        _warn_of_mute_desks(part.file)
    if warnings:
        raise typer.Exit(Exit.FINDINGS)


def _part(opened: OpenedDirectory, member: str) -> MemberPart:
    part = opened.directory.member_parts.get(member)
    if part is None:
        raise ConfigurationError(
            f"{member} has no file in the directory yet: it joins by `barid member request`"
        )
    return part
