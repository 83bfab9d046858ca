"""`barid inbox`: what an analyst does, through the node's HTTPS interface, from any machine.

May import `broker.node.api.views`, the models of that interface, within the commands; `main` adds this group.
"""

from __future__ import annotations

from typing import Annotated

import typer

from broker.cli.node_client import (
    ANSWER_BYTES_MAX,
    Desk,
    NodeClient,
    NodeUrl,
    Query,
    TokenFile,
    TrustFile,
)
from broker.cli.options import AsJson
from broker.cli.output import UNWITNESSED, note, print_json, print_table, say, title_of
from schemas.limits import INBOX_PAGE_MAX
from schemas.scalars import format_time

app = typer.Typer(no_args_is_help=True, help="List and read what other states sent.")


@app.command(
    "list",
    epilog="""\
Examples:

  barid inbox list --desk tn/main --unread

  barid inbox list --desk tn/main --json""",
)
def list_inbox(
    desk: Desk,
    node: NodeUrl,
    token_file: TokenFile,
    ca: TrustFile = None,
    unread: Annotated[bool, typer.Option("--unread", help="Only what nobody has read.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=INBOX_PAGE_MAX, help="At most so many.")
    ] = 50,
    after: Annotated[
        str | None, typer.Option("--after", help="Continue behind an earlier list: its `next`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List what came, most urgent first. The senders learn nothing of it."""
    from broker.node.api.views import Inbox
    from schemas.loader import parse

    query: Query = (
        ("unread", str(unread).lower()),
        ("limit", str(limit)),
        *((("after", after),) if after else ()),
    )
    answer = NodeClient(node, token_file, ca).get(f"/desks/{desk}/inbox", query)
    view = parse(Inbox, answer, ANSWER_BYTES_MAX)
    if as_json:
        print_json(view)
        return
    print_table(
        ("FROM", "ID", "STATUS", "PRECEDENCE", "MARKING", "KIND", "RECEIVED", "READ", "TITLE"),
        (
            (
                each.sender,
                each.id,
                each.status.upper(),
                each.precedence,
                f"TLP:{each.marking.tlp.upper()} {each.marking.classification.upper()}",
                each.kind,
                format_time(each.received),
                "yes" if each.read else "no",
                title_of(each.title),
            )
            for each in view.bulletins
        ),
    )
    note(UNWITNESSED)
    if view.next:
        note(f"There is more: --after {view.next}")


@app.command(
    "read",
    epilog="""\
Example:

  barid inbox read ly/main 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --desk tn/main""",
)
def read(
    sender: Annotated[str, typer.Argument(help="The desk that sent it, as the list shows it.")],
    bulletin_id: Annotated[str, typer.Argument(help="Its id, as the list shows it.")],
    desk: Desk,
    node: NodeUrl,
    token_file: TokenFile,
    ca: TrustFile = None,
    as_json: AsJson = False,
) -> None:
    """Read a bulletin. From then on its sender sees it as read."""
    from broker.cli.reading import read_answer, show_received

    answer = NodeClient(node, token_file, ca).get(f"/desks/{desk}/inbox/{sender}/{bulletin_id}")
    received = read_answer(answer)
    if as_json:
        # As it came: numbers and texts are those that were signed.
        say(answer.decode())
    else:
        show_received(received)
