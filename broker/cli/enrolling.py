"""`barid node init|enrol|join`: a member's node made, with its desks' keys; and the invitation taken.

May import `broker.node` and what lies below it, within the commands; `node` adds these to its group.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from broker.cli.directories import read_invitation
from broker.cli.options import Data, Exchange, arguments_checked, read_address, utc_now
from broker.cli.output import say
from broker.cli.passphrase import get_passphrase
from broker.settings import NodeSettings

if TYPE_CHECKING:
    from broker.node.setup import Releasers
    from schemas.directory import IdentityKey

LISTEN_DEFAULT: Final = "127.0.0.1:8444"

app = typer.Typer()

MemberId = Annotated[str, typer.Option("--member", help="The member's id: ly, tn, auc.")]
Desks = Annotated[
    list[str], typer.Option("--desk", help="A desk that this node serves: main. Repeat it.")
]
ListenAt = Annotated[
    str, typer.Option("--listen", help="HOST:PORT at which agencies reach the node.")
]
TlsNames = Annotated[
    list[str] | None,
    typer.Option("--name", help="Another name of the node for its TLS certificate. Repeat it."),
]
OperatorAt = Annotated[
    str | None, typer.Option("--operator", help="HOST:PORT of health and metrics, in plain HTTP.")
]
ReleaseKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--release-key",
        help="DESK=FILE: a person's release-public.json (`barid release keygen`). Repeat it.",
    ),
]
ReleaseThresholds = Annotated[
    list[str] | None,
    typer.Option(
        "--release-threshold",
        help="DESK=M: how many of them must sign whatever that desk sends. Repeat it for each desk.",
    ),
]


@app.command(
    "init",
    epilog="""\
Examples:

  barid node init --data LY --exchange tripoli-demo --member ly --desk main --desk judicial

  barid node init --data LY --exchange tripoli-demo --member ly --desk main \
      --release-key main=amal.json --release-key main=omar.json --release-threshold main=2

  barid node init --data LY --exchange tripoli-demo --member ly --desk main --apart

Then give LY/member-request.json to the governors, for `barid trust init`; with --apart, LY/desk-request.json
to those who sign for the member, for `barid member request`.""",
)
def init(
    data: Data,
    exchange: Exchange,
    member: MemberId,
    desk: Desks,
    listen: ListenAt = LISTEN_DEFAULT,
    name: TlsNames = None,
    operator: OperatorAt = None,
    release_key: ReleaseKeys = None,
    release_threshold: ReleaseThresholds = None,
    apart: Annotated[
        bool,
        typer.Option(
            "--apart",
            help="Make no key that speaks for the member: its people keep theirs elsewhere.",
        ),
    ] = False,
) -> None:
    """Make the node of a founding member: its desks' keys, its encrypted database, its request.

    Without --apart the key that speaks for the member is made here too: whoever takes this machine with its
    passphrase then takes the member's voice. That is for trials, and for members of one person.
    """
    settings = _settings(exchange, member, desk, listen, operator)
    releasers = read_releasers(release_key or (), release_threshold or (), exchange)
    request = _make(data, settings, name or (), releasers, apart=apart)
    if apart:
        say(f"Next: give {request} to those who sign for {member}; then `barid node join`.")
    else:
        say(f"Next: give {request} to the governors; then `barid node join`.")


@app.command(
    "enrol",
    epilog="""\
Example:

  barid node enrol --data NE --invitation invitation.json --member ne --desk main --desk customs

Then give NE/desk-request.json to those who sign for the member: `barid member request` where it joins,
`barid member add` where it has joined already.""",
)
def enrol(
    data: Data,
    invitation: Annotated[
        Path,
        typer.Option(
            "--invitation", exists=True, dir_okay=False, help="The council's file, taken in person."
        ),
    ],
    member: MemberId,
    desk: Desks,
    listen: ListenAt = LISTEN_DEFAULT,
    name: TlsNames = None,
    operator: OperatorAt = None,
    release_key: ReleaseKeys = None,
    release_threshold: ReleaseThresholds = None,
) -> None:
    """Make a node that is invited: its keys, which never leave it, and the request for its desks.

    No key that speaks for the member is made here: its people keep theirs elsewhere.
    """
    from broker.node.setup import join_node
    from keys.trust import read_initial_root

    read = read_invitation(invitation)
    # Before anything is made: a node without an invitation would have to be made again.
    read_initial_root(read.root)
    settings = _settings(read.exchange, member, desk, listen, operator)
    releasers = read_releasers(release_key or (), release_threshold or (), read.exchange)
    request = _make(data, settings, name or (), releasers, apart=True)
    join_node(data, invitation.read_bytes())
    say(f"Next: give {request} to those who sign for {member}, in person, and read the keys")
    say("above to each other; start the node (`barid node serve`): it waits for the directory.")


def _settings(
    exchange: str, member: str, desks: Sequence[str], listen: str, operator: str | None
) -> NodeSettings:
    where = read_address(listen, "--listen")
    asked_at = None if operator is None else read_address(operator, "--operator")
    with arguments_checked("--exchange", "--member", "--desk"):
        return NodeSettings(
            exchange=exchange,
            member=member,
            desks=tuple(sorted(set(desks))),
            listen=where,
            operator=asked_at,
        )


def _make(
    data: Path,
    settings: NodeSettings,
    names: Sequence[str],
    releasers: dict[str, Releasers],
    *,
    apart: bool,
) -> Path:
    from broker.node.setup import Choices, init_node
    from keys.desk_requests import read_desk_request
    from keys.signing import identity_keyid, request_keyid

    passphrase = get_passphrase("the new node's keystore", new=True)
    request = init_node(
        data,
        settings,
        passphrase,
        utc_now(),
        Choices(tuple(names), releasers, apart),
    )
    say(f"The node of {', '.join(settings.desk_ids)} is made in {data}.")
    if apart:
        made = read_desk_request(request.read_bytes(), settings.exchange)
        for unit, each in sorted(made.desks.items()):
            if each.node is not None:
                say(
                    f"{made.member}/{unit}: node identity {identity_keyid(made.exchange, each.node)}"
                )
            say(f"{made.member}/{unit}: request key   {request_keyid(made.exchange, each.request)}")
    return request


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
