"""Fixtures of the command line's tests: the command as a person calls it, and keystores that cost nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from nacl.pwhash import argon2id
from typer.testing import CliRunner, Result

from broker.cli.main import app
from tests.unit.cli.founding import Barid as Barid
from tests.unit.cli.founding import found_with_node


def make_barid(folder: Path, patch: pytest.MonkeyPatch) -> Barid:
    """Run `barid` in this process, with a passphrase from a file, and no settings of this machine."""
    passphrase = folder / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("a passphrase of tests")
    for name in ("DATA", "EXCHANGE", "NODE", "TOKEN_FILE", "CA", "DESK", "LANGUAGE"):
        patch.delenv(f"BARID_{name}", raising=False)
    patch.setenv("BARID_PASSPHRASE_FILE", str(passphrase))
    patch.setenv("COLUMNS", "200")
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
def barid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Barid:
    """The command as a person calls it."""
    return make_barid(tmp_path, monkeypatch)


def make_keystores_cheap(patch: pytest.MonkeyPatch) -> None:
    """Derive the keys of keystores at the lowest cost: nothing here guards anything."""
    derive = argon2id.kdf

    def cheap(size: int, password: bytes, salt: bytes, _operations: int, _memory: int) -> bytes:
        return derive(size, password, salt, argon2id.OPSLIMIT_MIN, argon2id.MEMLIMIT_MIN)

    patch.setattr(argon2id, "kdf", cheap)


@pytest.fixture
def _cheap_keystores(monkeypatch: pytest.MonkeyPatch) -> None:
    make_keystores_cheap(monkeypatch)


@pytest.fixture(scope="session")
def founded_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exchange of one node and an auditor, founded by the commands alone; nobody writes into it."""
    folder = tmp_path_factory.mktemp("founded")
    with pytest.MonkeyPatch.context() as patch:
        make_keystores_cheap(patch)
        found_with_node(make_barid(folder, patch), folder)
    return folder


@pytest.fixture
def founded(founded_once: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    shutil.copytree(founded_once, tmp_path, dirs_exist_ok=True)
    return tmp_path
