"""`barid audit evidence`: what audits keep of a misbehaving hub, and anybody can verify.

May import `auditor`, whose group it adds to, and `broker.evidence` within the command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from broker.cli.audit_watching import app as app
from broker.cli.auditor import DataIfAny, InvitationIfAny, trust_root
from broker.cli.options import AsJson
from broker.cli.output import print_json, say
from schemas.errors import ConfigurationError, ParseError, VerificationError
from schemas.limits import BUNDLE_BYTES_MAX

evidence_app = typer.Typer(
    no_args_is_help=True, help="Evidence of a misbehaving hub: files that convince others."
)
app.add_typer(evidence_app, name="evidence")


@evidence_app.callback()
def _group() -> None:
    """Say that there are commands below it."""


@evidence_app.command(
    "verify",
    epilog="""\
Example:

  barid audit evidence verify AUD/evidence/forked-1f2e3d4c5b6a7988.json --invitation invitation.json

It needs no network and believes nobody but the trust root: only the hub's own signatures convict it.
Ends 0 when the file shows what it says, 6 when it shows nothing.""",
)
def verify(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="As an audit has kept it.")
    ],
    data: DataIfAny = None,
    invitation: InvitationIfAny = None,
    as_json: AsJson = False,
) -> None:
    """Say what a piece of evidence shows against the hub."""
    from broker.evidence import verify_evidence

    root = trust_root(data, invitation)
    if file.stat().st_size > BUNDLE_BYTES_MAX:
        raise ConfigurationError(f"{file} is over {BUNDLE_BYTES_MAX} bytes: no evidence")
    try:
        verdict = verify_evidence(file.read_bytes(), root)
    except ParseError as error:
        raise ConfigurationError(f"{file} is no evidence: {error}") from error
    except VerificationError as error:
        raise VerificationError(f"it shows nothing against the hub: {error}") from error
    if as_json:
        print_json({"what": verdict.what, "origin": verdict.origin, "says": list(verdict.says)})
        return
    say(f"The evidence holds: {verdict.what}, by the keys of {verdict.origin}.")
    for line in verdict.says:
        say(f"  {line}")
