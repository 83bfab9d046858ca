"""`barid release`: four eyes, on the releaser's own machine: make a key, see what waits, check it, sign it.

May import `keys` and the node's views, within the commands; `main` adds this group. The private key never
leaves this machine, and the node is not believed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.exits import Exit
from broker.cli.node_client import (
    ANSWER_BYTES_MAX,
    Desk,
    NodeClient,
    NodeUrl,
    TokenFile,
    TrustFile,
)
from broker.cli.options import AsJson, Exchange, arguments_checked, id_formed, utc_now
from broker.cli.output import note, print_json, print_table, say, title_of
from broker.cli.passphrase import get_passphrase
from schemas.errors import ConfigurationError, VerificationError
from schemas.scalars import format_time

if TYPE_CHECKING:
    from broker.cli.releasing import Reviewed

app = typer.Typer(
    no_args_is_help=True,
    help="Release what a desk sends, where its member demands it: on your own machine, with your own key.",
)

BulletinId = Annotated[
    str, typer.Argument(callback=id_formed, help="The bulletin's id, as `release list` shows it.")
]
Attachments = Annotated[
    Path | None,
    typer.Option(
        "--attachments",
        file_okay=False,
        help="A folder: download its attachments there and compare them with what is signed.",
    ),
]


@app.command(
    "keygen",
    epilog="""\
Example:

  barid release keygen --out MY-KEY --exchange tripoli-demo --name "Amal, duty officer"

Then give MY-KEY/release-public.json to the node's administrator, in person. No network is needed.""",
)
def keygen(
    out: Annotated[Path, typer.Option("--out", file_okay=False, help="A new folder for your key.")],
    exchange: Exchange,
    name: Annotated[
        str, typer.Option("--name", help="Your name, for the administrator's list.")
    ] = "a releaser",
) -> None:
    """Make your release key: the private half stays in a keystore under a passphrase of your own."""
    from broker.settings import write_whole
    from keys.keystore import Keystore
    from keys.release_keys import RELEASE_FILE, ReleaseKeyFile, make_release_key
    from keys.signing import SigningIdentity
    from schemas.loader import dump_json

    with arguments_checked("--exchange", "--name"):
        # Looked at before anything is made; the key in it is another.
        ReleaseKeyFile(v=1, exchange=exchange, name=name, key=SigningIdentity.generate().public)
    passphrase = get_passphrase("your new release key", new=True)
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise ConfigurationError(f"{out} is not empty: name another folder")
    key = make_release_key(Keystore.create(out / "keystore", passphrase), exchange)
    public = ReleaseKeyFile(v=1, exchange=exchange, name=name, key=key.identity.public)
    write_whole(out / RELEASE_FILE, dump_json(public))
    say(f"Your release key is {key.keyid}.")
    say(
        f"Next: give {out / RELEASE_FILE} to the administrator, and read the key above to each other."
    )


@app.command(
    "list",
    epilog="""\
Example:

  barid release list --desk ly/main""",
)
def list_all(
    desk: Desk, node: NodeUrl, token_file: TokenFile, ca: TrustFile = None, as_json: AsJson = False
) -> None:
    """List what waits for people of the desk, as the node tells it. Sign nothing by this list."""
    from broker.node.api.release_views import ReleaseList
    from schemas.loader import parse

    answer = NodeClient(node, token_file, ca).get(f"/desks/{desk}/releases")
    view = parse(ReleaseList, answer, ANSWER_BYTES_MAX)
    if as_json:
        print_json(view)
        return
    print_table(
        ("ID", "PRECEDENCE", "STATUS", "KIND", "DESKS", "SIGNED", "EXPIRES", "TITLE"),
        (
            (
                each.id,
                each.precedence,
                each.status.upper(),
                each.kind,
                str(each.recipients),
                f"{each.signed} of {each.needed}",
                format_time(each.expires),
                title_of(each.title),
            )
            for each in view.releases
        ),
    )
    if not view.releases:
        note("Nothing waits for a release.")


@app.command(
    "show",
    epilog="""\
Examples:

  barid release show 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --desk ly/main

  barid release show 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --desk ly/main --attachments FILES""",
)
def show(
    bulletin_id: BulletinId,
    desk: Desk,
    node: NodeUrl,
    token_file: TokenFile,
    attachments: Attachments = None,
    ca: TrustFile = None,
) -> None:
    """Show what is to be signed: the bulletin, every desk it goes to, how urgently, until when.

    Every hash is computed again here; what does not agree is refused.
    """
    client = NodeClient(node, token_file, ca)
    reviewed = _fetch(client, desk, bulletin_id)
    _look(client, reviewed, attachments)
    note(f"Next: barid release sign {bulletin_id} --desk {desk} --keys DIR")


@app.command(
    "sign",
    epilog="""\
Examples:

  barid release sign 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --desk ly/main --keys MY-KEY

Without a question, for the release that `release show` showed and no other:

  barid release sign 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --desk ly/main --keys MY-KEY \\
      --expect-sha256 3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea""",
)
def sign(
    bulletin_id: BulletinId,
    desk: Desk,
    node: NodeUrl,
    token_file: TokenFile,
    keys: Annotated[
        Path,
        typer.Option(
            "--keys", exists=True, file_okay=False, help="The folder that `release keygen` made."
        ),
    ],
    attachments: Attachments = None,
    expect_sha256: Annotated[
        str | None,
        typer.Option(
            "--expect-sha256",
            help="Of the release, as `release show` showed it: sign that one without a question.",
        ),
    ] = None,
    ca: TrustFile = None,
) -> None:
    """Check and show it once more, ask you how many desks it goes to, sign it here, hand it in.

    The bulletin leaves once as many people have signed as the directory demands.
    """
    from keys.dsse import sign_statement
    from keys.keystore import Keystore
    from keys.release_keys import load_release_key
    from schemas.loader import dump_json
    from schemas.statements import PayloadType

    key = load_release_key(Keystore.open(keys / "keystore", get_passphrase("your release key")))
    client = NodeClient(node, token_file, ca)
    reviewed = _fetch(client, desk, bulletin_id)
    if reviewed.release.exchange != key.exchange:
        raise VerificationError(
            f"the release is for the exchange {reviewed.release.exchange}, your key for {key.exchange}"
        )
    _look(client, reviewed, attachments)
    _confirm(reviewed, expect_sha256)
    statement = sign_statement(PayloadType.RELEASE, reviewed.payload, key.exchange, [key.identity])
    answer = client.post(f"/desks/{desk}/releases/{bulletin_id}", (), dump_json(statement))
    _show_signed(answer, key.keyid)


def _fetch(client: NodeClient, desk: str, bulletin_id: str) -> Reviewed:
    from broker.cli.releasing import review

    answer = client.get(f"/desks/{desk}/releases/{bulletin_id}")
    return review(answer, desk, bulletin_id, utc_now())


def _look(client: NodeClient, reviewed: Reviewed, folder: Path | None) -> None:
    from broker.cli.releasing import show_reviewed

    show_reviewed(reviewed)
    named = reviewed.bulletin.attachments
    if folder is None:
        if named:
            note(
                "You sign the SHA-256 of each attachment: look at the files with --attachments DIR."
            )
        return
    from broker.cli.attaching import download_attachment
    from broker.cli.saving import safe_name

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = f"/desks/{reviewed.release.from_}/releases/{reviewed.bulletin.id}/attachments"
    for number, each in enumerate(named, start=1):
        target = folder / f"{number:02}-{safe_name(each.name)}"
        download_attachment(client, f"{path}/{each.id}", each, target)
        note(f"{target} is the file that is named, byte for byte.")


def _confirm(reviewed: Reviewed, expected: str | None) -> None:
    if expected is not None:
        if expected != reviewed.sha256:
            raise VerificationError(
                f"the node shows the release {reviewed.sha256}, and you expect {expected}"
            )
        return
    typed = typer.prompt(
        "You sign all of this. To how many desks does it go?", prompt_suffix=" ", err=True
    )
    if typed.strip() != str(len(reviewed.desks)):
        note("That is not their number: nothing was signed. Look at the list of desks again.")
        raise typer.Exit(Exit.REFUSED)


def _show_signed(answer: bytes, keyid: str) -> None:
    from broker.node.api.release_views import ReleaseSigned
    from schemas.loader import parse

    view = parse(ReleaseSigned, answer, ANSWER_BYTES_MAX)
    say(f"Signed by {keyid}.")
    if len(view.signers) >= view.needed:
        say(f"{len(view.signers)} people have released {view.id}: it leaves.")
    else:
        say(f"{len(view.signers)} of {view.needed} people have signed {view.id}: it waits.")
