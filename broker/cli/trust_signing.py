"""`barid trust show|sign|publish`: from a proposal to a directory in force.

May import `keys`, within the commands; `trust` adds these to its group. Who signs is shown everything first,
computed on the own machine from the own trust root.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from broker.cli.directories import (
    PUBLICATION_FILE,
    InvitationPath,
    NodeData,
    publish_files,
    read_file,
    read_invitation,
    write_new,
)
from broker.cli.holding import TokenKey, TokenLabel, TokenLibrary, open_holder, token_of
from broker.cli.options import AsJson, utc_now
from broker.cli.output import print_json, say
from broker.cli.proposing import (
    FINGERPRINT_TYPED,
    Shown,
    refuse_errors,
    show,
    shown,
)
from schemas.errors import ConfigurationError, ParseError
from schemas.governance import Proposal, Publication
from schemas.limits import PUBLICATION_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.scalars import format_time

if TYPE_CHECKING:
    pass

INVITATION_FILE: Final = "invitation.json"
REPOSITORY: Final = "repository"

app = typer.Typer()

ProposalPath = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="The proposal: proposal.json.")
]
Signatures = Annotated[
    list[Path] | None,
    typer.Option(
        "--signature", exists=True, dir_okay=False, help="A signature file (`sign`). Repeat it."
    ),
]


@app.command(
    "show",
    epilog="""\
Examples:

  barid trust show proposal.json --invitation invitation.json

  barid trust show proposal.json --invitation invitation.json --signature signature-1f2e3d4c.json""",
)
def show_one(
    proposal: ProposalPath,
    invitation: InvitationPath = None,
    signature: Signatures = None,
    as_json: AsJson = False,
) -> None:
    """Show a proposal: what it changes, what that opens and closes, who must sign and who has."""
    read = _shown(proposal, _root_of(invitation), signature)
    if as_json:
        print_json(read.to_plain())
    else:
        show(read)


def _root_of(invitation: Path | None) -> bytes | None:
    return None if invitation is None else read_invitation(invitation).root


def _shown(proposal: Path, root: bytes | None, signatures: list[Path] | None) -> Shown:
    read = [read_file(path) for path in signatures or ()]
    return shown(read_file(proposal), root, read)


@app.command(
    "sign",
    epilog="""\
Examples:

  barid trust sign proposal.json --key MY-KEY

  barid trust sign proposal.json --key MY-KEY --invitation invitation.json

  barid trust sign proposal.json --key MY-KEY --token /usr/lib/softhsm/libsofthsm2.so

The invitation is needed once, by who did not sign the first directory: it holds the trust root. Give the
signature file to whoever publishes. No network is needed.""",
)
def sign(
    proposal: ProposalPath,
    key: Annotated[
        Path,
        typer.Option("--key", exists=True, file_okay=False, help="Your folder, made by `keygen`."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", dir_okay=False, help="Where the signature goes; a new file."),
    ] = None,
    invitation: InvitationPath = None,
    fingerprint: Annotated[
        str | None,
        typer.Option(
            "--fingerprint", help="The first 8 digits of the fingerprint, instead of being asked."
        ),
    ] = None,
    instead: Annotated[
        bool,
        typer.Option("--instead", help="Sign though you signed another proposal of this version."),
    ] = False,
    token: TokenLibrary = None,
    token_label: TokenLabel = None,
    token_key: TokenKey = 2,
) -> None:
    """Read a proposal and sign it, after typing the first digits of its fingerprint."""
    from broker.settings import write_whole
    from keys.endorsing import sign_proposal

    data = read_file(proposal)
    holder = open_holder(key, _exchange_of(data), token_of(token, token_label, token_key))
    root = holder.root()
    if root is None and invitation is not None:
        root = read_invitation(invitation).root
        holder.keep_root(root)
    read = shown(data, root)
    target = out or Path(f"signature-{holder.keyid[:FINGERPRINT_TYPED]}.json")
    if target.exists():
        raise ConfigurationError(f"{target} is there already: name another file with --out")
    show(read)
    refuse_errors(read)
    if not instead:
        holder.check_once(read.proposal)
    _confirm(read, fingerprint)
    signature = sign_proposal(read.proposal, holder.signer)
    holder.note_signed(read.proposal, utc_now())
    write_whole(target, signature)
    say(f"Signed {', '.join(read.proposal.roles_of(holder.keyid))}: {target}")
    say("Next: give it to whoever publishes (`barid trust publish`).")


def _exchange_of(data: bytes) -> str:
    try:
        return parse(Proposal, data, PUBLICATION_BYTES_MAX).exchange
    except ParseError as error:
        raise ConfigurationError(f"this is no proposal: {error}") from error


def _confirm(read: Shown, fingerprint: str | None) -> None:
    expected = read.proposal.sha256[:FINGERPRINT_TYPED]
    typed = fingerprint
    if typed is None:
        typed = typer.prompt(
            f"To sign, type the first {FINGERPRINT_TYPED} digits of the fingerprint that the others read",
            err=True,
        )
    if str(typed).replace(" ", "").lower() != expected:
        raise ConfigurationError("that is not this proposal's fingerprint: nothing was signed")


@app.command(
    "publish",
    epilog="""\
Examples:

  barid trust publish TRUST/proposal.json --signature signature-1f2e3d4c.json
      --signature signature-5a6b7c8d.json --out TRUST

  barid trust publish proposal.json --signature signature-1f2e3d4c.json --data TN

  barid trust publish proposal.json --signature signature-1f2e3d4c.json
      --invitation invitation.json --out publication.json

The first one makes TRUST/repository for `barid hub load`, and TRUST/invitation.json for nodes. A publication
file is for `barid hub load`, or for a node elsewhere: `barid trust publish publication.json --data TN`.""",
)
def publish(
    proposal: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="The proposal, or a publication that is whole already.",
        ),
    ],
    signature: Signatures = None,
    data: NodeData = None,
    invitation: InvitationPath = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Write what the hub's operator loads, instead of publishing it."
        ),
    ] = None,
) -> None:
    """Put signatures together, and publish what enough people have signed."""
    raw = read_file(proposal)
    if out is None and data is None:
        raise ConfigurationError(
            "say where it goes: through a node (--data), or into a file (--out)"
        )
    whole = _whole_publication(raw)
    if whole is not None:
        _put(whole, data, out)
        return
    from keys.endorsing import assemble

    root = _root_of(invitation) or _node_root(data)
    read = shown(raw, root, [read_file(path) for path in signature or ()])
    files = assemble(read.proposal, [read_file(path) for path in signature or ()])
    if read.proposal.message.joining is not None:
        _write_request(read, files, out)
    elif read.proposal.before is None:
        _write_first(read, files, out)
    else:
        exchange = read.proposal.message.exchange
        _put(Publication(v=1, exchange=exchange, files=files), data, out)


def _whole_publication(raw: bytes) -> Publication | None:
    try:
        return parse(Publication, raw, PUBLICATION_BYTES_MAX)
    except ParseError:
        return None


def _node_root(data: Path | None) -> bytes | None:
    from broker.node.home import load_invitation
    from broker.settings import load_node

    return None if data is None else load_invitation(data, load_node(data).exchange).root


def _put(publication: Publication, data: Path | None, out: Path | None) -> None:
    if out is not None:
        target = out / PUBLICATION_FILE if out.is_dir() else out
        write_new(target, dump_json(publication))
        say(f"Written: {target}")
        say(
            f"Next: the hub's operator takes it (`barid hub load --data HUB {target}`), or any node:"
        )
        say(f"`barid trust publish {target} --data NODE`.")
    if data is not None:
        published = publish_files(data, publication.exchange, publication.files)
        say(
            f"In force: entry {published.index} of the directory log, at {format_time(utc_now())}."
            " Nodes read it within a minute."
        )


def _write_request(read: Shown, files: dict[str, bytes], out: Path | None) -> None:
    from broker.cli.member_signing import REQUEST_FILE, write_whole_request

    if out is None:
        raise ConfigurationError("name the file of the member's request with --out")
    write_whole_request(read.proposal, files, out / REQUEST_FILE if out.is_dir() else out)


def _write_first(read: Shown, files: dict[str, bytes], out: Path | None) -> None:
    from schemas.directory import Invitation

    after = read.proposal.after
    if after is None or out is None:
        raise ConfigurationError("name a folder for the first directory with --out")
    council = after.council
    repository = out / REPOSITORY
    if repository.exists():
        raise ConfigurationError(f"{repository} is there already: name another folder")
    for name, data in files.items():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    invitation = Invitation(
        v=1,
        exchange=council.exchange,
        hub=council.hub,
        logs=council.logs,
        root=files["metadata/1.root.json"],
    )
    write_new(out / INVITATION_FILE, dump_json(invitation))
    signed = ", ".join(f"{role} by {len(keyids)}" for role, keyids in sorted(read.signed.items()))
    say(f"The directory of {council.exchange} is signed: {signed}.")
    say(f"Members that have joined: {', '.join(sorted(after.members)) or 'none yet'}.")
    say(f"Next: `barid hub load --data HUB {repository}`; each node and each governor gets")
    say(f"{out / INVITATION_FILE} in person.")
