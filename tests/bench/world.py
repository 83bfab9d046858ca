"""The exchange that is measured: nine states with two desks each, and the hub as a process of its own.

May import `tests.exchange`, which founds the exchange; every measurement asks here for desks, envelopes and
the running hub, which is `barid hub serve` and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from keys.envelope import Outgoing
from schemas.bulletin import Kind, parse_bulletin
from schemas.bulletin.agreement import header_fields
from schemas.envelope import Envelope
from schemas.loader import dump_json
from schemas.samples import new_bulletin
from tests.bench.processes import Cores, server
from tests.exchange.live import PASSPHRASE, STATES, LiveHub, new_id, now, run

RECIPIENTS: Final = 3
BULLETIN_BYTES: Final = 4096 - 4
"""Of a bulletin that fills the smallest body exactly: four bytes tell its length."""

_SENTENCE: Final = "Two lorries were seen on the track west of the wells, moving at night. "


class BenchExchange:
    """An exchange that was founded and whose desks have sealing keys; its hub is served as a process.

    Args:
        folder: everything is kept in it; made here.
        node_requests: by member, the request of a real node; the other states' desks act by hand.
    """

    def __init__(self, folder: Path, node_requests: Mapping[str, bytes] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.cores = Cores.of_this_machine()
        self.passphrase = folder / "passphrase"
        self.passphrase.touch(mode=0o600)
        self.passphrase.write_bytes(PASSPHRASE)
        self.hub = LiveHub(folder / "hub", node_requests)
        by_hand = [state for state in STATES if state not in self.hub.node_requests]
        self.desks = [f"{state}/main" for state in by_hand]
        self.hub.start()
        try:
            run(self.hub.announce(*self.desks, *(f"{state}/judicial" for state in by_hand)))
        finally:
            self.hub.stop()

    @property
    def certificate(self) -> tuple[Path, Path]:
        """The hub's TLS certificate and key, which the targets of comparison use as well."""
        return self.hub.data / "tls.crt", self.hub.data / "tls.key"

    @contextmanager
    def serving(self, core: int | None = None) -> Iterator[psutil.Process]:
        """The hub's process, as operators start it."""
        arguments = ("-m", "broker.cli", "hub", "serve", "--data", str(self.hub.data))
        log = self.folder / "hub.log"
        with server(
            log, self.hub.port, *arguments, core=core, passphrase=self.passphrase
        ) as process:
            yield process

    def envelope(self, number: int, recipients: int = RECIPIENTS) -> tuple[str, Envelope]:
        """The n-th real envelope and its sender: senders take turns, and so do recipients."""
        sender = self.desks[number % len(self.desks)]
        others = [desk for desk in self.desks if desk != sender]
        first = number // len(self.desks)
        to = {others[(first + step) % len(others)] for step in range(recipients)}
        return sender, self.hub.seal(outgoing_of(self.hub, sender), *sorted(to))


def outgoing_of(hub: LiveHub, sender: str) -> Outgoing:
    """A valid threat bulletin of 4 KiB that is to leave, with the header fields that belong to it."""
    data = bulletin_of(sender)
    said = header_fields(parse_bulletin(data))
    return hub.outgoing(
        sender,
        bulletin_id=said.id,
        bulletin_json=data,
        status=said.status,
        kind=said.kind,
        topics=said.topics,
        purpose=said.purpose,
        personal_data=said.personal_data,
        marking=said.marking,
    )


def bulletin_of(sender: str, size_bytes: int = BULLETIN_BYTES) -> bytes:
    """A valid threat bulletin of a desk whose JSON has exactly this size: its text fills it up.

    Raises:
        RuntimeError: the sample is larger without its text.
    """
    plain = new_bulletin(Kind.THREAT_BULLETIN, "en", sender, new_id(), now())
    plain["text"] = {"en": ""}
    missing = size_bytes - len(dump_json(plain))
    if missing <= 0:
        raise RuntimeError(f"the sample is {-missing} bytes over {size_bytes} without its text")
    plain["text"]["en"] = (_SENTENCE * (missing // len(_SENTENCE) + 1))[: missing - 1] + "."
    return dump_json(plain)
