"""A person's own release key, and the member that declares whose keys count."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from typer.testing import Result

from broker.cli.exits import Exit
from keys.ceremony import read_member_request
from keys.keystore import Keystore
from keys.release_keys import load_release_key
from keys.signing import VerifyingIdentity
from tests.unit.cli.conftest import Barid
from tests.unit.cli.releasing import (
    EXCHANGE,
    keygen,
)

pytestmark = pytest.mark.usefixtures("_cheap_keystores")


def test_a_key_of_ones_own(barid: Barid, tmp_path: Path) -> None:
    """The public half is a file to hand over; the private one is in a keystore, and never printed."""
    out = tmp_path / "amal"
    result = barid("release", "keygen", "--out", out, "--exchange", EXCHANGE, "--name", "Amal")
    key = load_release_key(Keystore.open(out / "keystore", b"a passphrase of tests"))
    assert (key.exchange, key.keyid in result.stdout) == (EXCHANGE, True)
    public = json.loads((out / "release-public.json").read_bytes())
    assert (public["name"], public["exchange"]) == ("Amal", EXCHANGE)
    assert base64.b64decode(public["key"]["ed25519"]) == key.identity.public.ed25519
    seeds = key.identity.seeds()
    for file in out.rglob("*"):
        if file.is_file():
            assert seeds[:32] not in file.read_bytes()
    again = barid("release", "keygen", "--out", out, "--exchange", EXCHANGE)
    assert again.exit_code == Exit.CONFIGURATION
    kept = load_release_key(Keystore.open(out / "keystore", b"a passphrase of tests"))
    assert kept.keyid == key.keyid


@pytest.mark.parametrize("exchange", ["NOT ONE", "x"])
def test_no_key_for_no_exchange(barid: Barid, tmp_path: Path, exchange: str) -> None:
    """A wrong name would make a key that counts nowhere."""
    out = tmp_path / "amal"
    result = barid("release", "keygen", "--out", out, "--exchange", exchange)
    assert (result.exit_code, out.exists()) == (Exit.USAGE, False)


def test_a_member_declares_its_people(barid: Barid, tmp_path: Path) -> None:
    """`node init` reads their public keys, says whose they are, and writes them into the request."""
    amal, omar, nour = (keygen(barid, tmp_path / name) for name in ("amal", "omar", "nour"))
    made = init(
        barid,
        tmp_path / "ly",
        *("--release-key", f"main={amal}/release-public.json"),
        *("--release-key", f"main={omar}/release-public.json"),
        *("--release-key", f"judicial={nour}/release-public.json"),
        *("--release-threshold", "main=2", "--release-threshold", "judicial=1"),
    )
    assert made.exit_code == 0, made.stderr
    request = read_member_request((tmp_path / "ly" / "member-request.json").read_bytes())
    declared = request.file.desks
    assert {unit: desk.release_threshold for unit, desk in declared.items()} == {
        "judicial": 1,
        "main": 2,
    }
    keyids = [VerifyingIdentity.from_key(key).keyid(EXCHANGE) for key in declared["main"].release]
    for who, keyid in zip((amal, omar), keyids, strict=True):
        assert f"{who.name} releases for main: {keyid}" in made.stdout


def init(barid: Barid, data: Path, *more: object) -> Result:
    """`node init` of ly with two desks."""
    return barid(
        *("node", "init", "--data", data, "--exchange", EXCHANGE, "--member", "ly"),
        *("--desk", "main", "--desk", "judicial"),
        *more,
    )


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (("--release-key", "main={amal}"), Exit.USAGE),
        (("--release-threshold", "main=1"), Exit.USAGE),
        (("--release-key", "main=nothing", "--release-threshold", "main=1"), Exit.USAGE),
        (("--release-key", "{amal}", "--release-threshold", "main=1"), Exit.USAGE),
        (("--release-key", "main={amal}", "--release-threshold", "main=x"), Exit.USAGE),
        (("--release-key", "main={amal}", "--release-threshold", "main=0"), Exit.CONFIGURATION),
        (("--release-key", "main={amal}", "--release-threshold", "main=2"), Exit.CONFIGURATION),
        (
            ("--release-key", "customs={amal}", "--release-threshold", "customs=1"),
            Exit.CONFIGURATION,
        ),
        (("--release-key", "main={other}", "--release-threshold", "main=1"), Exit.CONFIGURATION),
        (
            ("--release-key", "main={passphrase}", "--release-threshold", "main=1"),
            Exit.CONFIGURATION,
        ),
        (
            (
                *("--release-key", "main={amal}", "--release-threshold", "main=1"),
                *("--release-key", "judicial={amal}", "--release-threshold", "judicial=1"),
            ),
            Exit.CONFIGURATION,
        ),
    ],
)
def test_people_that_do_not_fit(
    barid: Barid, tmp_path: Path, given: tuple[str, ...], code: Exit
) -> None:
    """No threshold, no key, too many needed, no such desk, another exchange, one key twice."""
    files = {
        "amal": keygen(barid, tmp_path / "amal") / "release-public.json",
        "other": keygen(barid, tmp_path / "other", "another-exchange") / "release-public.json",
        "passphrase": tmp_path / "passphrase",
    }
    result = init(barid, tmp_path / "ly", *(each.format(**files) for each in given))
    assert (result.exit_code, (tmp_path / "ly").exists()) == (code, False), result.stderr
