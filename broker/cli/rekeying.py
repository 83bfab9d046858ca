"""`barid node rekey`: new keys for a desk, made beside the present ones while bulletins flow.

May import `broker.node` and `keys`, within the command; `node` adds it.
"""

from __future__ import annotations

from typing import Annotated

import typer

from broker.cli.options import Data
from broker.cli.output import say
from broker.cli.passphrase import get_passphrase
from broker.settings import load_node

app = typer.Typer()


@app.command(
    "rekey",
    epilog="""\
Examples:

  barid node rekey --data LY --desk main

  barid node rekey --data LY --desk main \\
      --release-key main=amal.json --release-key main=omar.json --release-threshold main=2

Then give LY/desk-request.json to those who sign for the member. The node goes on as it is, and takes the new
keys by itself once the directory names them.""",
)
def rekey(
    data: Data,
    desk: Annotated[
        list[str], typer.Option("--desk", help="A desk that gets new keys: main. Repeat it.")
    ],
    release_key: Annotated[
        list[str] | None,
        typer.Option(
            "--release-key",
            help="DESK=FILE: a person who releases from then on, in place of all before. Repeat it.",
        ),
    ] = None,
    release_threshold: Annotated[
        list[str] | None,
        typer.Option("--release-threshold", help="DESK=M: how many of them must sign."),
    ] = None,
) -> None:
    """Make new keys for desks, and the request with which their member declares them.

    The present keys stay in use until the directory names the new ones; then they are destroyed.
    """
    import asyncio

    from broker.cli.enrolling import read_releasers
    from broker.node.clock import utc_now
    from broker.node.follow_store import NodeFollowStore
    from broker.node.home import load_desk, load_invitation, look_home
    from broker.node.line import open_line
    from broker.node.rekeying import request_new_keys

    settings = load_node(data)
    people = read_releasers(release_key or (), release_threshold or (), settings.exchange)
    home = look_home(data, get_passphrase("the node's keystore"))
    try:
        invitation = load_invitation(data, home.exchange)
        line = open_line(home, invitation, NodeFollowStore(home.engine), utc_now)
        directory = line.state.directory
        asyncio.run(line.close())
        request = request_new_keys(home, desk, directory, people)
        for unit in sorted(set(desk)):
            whole = f"{settings.member}/{unit}"
            keys = load_desk(home.keystore, whole).next
            if keys is not None:
                say(f"{whole}: the new node identity is {keys.node.keyid(home.exchange)}")
                say(f"{whole}: the new request key is   {keys.request.keyid(home.exchange)}")
    finally:
        home.close()
    say(f"Next: 1. give {request} to those who sign for {settings.member}, in person, and read")
    say("         the keys above to each other.")
    say("      2. leave the node as it is: once the directory names the new keys, it takes them.")
