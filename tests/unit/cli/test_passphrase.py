"""Where a passphrase comes from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import typer

from broker.cli.passphrase import SOURCES, get_passphrase
from schemas.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _no_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    for source in SOURCES:
        monkeypatch.delenv(source, raising=False)


def test_file_descriptor_is_read_without_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unattended start asks nobody, even at a terminal."""
    reading, writing = os.pipe()
    os.write(writing, b"five random words in a row\n")
    os.close(writing)
    monkeypatch.setenv("BARID_PASSPHRASE_FD", str(reading))
    monkeypatch.setattr(typer, "prompt", _never)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert get_passphrase("the keystore") == b"five random words in a row"


def test_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The path in the environment names a file that its owner alone may read."""
    path = tmp_path / "passphrase"
    path.touch(mode=0o600)
    path.write_bytes(b"from a file")
    monkeypatch.setenv("BARID_PASSPHRASE_FILE", str(path))
    assert get_passphrase("the keystore") == b"from a file"
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod"):
        get_passphrase("the keystore")


def test_without_source_and_terminal_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that nobody gave a passphrase does not hang at a question."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    monkeypatch.setattr(typer, "prompt", _never)
    with pytest.raises(ConfigurationError, match="BARID_PASSPHRASE_FD"):
        get_passphrase("the keystore")


@pytest.mark.parametrize("new", [True, False])
def test_person_is_asked(monkeypatch: pytest.MonkeyPatch, *, new: bool) -> None:
    """At a terminal it is asked for, hidden, and twice where it is being chosen."""
    asked: list[tuple[str, dict[str, object]]] = []

    def prompt(text: str, **how: object) -> str:
        asked.append((text, how))
        return "عبارة مرور طويلة"

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(typer, "prompt", prompt)
    assert get_passphrase("the node's keystore", new=new) == "عبارة مرور طويلة".encode()
    expected = {"hide_input": True, "confirmation_prompt": new, "err": True}
    assert asked == [("Passphrase of the node's keystore", expected)]


def _never(*_arguments: object, **_options: object) -> str:
    pytest.fail("nobody is there to be asked")
