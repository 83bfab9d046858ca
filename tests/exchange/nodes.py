"""Real nodes around a live hub: each with its keystore and encrypted database, served on a thread.

Agencies speak to them over their own ASGI interface with a bearer token, as they would over HTTPS.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from broker.client import tls_context
from broker.db import writing
from broker.node.api.tokens import Action, create_token
from broker.node.app import wire
from broker.node.clock import utc_now
from broker.node.follow_store import NodeFollowStore
from broker.node.home import load_invitation, look_home, open_home
from broker.node.line import open_line
from broker.node.pacing import Pace
from broker.node.setup import Choices, Releasers, init_node, join_node
from broker.node.witness_keys import make_witness_key
from broker.serving import server_config
from broker.settings import Listen, NodeSettings
from schemas.bulletin.vocabularies import Kind
from schemas.directory import Witnesses, WitnessKey
from schemas.loader import dump_json
from schemas.samples import new_bulletin
from tests.exchange.live import (
    CHEAP,
    EXCHANGE,
    PASSPHRASE,
    LiveHub,
    end_serving,
    free_port,
    new_id,
    now,
)

UNITS = ("judicial", "main")
QUICK = Pace(refresh_seconds=0.3, idle_seconds=0.1, long_poll_seconds=2, round_seconds=0.5)
WAIT_SECONDS = 20.0


class LiveNode:
    """One member's node; `releasers` are the people, by unit, without whom a desk sends nothing."""

    def __init__(
        self, data: Path, member: str, releasers: Mapping[str, Releasers] | None = None
    ) -> None:
        self.data = data
        self.member = member
        self.port = free_port()
        listen = Listen(host="127.0.0.1", port=self.port)
        settings = NodeSettings(exchange=EXCHANGE, member=member, desks=UNITS, listen=listen)
        request = init_node(
            data, settings, PASSPHRASE, now(), Choices(releasers=releasers or {}), CHEAP
        )
        self.request = request.read_bytes()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def make_witness_key(self, *, renew: bool = False) -> WitnessKey:
        """The key with which it cosigns, made beside it."""
        home = look_home(self.data, PASSPHRASE)
        try:
            return make_witness_key(self.data, home.keystore, EXCHANGE, self.member, renew=renew)
        finally:
            home.close()

    def start(self) -> None:
        """Serve over TLS on a thread; makes a token for each desk."""
        home = open_home(self.data, PASSPHRASE)
        with writing(home.engine) as connection:
            self.tokens = {
                desk: create_token(connection, desk, list(Action), "tests", now())[1]
                for desk in home.desks
            }
        invitation = load_invitation(self.data, EXCHANGE)
        line = open_line(home, invitation, NodeFollowStore(home.engine), utc_now)
        app = wire(home, line, utc_now, QUICK)
        certificate, key = self.data / "tls.crt", self.data / "tls.key"
        config = server_config(app, "127.0.0.1", self.port, certificate, key)
        # On a thread uvloop does not close while a client has not ended its side of TLS.
        config.loop = "asyncio"
        config.timeout_graceful_shutdown = 1
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        wait_for(lambda: bool(self._server and self._server.started))

    def stop(self) -> None:
        """Stop serving."""
        if self._server is not None and self._thread is not None:
            end_serving(self._server, self._thread)

    def call(self, method: str, path: str, unit: str = "main", **more: Any) -> httpx.Response:
        """Call the agency interface of a desk; `path` is what follows the desk."""
        return self._call(method, f"/desks/{self.member}/{unit}{path}", unit, **more)

    def status(self, unit: str = "main") -> dict[str, Any]:
        """How the node is, as a desk's token may see it."""
        found: dict[str, Any] = self._call("GET", "/status", unit).json()
        return found

    def _call(self, method: str, path: str, unit: str, **more: Any) -> httpx.Response:
        desk = f"{self.member}/{unit}"
        context = tls_context((self.data / "tls.crt").read_text("ascii"))
        with httpx.Client(verify=context, base_url=f"https://127.0.0.1:{self.port}") as client:
            headers = {"Authorization": f"Bearer {self.tokens[desk]}"} | more.pop("headers", {})
            return client.request(method, f"/v1{path}", headers=headers, **more)

    def call_node(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Call what is of the whole node, with the token of its main desk; `path` follows `/v1`."""
        return self._call(method, path, "main", **more)

    def send(
        self, document: bytes, *recipients: str, unit: str = "main", precedence: str = "routine"
    ) -> httpx.Response:
        """Hand in a bulletin."""
        return self.call(
            "POST",
            "/bulletins",
            unit,
            content=document,
            params={"to": list(recipients), "precedence": precedence},
        )

    def inbox(self, unit: str = "main") -> list[dict[str, Any]]:
        """What the inbox lists."""
        listed: list[dict[str, Any]] = self.call("GET", "/inbox", unit).json()["bulletins"]
        return listed

    def states(self, bulletin_id: str, unit: str = "main") -> dict[str, str]:
        """Recipient → state of an own bulletin."""
        sent = self.call("GET", f"/bulletins/{bulletin_id}", unit).json()
        return {each["desk"]: each["state"] for each in sent["recipients"]}


def document(
    desk: str, marker: str, kind: Kind = Kind.THREAT_BULLETIN, **changed: Any
) -> tuple[str, bytes]:
    """A valid bulletin of a desk whose title has a marker; its id and its bytes."""
    bulletin_id = new_id()
    value = new_bulletin(kind, "en", desk, bulletin_id, now())
    value["title"] = {"en": marker}
    return bulletin_id, dump_json(value | changed)


def wait_for(condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it never was.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


@contextmanager
def live_exchange(
    folder: Path,
    *members: str,
    releasers: Mapping[str, Mapping[str, Releasers]] | None = None,
    quorum: int | None = None,
) -> Iterator[tuple[LiveHub, dict[str, LiveNode]]]:
    """A hub and the nodes of some members, all serving, each desk with a sealing key.

    With `quorum` all these nodes are witnesses, of whom so many must cosign.
    """
    people = releasers or {}
    nodes = {member: LiveNode(folder / member, member, people.get(member)) for member in members}
    witnesses = None
    if quorum is not None:
        keys = {member: node.make_witness_key() for member, node in nodes.items()}
        witnesses = Witnesses(quorum=quorum, keys=keys)
    requests = {member: node.request for member, node in nodes.items()}
    hub = LiveHub(folder / "hub", requests, witnesses)
    hub.start()
    for node in nodes.values():
        join_node(node.data, dump_json(hub.invitation))
        node.start()
    try:
        desks = [f"{member}/{unit}" for member in members for unit in UNITS]
        wait_for(lambda: all(hub.ledger.state.sealing_key(desk, now()) for desk in desks))
        yield hub, nodes
    finally:
        for node in nodes.values():
            node.stop()
        hub.stop()
