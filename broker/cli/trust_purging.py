"""`barid trust purge-order`: an order to destroy the opening of a log entry, made from its receipt.

May import `broker.tlog` and `keys`, within the command; `barid trust propose --purge` takes what it writes,
and k governors sign that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.directories import (
    DirectoryPath,
    InvitationPath,
    NodeData,
    opened_directory,
    read_file,
)
from broker.cli.options import arguments_checked, utc_now
from broker.cli.output import say
from broker.cli.proposing import write_proposal
from schemas.directory import Names
from schemas.errors import ConfigurationError, ParseError
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.purges import PurgeOrder, PurgeOrders

if TYPE_CHECKING:
    from broker.tlog.policy import Policy
    from keys.repository import CouncilFiles

app = typer.Typer()


@app.command(
    "purge-order",
    epilog="""\
Example:

  barid trust purge-order RECEIPTS/accepted.019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b.tlog-proof --data TN
      --reason-en "Court of Tunis, 12/2026" --reason-fr "Tribunal de Tunis, 12/2026"
      --reason-ar "محكمة تونس، 12/2026" --out order.json

Then `barid trust propose --purge order.json`. The reason is read by every member: name no person in it.""",
)
def purge_order(
    receipts: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="Receipts of the entries, as `barid receipt export` wrote them.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", dir_okay=False, help="A new file.")],
    english: Annotated[str, typer.Option("--reason-en", help="Why, in English.")],
    french: Annotated[str, typer.Option("--reason-fr", help="Why, in French.")],
    arabic: Annotated[str, typer.Option("--reason-ar", help="Why, in Arabic.")],
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            exists=True,
            dir_okay=False,
            help="The council's policy of the time, for receipts of a closed log or of former witnesses.",
        ),
    ] = None,
    data: NodeData = None,
    directory: DirectoryPath = None,
    invitation: InvitationPath = None,
) -> None:
    """Write an order to destroy what opens some entries of the exchange log; the entries stay in its tree.

    What recipients have received stays with them. An answer to a bulletin is an entry of its own, whose
    receipt is exported with the bulletin's.
    """
    from broker.cli.receipts import read_policy
    from broker.tlog.policy import parse_policy, policy_text

    with arguments_checked("--reason-en", "--reason-fr", "--reason-ar"):
        reason = Names(ar=arabic, fr=french, en=english)
    council = opened_directory(data, directory, invitation).directory.council
    rules = parse_policy(policy_text(council, council.exchange))
    if policy is not None:
        rules = read_policy(policy)
    orders = {order.place: order for order in (_order(each, rules, reason) for each in receipts)}
    made = PurgeOrders(
        v=1, exchange=council.exchange, orders=tuple(orders[place] for place in sorted(orders))
    )
    write_proposal(out, dump_json(made))
    for order in made.orders:
        say(f"entry {order.index} of {order.origin}, leaf {order.leaf}")
    say(
        f"Next: `barid trust propose --purge {out}`; governors compare index and leaf with the receipts."
    )


def _order(path: Path, policy: Policy, reason: Names) -> PurgeOrder:
    from broker.cli.receipts import verified_receipt

    found = verified_receipt(path, policy)
    return PurgeOrder(
        origin=found.judged.checkpoint.origin,
        index=found.index,
        leaf=found.leaf.hex(),
        reason=reason,
        ordered=utc_now(),
    )


def with_purges(
    files: CouncilFiles, in_force: Sequence[PurgeOrder], paths: Iterable[Path]
) -> CouncilFiles:
    """Put further orders into what the governors sign, beside those in force, which stay for good.

    Raises:
        ConfigurationError: a file holds no orders of this exchange, or an entry is ordered already.
    """
    orders = {order.place: order for order in in_force}
    for path in paths:
        try:
            read = parse(PurgeOrders, read_file(path, TRUST_FILE_BYTES_MAX), TRUST_FILE_BYTES_MAX)
        except ParseError as error:
            raise ConfigurationError(
                f"{path} is not what `barid trust purge-order` writes: {error}"
            ) from error
        if read.exchange != files.council.exchange:
            raise ConfigurationError(
                f"{path} is of {read.exchange}, not of {files.council.exchange}"
            )
        for order in read.orders:
            if order.place in orders:
                raise ConfigurationError(
                    f"{path}: entry {order.index} of {order.origin} is ordered to be destroyed already"
                )
            orders[order.place] = order
    return replace(files, purges=tuple(orders[place] for place in sorted(orders)))
