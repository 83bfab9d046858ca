"""`barid hub serve` and `barid node serve` as an operator runs them: their address, and what they log."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from broker.health import ask_ready
from broker.node.setup import init_node, join_node
from broker.settings import Listen, NodeSettings, write_whole
from schemas.loader import dump_json
from tests.exchange.live import CHEAP, EXCHANGE, PASSPHRASE, LiveHub, free_port, now
from tests.exchange.nodes import wait_for


def loopback() -> Listen:
    """A free port of this machine."""
    return Listen(host="127.0.0.1", port=free_port())


NO_NEW_CODE = "import ctypes; assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0"
"""What MemoryDenyWriteExecute= does, by the kernel's own switch (PR_SET_MDWE, Linux 6.3)."""

PLAIN = (sys.executable, "-m", "broker.cli")
CONFINED = (
    sys.executable,
    "-c",
    f"{NO_NEW_CODE}; import runpy; runpy.run_module('broker.cli', run_name='__main__')",
)


@contextmanager
def served(
    data: Path, role: str, log: Path, under: Sequence[str] = PLAIN
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a process of its own, until the block ends."""
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE)
    os.close(writing)
    command = (*under, role, "serve", "--data", str(data))
    environment = {**os.environ, "BARID_PASSPHRASE_FD": str(reading)}
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, pass_fds=(reading,), stderr=file)
    os.close(reading)
    try:
        yield process
    finally:
        # strace ignores signals: what it runs is what has to end.
        traced = psutil.Process(process.pid).children() if under[0] == "strace" else []
        for each in traced:
            each.terminate()
        if not traced:
            process.terminate()
        process.wait(15)


def is_ready(operator: Listen) -> Callable[[], bool]:
    """Asks whether a server is ready."""

    def asked() -> bool:
        try:
            return ask_ready(operator)[0]
        except OSError:
            return False

    return asked


def metrics(operator: Listen) -> str:
    """What a server's `/metrics` says."""
    connection = http.client.HTTPConnection(operator.host, operator.port, timeout=5)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Listen, Listen]:
    """The directories of a hub and a node, which nobody serves yet, and where their operators ask."""
    folder = tmp_path_factory.mktemp("processes")
    hub_operator, node_operator = loopback(), loopback()
    settings = NodeSettings(
        exchange=EXCHANGE, member="tn", desks=("main",), listen=loopback(), operator=node_operator
    )
    request = init_node(folder / "tn", settings, PASSPHRASE, now(), cost=CHEAP)
    hub = LiveHub(folder / "hub", {"tn": request.read_bytes()})
    join_node(folder / "tn", dump_json(hub.invitation))
    hub_settings = hub.settings.model_copy(update={"operator": hub_operator})
    write_whole(hub.data / "config.json", dump_json(hub_settings))
    return hub.data, folder / "tn", hub_operator, node_operator


def test_servers_are_watched_and_log_json(
    exchange: tuple[Path, Path, Listen, Listen], tmp_path: Path
) -> None:
    """They become ready, show metrics, log one object a line, and end when they are told to."""
    hub, node, hub_operator, node_operator = exchange
    with served(hub, "hub", tmp_path / "hub.log") as hub_process:
        wait_for(is_ready(hub_operator))
        with served(node, "node", tmp_path / "node.log") as node_process:
            wait_for(is_ready(node_operator))
            assert 'barid_hub_log_entries{log="directory"}' in metrics(hub_operator)
            assert "barid_node_hub_reachable 1.0\n" in metrics(node_operator)
    ended = (hub_process.returncode, node_process.returncode)
    assert ended == (-signal.SIGTERM, -signal.SIGTERM)
    for name in ("hub", "node"):
        lines = [json.loads(line) for line in (tmp_path / f"{name}.log").read_bytes().splitlines()]
        events = [line["event"] for line in lines]
        assert events.index(f"the {name} serves") < events.index("the server ends")


def test_a_node_without_its_hub_is_not_ready(
    exchange: tuple[Path, Path, Listen, Listen], tmp_path: Path
) -> None:
    """It lives, and says why it is not ready; a level that is set is kept to."""
    _, node, _, operator = exchange
    with served(node, "node", tmp_path / "node.log"):
        wait_for(lambda: _says(operator, "the hub does not answer"))


def _says(operator: Listen, why: str) -> bool:
    try:
        ready, said = ask_ready(operator)
    except OSError:
        return False
    return not ready and why in said


def system_calls(group: str) -> set[str]:
    """The system calls of a group as systemd knows them, with those of the groups in it."""
    command = ["systemd-analyze", "--no-pager", "syscall-filter", group]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    lines = {line.strip() for line in told.splitlines()} - {"", group}
    calls = {line for line in lines if line[0] not in "#@"}
    return calls.union(*(system_calls(line) for line in lines if line[0] == "@"))


def test_servers_run_within_what_their_units_allow(
    exchange: tuple[Path, Path, Listen, Listen], tmp_path: Path
) -> None:
    """Neither needs memory to write code into, nor a system call or a socket that systemd refuses them."""
    missing = [tool for tool in ("strace", "systemd-analyze") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if subprocess.run([sys.executable, "-c", NO_NEW_CODE], check=False, timeout=60).returncode:
        pytest.skip("this kernel cannot deny memory to write code into (Linux 6.3 can)")
    hub, node, hub_operator, node_operator = exchange

    def under(role: str) -> Sequence[str]:
        return ("strace", "-f", "-qq", "-s", "0", "-o", str(tmp_path / f"{role}.trace"), *CONFINED)

    with served(hub, "hub", tmp_path / "hub.log", under("hub")):
        wait_for(is_ready(hub_operator), 40)
        with served(node, "node", tmp_path / "node.log", under("node")):
            wait_for(is_ready(node_operator), 40)
            assert metrics(hub_operator)
            assert metrics(node_operator)
    allowed = system_calls("@system-service") - system_calls("@privileged")
    allowed -= system_calls("@resources")
    for role in ("hub", "node"):
        trace = (tmp_path / f"{role}.trace").read_text(errors="replace")
        used = set(re.findall(r"^\d+\s+(\w+)\(", trace, re.MULTILINE))
        # SQLite gives its files to the database's owner, where root opens it; the units run as another.
        assert used - allowed - {"fchown"} == set()
        assert {"accept4", "clone3", "clone"} & used
        sockets = set(re.findall(r"\bsocket\((AF_\w+)", trace))
        assert sockets <= {"AF_INET", "AF_INET6", "AF_UNIX"}
