"""`barid trust fetch|status`: the directory in force, in one file, and how it stands.

May import `keys`, within the commands; `trust` adds these to its group.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.directories import (
    DIRECTORY_FILE,
    DirectoryPath,
    InvitationPath,
    NodeData,
    opened_directory,
    write_new,
)
from broker.cli.exits import Exit
from broker.cli.options import AsJson, utc_now
from broker.cli.output import UNWITNESSED, note, print_json, print_table, say
from broker.cli.proposing import expiry_notes
from schemas.loader import dump_json
from schemas.scalars import format_time

if TYPE_CHECKING:
    from keys.directory import Directory

app = typer.Typer()


@app.command(
    "fetch",
    epilog="""\
Example:

  barid trust fetch --data TN --out directory.json""",
)
def fetch(
    data: NodeData = None,
    out: Annotated[Path, typer.Option("--out", dir_okay=False, help="A new file.")] = Path(
        DIRECTORY_FILE
    ),
) -> None:
    """Write the directory in force into one file, for machines without a network."""
    opened = opened_directory(data, None, None)
    write_new(out, dump_json(opened.message))
    versions = opened.directory.versions
    say(f"The directory of {opened.message.exchange} is in {out}:")
    say(f"root {versions['root']}, council and rules {versions['targets']}.")


@app.command(
    "policy",
    epilog="""\
Examples:

  barid trust policy --data TN --out council.policy

  barid trust policy --directory directory.json --invitation invitation.json --out council.policy

Keep it with the receipts that it verifies: the council may name other witnesses later.""",
)
def policy(
    out: Annotated[Path, typer.Option("--out", dir_okay=False, help="A new file.")],
    data: NodeData = None,
    directory: DirectoryPath = None,
    invitation: InvitationPath = None,
) -> None:
    """Write the keys of both logs and of the witnesses, and their quorum, into one file (C2SP tlog-policy).

    With it receipts verify without a network (`barid receipt verify`), in other people's tools, too.
    """
    from broker.tlog.policy import policy_text

    opened = opened_directory(data, directory, invitation)
    council, version = opened.directory.council, opened.directory.versions["targets"]
    text = policy_text(council, f"{council.exchange}, council version {version}")
    write_new(out, text.encode())
    say(f"The policy of {council.exchange}, by council version {version}, is in {out}.")
    if council.witnesses == "none":
        note(UNWITNESSED)


@app.command(
    "status",
    epilog="""\
Examples:

  barid trust status --data TN

  barid trust status --directory directory.json --invitation invitation.json""",
)
def status(
    data: NodeData = None,
    directory: DirectoryPath = None,
    invitation: InvitationPath = None,
    as_json: AsJson = False,
) -> None:
    """Show versions, when they lapse, who signed, and who speaks for whom.

    Ends with the code of findings where something lapses within 30 days.
    """
    opened = opened_directory(data, directory, invitation)
    notes = expiry_notes(opened.directory, utc_now())
    rows = _status_rows(opened.directory, opened.message.files)
    if as_json:
        columns = ("what", "version", "expires", "signed", "needed")
        plain = [dict(zip(columns, row, strict=True)) for row in rows]
        print_json({"exchange": opened.message.exchange, "files": plain, "warnings": list(notes)})
    else:
        print_table(("WHAT", "VERSION", "LAPSES", "SIGNED BY", "NEEDED"), rows)
        for line in notes:
            note(f"Warning: {line}")
    if notes:
        raise typer.Exit(Exit.FINDINGS)


def _status_rows(
    directory: Directory, files: Mapping[str, bytes]
) -> list[tuple[str, str, str, str, str]]:
    from keys.proposals import governors_of
    from keys.signers import signers_of
    from keys.tuf_files import metadata_name

    governors = governors_of(directory.root)
    needed = f"{governors.threshold} of {len(governors.keys)}"
    keys = {key.keyid: key for key in governors.keys}
    versions = directory.versions
    rows = []
    for role, expires in (
        ("root", directory.root.expires),
        ("targets", directory.council_part.expires),
    ):
        signed = signers_of(files[metadata_name(role, versions[role])], keys)
        who = ", ".join(sorted(directory.council.governors.get(k, k[:8]) for k in signed))
        rows.append((role, str(versions[role]), format_time(expires), who, needed))
    for member, part in sorted(directory.member_parts.items()):
        role = f"member-{member}"
        delegated = part.delegation
        signed = signers_of(files[metadata_name(role, versions[role])], delegated.keys)
        needed = f"{delegated.role.threshold} of {len(delegated.keys)}"
        who = ", ".join(keyid[:8] for keyid in signed)
        rows.append((role, str(versions[role]), format_time(part.expires), who, needed))
    return rows
