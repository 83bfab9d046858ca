"""`barid trust`: the ceremony in which governors sign the first directory of an exchange.

May import `keys.ceremony`, `keys.default_council` and `broker.policy`, within the command; `main` adds this
group. It needs no network, so that it also runs on a machine that never had one.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from broker.cli.options import utc_now
from broker.cli.output import say
from broker.cli.passphrase import get_passphrase
from schemas.directory import HubDescription, Invitation
from schemas.errors import ConfigurationError, ParseError, VerificationError
from schemas.limits import GOVERNORS_MAX, TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, parse

if TYPE_CHECKING:
    from keys.ceremony import MemberRequest
    from keys.repository import TrustSigner

DIRECTORY_DAYS: Final = 365
"""Life of the first root and targets: the governors meet at least once a year."""

GOVERNOR_KEY_NAME: Final = "governor"
INVITATION_FILE: Final = "invitation.json"
REPOSITORY_DIRECTORY: Final = "repository"

app = typer.Typer(
    no_args_is_help=True, help="The governors' work: sign who belongs to the exchange."
)


@app.command(
    "init",
    epilog="""\
Example:

  barid trust init --out TRUST --hub HUB/hub.json --request LY/member-request.json
      --request TN/member-request.json --governors 5 --threshold 3

Then `barid hub load` takes TRUST/repository, each new node gets TRUST/invitation.json in person,
and each governor takes the own folder of TRUST/governors away.""",
)
def init(
    out: Annotated[
        Path, typer.Option("--out", file_okay=False, help="A new folder for what is made.")
    ],
    hub: Annotated[
        Path, typer.Option("--hub", exists=True, dir_okay=False, help="The hub's hub.json.")
    ],
    request: Annotated[
        list[Path],
        typer.Option("--request", exists=True, dir_okay=False, help="A member's request; repeat."),
    ],
    governors: Annotated[
        int, typer.Option("--governors", min=1, max=GOVERNORS_MAX, help="How many governors, n.")
    ] = 5,
    threshold: Annotated[
        int, typer.Option("--threshold", min=1, max=GOVERNORS_MAX, help="How many must sign, k.")
    ] = 3,
    days: Annotated[
        int, typer.Option("--days", min=1, max=3650, help="Days until the directory expires.")
    ] = DIRECTORY_DAYS,
) -> None:
    """Make an exchange: n governors' keys, and a directory that exactly k of them sign.

    The council is the default one: nine states of North Africa and the Sahel, and the African Union
    Commission. Members that hand in no request may join later.
    """
    from keys.ceremony import init_repository
    from keys.default_council import default_council
    from keys.repository import CouncilFiles, Governance

    if threshold > governors:
        raise typer.BadParameter(
            f"{threshold} of {governors} governors cannot sign", param_hint="--threshold"
        )
    if out.exists() and any(out.iterdir()):
        raise ConfigurationError(f"{out} is not empty: name another folder")
    description = parse(HubDescription, hub.read_bytes(), TRUST_FILE_BYTES_MAX)
    requests = [_read_request(path) for path in request]
    council = default_council(description.exchange, description.hub, description.logs)
    policy_text, schema_text = _checked_rules()
    passphrase = get_passphrase("the governors' keystores", new=True)
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    signers = _make_governors(out / "governors", governors, passphrase)
    files = init_repository(
        CouncilFiles(council, policy_text, schema_text),
        requests,
        Governance(
            tuple(signer.public_key for signer in signers), threshold, tuple(signers[:threshold])
        ),
        description.online,
        utc_now() + timedelta(days=days),
    )
    _write(out, files, description)
    members = ", ".join(sorted(each.member for each in requests))
    say(
        f"The directory of {description.exchange} is signed by {threshold} of {governors} governors."
    )
    say(f"Members that have joined: {members}; in the council: {len(council.members)}.")
    say(f"Next: `barid hub load` takes {out / REPOSITORY_DIRECTORY}; each node joins with")
    say(f"{out / INVITATION_FILE}; each governor takes the own folder of {out / 'governors'} away.")


def _read_request(path: Path) -> MemberRequest:
    from keys.ceremony import REQUEST_BYTES_MAX, read_member_request

    if path.stat().st_size > REQUEST_BYTES_MAX:
        raise ConfigurationError(f"{path} is over {REQUEST_BYTES_MAX} bytes: no member's request")
    try:
        read = read_member_request(path.read_bytes())
    except (ParseError, VerificationError) as error:
        raise type(error)(f"{path}: {error}") from error
    read.check_in_time(utc_now())
    return read


def _checked_rules() -> tuple[str, str]:
    """The default access rules: nobody signs rules that do not load."""
    from broker.policy.rules import AccessRules, default_texts

    policy_text, schema_text = default_texts()
    AccessRules.load(policy_text, schema_text)
    return policy_text, schema_text


def _make_governors(folder: Path, count: int, passphrase: bytes) -> list[TrustSigner]:
    """A key each, in a keystore each, so that each can be carried away."""
    from keys.keystore import Keystore
    from keys.repository import TrustSigner

    folder.mkdir(mode=0o700)
    signers = [TrustSigner.generate() for _ in range(count)]
    for number, signer in enumerate(signers, start=1):
        Keystore.create(folder / str(number), passphrase).put(GOVERNOR_KEY_NAME, signer.seed())
    return signers


def _write(out: Path, files: dict[str, bytes], description: HubDescription) -> None:
    for name, data in files.items():
        path = out / REPOSITORY_DIRECTORY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    invitation = Invitation(
        v=1,
        exchange=description.exchange,
        hub=description.hub,
        logs=description.logs,
        root=files["metadata/1.root.json"],
    )
    (out / INVITATION_FILE).write_bytes(dump_json(invitation))
