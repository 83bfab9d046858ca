"""`barid bulletin confirm`: a person lets an urgent bulletin leave though the directory is too old.

May import `tracking`, whose group of commands it adds to, and `broker.node.api`'s views within the command;
`main` shows it by way of `lifecycle`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.completing import complete_sent
from broker.cli.node_client import (
    ANSWER_BYTES_MAX,
    Desk,
    NodeClient,
    NodeUrl,
    TokenFile,
    TrustFile,
)
from broker.cli.options import AsJson, id_formed
from broker.cli.output import print_json, say
from broker.cli.tracking import app as app
from schemas.scalars import format_time

if TYPE_CHECKING:
    from broker.node.api.freshness_views import ConfirmationView


@app.command(
    "confirm",
    epilog="""\
Examples:

  barid bulletin confirm 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --desk ly/main --by "Salma B." """,
)
def confirm(
    bulletin_id: Annotated[
        str,
        typer.Argument(
            autocompletion=complete_sent,
            callback=id_formed,
            help="The bulletin's id, as `bulletin status` shows it.",
        ),
    ],
    desk: Desk,
    node: NodeUrl,
    token_file: TokenFile,
    by: Annotated[str, typer.Option("--by", help="The person who takes this decision.")],
    ca: TrustFile = None,
    as_json: AsJson = False,
) -> None:
    """Let a flash or immediate bulletin leave though the directory is over the grace.

    While nothing vouches for the directory, a recipient's node may have been reported stolen, or a rule
    changed, and this node does not know. To confirm says: it is so urgent that it leaves all the same,
    sealed to the keys that are known here. Call the recipients first if you can. Who confirmed, by which
    token and when, is kept and shown with the bulletin. Priority and routine wait: nobody can confirm
    them, and they leave by themselves once the directory is fresh again.
    """
    from broker.node.api.freshness_views import ConfirmedView
    from schemas.loader import parse

    client = NodeClient(node, token_file, ca)
    answer = client.post(f"/desks/{desk}/bulletins/{bulletin_id}/confirm", (("by", by),), b"")
    confirmed = parse(ConfirmedView, answer, ANSWER_BYTES_MAX)
    if as_json:
        print_json(confirmed)
        return
    say(f"{confirmed.id} of {confirmed.desk} leaves now. {_describe(confirmed.confirmation)}")


def _describe(confirmation: ConfirmationView) -> str:
    verified = confirmation.directory_verified
    known = "never verified" if verified is None else f"last verified {format_time(verified)}"
    return (
        f"Confirmed by {confirmation.by} (token {confirmation.token}) {format_time(confirmation.at)},"
        f" with a directory {known}."
    )
