"""`barid bulletin`: what an agency does, through its node's HTTPS interface, from any machine.

May import `broker.node.api.views`, the models of that interface, within the commands; `main` adds this group.
A bulletin is sent as the exact bytes of its file.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.completing import complete_desks, complete_groups
from broker.cli.exits import Exit
from broker.cli.node_client import (
    ANSWER_BYTES_MAX,
    Desk,
    NodeClient,
    NodeUrl,
    TokenFile,
    TrustFile,
)
from broker.cli.options import AsJson, desks_formed, read_moment, utc_now
from broker.cli.output import UNWITNESSED, note, print_json, print_table, say
from schemas.bulletin.vocabularies import Kind, Precedence
from schemas.errors import ConfigurationError, ParseError
from schemas.limits import BULLETIN_BYTES_MAX
from schemas.scalars import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.bulletin import Bulletin

app = typer.Typer(no_args_is_help=True, help="Write, check and send bulletins; see where they are.")


class Language(StrEnum):
    """The languages of the exchange."""

    AR = "ar"
    FR = "fr"
    EN = "en"


File = Annotated[str, typer.Argument(help="The bulletin's file; - for standard input.")]
To = Annotated[
    list[str] | None,
    typer.Option(
        "--to",
        autocompletion=complete_desks,
        callback=desks_formed,
        help="A desk that shall receive it: tn/main. Repeat it.",
    ),
]
Group = Annotated[
    list[str] | None,
    typer.Option(
        "--group",
        autocompletion=complete_groups,
        help="A group of the council: the main desks of its members. Repeat it.",
    ),
]
ReaderLanguage = Annotated[
    Language,
    typer.Option(
        "--language", envvar="BARID_LANGUAGE", help="In which language broken rules are told."
    ),
]
Attach = Annotated[
    list[Path] | None,
    typer.Option(
        "--attach", dir_okay=False, help="A file that it names, to be uploaded first. Repeat it."
    ),
]
Urgency = Annotated[Precedence, typer.Option("--precedence", help="How urgently it is delivered.")]


@app.command(
    "new",
    epilog="""\
Examples:

  barid bulletin new --kind threat_bulletin --desk ly/main --language ar > bulletin.json

  barid bulletin new --kind judicial_request --desk ne/judicial --out request.json""",
)
def new(
    kind: Annotated[Kind, typer.Option("--kind", help="What it shall be.")],
    desk: Desk,
    language: Annotated[
        Language, typer.Option("--language", envvar="BARID_LANGUAGE", help="Of its texts.")
    ] = Language.EN,
    out: Annotated[
        Path | None, typer.Option("--out", dir_okay=False, help="A new file; else standard output.")
    ] = None,
) -> None:
    """Write a bulletin to begin with, from a sample. It is a test until you change its status.

    A reply or a withdrawal names the id 00000000-0000-7000-8000-000000000000: put the id of the
    bulletin that yours is about in its place, and in a reply also its desk (`in_reply_to`).
    """
    from broker.cli.drafts import new_bulletin

    document = new_bulletin(kind, desk, language.value, utc_now())
    if out is None:
        say(document.decode().rstrip("\n"))
        return
    if out.exists():
        raise ConfigurationError(f"{out} exists: name a new file")
    out.write_bytes(document)
    say(f"Written to {out}. Edit it, then: barid bulletin check {out}")


@app.command(
    "check",
    epilog="""\
Examples:

  barid bulletin check bulletin.json

  barid bulletin check bulletin.json --to tn/main --to ne/main""",
)
def check(
    file: File,
    to: To = None,
    group: Group = None,
    precedence: Urgency = Precedence.ROUTINE,
    node: Annotated[
        str | None, typer.Option("--node", envvar="BARID_NODE", help="Needed with --to or --group.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file", envvar="BARID_TOKEN_FILE", help="Needed with --to or --group."
        ),
    ] = None,
    ca: TrustFile = None,
    language: ReaderLanguage = Language.EN,
    as_json: AsJson = False,
) -> None:
    """Check a bulletin against its schema; with recipients, ask the node about the access rules too.

    Nothing is stored or sent. Ends 1 when a rule forbids it.
    """
    document = read_document(file)
    checked = parse_document(document, language)
    if not (to or group):
        if as_json:
            print_json({"id": checked.id, "kind": checked.kind, "size_bytes": len(document)})
        else:
            say(f"No fault found in this {checked.kind} of {len(document)} bytes.")
            note("With --to or --group the node also says what the access rules allow.")
        return
    if node is None or token_file is None:
        raise typer.BadParameter(
            "the access rules are asked at the node: give --node and --token-file too"
        )
    client = NodeClient(node, token_file, ca)
    query = _where(to, group, precedence)
    answer = client.post(f"/desks/{checked.originator.desk}/bulletins/check", query, document)
    _show_check(answer, as_json=as_json)


def _show_check(answer: bytes, *, as_json: bool) -> None:
    from broker.node.api.views import CheckView
    from schemas.loader import parse

    view = parse(CheckView, answer, ANSWER_BYTES_MAX)
    if as_json:
        print_json(view)
    else:
        print_table(
            ("TO", "MAY BE SENT", "RULES"),
            (
                (each.desk, "yes" if each.allowed else "NO", ", ".join(each.policies))
                for each in view.recipients
            ),
        )
    for warning in view.warnings:
        note(f"Look at this before you send it: {warning}")
    if not view.allowed:
        raise typer.Exit(Exit.REFUSED)


@app.command(
    "send",
    epilog="""\
Examples:

  barid bulletin send bulletin.json --to tn/main --to ne/main --precedence priority

  barid bulletin send bulletin.json --group tripoli --expires 7d

  barid bulletin send bulletin.json --to tn/main --attach photograph.jpg

With --node, --token-file and --ca (or BARID_NODE, BARID_TOKEN_FILE, BARID_CA) from any machine.""",
)
def send(
    file: File,
    node: NodeUrl,
    token_file: TokenFile,
    ca: TrustFile = None,
    to: To = None,
    group: Group = None,
    precedence: Urgency = Precedence.ROUTINE,
    expires: Annotated[
        str | None,
        typer.Option("--expires", help="When it is too late: 12h, 7d, or a time. At most 30 days."),
    ] = None,
    *,
    separately: Annotated[
        bool,
        typer.Option(
            "--separately",
            help="An envelope for each desk, since they must not learn of each other.",
        ),
    ] = False,
    attach: Attach = None,
    language: ReaderLanguage = Language.EN,
    as_json: AsJson = False,
) -> None:
    """Hand a bulletin to the own node, which seals, signs and delivers it. Twice is harmless.

    A withdrawal goes where the original went: name no recipients (`barid bulletin withdraw` writes one).
    """
    document = read_document(file)
    checked = parse_document(document, language)
    if not (to or group or checked.kind is Kind.WITHDRAWAL):
        raise typer.BadParameter("a bulletin goes to somebody: give --to or --group")
    query = (*_where(to, group, precedence), *until(expires))
    if separately:
        query += (("separately", "true"),)
    desk = checked.originator.desk
    client = NodeClient(node, token_file, ca)
    if attach:
        from broker.cli.attaching import upload_files

        upload_files(client, checked, attach)
    answer = client.post(f"/desks/{desk}/bulletins", query, document)
    show_queued(answer, as_json=as_json)


def until(expires: str | None) -> tuple[tuple[str, str], ...]:
    """The query's `expires`, from a duration or a time. Raises typer.BadParameter."""
    if expires is None:
        return ()
    return (("expires", format_time(read_moment(expires, utc_now(), "--expires"))),)


def show_queued(answer: bytes, *, as_json: bool) -> None:
    """Print what stands in the outbox now."""
    from broker.node.api.views import QueuedView
    from schemas.loader import parse

    view = parse(QueuedView, answer, ANSWER_BYTES_MAX)
    if as_json:
        print_json(view)
        return
    say(f"In the outbox of {view.desk}: {view.id}. From here nothing is lost.")
    print_table(("TO", "STATE"), ((each.desk, each.state) for each in view.recipients))
    for said in (view.freshness, view.held):
        if said is not None and said.words is not None:
            note(f"{said.words.en}\n{said.words.fr}\n{said.words.ar}")
    if not view.witnessed:
        note(UNWITNESSED)
    note(f"Next: barid bulletin status {view.id} --desk {view.desk}")


def read_document(file: str) -> bytes:
    """Read a bulletin's file, or standard input. Raises ConfigurationError where there is none."""
    if file == "-":
        return sys.stdin.buffer.read(BULLETIN_BYTES_MAX + 1)
    path = Path(file)
    if not path.is_file():
        raise ConfigurationError(
            f"{file} is no file: name the bulletin's file, or - for standard input"
        )
    with path.open("rb") as opened:
        return opened.read(BULLETIN_BYTES_MAX + 1)


def parse_document(document: bytes, language: Language) -> Bulletin:
    """Check a bulletin here, so that its writer reads each broken rule in the own language.

    Raises:
        ParseError: it breaks its schema.
    """
    from schemas.bulletin import parse_bulletin
    from schemas.rules import explain

    try:
        return parse_bulletin(document)
    except ParseError as error:
        raise ParseError(str(error), explain(error.errors, language.value)) from error


def _where(
    to: Iterable[str] | None, group: Iterable[str] | None, precedence: Precedence
) -> tuple[tuple[str, str], ...]:
    desks = tuple(("to", desk) for desk in to or ())
    groups = tuple(("group", name) for name in group or ())
    return (*desks, *groups, ("precedence", precedence))
