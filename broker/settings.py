"""Settings: what `<data>/config.json` says about a hub, a node or an auditor; how such files are written.

May import `schemas`; hub, node, audit and the command line read it. Secrets never stand here: they
rest in the keystore.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field, StringConstraints

from schemas.errors import ConfigurationError, ParseError
from schemas.limits import DESKS_PER_MEMBER_MAX
from schemas.loader import dump_json, parse
from schemas.scalars import (
    UNIT_PATTERN,
    DeskId,
    ExchangeName,
    MemberId,
    Message,
    SortedUnique,
)

CONFIG_FILE: Final = "config.json"

_CONFIG_BYTES_MAX: Final = 64 * 1024
"""Bytes of a settings file: a member's 64 desks take under 4 KB."""

Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:-]{1,255}$")]
UnitName = Annotated[str, StringConstraints(pattern=f"^{UNIT_PATTERN}$")]


class Listen(Message):
    """Where a server listens: an address of this machine, and a TCP port (0: any free one)."""

    host: Host
    port: Annotated[int, Field(ge=0, le=65535)]


class HubSettings(Message):
    """A hub: `authority` is what requests sign, `names` are those of its TLS certificate."""

    role: Literal["hub"] = "hub"
    exchange: ExchangeName
    listen: Listen
    operator: Listen
    authority: Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+(:[0-9]{1,5})?$")]
    names: Annotated[tuple[Host, ...], Field(min_length=1, max_length=16)]


class NodeSettings(Message):
    """A member's node: its desks by unit, and where its agencies reach it."""

    role: Literal["node"] = "node"
    exchange: ExchangeName
    member: MemberId
    desks: Annotated[
        tuple[UnitName, ...], Field(min_length=1, max_length=DESKS_PER_MEMBER_MAX), SortedUnique
    ]
    listen: Listen

    @property
    def desk_ids(self) -> tuple[str, ...]:
        """The desks as they stand on bulletins: `tn/main`."""
        return tuple(f"{self.member}/{unit}" for unit in self.desks)


class AuditorSettings(Message):
    """An auditor, which calls the hub with the request key of its desk."""

    role: Literal["auditor"] = "auditor"
    exchange: ExchangeName
    desk: DeskId


Settings = TypeVar("Settings", HubSettings, NodeSettings, AuditorSettings)


def load_hub(data: Path) -> HubSettings:
    """Read the settings of a hub from its data directory. Raises ConfigurationError."""
    return _load(HubSettings, data)


def load_node(data: Path) -> NodeSettings:
    """Read the settings of a node from its data directory. Raises ConfigurationError."""
    return _load(NodeSettings, data)


def load_auditor(data: Path) -> AuditorSettings:
    """Read the settings of an auditor from its data directory. Raises ConfigurationError."""
    return _load(AuditorSettings, data)


def save_hub(data: Path, settings: HubSettings) -> None:
    """Write the settings of a new hub. Raises ConfigurationError if there are some already."""
    _save(settings, data)


def save_node(data: Path, settings: NodeSettings) -> None:
    """Write the settings of a new node. Raises ConfigurationError if there are some already."""
    _save(settings, data)


def save_auditor(data: Path, settings: AuditorSettings) -> None:
    """Write the settings of a new auditor. Raises ConfigurationError if there are some already."""
    _save(settings, data)


def _load(model: type[Settings], data: Path) -> Settings:
    path = data / CONFIG_FILE
    try:
        return parse(model, path.read_bytes(), _CONFIG_BYTES_MAX)
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path} does not exist: run the `init` command first") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except ParseError as error:
        raise ConfigurationError(f"{path} is not right: {error}") from error


def _save(settings: HubSettings | NodeSettings | AuditorSettings, data: Path) -> None:
    path = data / CONFIG_FILE
    if path.exists():
        raise ConfigurationError(f"{path} exists: choose another data directory")
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, dump_json(settings) + b"\n")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file of a data directory; a crash leaves the old state or the new file, never half of it."""
    unfinished = path.with_name(path.name + ".new")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
