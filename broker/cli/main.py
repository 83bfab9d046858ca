"""The command `barid`: its groups, its version, and the one place where errors become exit codes.

May import every module of this room; the installed command and `python -m broker.cli` call `main`.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from broker.cli import (
    alarms,
    analyst,
    attaching,
    desks,
    evidence,
    hub,
    lifecycle,
    member,
    node,
    policy,
    receipts,
    release,
    trust,
)
from broker.cli.demo import command as demo
from broker.cli.exits import Exit, exit_of, exits_table
from broker.cli.helping import fit_help
from broker.cli.output import note, say, show_error
from schemas.errors import BaridError

DISTRIBUTION = "barid-broker"

_EPILOG = f"""\
A first look, all of it on this machine:

  barid demo

Exit codes:

{exits_table()}
"""


class ErrorsExplained(TyperGroup):
    """The root of all commands: what is raised on purpose is explained, and ends with its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except BaridError as error:
            show_error(error)
            raise typer.Exit(exit_of(error)) from error
        except BrokenPipeError:
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            note(f"barid: {where}{error.strerror or error}")
            raise typer.Exit(Exit.CONFIGURATION) from error


def _show_version(asked: bool) -> None:
    if asked:
        say(f"barid {version(DISTRIBUTION)}")
        raise typer.Exit


app = typer.Typer(
    name="barid",
    cls=ErrorsExplained,
    help="Exchange signed and sealed bulletins between states, through a hub that cannot read them.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    # A traceback with local variables could print keys.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version, and end."
        ),
    ] = False,
) -> None:
    """Options that come before a command."""


lifecycle.app.command("attach", epilog=attaching.EPILOG)(attaching.attach)
app.add_typer(lifecycle.app, name="bulletin")  # the group of `agency`, to which it adds
app.add_typer(analyst.app, name="inbox")
app.add_typer(receipts.app, name="receipt")
app.add_typer(release.app, name="release")
app.add_typer(desks.app, name="desk")
app.add_typer(alarms.app, name="alarms")
app.add_typer(node.app, name="node")
app.add_typer(hub.app, name="hub")
app.add_typer(trust.app, name="trust")
app.add_typer(member.app, name="member")
app.add_typer(policy.app, name="policy")
app.add_typer(evidence.app, name="audit")  # the group of `auditor`, to which it adds
app.command("demo", epilog=demo.EPILOG)(demo.demo)
fit_help(app)


def main() -> None:
    """Run the command line."""
    app(prog_name="barid")
