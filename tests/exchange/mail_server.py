"""A real mail server on loopback, with or without TLS and a login, that keeps what it was given."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from broker.certificates import make_certificate
from broker.settings import SmtpNotices
from tests.exchange.live import free_port

USER, PASSWORD = "barid-notices", "a password of tests"
SENDER, DUTY = "barid@node.example", "duty@agency.example"


@dataclass
class MailServer:
    """What came, and how a node reaches it."""

    port: int
    security: str
    certificate: Path
    came: list[EmailMessage] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    refuses: bool = False

    def settings(self, **changed: Any) -> SmtpNotices:
        """The node's settings, with some members changed."""
        members: dict[str, Any] = {
            "host": "localhost",
            "port": self.port,
            "security": self.security,
            "sender": SENDER,
            "recipients": (DUTY, "second@agency.example"),
            "trust_file": str(self.certificate),
            "timeout_seconds": 5,
        }
        return SmtpNotices(**(members | changed))

    async def handle_DATA(  # noqa: N802 - the library calls it so
        self, _server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Take a mail."""
        if self.refuses:
            return "451 try again later"
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.came.append(message)
        self.encrypted.append(session.ssl is not None or self.security == "tls")
        return "250 taken"

    def login(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        """Check a login."""
        assert isinstance(data, LoginPassword)
        right = data == LoginPassword(USER.encode(), PASSWORD.encode())
        self.logins.append("right" if right else "wrong")
        return AuthResult(success=right, handled=False)


@contextmanager
def mail_server(
    folder: Path, security: str = "starttls", *, login: bool = False, tls_names: str = "localhost"
) -> Iterator[MailServer]:
    """Serve mail on loopback.

    Args:
        folder: for the certificate.
        security: `plain`, `starttls` or `tls`.
        login: whether a login is demanded.
        tls_names: whose name its certificate has.
    """
    certificate, key = make_certificate(folder, (tls_names,), datetime.now(UTC))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = MailServer(free_port(), security, certificate)
    controller = Controller(
        server,
        hostname="127.0.0.1",
        port=server.port,
        ssl_context=context if security == "tls" else None,
        tls_context=context if security == "starttls" else None,
        require_starttls=security == "starttls",
        auth_required=login,
        auth_require_tls=security == "starttls",
        authenticator=server.login,
    )
    controller.start()
    try:
        yield server
    finally:
        controller.stop()
