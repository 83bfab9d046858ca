"""Settings: what `<data>/config.json` says about a hub, a node or an auditor; how such files are written.

May import `schemas`; hub, node, audit and the command line read it. Secrets never stand here: they
rest in the keystore.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import Field, StringConstraints, model_validator

from schemas.errors import ConfigurationError, ParseError
from schemas.limits import ATTACHMENT_QUOTA_BYTES, DESKS_PER_MEMBER_MAX, INTEGER_MAX
from schemas.loader import dump_json, parse
from schemas.rules import Language
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

_S3_PATTERN: Final = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9/._-]{1,256})?$"
"""A bucket, and a prefix in it."""

Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:-]{1,255}$")]
UnitName = Annotated[str, StringConstraints(pattern=f"^{UNIT_PATTERN}$")]
MailAddress = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,252}$")
]
AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/[^\x00-\x1f]{1,4095}$")]
RepeatInterval = Annotated[int, Field(ge=1, le=7 * 24 * 3600)]


class Listen(Message):
    """Where a server listens: an address of this machine, and a TCP port (0: any free one)."""

    host: Host
    port: Annotated[int, Field(ge=0, le=65535)]


class HubSettings(Message):
    """A hub: `authority` is what requests sign, `names` are those of its TLS certificate.

    Attachments lie in its data directory, or in the S3 bucket that `attachment_store` names, whose
    credentials the environment gives; each desk may have `attachment_quota_bytes` of them. `anchor` is a file
    in a second place, which says what was last signed.
    """

    role: Literal["hub"] = "hub"
    exchange: ExchangeName
    listen: Listen
    operator: Listen
    authority: Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+(:[0-9]{1,5})?$")]
    names: Annotated[tuple[Host, ...], Field(min_length=1, max_length=16)]
    attachment_quota_bytes: Annotated[int, Field(ge=1, le=INTEGER_MAX)] = ATTACHMENT_QUOTA_BYTES
    attachment_store: Annotated[str, StringConstraints(pattern=_S3_PATTERN)] | None = None
    anchor: Annotated[str, StringConstraints(pattern=r"^/.{1,4095}$")] | None = None


class CommandNotices(Message):
    """A program that is run with a notice as JSON on its standard input; no shell reads its arguments."""

    argv: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=4096)], ...],
        Field(min_length=1, max_length=64),
    ]
    timeout_seconds: Annotated[int, Field(ge=1, le=300)] = 20

    @model_validator(mode="after")
    def _absolute(self) -> Self:
        if not self.argv[0].startswith("/"):
            raise ValueError("the program is named by its absolute path")
        return self


class SmtpNotices(Message):
    """A mail server: notices go to it over TLS, unless it runs on this machine."""

    host: Host
    port: Annotated[int, Field(ge=1, le=65535)]
    security: Literal["starttls", "tls", "plain"]
    sender: MailAddress
    recipients: Annotated[tuple[MailAddress, ...], Field(min_length=1, max_length=20)]
    username: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    password_file: AbsolutePath | None = None
    trust_file: AbsolutePath | None = None
    timeout_seconds: Annotated[int, Field(ge=1, le=300)] = 20

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.security == "plain" and not _is_loopback(self.host):
            raise ValueError("mail without TLS goes to this machine only: starttls or tls")
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file come together")
        return self


class RepeatSeconds(Message):
    """How often people are told again of an alarm that nobody acknowledges, by its severity."""

    critical: RepeatInterval = 5 * 60
    serious: RepeatInterval = 3600
    minor: RepeatInterval = 24 * 3600


class Notices(Message):
    """How alarms reach a person who is not at the screen, in which language, and how often."""

    language: Language = "en"
    command: CommandNotices | None = None
    smtp: SmtpNotices | None = None
    repeat_seconds: RepeatSeconds = RepeatSeconds()

    @property
    def channels(self) -> frozenset[str]:
        """The ways that are set up."""
        ways = {"command": self.command, "smtp": self.smtp}
        return frozenset(name for name, way in ways.items() if way is not None)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class NodeSettings(Message):
    """A member's node: its desks by unit, where its agencies reach it, and how it tells of alarms.

    `operator` is where health and metrics are asked, in plain HTTP; without it nobody can ask.
    """

    role: Literal["node"] = "node"
    exchange: ExchangeName
    member: MemberId
    desks: Annotated[
        tuple[UnitName, ...], Field(min_length=1, max_length=DESKS_PER_MEMBER_MAX), SortedUnique
    ]
    listen: Listen
    operator: Listen | None = None
    notices: Notices | None = None

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
