"""`barid bulletin status`: where an agency's own bulletins stand, with each recipient.

May import `agency`, whose group of commands it adds to, and `broker.node.api.views` within the command;
`main` shows it by way of `lifecycle`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from broker.cli.agency import app as app
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
from broker.cli.output import UNWITNESSED, note, print_json, print_table, say, title_of
from schemas.scalars import format_time

if TYPE_CHECKING:
    from broker.node.api.freshness_views import ConfirmationView
    from broker.node.api.views import EnvelopeView, SentView

_STALE_SECONDS: Final = 3600
"""A directory that was verified longer ago is said to be old (the protocol's Freshness)."""


@app.command(
    "status",
    epilog="""\
Examples:

  barid bulletin status --desk ly/main

  barid bulletin status 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --desk ly/main""",
)
def status(
    desk: Desk,
    node: NodeUrl,
    token_file: TokenFile,
    bulletin_id: Annotated[
        str | None,
        typer.Argument(
            autocompletion=complete_sent,
            callback=id_formed,
            help="Which one, with every step; else the newest ones.",
        ),
    ] = None,
    ca: TrustFile = None,
    as_json: AsJson = False,
) -> None:
    """Show where the desk's own bulletins stand: queued, waiting, accepted, delivered, read, refused."""
    from broker.node.api.views import SentList, SentView
    from schemas.loader import parse

    client = NodeClient(node, token_file, ca)
    if bulletin_id is not None:
        answer = client.get(f"/desks/{desk}/bulletins/{bulletin_id}")
        sent = parse(SentView, answer, ANSWER_BYTES_MAX, nullable=frozenset({"release"}))
        print_json(sent) if as_json else _show_sent(sent)
        return
    listed = parse(SentList, client.get(f"/desks/{desk}/bulletins"), ANSWER_BYTES_MAX)
    if as_json:
        print_json(listed)
        return
    print_table(
        ("ID", "STATUS", "QUEUED", "RECIPIENTS", "TITLE"),
        (
            (
                each.id,
                each.status.upper() + (" WITHDRAWN" if each.withdrawn else ""),
                format_time(each.queued),
                ", ".join(f"{to.desk} {to.state}" for to in each.recipients),
                title_of(each.title),
            )
            for each in listed.bulletins
        ),
    )
    if not listed.witnessed:
        note(UNWITNESSED)


def _show_sent(sent: SentView) -> None:
    say(f"{sent.status.upper()} {sent.kind} {sent.id}, from {sent.desk}, {sent.precedence}")
    say(f"{title_of(sent.title)}; expires {format_time(sent.expires)}")
    _show_life(sent)
    _show_held(sent)
    print_table(
        ("TO", "STATE", "SINCE", "WHY", "RULES"),
        (
            (
                each.desk,
                step.state,
                format_time(step.at),
                step.reason or _why_held(sent, step.state),
                ", ".join(step.policies),
            )
            for each in sent.recipients
            for step in each.steps
        ),
    )
    for envelope in sent.envelopes:
        where = (
            f"entry {envelope.receipt.index} of the exchange log"
            if envelope.receipt
            else "not logged"
        )
        why = f" ({envelope.problem})" if envelope.problem else ""
        say(f"envelope {envelope.id}: {envelope.state}{why}, {where}{_sealed(envelope)}")
    if not sent.witnessed:
        say(UNWITNESSED)


def _sealed(envelope: EnvelopeView) -> str:
    age_seconds = envelope.directory_age_seconds
    if age_seconds is None or age_seconds <= _STALE_SECONDS:
        return ""
    return f", sealed with a directory verified {age_seconds // 3600} h before"


def _why_held(sent: SentView, state: str) -> str:
    return sent.held.reason if sent.held is not None and state in {"queued", "waiting"} else ""


def _show_held(sent: SentView) -> None:
    for each in sent.confirmations:
        say(f"Confirmed by {each.by} (token {each.token}) {format_time(each.at)}: {_known(each)}.")
    if sent.held is not None:
        since = f" Since {format_time(sent.held.since)}." if sent.held.since is not None else ""
        say(f"WAITS, the directory being over the grace.{since} {sent.held.words.en}")


def _known(confirmation: ConfirmationView) -> str:
    verified = confirmation.directory_verified
    if verified is None:
        return "the directory was never verified"
    return f"the directory was last verified {format_time(verified)}"


def _show_life(sent: SentView) -> None:
    if sent.withdraws is not None:
        say(f"It withdraws {sent.withdraws}.")
    if sent.supersedes is not None:
        say(f"It replaces {sent.supersedes}.")
    if sent.in_reply_to is not None:
        say(f"It answers {sent.in_reply_to.id} of {sent.in_reply_to.desk}.")
    if sent.separately:
        say("Its recipients do not learn of each other.")
    if sent.superseded_by is not None:
        say(f"REPLACED by {sent.superseded_by}.")
    if sent.withdrawn is not None:
        by = f" by {sent.withdrawn_by}" if sent.withdrawn_by else ""
        say(f"WITHDRAWN since {format_time(sent.withdrawn)}{by}: nothing of it is sent any more.")
