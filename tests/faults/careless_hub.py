"""A hub process whose database does not wait for the disk: what the tests of power cuts must notice.

Run as `python -m tests.faults.careless_hub DATA`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from broker import db
from broker.hub import app, generations
from keys.keystore import Keystore
from tests.exchange.live import PASSPHRASE


def _careless(path: Path) -> Engine:
    engine = db.open_sqlite(path)

    def on_connect(raw: Any, _record: Any) -> None:
        raw.execute("PRAGMA synchronous = NORMAL")

    event.listen(engine, "connect", on_connect)
    return engine


if __name__ == "__main__":
    setattr(generations, "open_sqlite", _careless)  # noqa: B010 - a stand-in that types do not allow
    data = Path(sys.argv[1])
    app.serve_hub(data, Keystore.open(data / "keystore", PASSPHRASE))
