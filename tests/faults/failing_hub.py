"""Hub processes that fail at a given system call: forked off one that has everything imported.

Run with `failing.c` preloaded; orders come as lines of JSON. A fork takes milliseconds where a start takes
seconds, so that a hub can be ended at every call there is.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from broker import db
from broker.hub import app, generations
from broker.hub.anchor import ANCHOR_VARIABLE
from keys.keystore import Keystore
from tests.exchange.live import PASSPHRASE
from tests.faults.failing_calls import Fault, arm

PROJECT = Path(__file__).parents[2]
CHECKPOINT_PAGES = 24
"""So few that a round writes more."""


class Spawner:
    """Starts hubs.

    Args:
        library: failing.c, compiled.
    """

    def __init__(self, library: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.failing_hub"],
            cwd=PROJECT,
            env={**os.environ, "LD_PRELOAD": str(library)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(
        self, folder: Path, fault: Fault | None = None, at: int = 0, *, often: bool = False
    ) -> int:
        """Start a hub; gives its process id.

        Args:
            folder: holds `hub` and `elsewhere`, where its anchor lies.
            fault: what happens at the call numbered `at`.
            often: it copies SQLite's log into the database after `CHECKPOINT_PAGES`, not after 1000.
        """
        how, error = (fault.how, fault.error) if fault else (0, 0)
        return self._order(folder=str(folder), at=at, how=how, error=error, often=often)

    def ended(self, process_id: int) -> int | None:
        """How a hub ended: minus the signal, or its status; None while it runs."""
        status = self._order(process_id=process_id)
        return None if status == _RUNNING else status

    def close(self) -> None:
        """End; no hub may run."""
        self._process.communicate(timeout=10)

    def _order(self, **order: Any) -> int:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("it was started with pipes")
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


_RUNNING = 1_000


def _often(path: Path) -> Engine:
    engine = db.open_sqlite(path)

    def on_connect(raw: Any, _record: Any) -> None:
        raw.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")

    event.listen(engine, "connect", on_connect)
    return engine


def _serve(order: dict[str, Any]) -> None:
    folder = Path(order["folder"])
    # Neither the orders nor their answers are the hub's; what it says is kept for who looks into a failure.
    said = os.open(folder.with_name("said"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.environ[ANCHOR_VARIABLE] = str(folder / "elsewhere" / "anchor.json")
    if order["often"]:
        setattr(generations, "open_sqlite", _often)  # noqa: B010 - a stand-in that types do not allow
    data = folder / "hub"
    keystore = Keystore.open(data / "keystore", PASSPHRASE)
    arm(folder, folder.with_name("journal"), order["at"], order["how"], order["error"])
    app.serve_hub(data, keystore)


def main() -> None:
    """Do what is ordered, until there are no more orders."""
    # A fork that looks for garbage would copy every page that it shares with this one.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        if "process_id" in order:
            found, status = os.waitpid(order["process_id"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if found else _RUNNING
        else:
            answer = os.fork()
            if answer == 0:
                _served_to_the_end(order)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _served_to_the_end(order: dict[str, Any]) -> None:
    status = 1
    try:
        _serve(order)
        status = 0
    except BaseException as error:  # noqa: BLE001 - a fork must not go on as its parent would
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
