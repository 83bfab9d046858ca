"""How notices leave: a real mail server over TLS, a real command; what fails says why, and nothing more."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from broker.node.alarms.channels import CommandChannel, Notice, NoticeFailed, SmtpChannel
from broker.settings import CommandNotices, SmtpNotices
from tests.exchange.mail_server import DUTY, PASSWORD, SENDER, USER, MailServer, mail_server
from tests.unit.node.world import at

NOTICE = Notice("[Barid tn] حرج: نشرة", "نشرة عاجلة\nsecond line\n", b'{"v":1}', at())


@pytest.fixture(params=["plain", "starttls", "tls"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MailServer]:
    """A mail server, reached in each way."""
    with mail_server(tmp_path, request.param) as serving:
        yield serving


def password_file(folder: Path, password: str = PASSWORD, mode: int = 0o600) -> str:
    """A credential file."""
    path = folder / "password"
    path.write_text(password + "\n")
    path.chmod(mode)
    return str(path)


# Mail.


def test_a_mail_arrives_as_it_was_written(server: MailServer) -> None:
    """To all recipients, in Arabic, marked as automatic, encrypted unless the settings say plain."""
    SmtpChannel(server.settings()).send(NOTICE)
    [mail] = server.came
    assert (mail["From"], mail["To"]) == (SENDER, f"{DUTY}, second@agency.example")
    assert mail["Subject"] == NOTICE.subject
    assert mail.get_content() == NOTICE.body
    assert (mail["Auto-Submitted"], mail["Date"].datetime) == ("auto-generated", at())
    assert mail["Message-ID"].endswith("@node.example>")
    assert server.encrypted == [server.security != "plain"]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_server_with_another_certificate_gets_nothing(tmp_path: Path, security: str) -> None:
    """Neither one that nobody trusts, nor one for another name."""
    (tmp_path / "other").mkdir()
    with (
        mail_server(tmp_path, security) as server,
        mail_server(tmp_path / "other", security, tls_names="mail.example") as other,
    ):
        for settings in (
            server.settings(trust_file=str(other.certificate)),
            other.settings(),
        ):
            with pytest.raises(NoticeFailed, match="certificate is not trusted"):
                SmtpChannel(settings).send(NOTICE)
        assert server.came == other.came == []


def test_a_server_without_starttls_gets_nothing(tmp_path: Path) -> None:
    """A line that strips the offer does not make the node speak in the clear."""
    with mail_server(tmp_path, "plain") as server:
        settings = server.settings(security="starttls")
        with pytest.raises(NoticeFailed, match="SMTPNotSupportedError"):
            SmtpChannel(settings).send(NOTICE)
        assert server.came == []


def test_the_login_comes_from_a_file(tmp_path: Path) -> None:
    """Read at every notice, so that a changed password needs no restart."""
    with mail_server(tmp_path, login=True) as server:
        path = password_file(tmp_path)
        channel = SmtpChannel(server.settings(username=USER, password_file=path))
        channel.send(NOTICE)
        password_file(tmp_path, "another password")
        with pytest.raises(NoticeFailed, match="the mail server answered 535") as failed:
            channel.send(NOTICE)
        assert "another password" not in str(failed.value)
        assert (server.logins[:2], len(server.came)) == (["right", "wrong"], 1)


def test_a_password_that_a_login_cannot_carry_is_a_failure_of_this_way(tmp_path: Path) -> None:
    """It is told as one, so that it is tried again more and more rarely, and people see why."""
    with mail_server(tmp_path, login=True) as server:
        path = password_file(tmp_path, "mot de passe été")
        with pytest.raises(NoticeFailed, match="UnicodeEncodeError"):
            SmtpChannel(server.settings(username=USER, password_file=path)).send(NOTICE)


def test_a_password_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    """It says how to close it; a file that is not there is named."""
    with mail_server(tmp_path, login=True) as server:
        path = password_file(tmp_path, mode=0o640)
        channel = SmtpChannel(server.settings(username=USER, password_file=path))
        with pytest.raises(NoticeFailed, match="chmod 0600"):
            channel.send(NOTICE)
        Path(path).unlink()
        with pytest.raises(NoticeFailed, match="cannot be read"):
            channel.send(NOTICE)
        assert server.logins == []


def test_a_server_that_takes_nothing_now(tmp_path: Path) -> None:
    """Its code is told, its text is not: it may hold anything."""
    with mail_server(tmp_path, "plain") as server:
        server.refuses = True
        with pytest.raises(NoticeFailed) as failed:
            SmtpChannel(server.settings()).send(NOTICE)
        assert str(failed.value) == "the mail server answered 451"


def test_a_server_that_is_not_there_or_silent(tmp_path: Path) -> None:
    """Refused at once; a silent one after its time."""
    with mail_server(tmp_path, "plain") as server:
        gone = server.settings()
    with pytest.raises(NoticeFailed, match="ConnectionRefusedError"):
        SmtpChannel(gone).send(NOTICE)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        settings = gone.model_copy(update={"port": silent.getsockname()[1], "timeout_seconds": 1})
        with pytest.raises(NoticeFailed, match="SMTPServerDisconnected"):
            SmtpChannel(settings).send(NOTICE)


def test_a_trust_file_without_a_certificate(tmp_path: Path) -> None:
    """It is named."""
    empty = tmp_path / "empty.pem"
    empty.touch()
    with (
        mail_server(tmp_path, "tls") as server,
        pytest.raises(NoticeFailed, match=r"empty\.pem holds no certificate"),
    ):
        SmtpChannel(server.settings(trust_file=str(empty))).send(NOTICE)


MAIL: dict[str, Any] = {
    "host": "mail.example",
    "port": 587,
    "security": "starttls",
    "sender": SENDER,
    "recipients": (DUTY,),
}


@pytest.mark.parametrize(
    "changed",
    [
        {"security": "plain"},
        {"security": "plain", "host": "10.0.0.1"},
        {"security": "none"},
        {"username": USER},
        {"password_file": "/run/password"},
        {"username": USER, "password_file": "password"},
        {"sender": "barid@node.example\r\nBcc: x@y.example"},
        {"recipients": ("duty@agency.example, x@y.example",)},
        {"recipients": ()},
        {"port": 0},
        {"timeout_seconds": 0},
    ],
)
def test_unsafe_settings_of_mail_are_refused(changed: dict[str, Any]) -> None:
    """No mail in the clear beyond this machine, no half login, no second header in an address."""
    for host in ("127.0.0.1", "::1", "localhost"):
        SmtpNotices(**(MAIL | {"security": "plain", "host": host}))
    with pytest.raises(ValidationError):
        SmtpNotices(**(MAIL | changed))


# The command.


def script(folder: Path, *lines: str) -> str:
    """An executable script; `$OUT` is where it may write."""
    path = folder / "hook"
    path.write_text("\n".join(["#!/bin/sh", f"OUT={folder}/out", *lines]) + "\n")
    path.chmod(0o700)
    return str(path)


def test_the_command_reads_the_notice(tmp_path: Path) -> None:
    """On its standard input, with exactly the arguments of the settings: no shell reads them."""
    argv = (script(tmp_path, 'cat > "$OUT"', 'echo "$1" >> "$OUT"', "echo ignored"), "$(id); x y")
    CommandChannel(CommandNotices(argv=argv)).send(NOTICE)
    assert (tmp_path / "out").read_text() == '{"v":1}$(id); x y\n'


def test_the_command_gets_nothing_of_the_nodes_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the variables may say where the passphrase is; no open file is inherited either."""
    monkeypatch.setenv("BARID_PASSPHRASE_FILE", "/run/secret")
    program = "import json, os; print(json.dumps([dict(os.environ), os.listdir('/proc/self/fd')]))"
    (tmp_path / "program.py").write_text(program)
    hook = script(tmp_path, f'exec /usr/bin/env python3 "{tmp_path}/program.py" > "$OUT"')
    monkeypatch.setattr(
        "broker.node.alarms.channels._ENVIRONMENT", {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    )
    kept = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(kept, True)
    try:
        CommandChannel(CommandNotices(argv=(hook,))).send(NOTICE)
    finally:
        os.close(kept)
    environment, files = json.loads((tmp_path / "out").read_text())
    assert "BARID_PASSPHRASE_FILE" not in environment
    assert len(files) <= 4  # Its three streams, and the folder that it lists.


def test_a_command_that_fails_says_so(tmp_path: Path) -> None:
    """With its code; one that is not there, or not a program, with the system's reason."""
    with pytest.raises(NoticeFailed, match="ended with 3"):
        CommandChannel(CommandNotices(argv=(script(tmp_path, "exit 3"),))).send(NOTICE)
    with pytest.raises(NoticeFailed, match="does not start: No such file"):
        CommandChannel(CommandNotices(argv=(str(tmp_path / "nothing"),))).send(NOTICE)
    (tmp_path / "hook").chmod(stat.S_IRUSR)
    with pytest.raises(NoticeFailed, match="does not start: Permission denied"):
        CommandChannel(CommandNotices(argv=(str(tmp_path / "hook"),))).send(NOTICE)


def test_a_command_that_does_not_read_is_no_failure(tmp_path: Path) -> None:
    """It may ring a bell and look at nothing, however long the notice is."""
    long = Notice("subject", "body", b"x" * 1_000_000, at())
    CommandChannel(CommandNotices(argv=(script(tmp_path, "exit 0"),))).send(long)


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """After its time; nothing of it stays behind."""
    hook = script(tmp_path, "sleep 60 &", 'echo $! > "$OUT"', "wait")
    channel = CommandChannel(CommandNotices(argv=(hook,), timeout_seconds=1))
    began = time.monotonic()
    with pytest.raises(NoticeFailed, match="longer than 1 seconds"):
        channel.send(NOTICE)
    assert time.monotonic() - began < 10
    child = int((tmp_path / "out").read_text())
    state = Path(f"/proc/{child}/status")
    for _ in range(100):
        if not state.exists() or "State:\tZ" in state.read_text():
            return
        time.sleep(0.05)
    raise AssertionError("the command's child lives on")


@pytest.mark.parametrize(
    "changed", [{"argv": ()}, {"argv": ("hook",)}, {"timeout_seconds": 301}, {"shell": True}]
)
def test_unsafe_settings_of_the_command_are_refused(changed: dict[str, Any]) -> None:
    """It is named by its whole path: what a search path finds is somebody else's choice."""
    with pytest.raises(ValidationError):
        CommandNotices(**({"argv": ("/usr/bin/true",)} | changed))
