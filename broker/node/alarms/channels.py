"""The ways in which a notice reaches a person: a command of the administrator's, and mail.

May import the standard library, `broker.settings` and `schemas`; `notices` sends through them, on threads.
What goes out is what a notice holds: ids, desks, words of Barid's own and times, never content.
"""

from __future__ import annotations

import contextlib
import os
import signal
import smtplib
import ssl
import stat
import subprocess
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Final, Protocol

from broker.settings import CommandNotices, SmtpNotices
from schemas.errors import BaridError

COMMAND: Final = "command"
SMTP: Final = "smtp"

_PASSWORD_BYTES_MAX: Final = 1024
_ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
"""The command gets no variable of the node's: one of them may say where the passphrase is."""


class NoticeFailed(BaridError):
    """A notice did not go out; the message says why, in words that may be shown to anybody here."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What people are told at one moment: a line, a text in their language, and the same as JSON."""

    subject: str
    body: str
    document: bytes
    at: datetime


class Channel(Protocol):
    """One way to a person; `name` stands in alarms and in the database."""

    name: str

    def send(self, notice: Notice) -> None:
        """Send a notice; blocks, with a limit of time. Raises NoticeFailed."""


class CommandChannel:
    """Runs a program with the notice as JSON on its standard input; what it prints is ignored.

    Args:
        settings: its arguments, and how long it may take.
    """

    name = COMMAND

    def __init__(self, settings: CommandNotices) -> None:
        self._settings = settings

    def send(self, notice: Notice) -> None:
        """Run the program once. Raises NoticeFailed: it cannot be started, fails, or takes too long."""
        try:
            process = subprocess.Popen(  # noqa: S603 - the administrator's own program, no shell
                self._settings.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=_ENVIRONMENT,
                # A group of its own, so that whatever it started ends with it.
                start_new_session=True,
            )
        except OSError as error:
            raise NoticeFailed(f"the command does not start: {error.strerror}") from error
        try:
            process.communicate(notice.document, timeout=self._settings.timeout_seconds)
        except subprocess.TimeoutExpired as error:
            _end_group(process)
            raise NoticeFailed(
                f"the command took longer than {self._settings.timeout_seconds} seconds"
            ) from error
        if process.returncode != 0:
            raise NoticeFailed(f"the command ended with {process.returncode}")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class SmtpChannel:
    """Hands a mail to a server, over TLS whose certificate is checked; plain to this machine only.

    Args:
        settings: the server, how it is reached, who writes to whom.
    """

    name = SMTP

    def __init__(self, settings: SmtpNotices) -> None:
        self._settings = settings

    def send(self, notice: Notice) -> None:
        """Send one mail to all. Raises NoticeFailed: the server, its certificate, or the login."""
        settings = self._settings
        message = EmailMessage()
        message["From"] = settings.sender
        message["To"] = ", ".join(settings.recipients)
        message["Subject"] = notice.subject
        message["Date"] = format_datetime(notice.at)
        # Named by the sender's domain: the default asks the network for this machine's name.
        message["Message-ID"] = make_msgid(domain=_domain(settings.sender))
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(notice.body, cte="base64")
        try:
            with self._connect() as server:
                server.send_message(message)
        except smtplib.SMTPResponseException as error:
            # The code alone: a server's text may hold anything.
            raise NoticeFailed(f"the mail server answered {error.smtp_code}") from error
        except ssl.SSLCertVerificationError as error:
            raise NoticeFailed("the mail server's certificate is not trusted") from error
        except (smtplib.SMTPException, OSError, ValueError) as error:
            # ValueError: what smtplib cannot write down for the server, as a password beyond ASCII.
            raise NoticeFailed(
                f"the mail server does not take it: {type(error).__name__}"
            ) from error

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        name, timeout = _domain(settings.sender), float(settings.timeout_seconds)
        server: smtplib.SMTP
        if settings.security == "tls":
            server = smtplib.SMTP_SSL(
                settings.host,
                settings.port,
                local_hostname=name,
                timeout=timeout,
                context=self._tls_context(),
            )
        else:
            server = smtplib.SMTP(
                settings.host, settings.port, local_hostname=name, timeout=timeout
            )
        try:
            if settings.security == "starttls":
                # Raises where the server does not offer it: nothing is then said in the clear.
                server.starttls(context=self._tls_context())
            if settings.username is not None and settings.password_file is not None:
                server.login(settings.username, _password(Path(settings.password_file)))
        except BaseException:
            server.close()
            raise
        return server

    def _tls_context(self) -> ssl.SSLContext:
        trusted = self._settings.trust_file
        try:
            context = ssl.create_default_context(cafile=trusted)
        except (ssl.SSLError, OSError) as error:
            raise NoticeFailed(f"{trusted} holds no certificate") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _password(path: Path) -> str:
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise NoticeFailed(f"{path} is open to other users: run `chmod 0600 {path}`")
        with path.open("rb") as file:
            return file.read(_PASSWORD_BYTES_MAX).decode().strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise NoticeFailed(f"{path} cannot be read") from error
