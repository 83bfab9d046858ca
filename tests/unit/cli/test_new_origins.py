"""`barid hub new-origins`, and new logs in the governors' proposals: the whole way by commands."""

from __future__ import annotations

from pathlib import Path

from broker.cli.exits import Exit
from schemas.directory import HubDescription, Logs
from schemas.loader import parse
from tests.unit.cli.founding import (
    GOVERNORS,
    THRESHOLD,
    Barid,
    directory_file,
    found_with_node,
    run,
    sign,
)


def _logs(path: Path) -> Logs:
    return parse(HubDescription, path.read_bytes(), 100_000).logs


def test_new_logs_begin(barid: Barid, tmp_path: Path) -> None:
    """Prepared, proposed in words, signed, loaded; a restart of the ceremony from the old file is refused."""
    found_with_node(barid, tmp_path)
    hub, invitation = tmp_path / "hub", tmp_path / "trust" / "invitation.json"
    said = run(barid, "hub", "new-origins", "--data", hub)
    assert "The directory log tripoli-test/directory/1 ends with 1 entries." in said
    assert "Generation 2 follows it." in said
    prepared = _logs(hub / "new-origins.json")
    run(barid, "hub", "new-origins", "--data", hub)
    assert _logs(hub / "new-origins.json") == prepared
    assert _logs(hub / "hub.json").generation == 1
    proposal = tmp_path / "proposal.json"
    root = ("--invitation", invitation)
    directory = ("--directory", directory_file(tmp_path), *root)
    shown = run(
        barid,
        *("trust", "propose", "--new-origins", hub / "new-origins.json"),
        *(*directory, "--out", proposal),
    )
    assert "the directory log tripoli-test/directory/1 is closed; it ends with 1 entries" in shown
    assert "generation 2, tripoli-test/directory/2 and" in shown
    governors = [tmp_path / "governors" / name for name in GOVERNORS[:THRESHOLD]]
    signatures = sign(barid, proposal, governors, *root)
    publication = tmp_path / "publication.json"
    run(barid, "trust", "publish", proposal, *signatures, *root, "--out", publication)
    loaded = run(barid, "hub", "load", "--data", hub, publication)
    assert "generation 2 begins with this directory" in loaded
    assert _logs(hub / "hub.json") == prepared
    assert {path.name for path in hub.glob("hub*.db")} == {"hub.db", "hub.2.db"}
    again = barid("hub", "load", "--data", hub, publication)
    assert again.exit_code == 0, again.output
    assert "entry 0 of the directory log" in again.stdout
    old = ("--directory", directory_file(tmp_path), *root)
    stale = tmp_path / "new-origins.json"
    stale.write_bytes((hub / "hub.json").read_bytes())
    refused = barid(
        *("trust", "propose", "--new-origins", tmp_path / "trust" / "invitation.json"),
        *(*old, "--out", tmp_path / "other.json"),
    )
    assert refused.exit_code == Exit.CONFIGURATION
    assert "is not what `barid hub new-origins` writes" in refused.stderr


def test_a_backup_has_every_generation(barid: Barid, tmp_path: Path) -> None:
    """The closed database is in the archive, and what is restored goes on with the newest."""
    test_new_logs_begin(barid, tmp_path)
    hub, archive = tmp_path / "hub", tmp_path / "backup.tar"
    run(barid, "hub", "backup", "--data", hub, "--out", archive)
    restored = tmp_path / "restored"
    said = run(barid, "hub", "restore", archive, "--data", restored)
    assert "1 entries" in said
    assert {path.name for path in restored.glob("hub*.db")} == {"hub.db", "hub.2.db"}
    checks = barid("hub", "doctor", "--data", restored, "--json")
    assert '"directory", "grade": "fail"' not in checks.stdout
