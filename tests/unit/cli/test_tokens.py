"""A governor whose key is in a token: a real one, in software, behind PKCS#11."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pkcs11
import pytest

from broker.cli.exits import Exit
from tests.unit.cli.founding import EXCHANGE, Barid, fingerprint, run

PIN = "1234"
LABEL = "governor"
LIBRARY = Path("/usr/lib/softhsm/libsofthsm2.so")

pytestmark = [
    pytest.mark.usefixtures("_cheap_keystores"),
    pytest.mark.skipif(
        shutil.which("softhsm2-util") is None or not LIBRARY.exists(),
        reason="SoftHSM2 is not installed: `make setup-token-tools` does, as root on Debian",
    ),
]


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[object]]:
    """A token with a key pair on P-256; gives the options that name it.

    The token's library reads its settings once in a process, so that the module has one token.
    """
    folder = tmp_path_factory.mktemp("token")
    (folder / "tokens").mkdir()
    settings = folder / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    pin = folder / "pin"
    pin.touch(mode=0o600)
    pin.write_text(PIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(settings))
        patch.setenv("BARID_PIN_FILE", str(pin))
        made = ("softhsm2-util", "--init-token", "--free", "--label", LABEL)
        subprocess.run([*made, "--pin", PIN, "--so-pin", PIN], check=True, capture_output=True)
        held = pkcs11.lib(str(LIBRARY)).get_token(token_label=LABEL)
        with held.open(user_pin=PIN, rw=True) as session:
            curve = pkcs11.util.ec.encode_named_curve_parameters("secp256r1")
            parameters = session.create_domain_parameters(
                pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: curve}, local=True
            )
            parameters.generate_keypair(id=b"\x02", label="governor", store=True)
        yield ["--token", LIBRARY, "--token-label", LABEL]


def founding(barid: Barid, folder: Path, token: list[object]) -> Path:
    """An exchange whose only governor has a token; gives its proposal."""
    hub = folder / "hub"
    run(
        barid,
        *("hub", "init", "--data", hub, "--exchange", EXCHANGE, "--address", "127.0.0.1:8443"),
    )
    key = folder / "tn"
    run(
        barid,
        *("trust", "keygen", "--out", key, "--exchange", EXCHANGE, "--name", "Tunisia", *token),
    )
    assert sorted(path.name for path in key.iterdir()) == ["trust-public.json"]
    public = json.loads((key / "trust-public.json").read_bytes())
    assert public["key"]["scheme"] == "ecdsa-sha2-nistp256"
    run(
        barid,
        *("trust", "init", "--out", folder / "trust", "--hub", hub / "hub.json"),
        *("--governor", f"tn={key / 'trust-public.json'}", "--threshold", 1),
    )
    return folder / "trust" / "proposal.json"


def test_a_token_signs(tmp_path: Path, barid: Barid, token: list[object]) -> None:
    """Its public key is written down, its signature counts, and the hub publishes what it signed."""
    proposal = founding(barid, tmp_path, token)
    digits = fingerprint(barid, proposal)
    out = tmp_path / "s.json"
    common = ("trust", "sign", proposal, "--fingerprint", digits, "--out", out)
    run(barid, *common, "--key", tmp_path / "tn", *token)
    trust = tmp_path / "trust"
    run(barid, "trust", "publish", proposal, "--signature", out, "--out", trust)
    told = run(barid, "hub", "load", "--data", tmp_path / "hub", trust / "repository")
    assert "entry 0 of the directory log" in told


def test_what_a_token_does_not_do(
    tmp_path: Path, barid: Barid, token: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No library, no such token, no such key, a wrong PIN, and no token at all: each says what to do."""
    proposal = founding(barid, tmp_path, token)
    digits = fingerprint(barid, proposal)
    out, key = tmp_path / "s.json", ("--key", tmp_path / "tn")
    common = ("trust", "sign", proposal, "--fingerprint", digits, "--out", out, *key)
    wrong_pin = tmp_path / "pin"
    wrong_pin.write_text("4321")
    answers = {
        "does not exist": barid(*common, "--token", tmp_path / "none.so"),
        "No PKCS#11 token found": barid(*common, *token[:2], "--token-label", "nobody's"),
        "does not give the key 7": barid(*common, *token, "--token-key", 7),
        "is in a token": barid(*common),
    }
    monkeypatch.setenv("BARID_PIN_FILE", str(wrong_pin))
    answers["PIN"] = barid(*common, *token)
    for said, result in answers.items():
        assert (result.exit_code, said in result.stderr) == (Exit.CONFIGURATION, True), said
    assert not out.exists()
