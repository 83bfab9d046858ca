"""The keystore's passphrase: where the operator may put it, and what is refused there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keys.keystore import read_passphrase
from schemas.errors import ConfigurationError


def test_a_passphrase_comes_from_a_descriptor(tmp_path: Path) -> None:
    """The descriptor is read to its end and closed; one newline is not part of it."""
    reading, writing = os.pipe()
    os.write(writing, b"words of a clerk \n")
    os.close(writing)
    assert read_passphrase({"BARID_PASSPHRASE_FD": str(reading)}) == b"words of a clerk "
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)
    assert tmp_path.exists()


def test_a_passphrase_comes_from_a_strict_file(tmp_path: Path) -> None:
    """A file of mode 0600 is read, a looser one is refused with advice."""
    path = tmp_path / "passphrase"
    path.write_bytes(b"words of a clerk")
    path.chmod(0o600)
    environment = {"BARID_PASSPHRASE_FILE": str(path), "CREDENTIALS_DIRECTORY": "/none"}
    assert read_passphrase(environment) == b"words of a clerk"
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 0600"):
        read_passphrase(environment)


def test_a_passphrase_comes_from_a_systemd_credential(tmp_path: Path) -> None:
    """The credential `passphrase` is read, with the group bits that systemd's access list shows."""
    path = tmp_path / "passphrase"
    path.write_bytes(b"words of a clerk\n")
    path.chmod(0o440)
    assert read_passphrase({"CREDENTIALS_DIRECTORY": str(tmp_path)}) == b"words of a clerk"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"BARID_PASSPHRASE_FD": "three"},
        {"BARID_PASSPHRASE_FD": "99999"},
        {"BARID_PASSPHRASE_FILE": "/none/passphrase"},
        {"CREDENTIALS_DIRECTORY": "/none"},
    ],
    ids=str,
)
def test_no_passphrase_is_the_operators_matter(environment: dict[str, str]) -> None:
    """Nothing set, and nothing readable, are told."""
    with pytest.raises(ConfigurationError):
        read_passphrase(environment)


@pytest.mark.parametrize("data", [b"", b"\n", b"x" * 1025])
def test_an_empty_or_endless_passphrase_is_refused(tmp_path: Path, data: bytes) -> None:
    """A passphrase has 1 to 1024 bytes."""
    path = tmp_path / "passphrase"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError):
        read_passphrase({"BARID_PASSPHRASE_FILE": str(path)})
