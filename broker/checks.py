"""What the doctors of hub and node have in common: one check, its grade, its words, and what to do.

May import `broker.certificates`, `broker.db` and the standard library; `hub.doctor` and `node.doctor` put
their checks together from these. Nothing is changed, and nothing secret is said.
"""

from __future__ import annotations

import os
import shutil
import ssl
import stat
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from broker.certificates import RENEW_WITHIN, current_pair, names_of, read_certificate, try_out
from broker.db import reading, schema_of
from broker.health import ask_ready
from broker.settings import Listen
from schemas.errors import ConfigurationError
from schemas.scalars import format_time

CLOCK_OFF: Final = timedelta(minutes=5)
"""How far a clock may be off (the protocol)."""

CLOCK_WARNED: Final = timedelta(seconds=30)
"""From here on somebody looks at the time service before it is too late."""

DISK_FREE_BYTES_MIN: Final = 1024**3
"""Free bytes below which a data directory is nearly full: ten of the largest attachments."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_ASK_SECONDS: Final = 5.0
_PRIVATE: Final = ("tls.key*", "keystore", "keystore/*")
"""What nobody else may read, wherever the directory is moved. Databases lie in a directory of mode 0700."""


class Grade(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    """It works, and somebody should look within days."""
    FAIL = "fail"
    """It does not work, or is not safe."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Args:
        name: what, in two or three words.
        grade: how it ended.
        said: what was found.
        advice: what a person does about it; empty where nothing is to be done.
    """

    name: str
    grade: Grade
    said: str
    advice: str = ""


def ok(name: str, said: str) -> Check:
    """A check that found nothing wrong."""
    return Check(name, Grade.OK, said)


def warn(name: str, said: str, advice: str) -> Check:
    """A check that found something to look at."""
    return Check(name, Grade.WARN, said, advice)


def fail(name: str, said: str, advice: str) -> Check:
    """A check that found something wrong."""
    return Check(name, Grade.FAIL, said, advice)


def check_modes(data: Path) -> Check:
    """The data directory and what is private in it belong to its user, and to nobody else."""
    name = "file modes"
    paths = [data, *(path for pattern in _PRIVATE for path in sorted(data.glob(pattern)))]
    states = {path: path.lstat() for path in paths}
    loose = [path for path, state in states.items() if state.st_mode & _OTHERS]
    if loose:
        strict = f"chmod go= {' '.join(str(path) for path in loose[:5])}"
        return fail(name, f"{len(loose)} are open to other users of this machine", f"`{strict}`")
    foreign = [path for path, state in states.items() if state.st_uid != os.geteuid()]
    if foreign:
        return warn(
            name,
            f"{foreign[0]} belongs to another user than the one who asks",
            "run this as the user of the service, to whom all of the directory should belong",
        )
    return ok(name, f"{len(paths)} looked at: for their user alone")


def check_disk(data: Path) -> Check:
    """There is room on the disk of the data directory."""
    name = "disk"
    usage = shutil.disk_usage(data)
    said = f"{usage.free // 1024**2} MiB of {usage.total // 1024**2} are free"
    if usage.free < DISK_FREE_BYTES_MIN:
        return fail(name, said, "make room, or move the data directory to a larger disk")
    return ok(name, said)


def check_certificate(data: Path, names: tuple[str, ...], now: datetime, renewing: str) -> Check:
    """The TLS certificate fits its key, is for every name, and ends late enough.

    Args:
        data: of a hub or node.
        names: that clients call.
        now: UTC.
        renewing: the command that renews it.
    """
    name = "TLS certificate"
    try:
        pair = current_pair(data)
        certificate = read_certificate(pair.certificate)
    except ConfigurationError as error:
        return fail(name, str(error), f"`{renewing}`, or restore it from a backup")
    ends = certificate.not_valid_after_utc
    said = f"for {', '.join(names_of(certificate))}; ends {format_time(ends)}"
    if ends <= now:
        return fail(name, f"it has ended: {said}", f"`{renewing}`")
    try:
        if certificate.issuer == certificate.subject:
            for each in names:
                try_out(pair, pair.certificate.decode("ascii", "replace"), each)
    except ConfigurationError as error:
        return fail(name, str(error), f"`{renewing}`")
    missing = set(names) - set(names_of(certificate))
    if missing and certificate.issuer == certificate.subject:
        return fail(name, f"it is not for {', '.join(sorted(missing))}", f"`{renewing}`")
    if ends - now <= RENEW_WITHIN:
        return warn(name, f"it ends soon: {said}", f"`{renewing}`, and tell those who trust it")
    return ok(name, said)


def check_database(engine: Engine, migrations: ModuleType) -> list[Check]:
    """The database is whole, and has the schema of this software."""
    name = "database"
    restoring = "stop the service, keep the files, and restore a backup into another directory"
    try:
        with reading(engine) as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        schema = schema_of(engine, migrations)
    except SQLAlchemyError as error:
        return [fail(name, f"it cannot be read: {type(error).__name__}", restoring)]
    if found != "ok":
        return [fail(name, "it is damaged", restoring)]
    checks = [ok(name, "whole")]
    if not schema.is_known:
        newer = "install the version that it belongs to, or restore a backup of this one"
        return [*checks, fail("schema", f"{schema.current}, of a newer version", newer)]
    if schema.current == schema.newest:
        return [*checks, ok("schema", f"{schema.current}, the newest")]
    updating = "start the service: it brings the database up to date; make a backup before"
    said = f"{schema.current}, and this software has {schema.newest}"
    return [*checks, warn("schema", said, updating)]


def check_operator(listen: Listen | None, what: str) -> Check:
    """The server answers at its operator's address, and is ready."""
    name = "operator address"
    if listen is None:
        return warn(
            name,
            "none is set: nobody can watch it",
            'add `"operator": {"host": "127.0.0.1", "port": 8082}` to config.json',
        )
    where = f"http://{listen.host}:{listen.port}/readyz"
    try:
        ready, said = ask_ready(listen)
    except OSError as error:
        return warn(
            name, f"{where}: {type(error).__name__}", f"start the {what}, if it should be running"
        )
    if not ready:
        return fail(name, f"the {what} is not ready: {said}", "see what it says, and its logs")
    return ok(name, f"the {what} runs, and is ready")


def check_served(data: Path, listen: Listen, what: str) -> Check:
    """What is served at the own address is the certificate of the data directory."""
    name = "served certificate"
    try:
        served = ssl.get_server_certificate((listen.host, listen.port), timeout=_ASK_SECONDS)
        same = read_certificate(served.encode()) == read_certificate(current_pair(data).certificate)
    except (OSError, ConfigurationError) as error:
        said = f"{listen.host}:{listen.port}: {type(error).__name__}"
        return warn(name, said, f"start the {what}, if it should be running")
    if not same:
        return warn(name, "the old one", f"start the {what} anew once others know of the new one")
    return ok(name, "the one of the data directory")


def check_clock(offset: timedelta, other: str) -> Check:
    """This machine's clock agrees with another's.

    Args:
        offset: how far the other is ahead.
        other: whose clock, as `the hub's`.
    """
    name = "clock"
    seconds = round(abs(offset).total_seconds())
    where = "behind" if offset > timedelta(0) else "ahead of"
    said = f"{seconds} seconds {where} {other}"
    advice = (
        "set the clock by a time service (`timedatectl status`); requests and keys depend on it"
    )
    if abs(offset) > CLOCK_OFF:
        return fail(name, said, advice)
    if abs(offset) > CLOCK_WARNED:
        return warn(name, said, advice)
    return ok(name, said if seconds else f"agrees with {other}")
