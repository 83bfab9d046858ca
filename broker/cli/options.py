"""Options that several commands share, and small readers of what people type: addresses, durations, times.

May import `broker.settings` and typer; the groups of commands use them, so that an option means the
same everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import ValidationError

from broker.settings import Listen
from schemas.scalars import MEMBER_PATTERN, UNIT_PATTERN, parse_time

KEYSTORE_DIRECTORY: Final = "keystore"

Data = Annotated[
    Path,
    typer.Option(
        "--data", envvar="BARID_DATA", file_okay=False, help="The data directory, with keys inside."
    ),
]
Exchange = Annotated[
    str,
    typer.Option(
        "--exchange", envvar="BARID_EXCHANGE", help="The exchange's name, as in council.json."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]

_DESK: Final = re.compile(f"{MEMBER_PATTERN}/{UNIT_PATTERN}", re.ASCII)
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def utc_now() -> datetime:
    """The machine's time, in UTC and whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


@contextmanager
def arguments_checked(*options: str) -> Iterator[None]:
    """Turn what a settings model refuses into a wrong call that names the options.

    Raises:
        typer.BadParameter: the block built a model from arguments that it refuses.
    """
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise typer.BadParameter(
            f"{where}: {first['msg']}", param_hint=", ".join(options)
        ) from error


def desk_formed(text: str) -> str:
    """Let a desk's id pass: `tn/main`. Raises typer.BadParameter."""
    if not _DESK.fullmatch(text):
        raise typer.BadParameter(
            f"{text!r} is no desk: MEMBER/UNIT, as tn/main; `barid desk list` shows them"
        )
    return text


def desks_formed(texts: list[str] | None) -> list[str] | None:
    """Let desks' ids pass. Raises typer.BadParameter."""
    for text in texts or ():
        desk_formed(text)
    return texts


def id_formed(text: str | None) -> str | None:
    """Let a bulletin's id pass. Raises typer.BadParameter."""
    if text is not None and not _ID.fullmatch(text):
        raise typer.BadParameter(
            f"{text!r} is no bulletin's id: 36 characters, as `bulletin status` and `inbox list` show it"
        )
    return text


def read_address(text: str, option: str) -> Listen:
    """Read `host:port`.

    Raises:
        typer.BadParameter: it is not.
    """
    host, _, port = text.rpartition(":")
    try:
        return Listen(host=host, port=int(port))
    except (ValidationError, ValueError) as error:
        raise typer.BadParameter(
            f"{text!r} is not HOST:PORT, as 127.0.0.1:8443", param_hint=option
        ) from error


def read_moment(text: str, now: datetime, option: str) -> datetime:
    """Read a moment (`2026-12-01T12:00:00Z`) or a duration from now (`90m`, `12h`, `7d`).

    Raises:
        typer.BadParameter: it is neither.
    """
    if match := re.fullmatch(r"([1-9]\d{0,5})([smhd])", text, re.ASCII):
        return now + timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    try:
        return parse_time(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is neither a duration (90m, 12h, 7d) nor a time (2026-12-01T12:00:00Z)",
            param_hint=option,
        ) from error
