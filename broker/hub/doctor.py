"""The hub's doctor: looks at settings, keys, database, clock, disk and certificate, and says what to do.

May import `broker.checks` and the hub's own rooms; the command line calls it beside the running hub. Nothing
is changed, and nothing secret is said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from broker.checks import (
    Check,
    check_certificate,
    check_clock,
    check_database,
    check_disk,
    check_modes,
    check_operator,
    check_served,
    fail,
    ok,
    warn,
)
from broker.db import open_sqlite, reading
from broker.hub import migrations
from broker.hub.generations import (
    FIRST_DATABASE,
    closed_origins,
    databases,
    history_of_closed,
    load_signers,
)
from broker.hub.ledger import Ledger
from broker.hub.logbook import read_head
from broker.hub.setup import ROOT_FILE, anchor_of
from broker.hub.signers import Signers
from broker.hub.vouching import vouched
from broker.settings import HubSettings, load_hub
from keys.directory import Directory
from keys.keystore import Keystore
from schemas.errors import BaridError
from schemas.scalars import format_time

EXPIRES_WITHIN = timedelta(days=30)
"""How long before the governors' signatures run out people are told: signing takes meetings."""

_RESTORING = "restore a backup into another directory: `barid hub restore`"


def diagnose_hub(data: Path, passphrase: bytes, now: datetime) -> Iterator[Check]:
    """Look at everything, what depends on less first.

    Args:
        data: the hub's directory.
        passphrase: of its keystore.
        now: UTC, whole seconds.
    """
    try:
        settings = load_hub(data)
    except BaridError as error:
        yield fail("settings", str(error), "correct config.json, or name another directory")
        return
    yield ok("settings", f"hub of {settings.exchange}, called {settings.authority}")
    yield check_modes(data)
    yield check_disk(data)
    names = tuple(dict.fromkeys((*settings.names, settings.authority.partition(":")[0])))
    yield check_certificate(data, names, now, "barid hub tls renew")
    signers = None
    try:
        keystore = Keystore.open(data / "keystore", passphrase)
        generation = max(1, len(databases(data)))
        signers = load_signers(keystore, settings.exchange, generation)
        yield ok("keystore", "opens, and has the keys of both logs")
    except BaridError as error:
        yield fail("keystore", str(error), _RESTORING)
    yield from _look_at_database(data, settings, signers, now)
    yield check_operator(settings.operator, "hub")
    yield check_served(data, settings.listen, "hub")


def _look_at_database(
    data: Path, settings: HubSettings, signers: Signers | None, now: datetime
) -> Iterator[Check]:
    found = databases(data)
    if not found:
        yield fail("database", f"{data / FIRST_DATABASE} is missing", _RESTORING)
        return
    engine = open_sqlite(found[-1].path)
    try:
        checks = check_database(engine, migrations)
        yield from checks
        if all(check.grade == "ok" for check in checks):
            closed = closed_origins(settings.exchange, found[-1].generation)
            yield from _look_at_logs(engine, settings, closed, now)
            if signers is not None:
                yield from _look_at_directory(data, settings, engine, signers, now)
    finally:
        engine.dispose()


def _check_anchor(engine: Engine, settings: HubSettings, closed: Collection[str]) -> Check:
    anchor, name = anchor_of(settings), "anchor"
    if anchor is None:
        advice = "name a file on another disk (`anchor` in config.json): docs/operations.md"
        return warn(name, "an old disk would not be noticed here before it signs", advice)
    try:
        with reading(engine) as connection:
            why = anchor.why_behind(connection, closed)
    except BaridError as error:
        return fail(name, str(error), "mend the place of the anchor, and start the hub anew")
    if why:
        return fail(name, why, "do not serve from this disk: docs/operations.md, Restoring a hub")
    return ok(name, f"the logs hold what was signed, by {anchor.path}")


def _look_at_logs(
    engine: Engine, settings: HubSettings, closed: Collection[str], now: datetime
) -> Iterator[Check]:
    with reading(engine) as connection:
        directory, exchange = (
            read_head(connection, "directory"),
            read_head(connection, "exchange"),
        )
    said = f"directory log {directory.size} entries, exchange log {exchange.size}"
    yield ok("logs", said)
    yield _check_anchor(engine, settings, closed)
    newest = datetime.fromtimestamp(max(directory.at, exchange.at), UTC)
    # The hub has no clock to trust but its own past, which it must not run behind.
    if newest > now:
        yield check_clock(newest - now, "the newest entry of the logs")


def _look_at_directory(
    data: Path, settings: HubSettings, engine: Engine, signers: Signers, now: datetime
) -> Iterator[Check]:
    name = "directory"
    root = data / ROOT_FILE
    if not root.exists():
        yield fail(name, "none is loaded", "`barid hub load` what the governors signed")
        return
    try:
        closed = [open_sqlite(each.path) for each in databases(data)[:-1]]
        history = history_of_closed(settings.exchange, root.read_bytes(), closed)
        for each in closed:
            each.dispose()
        directory = Ledger(engine, signers, history, lambda: 0).state.directory
    except (BaridError, SQLAlchemyError) as error:
        yield fail(name, f"it does not verify: {type(error).__name__}", _RESTORING)
        return
    if directory is None:
        yield fail(name, "none is in force", "`barid hub load` what the governors signed")
        return
    yield _check_expiry(directory, now)
    yield _check_timestamp(engine, directory, now)


def _check_expiry(directory: Directory, now: datetime) -> Check:
    """What governors and members signed, and until when."""
    name = "directory"
    expires = directory.council_expires
    said = f"council signed until {format_time(expires)}"
    signing = "the governors sign a new version; then `barid hub load`"
    if expires <= now:
        return fail(name, said, signing)
    expired = sorted(m for m in directory.members if directory.member_expired(m, now))
    if expired:
        theirs = f"files of members have run out: {', '.join(expired)}"
        return warn(name, theirs, "these members sign new ones; then `barid hub load`")
    if expires - now <= EXPIRES_WITHIN:
        return warn(name, said, signing)
    return ok(name, said)


def _check_timestamp(engine: Engine, directory: Directory, now: datetime) -> Check:
    """What the hub itself signs anew while it serves."""
    name, serving = "timestamp", "let the hub serve: it signs both anew by itself"
    with reading(engine) as connection:
        present = vouched(connection, directory.snapshot_file)
    if present.timestamp_expires is None:
        return warn(name, "there is none for the snapshot in force", serving)
    said = (
        f"valid until {format_time(present.timestamp_expires)},"
        f" the snapshot until {format_time(present.snapshot_expires)}"
    )
    if min(present.timestamp_expires, present.snapshot_expires) <= now:
        return warn(name, said, serving)
    return ok(name, said)
