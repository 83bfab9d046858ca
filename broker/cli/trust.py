"""`barid trust`: what governors do, on machines without a network: keys, proposals, another root.

May import `keys`, within the commands; `main` adds this group. What comes after a proposal is in
`trust_signing`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from broker.cli import trust_purging, trust_signing, trust_status
from broker.cli.directories import (
    PROPOSAL_FILE,
    DirectoryPath,
    InvitationPath,
    NodeData,
    opened_directory,
)
from broker.cli.holding import KEYSTORE, TokenKey, TokenLabel, TokenLibrary, token_of
from broker.cli.options import Exchange, arguments_checked, utc_now
from broker.cli.output import say
from broker.cli.passphrase import get_passphrase
from broker.cli.proposing import refuse_errors, show, shown, write_proposal
from broker.cli.trust_files import (
    CASES,
    COUNCIL,
    POLICY,
    SCHEMA,
    read_draft,
    read_governors,
    read_requests,
    shipped,
    with_new_logs,
    with_witnesses,
)
from broker.cli.trust_purging import with_purges
from schemas.directory import Council, HubDescription
from schemas.errors import ConfigurationError
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, parse, to_plain

DIRECTORY_DAYS: Final = 365
"""Life of what the governors sign: they meet at least once a year."""

app = typer.Typer(
    no_args_is_help=True,
    help="The governors' work: who belongs to the exchange, and who may write what to whom.",
)
app.add_typer(trust_signing.app)
app.add_typer(trust_status.app)
app.add_typer(trust_purging.app)

Requests = Annotated[
    list[Path] | None,
    typer.Option(
        "--request",
        exists=True,
        dir_okay=False,
        help="A member's request: it joins, or changes the keys that sign for it. Repeat it.",
    ),
]
GovernorFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--governor",
        help="MEMBER=FILE: a governor's trust-public.json, and whose it is. Repeat it.",
    ),
]
Threshold = Annotated[
    int | None,
    typer.Option("--threshold", min=1, help="How many governors must sign, k."),
]
WitnessFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--witness",
        exists=True,
        dir_okay=False,
        help="A node's witness-public.json (`barid node witness`): it cosigns the logs. Repeat it.",
    ),
]
WitnessQuorum = Annotated[
    int | None,
    typer.Option("--quorum", min=1, help="How many witnesses must cosign; more than half of them."),
]
Days = Annotated[
    int, typer.Option("--days", min=1, max=3650, help="Days until what is signed now lapses.")
]
Out = Annotated[
    Path, typer.Option("--out", dir_okay=False, help="Where the proposal goes; a new file.")
]


@app.command(
    "keygen",
    epilog="""\
Examples:

  barid trust keygen --out MY-KEY --exchange tripoli-demo --name "Tunisia, Ministry of the Interior"

  barid trust keygen --out MY-KEY --exchange tripoli-demo --name "Tunisia"
      --token /usr/lib/softhsm/libsofthsm2.so --token-label governor

Then hand over MY-KEY/trust-public.json in person, and read the key's name to each other.""",
)
def keygen(
    out: Annotated[Path, typer.Option("--out", file_okay=False, help="A new folder for the key.")],
    exchange: Exchange,
    name: Annotated[str, typer.Option("--name", help="Whose key it is, for people.")],
    token: TokenLibrary = None,
    token_label: TokenLabel = None,
    token_key: TokenKey = 2,
) -> None:
    """Make the key of a governor, or of a person who signs for a member. No network is needed.

    With --token the key is in a token already, and only its public half is written down.
    """
    from broker.settings import write_whole
    from keys.keystore import Keystore
    from keys.repository import TrustSigner
    from keys.trust_keys import TRUST_KEY_FILE, make_trust_key, write_trust_key_file

    with arguments_checked("--exchange", "--name"):
        # Looked at before anything is made; the key in it is another.
        write_trust_key_file(exchange, name, TrustSigner.generate().public_key)
    if out.exists() and any(out.iterdir()):
        raise ConfigurationError(f"{out} is not empty: name another folder")
    held = token_of(token, token_label, token_key)
    if held is not None:
        key = held.public_key()
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    else:
        passphrase = get_passphrase(f"the new trust key of {name}", new=True)
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = make_trust_key(Keystore.create(out / KEYSTORE, passphrase), exchange).public_key
    write_whole(out / TRUST_KEY_FILE, write_trust_key_file(exchange, name, key))
    say(f"The trust key of {name} is {key.keyid}.")
    say(f"Next: hand over {out / TRUST_KEY_FILE} in person, and read the key's name to each other.")


@app.command(
    "init",
    epilog="""\
Example:

  barid trust init --out TRUST --hub HUB/hub.json --governor tn=TN/trust-public.json
      --governor ly=LY/trust-public.json --governor ne=NE/trust-public.json --threshold 2
      --request TN-NODE/member-request.json

Then the governors sign TRUST/proposal.json (`barid trust sign`).""",
)
def init(
    out: Annotated[
        Path, typer.Option("--out", file_okay=False, help="A new folder for what is made.")
    ],
    hub: Annotated[
        Path, typer.Option("--hub", exists=True, dir_okay=False, help="The hub's hub.json.")
    ],
    governor: GovernorFiles = None,
    threshold: Threshold = None,
    request: Requests = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            exists=True,
            file_okay=False,
            help="A folder with council.json and the access rules, instead of those that are shipped.",
        ),
    ] = None,
    witness: WitnessFiles = None,
    quorum: WitnessQuorum = None,
    days: Days = DIRECTORY_DAYS,
) -> None:
    """Propose the first directory of an exchange: its governors, council, rules and first members.

    Without --witness it is a test exchange: nobody but the hub vouches for its logs.

    Without --from the council is the one that is shipped: nine states of North Africa and the Sahel, and
    their observers. Members that hand in no request may join later.
    """
    from keys.proposals import propose_first
    from keys.repository import CouncilFiles

    if out.exists() and any(out.iterdir()):
        raise ConfigurationError(f"{out} is not empty: name another folder")
    description = parse(HubDescription, hub.read_bytes(), TRUST_FILE_BYTES_MAX)
    governors, holders = read_governors(governor or (), threshold, description.exchange)
    files = shipped(description) if source is None else read_draft(source)
    council = files.council.model_copy(
        update={
            "exchange": description.exchange,
            "hub": description.hub,
            "logs": description.logs,
            "governors": holders,
        }
    )
    council = parse(Council, dump_json(council), TRUST_FILE_BYTES_MAX)
    council = with_witnesses(council, witness or (), quorum)
    proposal = propose_first(
        CouncilFiles(council, files.policy_text, files.schema_text, files.cases_text),
        governors,
        description.online,
        read_requests(request or ()),
        utc_now() + timedelta(days=days),
        utc_now(),
    )
    offer(proposal, None, out / PROPOSAL_FILE)


def offer(proposal: bytes, initial_root: bytes | None, out: Path) -> None:
    """Show a proposal, refuse what nobody should sign, and write it."""
    read = shown(proposal, initial_root)
    if not read.errors:
        # Before it is shown: a reader who stops reading leaves a proposal all the same.
        write_proposal(out, proposal)
    show(read)
    refuse_errors(read)
    say()
    say(f"Next: those named above read and sign it: `barid trust sign {out}`; then")
    say("`barid trust publish` puts their signatures together.")


@app.command(
    "draft",
    epilog="""\
Examples:

  barid trust draft --data TN --out DRAFT

  barid trust draft --directory directory.json --invitation invitation.json --out DRAFT

Then edit the files, and `barid trust propose --from DRAFT`.""",
)
def draft(
    out: Annotated[Path, typer.Option("--out", file_okay=False, help="A new folder.")],
    data: NodeData = None,
    directory: DirectoryPath = None,
    invitation: InvitationPath = None,
) -> None:
    """Write council, access rules and their table of cases as they are in force, to be edited."""
    from keys.proposals import council_files

    opened = opened_directory(data, directory, invitation)
    if out.exists() and any(out.iterdir()):
        raise ConfigurationError(f"{out} is not empty: name another folder")
    files = council_files(opened.directory)
    out.mkdir(parents=True, exist_ok=True)
    council = json.dumps(to_plain(files.council), ensure_ascii=False, indent=2) + "\n"
    (out / COUNCIL).write_text(council, "utf-8")
    (out / POLICY).write_text(files.policy_text, "utf-8")
    (out / SCHEMA).write_text(files.schema_text, "utf-8")
    if files.cases_text:
        (out / CASES).write_text(files.cases_text, "utf-8")
    version = opened.directory.versions["targets"]
    say(f"Council and rules, version {version}, are in {out}: edit them there.")
    say(f"Next: `barid policy test --from {out}`, then `barid trust propose --from {out}`.")


@app.command(
    "propose",
    epilog="""\
Examples:

  barid trust propose --from DRAFT --data TN --out proposal.json

  barid trust propose --from DRAFT --data TN --request MT/member-request.json --out proposal.json

  barid trust propose --data TN --new-origins new-origins.json --out proposal.json

  barid trust propose --data TN --purge order.json --out proposal.json

Then k governors sign it (`barid trust sign`).""",
)
def propose(
    out: Out,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            exists=True,
            file_okay=False,
            help="The edited draft; without it council and rules stay as they are.",
        ),
    ] = None,
    data: NodeData = None,
    directory: DirectoryPath = None,
    invitation: InvitationPath = None,
    request: Requests = None,
    witness: WitnessFiles = None,
    quorum: WitnessQuorum = None,
    new_origins: Annotated[
        Path | None,
        typer.Option(
            "--new-origins",
            exists=True,
            dir_okay=False,
            help="The hub's new-origins.json: close both logs, and begin others.",
        ),
    ] = None,
    purge: Annotated[
        list[Path] | None,
        typer.Option(
            "--purge",
            exists=True,
            dir_okay=False,
            help="Orders to destroy log entries' openings (`barid trust purge-order`).",
        ),
    ] = None,
    days: Days = DIRECTORY_DAYS,
) -> None:
    """Propose another council, other access rules, or further members; shows what that changes."""
    from keys.proposals import council_files, propose_council

    opened = opened_directory(data, directory, invitation)
    present = council_files(opened.directory)
    files = with_purges(read_draft(source) if source else present, present.purges, purge or ())
    files = replace(files, council=with_witnesses(files.council, witness or (), quorum))
    if new_origins is not None:
        files = replace(files, council=with_new_logs(files.council, new_origins))
    parts = opened.directory.member_parts.items()
    versions = {member: part.metadata.version for member, part in parts}
    now = utc_now()
    proposal = propose_council(
        files, opened, read_requests(request or (), versions), now + timedelta(days=days), now
    )
    offer(proposal, opened.initial_root, out)


@app.command(
    "rotate-root",
    epilog="""\
Examples:

  barid trust rotate-root --data TN --out proposal.json --threshold 3 --governor tn=TN.json
      --governor ly=LY.json --governor ne=NE.json --governor ml=ML.json --governor td=TD.json

  barid trust rotate-root --data TN --out proposal.json --hub hub.json

  barid trust rotate-root --data TN --out proposal.json

The last one changes nothing but the day on which the root lapses.""",
)
def rotate_root(
    out: Out,
    governor: GovernorFiles = None,
    threshold: Threshold = None,
    hub: Annotated[
        Path | None,
        typer.Option(
            "--hub",
            exists=True,
            dir_okay=False,
            help="A hub.json with a new online key of the hub.",
        ),
    ] = None,
    data: NodeData = None,
    directory: DirectoryPath = None,
    invitation: InvitationPath = None,
    days: Days = DIRECTORY_DAYS,
) -> None:
    """Propose another root: other governors (all of them are named), or another online key of the hub.

    A threshold of the governors until now and of those from now on must sign it.
    """
    from keys.proposals import NewRoot, council_files, propose_council

    opened = opened_directory(data, directory, invitation)
    files = council_files(opened.directory)
    council, exchange = files.council, files.council.exchange
    governors, online = None, None
    if governor:
        governors, holders = read_governors(governor, threshold, exchange)
        council = council.model_copy(update={"governors": holders})
        council = parse(Council, dump_json(council), TRUST_FILE_BYTES_MAX)
    if hub is not None:
        description = parse(HubDescription, hub.read_bytes(), TRUST_FILE_BYTES_MAX)
        if description.exchange != exchange:
            raise ConfigurationError(f"{hub} is of a hub of {description.exchange}")
        online = description.online
    now = utc_now()
    proposal = propose_council(
        replace(files, council=council),
        opened,
        (),
        now + timedelta(days=days),
        now,
        root=NewRoot(governors, online),
    )
    offer(proposal, opened.initial_root, out)
