"""`barid desk`: with whom one can exchange bulletins, as the own node verified the directory.

May import `broker.node.api.views`, the models of that interface, within the commands; `main` adds this group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.agency import Language
from broker.cli.completing import complete_desks
from broker.cli.node_client import (
    ANSWER_BYTES_MAX,
    NodeClient,
    NodeUrl,
    TokenFile,
    TrustFile,
)
from broker.cli.options import AsJson, desk_formed
from broker.cli.output import note, print_json, print_table, say
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from broker.node.api.views import DeskInfo, DirectoryView

app = typer.Typer(no_args_is_help=True, help="See with whom you can exchange bulletins.")

ReaderLanguage = Annotated[
    Language, typer.Option("--language", envvar="BARID_LANGUAGE", help="Of the names.")
]


@app.command(
    "list",
    epilog="""\
Examples:

  barid desk list --language ar

  barid desk list --group five_plus_five""",
)
def list_desks(
    node: NodeUrl,
    token_file: TokenFile,
    ca: TrustFile = None,
    group: Annotated[
        str | None, typer.Option("--group", help="Only the desks that this group stands for.")
    ] = None,
    language: ReaderLanguage = Language.EN,
    as_json: AsJson = False,
) -> None:
    """List the desks of all members, and the groups of the council, which `bulletin send` takes.

    A desk that receives nothing yet has no sealing key: what is sent to it waits at the own node.
    """
    view = _ask(NodeClient(node, token_file, ca))
    desks, groups = view.desks, view.groups
    if group is not None:
        groups = tuple(each for each in groups if each.group == group)
        if not groups:
            known = ", ".join(each.group for each in view.groups)
            raise ConfigurationError(f"{group} is no group of the council: {known}")
        desks = tuple(each for each in desks if each.desk in groups[0].desks)
    if as_json:
        print_json(view.model_copy(update={"desks": desks, "groups": groups}))
        return
    # Names stand last: text that runs from right to left then moves no other column.
    print_table(
        ("DESK", "FUNCTIONS", "RECEIVES", "YOU MAY SEND", "NAME"),
        (
            (
                each.desk,
                ", ".join(each.functions),
                "yes" if each.receives else "NOT YET",
                f"{len(each.may_send)} kinds" if each.may_send else "NOTHING",
                _name(each, language),
            )
            for each in desks
        ),
    )
    say()
    print_table(
        ("GROUP", "DESKS", "NAME"),
        ((each.group, str(len(each.desks)), getattr(each.names, language)) for each in groups),
    )
    note("Next: barid desk show DESK")


@app.command(
    "show",
    epilog="""\
Example:

  barid desk show tn/judicial --language fr""",
)
def show_desk(
    desk: Annotated[
        str,
        typer.Argument(
            autocompletion=complete_desks, callback=desk_formed, help="Another desk: tn/main."
        ),
    ],
    node: NodeUrl,
    token_file: TokenFile,
    ca: TrustFile = None,
    language: ReaderLanguage = Language.EN,
    as_json: AsJson = False,
) -> None:
    """Show a desk: what it is, in which groups, whether it receives, and what you may send to it."""
    view = _ask(NodeClient(node, token_file, ca))
    found = next((each for each in view.desks if each.desk == desk), None)
    if found is None:
        raise ConfigurationError(
            f"{desk} is no other desk of this exchange: `barid desk list` shows those that are"
        )
    if as_json:
        print_json(found)
    else:
        _show(found, view, language)


def _ask(client: NodeClient) -> DirectoryView:
    from broker.node.api.views import DirectoryView
    from schemas.loader import parse

    return parse(DirectoryView, client.get("/directory"), ANSWER_BYTES_MAX)


def _show(desk: DeskInfo, view: DirectoryView, language: Language) -> None:
    groups = [each.group for each in view.groups if desk.desk in each.desks]
    say(f"{desk.desk}  {_name(desk, language)}")
    say(f"  member:       {desk.kind}")
    say(f"  functions:    {', '.join(desk.functions) or 'none'}")
    say(f"  groups:       {', '.join(groups) or 'none'}")
    waits = "not yet: it has no sealing key, and what is sent to it waits at your node"
    say(f"  receives:     {'yes' if desk.receives else waits}")
    kinds = ", ".join(desk.may_send) or "nothing"
    say(f"  you may send: {kinds}")
    note(
        "Asked with the least marking: `barid bulletin check FILE --to"
        f" {desk.desk}` says it of a bulletin."
    )


def _name(desk: DeskInfo, language: Language) -> str:
    """What the council calls the member, and what that calls the desk, if it gave it a name."""
    member, own = getattr(desk.member_names, language), getattr(desk.names, language)
    return str(member) if own == desk.desk else f"{member}: {own}"
