"""Hub and nodes as processes of their own, by the command that operators type; their memory is watched.

The tests of kills share it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from broker.cli.node_client import NodeClient
from broker.client import tls_context
from broker.db import writing
from broker.node.api.tokens import Action, create_token
from broker.node.home import open_home
from broker.node.setup import join_node
from schemas.loader import dump_json
from tests.exchange.live import PASSPHRASE, LiveHub, now
from tests.exchange.nodes import LiveNode, wait_for

PROJECT = Path(__file__).parents[2]
START_SECONDS = 60.0
SAMPLE_SECONDS = 0.02


class Served:
    """A hub or a node that is started, killed and started again.

    Args:
        role: `hub` or `node`.
        data: its directory.
        passphrase: a file that holds the one of its keystore.
        answers: whether it serves.
    """

    def __init__(
        self, role: str, data: Path, passphrase: Path, answers: Callable[[], bool]
    ) -> None:
        self._command = [sys.executable, "-m", "broker.cli", role, "serve", "--data", str(data)]
        self._variables = {**os.environ, "BARID_PASSPHRASE_FILE": str(passphrase)}
        self._answers = answers
        self._ended = threading.Event()
        self._usual_bytes = 0
        self._most_bytes = 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            self._command, env=self._variables, cwd=PROJECT, stdout=subprocess.DEVNULL
        )
        wait_for(self._answers, START_SECONDS)
        self._ended = threading.Event()
        watching = (psutil.Process(self._process.pid), self._ended)
        threading.Thread(target=self._watch, args=watching, daemon=True).start()

    def _watch(self, process: psutil.Process, ended: threading.Event) -> None:
        try:
            while not ended.wait(SAMPLE_SECONDS):
                self._most_bytes = max(self._most_bytes, process.memory_info().rss)
        except psutil.Error:
            # It was killed; the next one is watched anew.
            return

    def is_warm(self) -> None:
        """From here on memory is extra: it has done once, in little, what it will be asked for."""
        self._usual_bytes = psutil.Process(self._process.pid).memory_info().rss

    @property
    def extra_bytes(self) -> int:
        """The most memory (RSS) that it used, beyond what it used when it was warm."""
        return self._most_bytes - self._usual_bytes

    def kill(self) -> None:
        """End it as a power cut would."""
        self._ended.set()
        self._process.kill()
        self._process.wait()


class ServedExchange:
    """A hub and the nodes of Libya and Tunisia, each a process."""

    def __init__(self, folder: Path) -> None:
        passphrase = folder / "passphrase"
        passphrase.touch(mode=0o600)
        passphrase.write_bytes(PASSPHRASE)
        self.ly, self.tn = LiveNode(folder / "ly", "ly"), LiveNode(folder / "tn", "tn")
        self.hub = LiveHub(folder / "hub", {"ly": self.ly.request, "tn": self.tn.request})
        for node in (self.ly, self.tn):
            join_node(node.data, dump_json(self.hub.invitation))
            _make_tokens(node)
        self.served = {
            "hub": Served("hub", self.hub.data, passphrase, self._hub_answers),
            "ly": Served("node", self.ly.data, passphrase, lambda: _answers(self.ly)),
            "tn": Served("node", self.tn.data, passphrase, lambda: _answers(self.tn)),
        }

    def _hub_answers(self) -> bool:
        context = tls_context((self.hub.data / "tls.crt").read_text("ascii"))
        try:
            with httpx.Client(verify=context, base_url=self.hub.url) as client:
                return client.get("/v1/log/exchange/1/checkpoint").status_code == 401
        except httpx.HTTPError:
            return False

    def client(self, node: LiveNode) -> NodeClient:
        """How an agency calls a node."""
        token = node.data.parent / f"{node.member}.token"
        token.touch(mode=0o600)
        token.write_text(node.tokens[f"{node.member}/main"])
        return NodeClient(f"https://127.0.0.1:{node.port}", token, node.data / "tls.crt")

    def restart(self, name: str) -> None:
        """Kill a process and start it again."""
        self.served[name].kill()
        self.served[name].start()


def _make_tokens(node: LiveNode) -> None:
    home = open_home(node.data, PASSPHRASE)
    with writing(home.engine) as connection:
        node.tokens = {
            desk: create_token(connection, desk, list(Action), "tests", now())[1]
            for desk in home.desks
        }
    home.close()


def _answers(node: LiveNode) -> bool:
    try:
        return node.call("GET", "/inbox").status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def running(folder: Path) -> Iterator[ServedExchange]:
    """All three serve while the block runs."""
    exchange = ServedExchange(folder)
    try:
        for each in exchange.served.values():
            each.start()
        yield exchange
    finally:
        for each in exchange.served.values():
            each.kill()
