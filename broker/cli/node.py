"""`barid node`: make a member's node, let it join, serve its agencies, and manage their tokens.

May import `broker.node` and what lies below it, within the commands; `main` adds this group.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from broker.cli import rekeying, running
from broker.cli.options import AsJson, Data, Exchange, arguments_checked, read_address, utc_now
from broker.cli.output import note, print_json, print_table, say
from broker.cli.passphrase import get_passphrase
from broker.settings import NodeSettings, load_node
from schemas.errors import ConfigurationError
from schemas.scalars import format_time

if TYPE_CHECKING:
    from broker.node.api.tokens import Token
    from broker.node.setup import Releasers
    from schemas.directory import IdentityKey

LISTEN_DEFAULT: Final = "127.0.0.1:8444"

app = typer.Typer(
    no_args_is_help=True, help="A member's node: make it, join, serve, give tokens, keep it well."
)
token = typer.Typer(no_args_is_help=True, help="What agencies and people call the node with.")
app.add_typer(token, name="token")
app.add_typer(rekeying.app)
app.add_typer(running.node)

TokenId = Annotated[str, typer.Argument(help="As `barid node token list` shows it.")]


@app.command(
    "init",
    epilog="""\
Example:

  barid node init --data LY --exchange tripoli-demo --member ly --desk main --desk judicial

  barid node init --data LY --exchange tripoli-demo --member ly --desk main \
      --release-key main=amal.json --release-key main=omar.json --release-threshold main=2

Then give LY/member-request.json to the governors, for `barid trust init`.""",
)
def init(
    data: Data,
    exchange: Exchange,
    member: Annotated[str, typer.Option("--member", help="The member's id: ly, tn, auc.")],
    desk: Annotated[
        list[str], typer.Option("--desk", help="A desk that this node serves: main. Repeat it.")
    ],
    listen: Annotated[
        str, typer.Option("--listen", help="HOST:PORT at which agencies reach the node.")
    ] = LISTEN_DEFAULT,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Another name of the node for its TLS certificate. Repeat it."),
    ] = None,
    operator: Annotated[
        str | None,
        typer.Option("--operator", help="HOST:PORT of health and metrics, in plain HTTP."),
    ] = None,
    release_key: Annotated[
        list[str] | None,
        typer.Option(
            "--release-key",
            help="DESK=FILE: a person's release-public.json (`barid release keygen`). Repeat it.",
        ),
    ] = None,
    release_threshold: Annotated[
        list[str] | None,
        typer.Option(
            "--release-threshold",
            help="DESK=M: how many of them must sign whatever that desk sends. Repeat it for each desk.",
        ),
    ] = None,
) -> None:
    """Make a node: its desks' keys, its encrypted database, its member's request to the governors."""
    from broker.node.setup import init_node

    where = read_address(listen, "--listen")
    asked_at = None if operator is None else read_address(operator, "--operator")
    with arguments_checked("--exchange", "--member", "--desk"):
        settings = NodeSettings(
            exchange=exchange,
            member=member,
            desks=tuple(sorted(set(desk))),
            listen=where,
            operator=asked_at,
        )
    releasers = read_releasers(release_key or (), release_threshold or (), exchange)
    passphrase = get_passphrase("the new node's keystore", new=True)
    request = init_node(
        data, settings, passphrase, utc_now(), names=tuple(name or ()), releasers=releasers
    )
    say(f"The node of {', '.join(settings.desk_ids)} is made in {data}.")
    say(f"Next: give {request} to the governors; then `barid node join`.")


def read_releasers(
    keys: Iterable[str], thresholds: Iterable[str], exchange: str
) -> dict[str, Releasers]:
    """Read `DESK=FILE` and `DESK=M`: the people who release what a desk sends.

    Raises:
        typer.BadParameter: not of this form, or a desk has keys without a threshold, or the reverse.
        ConfigurationError: a file is no release key for this exchange.
    """
    from broker.node.setup import Releasers
    from keys.release_keys import read_release_file
    from keys.signing import identity_keyid

    found: dict[str, list[IdentityKey]] = {}
    for text in keys:
        unit, _, path = text.partition("=")
        if not unit or not Path(path).is_file():
            raise typer.BadParameter(
                f"{text!r} is not DESK=FILE with a file that is there", param_hint="--release-key"
            )
        read = read_release_file(Path(path).read_bytes(), exchange)
        found.setdefault(unit, []).append(read.key)
        say(f"{read.name} releases for {unit}: {identity_keyid(exchange, read.key)}")
    needed = {}
    for text in thresholds:
        unit, _, number = text.partition("=")
        if unit not in found or not (number.isascii() and number.isdecimal()) or unit in needed:
            raise typer.BadParameter(
                f"{text!r} is not DESK=M, once for each desk with --release-key",
                param_hint="--release-threshold",
            )
        needed[unit] = int(number)
    if missing := sorted(found.keys() - needed.keys()):
        raise typer.BadParameter(
            f"how many must sign for {', '.join(missing)}?", param_hint="--release-threshold"
        )
    return {unit: Releasers(tuple(found[unit]), needed[unit]) for unit in found}


@app.command(
    "join",
    epilog="""\
Example:

  barid node join --data LY TRUST/invitation.json""",
)
def join(
    data: Data,
    invitation: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="The governors' file, taken in person."),
    ],
) -> None:
    """Take the governors' invitation: where the hub is, its logs' keys, the root of trust."""
    from broker.node.setup import join_node

    join_node(data, invitation.read_bytes())
    say("The node has joined. Next: `barid node serve`.")


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
