"""`barid inbox`: what an analyst does, through the node's HTTPS interface, from any machine.

May import `broker.node.api.views`, the models of that interface, within the commands; `main` adds this group.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.completing import complete_desks
from broker.cli.node_client import (
    ANSWER_BYTES_MAX,
    Desk,
    NodeClient,
    NodeUrl,
    Query,
    TokenFile,
    TrustFile,
)
from broker.cli.options import AsJson, desk_formed, id_formed
from broker.cli.output import UNWITNESSED, note, print_json, print_table, say, title_of
from schemas.limits import INBOX_PAGE_MAX
from schemas.scalars import format_time

if TYPE_CHECKING:
    from broker.node.api.inbox_views import Marks, ReceivedSummary

app = typer.Typer(no_args_is_help=True, help="List, read and save what other states sent.")

Sender = Annotated[
    str,
    typer.Argument(
        autocompletion=complete_desks,
        callback=desk_formed,
        help="The desk that sent it, as the list shows it.",
    ),
]
Id = Annotated[str, typer.Argument(callback=id_formed, help="Its id, as the list shows it.")]


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
    from broker.node.api.inbox_views import Inbox
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
        (
            *("FROM", "ID", "STATUS", "PRECEDENCE", "MARKING"),
            *("KIND", "RECEIVED", "READ", "FATE", "TITLE"),
        ),
        (_row(each) for each in view.bulletins),
    )
    if not view.witnessed:
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
    sender: Sender,
    bulletin_id: Id,
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
        show_received(received, bulletin_id)


@app.command(
    "thread",
    epilog="""\
Example:

  barid inbox thread ly/main 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --desk tn/main""",
)
def thread(
    sender: Sender,
    bulletin_id: Id,
    desk: Desk,
    node: NodeUrl,
    token_file: TokenFile,
    ca: TrustFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what answers what, the oldest first; own bulletins too, if the token may send."""
    from broker.node.api.inbox_views import ThreadView
    from schemas.loader import parse

    answer = NodeClient(node, token_file, ca).get(f"/desks/{desk}/thread/{sender}/{bulletin_id}")
    view = parse(ThreadView, answer, ANSWER_BYTES_MAX)
    if as_json:
        print_json(view)
        return
    print_table(
        ("AT", "FROM", "ID", "STATUS", "KIND", "ANSWERS", "FATE", "TITLE"),
        (
            (
                format_time(each.at),
                each.desk,
                each.id,
                each.status.upper(),
                each.kind,
                f"{each.in_reply_to.desk} {each.in_reply_to.id}" if each.in_reply_to else "",
                "WITHDRAWN" if each.withdrawn else "",
                title_of(each.title) if each.title else "",
            )
            for each in view.bulletins
        ),
    )
    if not view.complete:
        note("There is more: ask for the thread of another of these bulletins.")


@app.command(
    "save",
    epilog="""\
Examples:

  barid inbox save ly/main 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --out case-17 --desk tn/main

  barid inbox save ly/main 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --out arms.json --desk tn/main""",
)
def save(
    sender: Sender,
    bulletin_id: Id,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="A folder, in which one of its own is made; or a file that ends in .json.",
        ),
    ],
    desk: Desk,
    node: NodeUrl,
    token_file: TokenFile,
    ca: TrustFile = None,
) -> None:
    """Save a bulletin with its attachments and evidence; should it be withdrawn, its sender learns so."""
    from broker.cli.saving import save_bulletin

    client = NodeClient(node, token_file, ca)
    for path in save_bulletin(client, desk, sender, bulletin_id, out):
        say(str(path))


def _row(each: ReceivedSummary) -> tuple[str, ...]:
    """A bulletin in the list; what was withdrawn unread has neither marking nor title."""
    marking = each.marking
    return (
        each.sender,
        each.id,
        each.status.upper(),
        each.precedence,
        f"TLP:{marking.tlp.upper()} {marking.classification.upper()}" if marking else "",
        each.kind,
        format_time(each.received),
        "yes" if each.read else "no",
        _fate(each),
        title_of(each.title) if each.title else "",
    )


def _fate(marks: Marks) -> str:
    """What became of a bulletin, in a word that nobody overlooks."""
    if marks.withdrawn is not None:
        return "WITHDRAWN"
    return "SUPERSEDED" if marks.superseded_by is not None else ""
