"""Fixtures of the command line's tests: the command as a person calls it, and keystores that cost nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from nacl.pwhash import argon2id
from typer.testing import CliRunner, Result

from broker.cli.main import app

Barid = Callable[..., Result]


@pytest.fixture
def barid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Barid:
    """Run `barid` in this process, with a passphrase from a file, and no settings of this machine."""
    passphrase = tmp_path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("a passphrase of tests")
    for name in ("DATA", "EXCHANGE", "NODE", "TOKEN_FILE", "CA", "DESK", "LANGUAGE"):
        monkeypatch.delenv(f"BARID_{name}", raising=False)
    monkeypatch.setenv("BARID_PASSPHRASE_FILE", str(passphrase))
    monkeypatch.setenv("COLUMNS", "200")
    runner = CliRunner()

    def run(*arguments: object, text: str | None = None) -> Result:
        result = runner.invoke(
            app, [str(each) for each in arguments], input=text, prog_name="barid"
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def _cheap_keystores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Derive the keys of keystores at the lowest cost: nothing here guards anything."""
    derive = argon2id.kdf

    def cheap(size: int, password: bytes, salt: bytes, _operations: int, _memory: int) -> bytes:
        return derive(size, password, salt, argon2id.OPSLIMIT_MIN, argon2id.MEMLIMIT_MIN)

    monkeypatch.setattr(argon2id, "kdf", cheap)
