"""An exchange founded by the commands alone, in this process: what the tests of ceremonies start from.

May import typer's runner; fixtures and the tests of `barid trust` and `barid member` call it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from typer.testing import Result

from schemas.entries import DirectoryPublished, parse_directory_entry
from schemas.governance import DirectoryFile
from schemas.loader import dump_json

Barid = Callable[..., Result]
"""Runs `barid` in this process."""

EXCHANGE = "tripoli-test"
GOVERNORS = ("dz", "ly", "ml", "ne", "tn")
THRESHOLD = 3
DIGITS = 8


def run(barid: Barid, *arguments: object) -> str:
    """Run a command that succeeds; gives what it printed."""
    result = barid(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def make_keys(barid: Barid, folder: Path, names: Sequence[str]) -> list[Path]:
    """A trust key for each name; gives their folders."""
    made = [folder / name for name in names]
    for path in made:
        run(barid, "trust", "keygen", "--out", path, "--exchange", EXCHANGE, "--name", path.name)
    return made


def fingerprint(barid: Barid, proposal: Path, *options: object) -> str:
    """The digits that a person types before signing."""
    shown = json.loads(run(barid, "trust", "show", proposal, *options, "--json"))
    return str(shown["fingerprint"])[:DIGITS]


def sign(barid: Barid, proposal: Path, keys: Sequence[Path], *options: object) -> list[object]:
    """Have people sign; gives the `--signature` options for `publish`."""
    root = [each for each in options if each != ()]
    digits = fingerprint(barid, proposal, *root)
    given: list[object] = []
    for key in keys:
        out = proposal.with_name(f"{proposal.stem}-{key.name}.json")
        run(
            barid,
            *("trust", "sign", proposal, "--key", key, "--fingerprint", digits, "--out", out),
            *root,
        )
        given += ["--signature", out]
    return given


def governor_options(keys: Sequence[Path]) -> list[object]:
    """The `--governor` options that name some people's keys, each that of the member of its name."""
    pairs = [("--governor", f"{key.name}={key / 'trust-public.json'}") for key in keys]
    return [word for pair in pairs for word in pair]


def found(barid: Barid, folder: Path, requests: Sequence[Path]) -> Path:
    """Found an exchange, with the hub in `folder/hub`; gives the folder with invitation and repository."""
    trust, hub = folder / "trust", folder / "hub"
    run(
        barid,
        *("hub", "init", "--data", hub, "--exchange", EXCHANGE, "--address", "127.0.0.1:8443"),
    )
    governors = make_keys(barid, folder / "governors", GOVERNORS)
    asked = [word for request in requests for word in ("--request", request)]
    run(
        barid,
        *("trust", "init", "--out", trust, "--hub", hub / "hub.json", "--threshold", THRESHOLD),
        *governor_options(governors),
        *asked,
    )
    signatures = sign(barid, trust / "proposal.json", governors[:THRESHOLD])
    run(barid, "trust", "publish", trust / "proposal.json", *signatures, "--out", trust)
    run(barid, "hub", "load", "--data", hub, trust / "repository")
    return trust


def found_with_node(barid: Barid, folder: Path) -> None:
    """Found it with the node of Tunisia in `folder/tn` and the auditor in `folder/auc`, which have joined."""
    exchange = ("--exchange", EXCHANGE)
    node, auditor = folder / "tn", folder / "auc"
    run(barid, "node", "init", "--data", node, *exchange, "--member", "tn", "--desk", "main")
    run(barid, "audit", "init", "--data", auditor, *exchange, "--desk", "auc/audit")
    requests = [node / "member-request.json", auditor / "member-request.json"]
    trust = found(barid, folder, requests)
    run(barid, "node", "join", "--data", node, trust / "invitation.json")
    run(barid, "audit", "join", "--data", auditor, trust / "invitation.json")


def directory_file(folder: Path) -> Path:
    """The directory in force, out of the hub's database, as `barid trust fetch` would write it."""
    with closing(sqlite3.connect(folder / "hub" / "hub.db")) as database:
        files = dict(database.execute("SELECT name, data FROM trust_file"))
        rows = database.execute(
            "SELECT entry FROM entry WHERE log = 'directory' ORDER BY entry_index DESC"
        )
        entries = [parse_directory_entry(bytes(data)) for (data,) in rows]
    newest = next(each for each in entries if isinstance(each, DirectoryPublished))
    message = DirectoryFile(
        v=1,
        exchange=EXCHANGE,
        root=newest.root,
        snapshot=newest.snapshot,
        files={name: bytes(data) for name, data in files.items() if "timestamp" not in name},
    )
    path = folder / "directory.json"
    path.write_bytes(dump_json(message))
    return path
