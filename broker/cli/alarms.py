"""`barid alarms`: what a duty officer looks at, acknowledges and tries, through the node's interface.

May import `broker.node.api.alarm_views`, the models of that interface, within the commands; `main` adds
this group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from broker.cli.agency import Language
from broker.cli.exits import Exit
from broker.cli.node_client import (
    ANSWER_BYTES_MAX,
    NodeClient,
    NodeUrl,
    Query,
    TokenFile,
    TrustFile,
)
from broker.cli.options import AsJson
from broker.cli.output import note, print_json, say
from schemas.scalars import format_time

if TYPE_CHECKING:
    from broker.node.api.alarm_views import AlarmDetail

app = typer.Typer(
    no_args_is_help=True, help="See what is wrong at a node, and say who knows of it."
)

ReaderLanguage = Annotated[
    Language, typer.Option("--language", envvar="BARID_LANGUAGE", help="Of titles and advice.")
]


@app.command(
    "list",
    epilog="""\
Examples:

  barid alarms list --language fr

  barid alarms list --all --json""",
)
def list_alarms(
    node: NodeUrl,
    token_file: TokenFile,
    ca: TrustFile = None,
    all_: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    language: ReaderLanguage = Language.EN,
    as_json: AsJson = False,
) -> None:
    """List alarms and what to do: those that wait for a person first, then the most severe."""
    from broker.node.api.alarm_views import AlarmsView
    from schemas.loader import parse

    query: Query = (("all", str(all_).lower()),)
    answer = NodeClient(node, token_file, ca).get("/alarms", query)
    view = parse(AlarmsView, answer, ANSWER_BYTES_MAX)
    if as_json:
        print_json(view)
        return
    for alarm in view.alarms:
        _show(alarm, language)
    if not view.alarms:
        note("Nothing is wrong.")


@app.command(
    "acknowledge",
    epilog="""\
Examples, one alarm and all of a kind:

  barid alarms acknowledge gap "tn/main > ly/main" --by "Salma B."

  barid alarms acknowledge unanswered --by "Salma B." """,
)
def acknowledge(
    kind: Annotated[str, typer.Argument(help="Its kind, as the list shows it.")],
    node: NodeUrl,
    token_file: TokenFile,
    subject: Annotated[
        str | None,
        typer.Argument(help="What it is about, as the list shows it; else all of the kind."),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Your name; else the name of the token.")
    ] = None,
    ca: TrustFile = None,
) -> None:
    """Say that you know of an alarm: people are told no more, unless it happens anew."""
    from broker.node.api.alarm_views import AcknowledgedView
    from schemas.loader import parse

    asked = (("subject", subject), ("by", by))
    query: Query = [(name, value) for name, value in asked if value is not None]
    path = f"/alarms/{quote(kind, safe='')}/acknowledge"
    answer = NodeClient(node, token_file, ca).post(path, query, b"")
    view = parse(AcknowledgedView, answer, ANSWER_BYTES_MAX)
    say(f"Acknowledged by {view.by}: {view.acknowledged}.")


@app.command(
    "test",
    epilog="""\
Example:

  barid alarms test --node https://127.0.0.1:8444""",
)
def send_trial(node: NodeUrl, token_file: TokenFile, ca: TrustFile = None) -> None:
    """Have the node send a trial notice by every way that its settings name."""
    from broker.node.api.alarm_views import TrialView
    from schemas.loader import parse

    answer = NodeClient(node, token_file, ca).post("/alarms/test", (), b"")
    view = parse(TrialView, answer, ANSWER_BYTES_MAX)
    for each in view.channels:
        say(f"{each.channel}: {'sent' if each.problem is None else each.problem}")
    if not view.channels:
        note("The node's settings name no way of notices: add `notices` to its config.json.")
    if not view.channels or any(each.problem is not None for each in view.channels):
        raise typer.Exit(Exit.CONFIGURATION)


def _show(alarm: AlarmDetail, language: Language) -> None:
    """One alarm as a block of lines; what the node wrote of the hub's words is indented."""
    say(f"{alarm.severity.upper()}  {getattr(alarm.title, language)}")
    say(f"  {alarm.kind}  {alarm.subject}")
    for line in alarm.text.splitlines():
        say(f"  {line}")
    say(f"  do: {getattr(alarm.advice, language)}")
    seen = f"since {format_time(alarm.first_seen)}, last {format_time(alarm.last_seen)}"
    told = f", told {alarm.notices} times" if alarm.notices else ""
    say(f"  {seen}, {alarm.times} times{told}")
    if alarm.acknowledged is not None:
        say(f"  acknowledged {format_time(alarm.acknowledged)} by {alarm.acknowledged_by}")
    if alarm.cleared is not None:
        say(f"  over since {format_time(alarm.cleared)}")
    say()
