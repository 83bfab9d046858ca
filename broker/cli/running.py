"""Running a hub or a node: is it ready, back it up, restore it, renew its certificate, ask its doctor.

May import `broker.hub` and `broker.node`, within the commands; `hub` and `node` add these commands to their
groups, so that both have the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from broker.cli.archives import archive_path, prune, tell_backup
from broker.cli.exits import Exit, NodeUnreachable
from broker.cli.options import KEYSTORE_DIRECTORY, AsJson, Data, utc_now
from broker.cli.output import note, print_json, print_table, say
from broker.cli.passphrase import get_passphrase
from broker.settings import Listen, load_hub, load_node
from schemas.errors import ConfigurationError, HubUnreachable
from schemas.scalars import format_time

if TYPE_CHECKING:
    from broker.certificates import Pair
    from broker.checks import Check

Role = Literal["hub", "node"]

LOG_LEVEL_DEFAULT: Final = "info"

hub = typer.Typer()
node = typer.Typer()
_hub_tls = typer.Typer(no_args_is_help=True, help="The certificate that the hub serves with.")
_node_tls = typer.Typer(no_args_is_help=True, help="The certificate that the node serves with.")
hub.add_typer(_hub_tls, name="tls")
node.add_typer(_node_tls, name="tls")

Out = Annotated[
    Path,
    typer.Option("--out", help="The new archive; or a folder, in which it gets a dated name."),
]
Keep = Annotated[
    int | None,
    typer.Option("--keep", min=1, max=10_000, help="In that folder, how many dated ones stay."),
]
Archive = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What `backup` made.")]
LogLevel = Annotated[
    str,
    typer.Option(
        "--log-level",
        envvar="BARID_LOG_LEVEL",
        help="How much is logged: debug, info, warning or error.",
    ),
]
Certificate = Annotated[
    Path | None,
    typer.Option(
        "--certificate",
        exists=True,
        dir_okay=False,
        help="PEM from your own CA, its chain behind it.",
    ),
]
Key = Annotated[
    Path | None,
    typer.Option("--key", exists=True, dir_okay=False, help="Its private key, PEM, not encrypted."),
]
Trust = Annotated[
    Path | None,
    typer.Option("--trust", exists=True, dir_okay=False, help="Your CA's own certificate, PEM."),
]


def log_as_servers_do(level: str) -> None:
    """Log to standard error from now on. Raises BadParameter: no such level."""
    from broker.logs import LEVELS, configure_logs

    if level not in LEVELS:
        raise typer.BadParameter(f"one of {', '.join(LEVELS)}", param_hint="--log-level")
    configure_logs(level)


@hub.command(
    "health",
    epilog="""\
Example, as a container's health check:

  barid hub health --data HUB""",
)
def hub_health(data: Data, as_json: AsJson = False) -> None:
    """Ask the hub on this machine whether it is ready; ends 0 when it is, else 4."""
    _health("hub", load_hub(data).operator, as_json)


@node.command(
    "health",
    epilog="""\
Example:

  barid node health --data LY""",
)
def node_health(data: Data, as_json: AsJson = False) -> None:
    """Ask the node on this machine whether it is ready; ends 0 when it is, else 4."""
    operator = load_node(data).operator
    if operator is None:
        raise ConfigurationError(
            f'{data / "config.json"} names no address for it: add "operator", as docs/operations.md says'
        )
    _health("node", operator, as_json)


def _health(role: Role, operator: Listen, as_json: bool) -> None:
    from broker.health import ask_ready

    try:
        ready, said = ask_ready(operator)
    except OSError as error:
        where = f"http://{operator.host}:{operator.port}/readyz: {error}"
        raise (HubUnreachable if role == "hub" else NodeUnreachable)(where) from error
    if as_json:
        print_json({"ready": ready, "detail": said})
    else:
        say(f"The {role} is {'ready' if ready else 'not ready'}: {said}")
    if not ready:
        raise typer.Exit(Exit.UNREACHABLE)


@hub.command(
    "backup",
    epilog="""\
Example, each night:

  barid hub backup --data HUB --out /var/backups/barid --keep 14""",
)
def hub_backup(data: Data, out: Out, keep: Keep = None, as_json: AsJson = False) -> None:
    """Save the hub, which may be running, into one archive: logs, envelopes, attachments, keys."""
    from broker.hub.backup import backup_hub
    from keys.keystore import Keystore

    name = load_hub(data).authority
    path = archive_path(out, "hub", name, keep, utc_now())
    keystore = Keystore.open(data / KEYSTORE_DIRECTORY, get_passphrase("the hub's keystore"))
    manifest = backup_hub(data, keystore, path, utc_now())
    tell_backup(manifest, path, as_json, prune(out, path, keep))


@node.command(
    "backup",
    epilog="""\
Example, each night:

  barid node backup --data LY --out /var/backups/barid --keep 14""",
)
def node_backup(data: Data, out: Out, keep: Keep = None, as_json: AsJson = False) -> None:
    """Save the node, which may be running, into one archive: bulletins, evidence, attachments, keys.

    Its older archives in the same folder go once they hold a sealing key that the node has destroyed.
    """
    from broker.node.backup import backup_node, delete_outdated_backups
    from broker.node.home import look_home

    path = archive_path(out, "node", load_node(data).member, keep, utc_now())
    home = look_home(data, get_passphrase("the node's keystore"))
    try:
        manifest = backup_node(home, path, utc_now())
        outdated = delete_outdated_backups(home, path, manifest)
    finally:
        home.close()
    tell_backup(manifest, path, as_json, prune(out, path, keep), outdated)


_LOST_ENTRIES: Final = """\
STOP before you start this hub. Whatever was accepted after the backup is not in it, and a hub that lost
entries must not go on: it would put others in their places, and every node and auditor would see two logs
that contradict each other (alarm inconsistent-log) and trust it no more.
  1. Ask two members, or the auditor, for the newest log sizes that they verified: the metric
     barid_node_log_entries of a node, `barid audit verify`.
  2. If none is larger than the sizes above, nothing was lost: `barid hub serve`.
  3. If one is larger, do not serve. Look for the lost hub's disk, or a newer backup. Without them the
     council names new logs; until then this hub stays off."""


@hub.command(
    "restore",
    epilog="""\
Example:

  barid hub restore --data HUB-NEW barid-hub-hub.example-8443-20261125T020000Z.tar""",
)
def hub_restore(data: Data, archive: Archive) -> None:
    """Restore a hub into an empty folder; all of the archive is verified before anything is written."""
    from broker.hub.backup import restore_hub

    restored = restore_hub(archive, data, get_passphrase("the archive's keystore"))
    at = format_time(restored.manifest.at)
    say(f"The hub {restored.manifest.owner} is restored in {data}, as of {at}.")
    say(f"  directory log: {restored.directory.size} entries")
    say(f"  exchange log:  {restored.exchange.size} entries")
    note(_LOST_ENTRIES)


@node.command(
    "restore",
    epilog="""\
Example:

  barid node restore --data LY-NEW barid-node-ly-20261125T020000Z.tar""",
)
def node_restore(data: Data, archive: Archive) -> None:
    """Restore a node into an empty folder; as it starts, it takes everything unexpired again."""
    from broker.node.backup import restore_node

    passphrase = get_passphrase("the archive's keystore")
    manifest = restore_node(archive, data, passphrase, utc_now())
    at = format_time(manifest.at)
    say(f"The node of {manifest.owner} is restored in {data}, as of {at}.")
    note("The old node must be off for good: two nodes with the same keys contradict each other.")
    note("Next: `barid node doctor`, then `barid node serve`, then look at `barid alarms list`.")


@_hub_tls.command(
    "renew",
    epilog="""\
Examples:

  barid hub tls renew --data HUB

  barid hub tls renew --data HUB --certificate hub.pem --key hub.key --trust ca.pem""",
)
def hub_renew(
    data: Data, certificate: Certificate = None, key: Key = None, trust: Trust = None
) -> None:
    """Renew the hub's TLS certificate; it is served from the next start on."""
    from broker.hub.certificate import renew_hub

    given = _given(certificate, key)
    invitation = renew_hub(data, given, _text_of(trust), utc_now())
    say(f"The new certificate is in {data}; the old one is kept as tls.crt.old, with its key.")
    if invitation is None:
        say(f"Next: give {data / 'hub.json'} to the governors, for `barid trust init`.")
        return
    say(
        f"Next: 1. give {invitation} to every member and auditor in person; it trusts both certificates."
    )
    say(
        "      2. each runs `barid node join` or `barid audit join` with it; nodes are started anew."
    )
    say("      3. when all have, start the hub anew. Who has not taken it is cut off then.")
    say(f"      4. give {data / 'hub.json'} to the governors, for the next council.")
    note("To go back: put tls.crt.old and tls.key.old in their places again.")


@_node_tls.command(
    "renew",
    epilog="""\
Examples:

  barid node tls renew --data LY

  barid node tls renew --data LY --certificate ly.pem --key ly.key --trust ca.pem""",
)
def node_renew(
    data: Data, certificate: Certificate = None, key: Key = None, trust: Trust = None
) -> None:
    """Renew the node's TLS certificate; it is served from the next start on."""
    from broker.certificates import renew

    settings = load_node(data)
    given = _given(certificate, key)
    names = () if given else (settings.listen.host,)
    renew(data, given, _text_of(trust), names, utc_now())
    say(f"The new certificate is in {data}; the old one is kept as tls.crt.old, with its key.")
    told = "your CA's certificate, if they do not have it" if given else str(data / "tls.crt")
    say(f"Next: 1. give {told} to the agencies (BARID_CA); 2. start the node anew.")
    note("To go back: put tls.crt.old and tls.key.old in their places again.")


def _given(certificate: Path | None, key: Path | None) -> Pair | None:
    from broker.certificates import Pair

    if (certificate is None) != (key is None):
        raise typer.BadParameter("they come together", param_hint="--certificate, --key")
    if certificate is None or key is None:
        return None
    return Pair(certificate.read_bytes(), key.read_bytes())


def _text_of(trust: Path | None) -> str | None:
    return None if trust is None else trust.read_text("ascii", errors="replace")


@hub.command(
    "doctor",
    epilog="""\
Example:

  barid hub doctor --data HUB""",
)
def hub_doctor(data: Data, as_json: AsJson = False) -> None:
    """Look at the hub's settings, keys, database, clock, disk, certificate; say what to do."""
    from broker.hub.doctor import diagnose_hub

    passphrase = get_passphrase("the hub's keystore")
    _tell_checks(list(diagnose_hub(data, passphrase, utc_now())), as_json)


@node.command(
    "doctor",
    epilog="""\
Example:

  barid node doctor --data LY""",
)
def node_doctor(data: Data, as_json: AsJson = False) -> None:
    """Look at the node's settings, keys, database, clock, disk, line to the hub; say what to do."""
    import asyncio

    from broker.node.clock import utc_now as clock
    from broker.node.doctor import diagnose_node

    passphrase = get_passphrase("the node's keystore")

    async def diagnose() -> list[Check]:
        return [check async for check in diagnose_node(data, passphrase, clock)]

    _tell_checks(asyncio.run(diagnose()), as_json)


def _tell_checks(checks: list[Check], as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {"name": c.name, "grade": str(c.grade), "said": c.said, "advice": c.advice}
                for c in checks
            ]
        )
    else:
        print_table(
            ("", "check", "found"),
            ((c.grade.upper() if c.advice else c.grade, c.name, c.said) for c in checks),
        )
        for check in checks:
            if check.advice:
                say(f"{check.name}: {check.advice}")
    if any(check.grade == "fail" for check in checks):
        raise typer.Exit(Exit.CONFIGURATION)
