"""A hub process that kills itself with SIGKILL at a named point of its n-th commit of envelopes.

Run as `python -m tests.faults.crashing_hub DATA POINT N`; the test that starts it knows the passphrase.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from broker.db import writing
from broker.hub import app, ledger, logbook
from broker.hub.relay import Relay
from keys.keystore import Keystore
from tests.exchange.live import PASSPHRASE

POINTS = ("before-write", "after-write", "before-commit", "after-commit", "before-answer")


def main(data: Path, point: str, after: int) -> None:
    """Serve, and die where told."""
    seen = 0

    def die_at(here: str) -> None:
        if here == point and seen >= after:
            os.kill(os.getpid(), signal.SIGKILL)

    commit = ledger.Ledger.commit

    def counting(self: ledger.Ledger, works: Sequence[ledger.Work], nonces: Any = ()) -> list[Any]:
        nonlocal seen
        seen += sum(isinstance(work, Relay) for work in works)
        answers = commit(self, works, nonces)
        die_at("before-answer")
        return answers

    class Writing:
        def __init__(self, engine: Any) -> None:
            self._inner = writing(engine)

        def __enter__(self) -> Any:
            connection = self._inner.__enter__()
            die_at("before-write")
            return connection

        def __exit__(self, *error: Any) -> Any:
            die_at("before-commit")
            result = self._inner.__exit__(*error)
            die_at("after-commit")
            return result

    close = logbook.LogWriter.close

    def closing(self: logbook.LogWriter, signers: Any, at: int) -> Any:
        head = close(self, signers, at)
        die_at("after-write")
        return head

    _replace(ledger.Ledger, "commit", counting)
    _replace(ledger, "writing", Writing)
    _replace(logbook.LogWriter, "close", closing)
    app.serve_hub(data, Keystore.open(data / "keystore", PASSPHRASE))


def _replace(owner: Any, name: str, value: Callable[..., Any]) -> None:
    setattr(owner, name, value)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
