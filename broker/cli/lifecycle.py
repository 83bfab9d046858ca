"""`barid bulletin withdraw|correct|resend`: what an agency does to a bulletin that it has sent.

May import `agency` and `confirming`, whose commands it adds to, and `broker.node.api.views` within the
commands; `main` shows it. A withdrawal and a correction are bulletins, and go where the original went.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from broker.cli.agency import (
    Attach,
    File,
    Language,
    ReaderLanguage,
    parse_document,
    read_document,
    show_queued,
    until,
)
from broker.cli.completing import complete_desks, complete_sent
from broker.cli.confirming import app as app
from broker.cli.node_client import (
    ANSWER_BYTES_MAX,
    Desk,
    NodeClient,
    NodeUrl,
    TokenFile,
    TrustFile,
)
from broker.cli.options import AsJson, desk_formed, id_formed, utc_now
from schemas.bulletin.vocabularies import Kind, Precedence
from schemas.limits import BULLETIN_BYTES_MAX
from schemas.scalars import format_time

BulletinId = Annotated[
    str,
    typer.Argument(
        autocompletion=complete_sent,
        callback=id_formed,
        help="The bulletin's id, as `bulletin status` shows it.",
    ),
]
Expires = Annotated[
    str | None,
    typer.Option("--expires", help="When it is too late: 12h, 7d, or a time. At most 30 days."),
]
TAKEN_OVER = (
    "status",
    "exercise",
    "originator",
    "purpose",
    "personal_data",
    "title",
    "topics",
    "marking",
)
"""What a withdrawal says as its original did: so that the same rules permit it, and readers know it."""


@app.command(
    "withdraw",
    epilog="""\
Examples:

  barid bulletin withdraw 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --desk ly/main \\
      --reason "The convoy was a road crew."

  barid bulletin withdraw 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --desk ly/main \\
      --reason "Le convoi était une équipe de voirie." --language fr""",
)
def withdraw(
    bulletin_id: BulletinId,
    desk: Desk,
    node: NodeUrl,
    token_file: TokenFile,
    reason: Annotated[str, typer.Option("--reason", help="Why; all recipients read it.")],
    language: Annotated[
        Language, typer.Option("--language", envvar="BARID_LANGUAGE", help="Of the reason.")
    ] = Language.EN,
    ca: TrustFile = None,
    as_json: AsJson = False,
) -> None:
    """Take a bulletin back: what has not left stays, and all who were sent it hear of it and why.

    It is as urgent as the bulletin was. It cannot be taken back itself.
    """
    client = NodeClient(node, token_file, ca)
    original = _document(client, desk, bulletin_id)
    document = compose_withdrawal(original, reason, language.value, utc_now())
    query = (("precedence", _precedence(client, desk, bulletin_id)),)
    show_queued(client.post(f"/desks/{desk}/bulletins", query, document), as_json=as_json)


@app.command(
    "correct",
    epilog="""\
Examples:

  barid bulletin correct 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b corrected.json

  barid bulletin correct 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b corrected.json --precedence immediate""",
)
def correct(
    bulletin_id: BulletinId,
    file: File,
    node: NodeUrl,
    token_file: TokenFile,
    ca: TrustFile = None,
    precedence: Annotated[
        Precedence | None,
        typer.Option("--precedence", help="How urgently; by default as the bulletin was."),
    ] = None,
    expires: Expires = None,
    attach: Attach = None,
    language: ReaderLanguage = Language.EN,
    as_json: AsJson = False,
) -> None:
    """Replace a bulletin by a corrected one, which goes to all who were sent it.

    The corrected bulletin has an id of its own: write it with `barid bulletin new`, or give the old
    file another id.
    """
    document = read_document(file)
    checked = parse_document(document, language)
    if checked.id == bulletin_id:
        raise typer.BadParameter(
            f"{file} has the id of the bulletin that it corrects: give it one of its own, as"
            " `barid bulletin new` writes it",
            param_hint="FILE",
        )
    if checked.kind is Kind.WITHDRAWAL:
        raise typer.BadParameter(
            "a withdrawal corrects nothing: `barid bulletin withdraw`", param_hint="FILE"
        )
    desk, client = checked.originator.desk, NodeClient(node, token_file, ca)
    urgency = precedence or _precedence(client, desk, bulletin_id)
    if attach:
        from broker.cli.attaching import upload_files

        upload_files(client, checked, attach)
    query = (("supersedes", bulletin_id), ("precedence", urgency), *until(expires))
    show_queued(client.post(f"/desks/{desk}/bulletins", query, document), as_json=as_json)


@app.command(
    "resend",
    epilog="""\
Examples:

  barid bulletin resend 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --desk ly/main --to tn/main

  barid bulletin resend 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --desk ly/main --to tn/main --confirm""",
)
def resend(
    bulletin_id: BulletinId,
    desk: Desk,
    node: NodeUrl,
    token_file: TokenFile,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            autocompletion=complete_desks,
            callback=desk_formed,
            help="The desk that shall get it again: tn/main.",
        ),
    ],
    ca: TrustFile = None,
    expires: Expires = None,
    *,
    confirm: Annotated[
        bool,
        typer.Option(
            "--confirm",
            help="Also to a desk that had it, and now cannot open it. Call its people first: a thief of"
            " its keys would ask for just that.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send a bulletin again to one desk: it expired there, was refused, or could not be opened twice.

    By itself the node does so once for a desk that cannot open. The desk shows the bulletin once.
    """
    query = (("to", to), *until(expires), *((("confirm", "true"),) if confirm else ()))
    client = NodeClient(node, token_file, ca)
    answer = client.post(f"/desks/{desk}/bulletins/{bulletin_id}/resend", query, b"")
    show_queued(answer, as_json=as_json)


def compose_withdrawal(
    original: Mapping[str, Any], reason: str, language: str, now: datetime
) -> bytes:
    """Write the withdrawal of a bulletin, with its title, topics, marking and purpose.

    Args:
        original: the bulletin's members, plain JSON.
        reason: for all recipients.
        language: of the reason: ar, fr or en.
        now: UTC, whole seconds.

    Raises:
        ParseError: no node would take it: the reason is empty or too long.
    """
    from broker.cli.drafts import new_id, write_bulletin

    return write_bulletin(
        {
            "version": original["version"],
            "id": new_id(),
            "kind": "withdrawal",
            "created": format_time(now),
            **{name: original[name] for name in TAKEN_OVER if name in original},
            "summary": {language: reason},
            "withdraws": original["id"],
            "reason": {language: reason},
        }
    )


def _document(client: NodeClient, desk: str, bulletin_id: str) -> Mapping[str, Any]:
    from schemas.bulletin import FLOATS_UNDER
    from schemas.loader import load_json

    document = client.get(f"/desks/{desk}/bulletins/{bulletin_id}/document")
    loaded: Mapping[str, Any] = load_json(document, BULLETIN_BYTES_MAX, floats_under=FLOATS_UNDER)
    return loaded


def _precedence(client: NodeClient, desk: str, bulletin_id: str) -> Precedence:
    from broker.node.api.views import SentView
    from schemas.loader import parse

    answer = client.get(f"/desks/{desk}/bulletins/{bulletin_id}")
    return parse(SentView, answer, ANSWER_BYTES_MAX, nullable=frozenset({"release"})).precedence
