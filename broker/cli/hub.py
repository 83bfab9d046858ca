"""`barid hub`: make a hub, load the directory that the governors signed, serve.

May import `broker.hub` and what lies below it, within the commands; `main` adds this group.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from broker.cli import running
from broker.cli.options import (
    KEYSTORE_DIRECTORY,
    Data,
    Exchange,
    arguments_checked,
    read_address,
    utc_now,
)
from broker.cli.output import note, say
from broker.cli.passphrase import get_passphrase
from broker.settings import HubSettings, load_hub
from schemas.errors import ConfigurationError, ParseError, Problem
from schemas.limits import PUBLICATION_BYTES_MAX, TRUST_FILE_BYTES_MAX
from schemas.scalars import format_time

OPERATOR_DEFAULT: Final = "127.0.0.1:8081"

_REPOSITORY_FILES_MAX: Final = 4096
_KINDS: Final = ("*.json", "*.cedar", "*.cedarschema", "*.cases.toml")

app = typer.Typer(
    no_args_is_help=True, help="The relay: make it, load the directory, serve, keep it well."
)


@app.command(
    "init",
    epilog="""\
Example:

  barid hub init --data HUB --exchange tripoli-demo --address 127.0.0.1:8443

Then give HUB/hub.json to the governors, for `barid trust init`.""",
)
def init(
    data: Data,
    exchange: Exchange,
    address: Annotated[
        str, typer.Option("--address", help="HOST:PORT at which members reach the hub.")
    ],
    listen: Annotated[
        str | None,
        typer.Option("--listen", help="HOST:PORT to listen at, where it is not the address."),
    ] = None,
    operator: Annotated[
        str, typer.Option("--operator", help="HOST:PORT of health and metrics, in plain HTTP.")
    ] = OPERATOR_DEFAULT,
    anchor: Annotated[
        Path | None,
        typer.Option(
            "--anchor",
            dir_okay=False,
            help="A file on another disk or machine, in which the hub notes what it signed.",
        ),
    ] = None,
) -> None:
    """Make a hub: its log keys, its online key, its TLS certificate, its empty logs."""
    from broker.hub.setup import init_hub
    from keys.keystore import Keystore

    public = read_address(address, "--address")
    inside = public if listen is None else read_address(listen, "--listen")
    asked_at = read_address(operator, "--operator")
    with arguments_checked("--exchange", "--address"):
        settings = HubSettings(
            exchange=exchange,
            listen=inside,
            operator=asked_at,
            authority=address.lower(),
            names=(public.host,),
            anchor=None if anchor is None else str(anchor.absolute()),
        )
    passphrase = get_passphrase("the new hub's keystore", new=True)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    keystore = Keystore.create(data / KEYSTORE_DIRECTORY, passphrase)
    init_hub(data, settings, keystore, f"https://{settings.authority}", utc_now())
    say(f"The hub of {exchange} is made in {data}.")
    say(f"Next: give {data / 'hub.json'} to the governors, for `barid trust init`.")


@app.command(
    "load",
    epilog="""\
Example:

  barid hub load --data HUB TRUST/repository
  barid hub load --data HUB publication.json

What is new of it is enough, and what is known already does no harm. The hub may be running: it notices
within a second or two.""",
)
def load(
    data: Data,
    path: Annotated[
        Path,
        typer.Argument(
            exists=True,
            help="What governors or a member signed: TRUST/repository, or a publication's file.",
        ),
    ],
) -> None:
    """Publish a directory: sign snapshot and timestamp with the online key, and log it."""
    from broker.hub.setup import load_repository
    from keys.keystore import Keystore

    settings = load_hub(data)
    files = _read_repository(path) if path.is_dir() else _read_publication(path, settings.exchange)
    keystore = Keystore.open(data / KEYSTORE_DIRECTORY, get_passphrase("the hub's keystore"))
    loaded = load_repository(data, keystore, files, utc_now())
    if loaded.is_new_log:
        say(f"The old logs are closed; generation {loaded.generation} begins with this directory.")
        say("Next: `barid hub serve`. Members follow by themselves.")
        return
    said = f"entry {loaded.index} of the directory log, from {len(files)} files"
    say(f"The directory is published: {said}.")


@app.command(
    "new-origins",
    epilog="""\
Example:

  barid hub new-origins --data HUB

Then give HUB/new-origins.json to the governors, for `barid trust propose --new-origins`.""",
)
def new_origins(data: Data) -> None:
    """Prepare new logs after a loss: make their keys, say how the old ones end; the hub does not serve."""
    from broker.hub.setup import open_ledger
    from broker.hub.succession import NEXT_FILE, prepare_next
    from keys.keystore import Keystore

    keystore = Keystore.open(data / KEYSTORE_DIRECTORY, get_passphrase("the hub's keystore"))
    ledger = open_ledger(data, keystore, lambda: int(utc_now().timestamp()))
    try:
        sizes = [head.size for head in ledger.heads()]
        logs = prepare_next(data, keystore, ledger).logs
    finally:
        ledger.close()
    closed = logs.previous[-1]
    ends = (("directory", closed.directory, sizes[0]), ("exchange", closed.exchange, sizes[1]))
    for name, ended, here in ends:
        lost = f"; {ended.size - here} of them are lost here" if ended.size > here else ""
        say(f"The {name} log {ended.origin} ends with {ended.size} entries{lost}.")
        say(f"  root {ended.root}")
    say(f"Generation {logs.generation} follows it.")
    say()
    say("Compare both sizes and roots with what members and the auditor verified: no log may end")
    say("before a tree that witnesses cosigned.")
    say(f"Next: give {data / NEXT_FILE} to the governors, for `barid trust propose --new-origins`;")
    say("then `barid hub load` what they publish.")


def _read_publication(file: Path, exchange: str) -> dict[str, bytes]:
    """The files of a publication, as `barid trust publish --out` wrote it."""
    from broker.hub.publications import read_publication

    if file.stat().st_size > PUBLICATION_BYTES_MAX:
        raise ConfigurationError(f"{file} is over {PUBLICATION_BYTES_MAX} bytes: not ours")
    try:
        return read_publication(file.read_bytes(), exchange)
    except ParseError as error:
        raise ConfigurationError(f"{file} is no publication: {error}") from error
    except Problem as problem:
        raise ConfigurationError(f"{file} is of another exchange: {problem.detail}") from problem


def _read_repository(folder: Path) -> dict[str, bytes]:
    """The files by their names under `/v1/trust/`: `metadata/1.root.json`."""
    paths = sorted(path for kind in _KINDS for path in folder.rglob(kind) if path.is_file())
    if not paths:
        raise ConfigurationError(f"{folder} holds no directory: name TRUST/repository")
    if len(paths) > _REPOSITORY_FILES_MAX:
        raise ConfigurationError(
            f"{folder} holds over {_REPOSITORY_FILES_MAX} files: wrong folder?"
        )
    too_large = [path for path in paths if path.stat().st_size > TRUST_FILE_BYTES_MAX]
    if too_large:
        raise ConfigurationError(f"{too_large[0]} is over {TRUST_FILE_BYTES_MAX} bytes: not ours")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@app.command(
    "expire",
    epilog="""\
Examples:

  barid hub expire --data HUB --dry-run

  barid hub expire --data HUB

The hub may be running: it does the same by itself, every half minute.""",
)
def expire(
    data: Data,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is due; change nothing.")
    ] = False,
) -> None:
    """Delete what has expired, destroy what the council ordered to be destroyed; the log says both."""
    from broker.hub.retention import carry_out, look
    from broker.hub.setup import open_ledger
    from keys.keystore import Keystore

    keystore = Keystore.open(data / KEYSTORE_DIRECTORY, get_passphrase("the hub's keystore"))
    now = utc_now()
    ledger = open_ledger(data, keystore, lambda: int(now.timestamp()))
    try:
        ended = look(ledger, now) if dry_run else carry_out(ledger, now)
    finally:
        ledger.close()
    would = "would be " if dry_run else ""
    say(f"Envelopes past their end whose ciphertext {would or 'was '}deleted: {ended.expired}.")
    say(f"Openings {would}destroyed under an order of the council: {len(ended.purged)}.")
    for each in ended.purged:
        say(f"  entry {each.index} of {each.origin}, ordered at {format_time(each.ordered)}")
    if ended.purged and not dry_run:
        say("Backups made before still hold them: delete those, or make them anew.")


@app.command(
    "migrate",
    epilog="""\
Example:

  barid hub migrate --data HUB

Make a backup before. Until `barid hub serve` follows, going back is restoring it: docs/upgrading.md.""",
)
def migrate(data: Data) -> None:
    """Bring the database of a stopped hub to this version's schema; nothing is signed or logged."""
    from broker.hub.generations import migrate_databases

    load_hub(data)
    for each in migrate_databases(data):
        if each.before == each.now:
            say(f"{each.path} has the schema {each.now} already.")
        else:
            say(f"{each.path} had the schema {each.before}, and has {each.now}.")
    say("Next: `barid hub doctor`, then `barid hub serve`.")


@app.command(
    "serve",
    epilog="""\
Example:

  BARID_PASSPHRASE_FILE=/etc/barid/passphrase barid hub serve --data HUB""",
)
def serve(data: Data, log_level: running.LogLevel = running.LOG_LEVEL_DEFAULT) -> None:
    """Serve members over TLS 1.3 until Ctrl-C or SIGTERM."""
    from broker.hub.app import serve_hub
    from keys.keystore import Keystore

    settings = load_hub(data)
    keystore = Keystore.open(data / KEYSTORE_DIRECTORY, get_passphrase("the hub's keystore"))
    listen, operator = settings.listen, settings.operator
    if sys.stderr.isatty():
        note(f"The hub of {settings.exchange} serves at https://{listen.host}:{listen.port}.")
        note(f"Its operator asks at http://{operator.host}:{operator.port}/readyz.")
    running.log_as_servers_do(log_level)
    serve_hub(data, keystore)


# The commands that every server has.
app.add_typer(running.hub)
