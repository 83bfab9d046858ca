"""Archives of backups in a folder: their names, how many stay, and what is said of them.

May import typer and `broker.cli.output`; `running` saves hub and node with it.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from broker.cli.output import note, print_json, say

if TYPE_CHECKING:
    from broker.archive import Manifest
    from broker.backups import Outdated


def archive_path(
    out: Path, role: Literal["hub", "node"], name: str, keep: int | None, now: datetime
) -> Path:
    """Where the archive goes; what is wrong with `--out` or `--keep` is said before anything is written."""
    if not out.is_dir():
        if keep is not None:
            raise typer.BadParameter(
                f"{out} is no folder: make it first, since names are dated there",
                param_hint="--keep",
            )
        return out
    plain = re.sub(r"[^a-z0-9.]+", "-", name)
    return out / f"barid-{role}-{plain}-{now:%Y%m%dT%H%M%SZ}.tar"


def prune(out: Path, newest: Path, keep: int | None) -> list[str]:
    """Delete the oldest archives of one name and folder; gives their names."""
    if keep is None:
        return []
    dated = re.compile(
        re.escape(newest.name[: -len("20261125T000000Z.tar")]) + r"\d{8}T\d{6}Z\.tar"
    )
    old = sorted(path for path in out.iterdir() if dated.fullmatch(path.name))[:-keep]
    for path in old:
        path.unlink()
    return [path.name for path in old]


def tell_backup(
    manifest: Manifest,
    path: Path,
    as_json: bool,
    pruned: list[str],
    outdated: Outdated | None = None,
) -> None:
    """Say what was saved, and which older archives went or should go.

    Args:
        manifest: of the new archive.
        path: where it is.
        as_json: for a program.
        pruned: what `prune` deleted.
        outdated: what held destroyed keys; None where nobody looked.
    """
    size_bytes = path.stat().st_size
    deleted = {} if outdated is None else outdated.deleted
    left = {} if outdated is None else outdated.left
    if as_json:
        print_json(
            {
                "archive": str(path),
                "size": size_bytes,
                "files": len(manifest.files),
                "deleted": pruned,
                "outdated": {each.name: list(keys) for each, keys in deleted.items()},
                "unreadable": {each.name: why for each, why in left.items()},
            }
        )
        return
    say(f"{path}: {len(manifest.files)} files, {size_bytes / 1024**2:.1f} MiB.")
    if pruned:
        note(f"{len(pruned)} older ones were deleted.")
    for each, keys in deleted.items():
        note(f"{each.name} was deleted: it held {', '.join(keys)}, which the node has destroyed.")
    if deleted:
        note("Copies of them elsewhere still open what was sealed to these keys: destroy them too.")
    for each, why in left.items():
        note(f"{each.name} was left: {why}. Look whether it holds old keys, and delete it then.")
    note(
        "It opens with the passphrase alone. Keep both, apart from each other and from this machine."
    )
