"""An order to destroy what opens an entry, from a receipt to the hub: the whole way by commands."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from broker.cli import hub as hub_commands
from broker.cli.exits import Exit
from broker.cli.options import utc_now
from broker.db import reading
from broker.hub.ledger import Answer, Batch, Ledger
from broker.hub.setup import open_ledger
from broker.hub.tables import entry
from broker.tlog.receipt_file import write_receipt_file
from broker.tlog.tlog_proof import TlogProof
from keys.keystore import Keystore
from schemas.entries import AttachmentStored
from schemas.limits import PURGE_DELAY_SECONDS
from schemas.loader import dump_json
from schemas.receipts import Receipt
from tests.unit.cli.founding import (
    GOVERNORS,
    THRESHOLD,
    Barid,
    directory_file,
    found_with_node,
    run,
    sign,
)

REASONS = (
    *("--reason-en", "Court of Tunis, 12/2026"),
    *("--reason-fr", "Tribunal de Tunis, 12/2026"),
    *("--reason-ar", "محكمة تونس، 12/2026"),
)


class Log:
    """Logs an entry about nobody, as a hub does between others."""

    def apply(self, batch: Batch) -> Answer:
        """Append it; answers with its receipt."""
        logged = AttachmentStored(
            type="attachment.stored",
            at=batch.at,
            sha256=secrets.token_hex(32),
            size=1000,
            directory_size=batch.directory_size,
        )
        data, salt = dump_json(logged), secrets.token_bytes(32)
        index = batch.exchange.append(data, salt, None)
        return lambda committed: committed.prover.receipt(index, data, salt)


def opened(folder: Path) -> Ledger:
    """The hub's ledger, at rest."""
    keystore = Keystore.open(folder / "hub" / "keystore", b"a passphrase of tests")
    return open_ledger(folder / "hub", keystore, lambda: int(utc_now().timestamp()))


def receipts(folder: Path, count: int) -> list[Path]:
    """Some entries are logged; their receipts as files."""
    ledger = opened(folder)
    made: list[Receipt] = ledger.commit([Log() for _ in range(count)])
    ledger.close()
    files = []
    for receipt in made:
        proof = TlogProof(
            receipt.index, tuple(bytes.fromhex(each) for each in receipt.path), receipt.checkpoint
        )
        file = folder / f"{receipt.index}.tlog-proof"
        file.write_text(write_receipt_file(receipt.entry, receipt.salt, proof, None))
        files.append(file)
    return files


def salts(folder: Path) -> list[bytes | None]:
    """What opens each entry of the exchange log, still."""
    ledger = opened(folder)
    query = select(entry.c.salt).where(entry.c.log == "exchange").order_by(entry.c.entry_index)
    with reading(ledger.engine) as connection:
        found = list(connection.execute(query).scalars())
    ledger.close()
    return found


def bring_into_force(barid: Barid, folder: Path, files: Sequence[Path]) -> str:
    """Propose orders, sign them, load them; gives what the proposal shows."""
    root = ("--invitation", folder / "trust" / "invitation.json")
    directory = ("--directory", directory_file(folder), *root)
    proposal, publication = folder / "purge.json", folder / "publication.json"
    for old in (*folder.glob("purge*.json"), publication):
        old.unlink(missing_ok=True)
    named = [word for file in files for word in ("--purge", file)]
    shown = run(barid, "trust", "propose", *named, *directory, "--out", proposal)
    governors = [folder / "governors" / name for name in GOVERNORS[:THRESHOLD]]
    signatures = sign(barid, proposal, governors, *root)
    run(barid, "trust", "publish", proposal, *signatures, *root, "--out", publication)
    run(barid, "hub", "load", "--data", folder / "hub", publication)
    return shown


@pytest.fixture
def founded(barid: Barid, tmp_path: Path) -> Path:
    """An exchange, and where its files lie."""
    found_with_node(barid, tmp_path)
    return tmp_path


def test_from_a_receipt_to_the_hub(
    barid: Barid, founded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Governors read what is to be destroyed, and why, in all three languages; ten minutes later it is."""
    hub = founded / "hub"
    first, second, _ = receipts(founded, 3)
    directory = ("--directory", directory_file(founded))
    root = ("--invitation", founded / "trust" / "invitation.json")
    order, other = founded / "order.json", founded / "other.json"
    said = run(barid, "trust", "purge-order", first, *directory, *root, *REASONS, "--out", order)
    assert "entry 0 of tripoli-test/exchange/1, leaf " in said
    run(barid, "trust", "purge-order", second, *directory, *root, *REASONS, "--out", other)
    shown = bring_into_force(barid, founded, [order])
    assert "destroy for good what opens entry 0 of tripoli-test/exchange/1" in shown
    assert "Court of Tunis, 12/2026; in French Tribunal de Tunis, 12/2026, in Arabic محكمة" in shown
    nothing = run(barid, "hub", "expire", "--data", hub)
    assert "Openings destroyed under an order of the council: 0." in nothing
    # What was ordered stays so, whatever is proposed later.
    assert "entry 1 of" in bring_into_force(barid, founded, [other])
    later = utc_now() + timedelta(seconds=PURGE_DELAY_SECONDS + 1)
    monkeypatch.setattr(hub_commands, "utc_now", lambda: later)
    due = run(barid, "hub", "expire", "--data", hub, "--dry-run")
    assert "Openings would be destroyed under an order of the council: 2." in due
    assert None not in salts(founded)
    done = run(barid, "hub", "expire", "--data", hub)
    assert "Openings destroyed under an order of the council: 2." in done
    assert "entry 0 of tripoli-test/exchange/1, ordered at " in done
    assert "Backups made before still hold them" in done
    assert [each is None for each in salts(founded)][:3] == [True, True, False]
    again = run(barid, "hub", "expire", "--data", hub)
    assert "Openings destroyed under an order of the council: 0." in again


def _orders(file: Path, **changed: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


def test_what_is_no_order(barid: Barid, founded: Path) -> None:
    """Another exchange's, another file, the same entry twice, a receipt of nothing: each says what to do."""
    (file,) = receipts(founded, 1)
    directory = ("--directory", directory_file(founded))
    root = ("--invitation", founded / "trust" / "invitation.json")
    order = founded / "order.json"
    made = ("trust", "purge-order", file, *directory, *root, *REASONS, "--out", order)
    run(barid, *made)
    out = ("--out", founded / "proposal.json")

    def refusal(*arguments: object) -> str:
        result = barid(*arguments)
        assert result.exit_code == Exit.CONFIGURATION, result.output
        return str(result.stderr)

    proposed = ("trust", "propose", "--purge", order, *directory, *root, *out)
    assert "is ordered to be destroyed already" in refusal(
        *proposed[:4], "--purge", order, *proposed[4:]
    )
    assert "is there already: name another file" in refusal(*made)
    _orders(order, exchange="other-test")
    assert "is of other-test, not of tripoli-test" in refusal(*proposed)
    _orders(order, orders=[])
    assert "is not what `barid trust purge-order` writes" in refusal(*proposed)
    file.write_text("nothing\n")
    assert "is no receipt" in refusal(*made[:-1], founded / "new.json")
