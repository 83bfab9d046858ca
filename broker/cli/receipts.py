"""`barid receipt`: receipts as files, and their verification without a network, years later.

May import `node_client`, `broker.node.api` and `broker.tlog`, within the commands.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.directories import read_file
from broker.cli.node_client import (
    ANSWER_BYTES_MAX,
    Desk,
    NodeClient,
    NodeUrl,
    TokenFile,
    TrustFile,
)
from broker.cli.options import AsJson, desk_formed, id_formed
from broker.cli.output import UNWITNESSED, note, print_json, say
from schemas.errors import ConfigurationError, ParseError, Problem, VerificationError
from schemas.scalars import format_time

if TYPE_CHECKING:
    from broker.tlog.policy import Policy
    from broker.tlog.receipt_file import VerifiedFile

app = typer.Typer(
    help="Receipts as files: exported at a node, verified anywhere without a network."
)


def _sender(text: str | None) -> str | None:
    return None if text is None else desk_formed(text)


@app.command(
    "export",
    epilog="""\
Examples:

  barid receipt export 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --desk ly/main --out RECEIPTS

  barid receipt export 019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b --from ly/main --desk tn/main --out RECEIPTS

Each is a C2SP tlog-proof. `barid receipt verify` needs the council's policy, too: `barid trust policy`.""",
)
def export(
    bulletin_id: Annotated[str, typer.Argument(callback=id_formed, help="The bulletin.")],
    desk: Desk,
    out: Annotated[Path, typer.Option("--out", file_okay=False, help="The folder for the files.")],
    node: NodeUrl,
    token_file: TokenFile,
    sender: Annotated[
        str | None,
        typer.Option("--from", callback=_sender, help="Whose it is, if this desk received it."),
    ] = None,
    ca: TrustFile = None,
) -> None:
    """Save the receipts of a bulletin: that it was accepted, and what its recipients answered.

    Exported again once a quorum of witnesses has cosigned the log, they say so themselves.
    """
    from broker.node.api.receipt_views import ReceiptsView
    from broker.settings import write_whole
    from schemas.loader import parse

    place = "bulletins" if sender is None else f"inbox/{sender}"
    answer = NodeClient(node, token_file, ca).get(f"/desks/{desk}/{place}/{bulletin_id}/receipts")
    view = parse(ReceiptsView, answer, ANSWER_BYTES_MAX)
    out.mkdir(parents=True, exist_ok=True)
    for each in view.receipts:
        write_whole(out / each.name, each.text.encode())
        say(f"{out / each.name}{'' if each.witnessed else ' (not witnessed yet)'}")
    if not view.receipts:
        note("Nothing of it is in the log yet: see `barid bulletin status`.")
    elif not all(each.witnessed for each in view.receipts):
        note(UNWITNESSED)


@app.command(
    "verify",
    epilog="""\
Example:

  barid receipt verify RECEIPTS/accepted.019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b.tlog-proof
      --policy council.policy

No network is needed, and no clock. Ends 0 only if it verifies.""",
)
def verify(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A receipt as `export` wrote it.")
    ],
    policy: Annotated[
        Path,
        typer.Option(
            "--policy",
            exists=True,
            dir_okay=False,
            help="The council's policy (`barid trust policy`), of the time when it was cosigned.",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Verify a receipt: log and quorum of witnesses signed a tree, and the entry stands in it."""
    found = verified_receipt(file, read_policy(policy))
    print_json(_plain(found)) if as_json else _show(found)


def read_policy(path: Path) -> Policy:
    """Read a council's policy. Raises ConfigurationError if it is none."""
    from broker.tlog.policy import POLICY_BYTES_MAX, parse_policy

    try:
        return parse_policy(read_file(path, POLICY_BYTES_MAX).decode())
    except (ParseError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no policy: {error}") from error


def verified_receipt(path: Path, policy: Policy) -> VerifiedFile:
    """Read and verify a receipt.

    Raises:
        ConfigurationError: it is none.
        VerificationError: it does not verify.
    """
    from broker.tlog.receipt_file import verify_receipt_file
    from broker.tlog.tlog_proof import PROOF_BYTES_MAX

    try:
        return verify_receipt_file(read_file(path, PROOF_BYTES_MAX).decode(), policy)
    except (ParseError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no receipt: {error}") from error
    except Problem as problem:
        raise VerificationError(problem.detail) from problem


def _show(found: VerifiedFile) -> None:
    judged, said = found.judged, _said(found)
    say(f"The receipt verifies: entry {found.index} of {judged.checkpoint.origin}.")
    for line in (*said, *_by_whom(found)):
        say(line)
    if judged.at is None:
        say(UNWITNESSED)
    else:
        say(
            f"Cosigned by {', '.join(judged.witnesses)}, at {format_time(judged.at)}, in a tree of"
            f" {judged.checkpoint.size} entries."
        )
    for place in found.places:
        say(f"Place of {place.desk}: its number {place.n} from this sender.")


def _said(found: VerifiedFile) -> list[str]:
    """What the entry says, in words."""
    from keys.envelope import parse_header
    from schemas.acknowledgements import Acknowledgement
    from schemas.entries import AcknowledgementEntry, EnvelopeAccepted
    from schemas.limits import ACKNOWLEDGEMENT_BYTES_MAX
    from schemas.loader import parse

    entry, at = found.entry, format_time(found.entry.at)
    if isinstance(entry, AcknowledgementEntry):
        told = parse(Acknowledgement, entry.statement, ACKNOWLEDGEMENT_BYTES_MAX)
        ids = ", ".join(item.id for item in told.items)
        answer = f"{told.result}, for the envelopes {ids}"
        return [f"The hub logged at {at} as the answer of {told.desk}: {answer}."]
    if isinstance(entry, EnvelopeAccepted):
        to = ", ".join(each.desk for each in entry.recipients)
        lines = [f"The hub accepted it at {at}, for {to}."]
        if found.statement is not None:
            header = parse_header(found.statement)
            lines.append(
                f"Envelope {header.id} of bulletin {header.bulletin.id}, from {header.from_}, content"
                f" {header.bulletin.content}."
            )
        return lines
    return [f"An entry of type {entry.type}, at {at}."]


def _by_whom(found: VerifiedFile) -> list[str]:
    """What is not verified here: a receipt knows the hub's keys and the witnesses', and no desk's."""
    from schemas.entries import AcknowledgementEntry, EnvelopeAccepted

    if not isinstance(found.entry, EnvelopeAccepted | AcknowledgementEntry):
        return []
    if found.statement is None:
        return ["What the desk signed is not in this file: that it did is the hub's word."]
    return [
        "What the desk signed is in this file; whether the key is that desk's a bundle or an audit verifies."
    ]


def _plain(found: VerifiedFile) -> dict[str, object]:
    judged = found.judged
    return {
        "type": found.entry.type,
        "at": format_time(found.entry.at),
        "origin": judged.checkpoint.origin,
        "index": found.index,
        "leaf": found.leaf.hex(),
        "tree_size": judged.checkpoint.size,
        "witnesses": list(judged.witnesses),
        "witnessed_at": None if judged.at is None else format_time(judged.at),
        "said": _said(found),
    }
