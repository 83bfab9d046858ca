"""`barid policy`: what the access rules decide: the table of cases run, and one bulletin explained.

May import `broker.policy` and `keys`, within the commands; `main` adds this group.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from broker.cli.directories import (
    DirectoryPath,
    InvitationPath,
    NodeData,
    opened_directory,
    read_file,
)
from broker.cli.exits import Exit
from broker.cli.options import AsJson, desks_formed, utc_now
from broker.cli.output import note, print_json, print_table, say
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import ConfigurationError
from schemas.limits import BULLETIN_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.policy.context import SendContext
    from broker.policy.rulebook import Rulebook
    from broker.policy.rules import Decision
    from broker.policy.table import Case
    from schemas.bulletin import Bulletin

app = typer.Typer(
    no_args_is_help=True, help="The access rules: what they decide, by example, and why."
)

_KEY_BYTES: Final = {"ed25519": 32, "ml_dsa_44": 1312}

Draft = Annotated[
    Path | None,
    typer.Option(
        "--from",
        exists=True,
        file_okay=False,
        help="A draft (`barid trust draft`); without any source, what Barid ships.",
    ),
]


@app.command(
    "test",
    epilog="""\
Examples:

  barid policy test

  barid policy test --from DRAFT

  barid policy test --data TN""",
)
def run_table(
    source: Draft = None,
    data: NodeData = None,
    directory: DirectoryPath = None,
    invitation: InvitationPath = None,
    as_json: AsJson = False,
) -> None:
    """Run the table of cases: who sends what to whom, what the rules answer, and what was expected.

    Ends 1 where an answer differs. Governors read the table, extend it, and sign it with the rules.
    """
    book = _rulebook(source, data, directory, invitation)
    rules, table = book.rules(), book.table(utc_now())
    answered = list(table.run(rules))
    wrong = [(case, decision) for case, decision in answered if not case.holds(decision)]
    if as_json:
        print_json([_plain(case, decision) for case, decision in answered])
    else:
        print_table(
            ("CASE", "FROM", "TO", "WHAT", "ANSWER", "BY", "WHY"),
            (
                (
                    str(case.number),
                    case.sender.desk,
                    case.recipient.desk,
                    case.what,
                    _answer(decision) + ("" if case.holds(decision) else " (WRONG)"),
                    ", ".join(decision.policies),
                    case.why,
                )
                for case, decision in answered
            ),
        )
        say(f"{len(answered)} cases by {len(rules.ids)} rules; {len(wrong)} answers are wrong.")
    if wrong:
        raise typer.Exit(Exit.REFUSED)


def _answer(decision: Decision) -> str:
    return "permit" if decision.allowed else "refuse"


def _plain(case: Case, decision: Decision) -> dict[str, Any]:
    return {
        "case": case.number,
        "from": case.sender.desk,
        "to": case.recipient.desk,
        "what": case.what,
        "why": case.why,
        "answer": _answer(decision),
        "by": list(decision.policies),
        "expected": "permit" if case.allowed else "refuse",
        "expected_by": list(case.by),
        "holds": case.holds(decision),
    }


@app.command(
    "explain",
    epilog="""\
Examples:

  barid policy explain bulletin.json --to ly/main --to un/observer

  barid policy explain bulletin.json --to ly/main --data TN""",
)
def explain(
    bulletin: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="The bulletin, as it would be sent.")
    ],
    to: Annotated[
        list[str],
        typer.Option("--to", callback=desks_formed, help="A desk that would get it. Repeat it."),
    ],
    precedence: Annotated[
        Precedence, typer.Option("--precedence", help="With which it would be sent.")
    ] = Precedence.ROUTINE,
    source: Draft = None,
    data: NodeData = None,
    directory: DirectoryPath = None,
    invitation: InvitationPath = None,
    as_json: AsJson = False,
) -> None:
    """Say for each desk whether a bulletin may go there, by which rules, and what these rules say.

    Nothing is sent. Ends 1 where it may not go to one of them.
    """
    from broker.policy.explaining import explanations
    from schemas.bulletin import parse_bulletin

    book = _rulebook(source, data, directory, invitation)
    read = parse_bulletin(read_file(bulletin, BULLETIN_BYTES_MAX))
    decisions = _decide(book, read, to, precedence)
    said = explanations(book.policy_text)
    if as_json:
        print_json(
            [
                {
                    "desk": desk,
                    "answer": _answer(decision),
                    "rules": [
                        {"id": name, "says": said.get(name, "")} for name in decision.policies
                    ],
                }
                for desk, decision in decisions.items()
            ]
        )
    else:
        for desk, decision in decisions.items():
            verb = "may go" if decision.allowed else "may not go"
            say(f"From {read.originator.desk} to {desk} it {verb}:")
            for name in decision.policies:
                say(f"  {name}: {said.get(name) or 'the rule has no sentence of its own'}")
    if not all(decision.allowed for decision in decisions.values()):
        raise typer.Exit(Exit.REFUSED)


def _decide(
    book: Rulebook, bulletin: Bulletin, desks: Sequence[str], precedence: Precedence
) -> dict[str, Decision]:
    from broker.policy.context import party_of

    now, sending = utc_now(), bulletin.originator.desk
    sender = party_of(book.council, sending, now)
    if sender is None:
        raise ConfigurationError(
            f"the council grants nothing to {sending}, the bulletin's originator"
        )
    what = _context(bulletin, precedence)
    decisions = {}
    for desk in dict.fromkeys(desks):
        recipient = party_of(book.council, desk, now)
        if recipient is None:
            raise ConfigurationError(
                f"the council grants nothing to {desk}: `barid desk list` shows the desks"
            )
        decisions[desk] = book.rules().decide(sender, recipient, what)
    return decisions


def _context(bulletin: Bulletin, precedence: Precedence) -> SendContext:
    from broker.policy.context import SendContext
    from schemas.bulletin.agreement import header_fields

    fields = header_fields(bulletin)
    return SendContext(
        status=fields.status,
        kind=fields.kind,
        topics=fields.topics,
        purpose=fields.purpose,
        precedence=precedence,
        personal_data=fields.personal_data,
        marking=fields.marking,
        at=utc_now(),
    )


def _rulebook(
    source: Path | None, data: Path | None, directory: Path | None, invitation: Path | None
) -> Rulebook:
    from broker.cli.trust_files import read_draft
    from broker.policy.rulebook import Rulebook

    if source is not None:
        files = read_draft(source)
        return Rulebook(files.council, files.policy_text, files.schema_text, files.cases_text)
    if data is not None or directory is not None:
        return Rulebook.of(opened_directory(data, directory, invitation).directory.council_part)
    note("What Barid ships; name a draft (--from) or a node (--data) for another council.")
    return _shipped()


def _shipped() -> Rulebook:
    """What an exchange starts with; its hub and logs are none, and no rule sees them."""
    from broker.policy.rulebook import Rulebook
    from broker.policy.rules import default_cases, default_texts
    from keys.default_council import default_council
    from schemas.directory import HubAddress, LogKeys, Logs

    def log(name: str) -> LogKeys:
        return LogKeys(
            origin=f"none/{name}",
            ed25519=bytes(_KEY_BYTES["ed25519"]),
            ml_dsa_44=bytes(_KEY_BYTES["ml_dsa_44"]),
        )

    nowhere = HubAddress(authority="hub.invalid", url="https://hub.invalid", tls_trust="-")
    logs = Logs(generation=1, directory=log("directory"), exchange=log("exchange"))
    council = default_council("shipped", nowhere, logs)
    return Rulebook(council, *default_texts(), default_cases())
