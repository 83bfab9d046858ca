"""An auditor that watches: told of what is found by exit code, by a program, and by metrics."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import Result

from broker.audit.setup import INVITATION_FILE, KEYSTORE_DIRECTORY, request_secret
from broker.cli.exits import Exit
from broker.settings import AuditorSettings, save_auditor, write_whole
from keys.keystore import Keystore
from schemas.loader import dump_json
from tests.exchange.acting import submit
from tests.exchange.live import CHEAP, EXCHANGE, PASSPHRASE, LiveHub, free_port, live_hub, run
from tests.unit.cli.conftest import make_barid

AUDITOR = "auc/audit"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LiveHub]:
    """A hub that has relayed something."""
    with live_hub(tmp_path / "hub") as serving:
        run(serving.announce("ly/main", "tn/main"))
        run(submit(serving, serving.seal(serving.outgoing("ly/main"), "tn/main")))
        yield serving


class Watching(threading.Thread):
    """`barid audit watch`, on a thread of this process."""

    def __init__(
        self, hub: LiveHub, folder: Path, monkeypatch: pytest.MonkeyPatch, *options: object
    ) -> None:
        super().__init__(daemon=True)
        data = folder / "AUD"
        data.mkdir(mode=0o700)
        keystore = Keystore.create(data / KEYSTORE_DIRECTORY, PASSPHRASE, CHEAP)
        keystore.put(request_secret(AUDITOR), hub.desks[AUDITOR].request.seed())
        save_auditor(data, AuditorSettings(exchange=EXCHANGE, desk=AUDITOR))
        write_whole(data / INVITATION_FILE, dump_json(hub.invitation))
        self._barid = make_barid(folder, monkeypatch)
        monkeypatch.setenv("BARID_PASSPHRASE_FILE", str(folder / "passphrase"))
        (folder / "passphrase").write_bytes(PASSPHRASE)
        (folder / "passphrase").chmod(0o600)
        self.port = free_port()
        operator = ("--operator", f"127.0.0.1:{self.port}")
        self._arguments = ("audit", "watch", "--data", data, "--every", "1", *operator, *options)
        self.result: Result | None = None

    def run(self) -> None:
        """Watch until it ends."""
        self.result = self._barid(*self._arguments)

    def metric(self, name: str) -> float | None:
        """A gauge, once it is there."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as got:
                text = got.read().decode()
        except OSError:
            return None
        found = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(found[0].split()[1]) if found else None

    def wait_until(self, name: str, value: float) -> None:
        """Wait for a gauge. Raises TimeoutError."""
        deadline = time.monotonic() + 30
        while (found := self.metric(name)) is None or found < value:
            if time.monotonic() > deadline:
                raise TimeoutError(name)
            time.sleep(0.1)

    def ended(self) -> Result:
        """How it ended."""
        self.join(30)
        assert self.result is not None
        return self.result


def _alter(hub: LiveHub) -> None:
    """Somebody who can write the hub's database changes who got something."""
    with closing(sqlite3.connect(hub.data / "hub.db")) as database:
        database.execute(
            "UPDATE entry SET entry = CAST(replace(CAST(entry AS TEXT), 'tn/main', 'dz/main') AS BLOB)"
            " WHERE log = 'exchange' AND entry_index = 0"
        )
        database.commit()


def test_what_is_found_ends_it_and_is_told(
    hub: LiveHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sound at first; then an entry is altered, the program gets the report, and the code is 3."""
    told, program = tmp_path / "told.json", tmp_path / "tell"
    program.write_text(f"#!/bin/sh\ncat > {told}\n")
    program.chmod(0o755)
    watching = Watching(hub, tmp_path, monkeypatch, "--command", program)
    watching.start()
    watching.wait_until("barid_audit_audits", 2)
    assert watching.metric("barid_audit_findings") == 0
    assert watching.metric("barid_audit_last_sound_timestamp_seconds")
    assert not told.exists()
    _alter(hub)
    result = watching.ended()
    assert result.exit_code == Exit.FINDINGS
    assert "nothing found in" in result.output
    assert "rule opening" in result.output
    report = json.loads(told.read_bytes())
    assert [each["rule"] for each in report["findings"]] == ["opening"]


def test_it_goes_on_where_it_is_told_to(
    hub: LiveHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Findings stay in the metrics; a hub that is silent for too long ends it with 4."""
    watching = Watching(hub, tmp_path, monkeypatch, "--keep-going", "--patience", "1")
    watching.start()
    watching.wait_until("barid_audit_audits", 1)
    _alter(hub)
    watching.wait_until("barid_audit_findings", 1)
    audits = watching.metric("barid_audit_audits") or 0
    watching.wait_until("barid_audit_audits", audits + 1)
    hub.stop()
    result = watching.ended()
    assert result.exit_code == Exit.UNREACHABLE
    assert watching.metric("barid_audit_audits") is None
