"""kill -9 of a sender's node, again and again while it sends: nothing taken is lost, nothing comes twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import httpx

from broker.db import writing
from broker.node.api.tokens import Action, create_token
from broker.node.home import open_home
from broker.node.setup import join_node
from schemas.loader import dump_json
from tests.exchange.live import PASSPHRASE, LiveHub, now
from tests.exchange.nodes import UNITS, LiveNode, document, wait_for

BULLETINS = 12
KILLS = 4
START_SECONDS = 30.0


class NodeProcess:
    """Libya's node as a process of its own."""

    def __init__(self, node: LiveNode, passphrase: Path) -> None:
        self.node = node
        self._variables = {**os.environ, "BARID_PASSPHRASE_FILE": str(passphrase)}
        home = open_home(node.data, PASSPHRASE)
        with writing(home.engine) as connection:
            node.tokens = {
                desk: create_token(connection, desk, list(Action), "tests", now())[1]
                for desk in home.desks
            }
        home.close()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        arguments = [
            sys.executable,
            "-m",
            "broker.cli",
            "node",
            "serve",
            "--data",
            str(self.node.data),
        ]
        self.process = subprocess.Popen(
            arguments, env=self._variables, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL
        )
        wait_for(self._answers, START_SECONDS)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def _answers(self) -> bool:
        try:
            return self.node.call("GET", "/inbox").status_code == 200
        except httpx.HTTPError:
            return False


def _hand_in(sender: LiveNode, bulletins: dict[str, bytes]) -> None:
    """Hand in bulletins, each until the node takes it."""
    for data in bulletins.values():
        wait_for(partial(_taken, sender, data))


def _taken(sender: LiveNode, data: bytes) -> bool:
    status = sender.send(data, "tn/main").status_code
    # A node that has just started and has not yet read the directory says so.
    assert status in {202, 503}
    return status == 202


def test_a_node_killed_while_it_sends(tmp_path: Path) -> None:
    """Killed at random moments and started again, the node delivers each bulletin once."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - a failure must be repeatable
    chance = random.Random(seed)
    passphrase = tmp_path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_bytes(PASSPHRASE)
    sender, receiver = LiveNode(tmp_path / "ly", "ly"), LiveNode(tmp_path / "tn", "tn")
    hub = LiveHub(tmp_path / "hub", {"ly": sender.request, "tn": receiver.request})
    hub.start()
    for node in (sender, receiver):
        join_node(node.data, dump_json(hub.invitation))
    receiver.start()
    process = NodeProcess(sender, passphrase)
    try:
        desks = [f"tn/{unit}" for unit in UNITS]
        wait_for(lambda: all(hub.ledger.state.sealing_key(desk, now()) for desk in desks))
        bulletins = dict(document("ly/main", f"bulletin {n}") for n in range(BULLETINS))
        process.start()
        each = list(bulletins.items())
        for number in range(KILLS):
            share = dict(each[number * len(each) // KILLS : (number + 1) * len(each) // KILLS])
            _hand_in(sender, share)
            time.sleep(chance.uniform(0.0, 0.6))
            process.kill()
            process.start()
        # Handed in again, as by an agency that heard no answer: harmless.
        _hand_in(sender, bulletins)
        expected = {"tn/main": "delivered"}
        wait_for(lambda: all(sender.states(each) == expected for each in bulletins), 60)
        assert Counter(each["id"] for each in receiver.inbox()) == Counter(list(bulletins))
    finally:
        process.kill()
        receiver.stop()
        hub.stop()
