"""`barid node`: serve a member's agencies, and manage what they call the node with.

May import `broker.node` and what lies below it, within the commands; `main` adds this group.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli import enrolling, rekeying, running, witnessing
from broker.cli.options import AsJson, Data, read_address, utc_now
from broker.cli.output import note, print_json, print_table, say
from broker.cli.passphrase import get_passphrase
from broker.settings import load_node
from schemas.errors import ConfigurationError
from schemas.scalars import format_time

if TYPE_CHECKING:
    from broker.node.api.tokens import Token

app = typer.Typer(
    no_args_is_help=True, help="A member's node: make it, join, serve, give tokens, keep it well."
)
token = typer.Typer(no_args_is_help=True, help="What agencies and people call the node with.")
app.add_typer(token, name="token")
app.add_typer(enrolling.app)
app.add_typer(rekeying.app)
app.add_typer(witnessing.app)
app.add_typer(running.node)

TokenId = Annotated[str, typer.Argument(help="As `barid node token list` shows it.")]


@app.command(
    "serve",
    epilog="""\
Example:

  BARID_PASSPHRASE_FILE=/etc/barid/passphrase barid node serve --data LY --listen 127.0.0.1:9001""",
)
def serve(
    data: Data,
    listen: Annotated[
        str | None,
        typer.Option("--listen", help="HOST:PORT, where it is not the one given at `init`."),
    ] = None,
    log_level: running.LogLevel = running.LOG_LEVEL_DEFAULT,
) -> None:
    """Serve agencies over TLS, and exchange with the hub, until Ctrl-C or SIGTERM."""
    from broker.node.app import serve_node

    settings = load_node(data)
    where = settings.listen if listen is None else read_address(listen, "--listen")
    passphrase = get_passphrase("the node's keystore")
    if sys.stderr.isatty():
        desks = ", ".join(settings.desk_ids)
        note(f"The node of {desks} serves at https://{where.host}:{where.port}.")
    running.log_as_servers_do(log_level)
    serve_node(data, passphrase, where)


@token.command(
    "create",
    epilog="""\
Example, kept in a file that only its owner reads:

  (umask 077; barid node token create --data TN --desk main --read > inbox.token)""",
)
def create(
    data: Data,
    desk: Annotated[str, typer.Option("--desk", help="The desk: main, or tn/main.")],
    send: Annotated[
        bool, typer.Option("--send", help="It may send, and see what became of it.")
    ] = False,
    read: Annotated[bool, typer.Option("--read", help="It may read the inbox.")] = False,
    release: Annotated[
        bool,
        typer.Option(
            "--release", help="It may see what waits for a release, and hand in signatures."
        ),
    ] = False,
    alarms: Annotated[
        bool, typer.Option("--alarms", help="It may acknowledge alarms, and send trial notices.")
    ] = False,
    name: Annotated[
        str, typer.Option("--name", help="Who holds it, for your own list.")
    ] = "made on the command line",
    as_json: AsJson = False,
) -> None:
    """Make a token for one desk. It is shown once, on standard output, and kept nowhere."""
    from broker.db import writing
    from broker.node.api.tokens import Action, create_token
    from broker.node.home import open_home

    asked = {
        Action.SEND: send,
        Action.READ: read,
        Action.RELEASE: release,
        Action.ALARMS: alarms,
    }
    actions = [action for action, is_asked in asked.items() if is_asked]
    if not actions:
        raise typer.BadParameter(
            "a token allows something: --send, --read, --release, --alarms, or several"
        )
    home = open_home(data, get_passphrase("the node's keystore"))
    whole = desk if "/" in desk else f"{home.settings.member}/{desk}"
    if whole not in home.desks:
        raise ConfigurationError(
            f"{whole} is no desk of this node: {', '.join(sorted(home.desks))}"
        )
    with writing(home.engine) as connection:
        made, text = create_token(connection, whole, actions, name, utc_now())
    home.close()
    if as_json:
        print_json({**_plain(made), "token": text})
    else:
        say(text)
        note(f"Token {made.token_id} allows {' and '.join(made.actions)} at {whole}.")


@token.command(
    "list",
    epilog="""\
Example:

  barid node token list --data TN""",
)
def list_all(data: Data, as_json: AsJson = False) -> None:
    """List all tokens, revoked ones too; their secrets are kept nowhere."""
    from broker.db import reading
    from broker.node.api.tokens import list_tokens
    from broker.node.home import open_home

    home = open_home(data, get_passphrase("the node's keystore"))
    with reading(home.engine) as connection:
        tokens = list_tokens(connection)
    home.close()
    if as_json:
        print_json([_plain(each) for each in tokens])
        return
    print_table(
        ("ID", "DESK", "ALLOWS", "NAME", "MADE", "REVOKED"),
        (
            (
                each.token_id,
                each.desk,
                ", ".join(each.actions),
                each.name,
                format_time(each.created),
                format_time(each.revoked) if each.revoked else "",
            )
            for each in tokens
        ),
    )


@token.command(
    "revoke",
    epilog="""\
Example:

  barid node token revoke --data TN 3f6a1c9e20b4""",
)
def revoke(data: Data, token_id: TokenId) -> None:
    """Make a token worthless at once."""
    from broker.db import writing
    from broker.node.api.tokens import revoke_token
    from broker.node.home import open_home

    home = open_home(data, get_passphrase("the node's keystore"))
    with writing(home.engine) as connection:
        revoke_token(connection, token_id, utc_now())
    home.close()
    say(f"Token {token_id} is revoked.")


def _plain(made: Token) -> dict[str, object]:
    plain: dict[str, object] = {
        "id": made.token_id,
        "name": made.name,
        "desk": made.desk,
        "actions": list(made.actions),
        "created": format_time(made.created),
    }
    return plain if made.revoked is None else {**plain, "revoked": format_time(made.revoked)}
