"""`barid node witness`: the key with which a node cosigns the hub's logs, for the council to name.

May import `broker.node`, within the command; `node` adds it.
"""

from __future__ import annotations

from typing import Annotated

import typer

from broker.cli.options import Data
from broker.cli.output import say
from broker.cli.passphrase import get_passphrase
from schemas.directory import WitnessKey

app = typer.Typer()


@app.command(
    "witness",
    epilog="""\
Examples:

  barid node witness --data TN

  barid node witness --data TN --renew

Then give TN/witness-public.json to the governors (`barid trust init|propose --witness`).""",
)
def witness(
    data: Data,
    renew: Annotated[
        bool,
        typer.Option("--renew", help="Make another key: after a restore, or if it may be stolen."),
    ] = False,
) -> None:
    """Show the key with which this node cosigns the hub's logs, once the council names it.

    It was made with the node. With --renew it gets another, and cosigns nothing until the council names that.
    """
    from broker.node.home import look_home
    from broker.node.witness_keys import WITNESS_FILE, make_witness_key

    home = look_home(data, get_passphrase("the node's keystore"))
    try:
        member = home.settings.member
        key = make_witness_key(data, home.keystore, home.exchange, member, renew=renew)
    finally:
        home.close()
    say(f"The witness key of {member} is {key.name}, key id {key_id(key)}.")
    say(f"Next: give {data / WITNESS_FILE} to the governors, and read the key id to each other.")


def key_id(key: WitnessKey) -> str:
    """The key id of C2SP signed-note, as it stands in verifier keys: 8 hex digits."""
    from broker.tlog.note import SignatureType, VerifierKey

    type_ = SignatureType.ML_DSA_44_COSIGNATURE
    return VerifierKey(key.name, type_, key.ml_dsa_44).key_id.hex()
