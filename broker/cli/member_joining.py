"""`barid member request`: a member asks to join, or to change the keys that sign for it; the council decides.

May import `keys`, within the command; `member` adds it to its group.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from broker.cli.directories import DirectoryPath, InvitationPath, opened_directory, read_file
from broker.cli.holding import open_holder
from broker.cli.member_signing import MemberKeys, node_member, write_request
from broker.cli.options import utc_now
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from keys.directory_files import OpenedDirectory
    from schemas.directory import MemberFile
    from schemas.governance import DeskRequest

MEMBER_DAYS: Final = 365
"""Life of a member's file: from then on none of its keys counts."""

app = typer.Typer()


@app.command(
    "request",
    epilog="""\
Examples:

  barid member request --desk-request desk-request.json --key AMAL --key OMAR --threshold 2 --out REQUEST

  barid member request --desk-request desk-request.json --key AMAL --public OMAR/trust-public.json
      --threshold 2 --out REQUEST

  barid member request --data NE --key AMAL --key LAYLA --threshold 2 --out REQUEST

With the second one Omar signs REQUEST/proposal.json on his own machine (`barid trust sign`), and
`barid trust publish REQUEST/proposal.json --signature … --out REQUEST` makes the request of it. The third one
changes the keys that sign for a member which takes part: desks and revocations stay as they are in force.""",
)
def request(
    out: Annotated[Path, typer.Option("--out", file_okay=False, help="A new folder.")],
    threshold: Annotated[
        int, typer.Option("--threshold", min=1, help="How many of these keys must sign.")
    ],
    desk_request: Annotated[
        list[Path] | None,
        typer.Option(
            "--desk-request",
            exists=True,
            dir_okay=False,
            help="A node's desk-request.json. Repeat it.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            exists=True,
            file_okay=False,
            help="Where the member takes part already: a node that knows its file.",
        ),
    ] = None,
    directory: DirectoryPath = None,
    invitation: InvitationPath = None,
    member: Annotated[
        str | None,
        typer.Option("--member", help="The member, where only a directory file is named."),
    ] = None,
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
    version: Annotated[
        int,
        typer.Option(
            "--version",
            min=1,
            help="Of the member's file, where it left and comes back: the next one.",
        ),
    ] = 1,
    days: Annotated[
        int, typer.Option("--days", min=1, max=3650, help="Days until the file lapses.")
    ] = MEMBER_DAYS,
) -> None:
    """Ask to join, or to change the keys that sign for the member: the council decides.

    The keys of a member's people are made by `barid trust keygen`, and kept apart from its nodes.
    """
    from keys.proposals import propose_joining
    from keys.trust_keys import read_trust_key_file

    if out.exists() and any(out.iterdir()):
        raise ConfigurationError(f"{out} is not empty: name another folder")
    requests = [read_desk_request(path, exchange) for path in desk_request or ()]
    if data is None and directory is None:
        file = _first(requests)
    else:
        opened = opened_directory(data, directory, invitation)
        file, version = _next(opened, member or node_member(data), requests)
    holders = [open_holder(folder, file.exchange) for folder in key or ()]
    absent = [read_trust_key_file(read_file(path), file.exchange)[1] for path in public or ()]
    keys = [*(holder.signer.public_key for holder in holders), *absent]
    now = utc_now()
    proposal = propose_joining(file, keys, threshold, now + timedelta(days=days), now, version)
    write_request(proposal, holders, out)


def _first(requests: Sequence[DeskRequest]) -> MemberFile:
    from keys.default_council import classification_names
    from keys.member_files import first_file

    if not requests:
        raise ConfigurationError(
            "name the requests of the member's nodes (--desk-request); or, where it takes part already, one"
            " of its nodes (--data)"
        )
    return first_file(requests, classification_names(requests[0].member))


def _next(
    opened: OpenedDirectory, member: str, requests: Sequence[DeskRequest]
) -> tuple[MemberFile, int]:
    from keys.member_files import with_desks

    part = opened.directory.member_parts.get(member)
    if part is None:
        raise ConfigurationError(
            f"{member} has no file in the directory yet: name its nodes' requests alone (--desk-request)"
        )
    file = part.file
    for each in requests:
        file = with_desks(file, each, opened.directory.council)
    return file, part.metadata.version + 1


def read_desk_request(path: Path, exchange: str | None) -> DeskRequest:
    """Read the request of a node, and verify that its desks ask for themselves.

    Args:
        path: a `desk-request.json`.
        exchange: the one that it has to be for; None: the one that it names.

    Raises:
        ConfigurationError, VerificationError: as `keys.desk_requests.read_desk_request`.
    """
    from keys import desk_requests

    data = read_file(path)
    named = exchange or desk_requests.exchange_of_request(data)
    return desk_requests.read_desk_request(data, named)
