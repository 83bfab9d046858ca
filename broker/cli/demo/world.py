"""The world of the demonstration: a council of nine states and an auditor, their nodes, and a hub.

May import `broker.cli`; `story` acts in it. Everything in it was made by the commands that operators type.
"""

from __future__ import annotations

import hashlib
import http.client
import sqlite3
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from broker.cli.demo.processes import Done, Processes, free_ports
from broker.cli.exits import Exit
from broker.cli.proposing import FINGERPRINT_TYPED

EXCHANGE: Final = "tripoli-demo"
STATES: Final = {
    "dz": "Algeria",
    "eg": "Egypt",
    "ly": "Libya",
    "ma": "Morocco",
    "ml": "Mali",
    "mr": "Mauritania",
    "ne": "Niger",
    "td": "Chad",
    "tn": "Tunisia",
}
"""Those of the default council."""

UNITS: Final = ("main", "judicial")
AUDITOR: Final = "auc/audit"
GOVERNORS: Final = ("tn", "ly", "ne", "dz", "ml")
"""The states that hold a governor's key; as many as the threshold sign, in this order."""

THRESHOLD: Final = 3

LATE: Final = "td"
"""The state whose node starts long after the others."""

TOKENS: Final = {
    "dz/main": ("--send", "--read"),
    "eg/main": ("--send",),
    "ly/main": ("--send", "--read"),
    "ma/main": ("--send",),
    "ml/main": ("--read",),
    "mr/main": ("--read",),
    "ne/main": ("--send", "--read"),
    "ne/judicial": ("--send",),
    "td/main": ("--read",),
    "tn/main": ("--read",),
    "tn/judicial": ("--read",),
}
"""Desk → what its token allows."""

_PARALLEL_COMMANDS: Final = 2
_HUB_READY_SECONDS: Final = 60.0


@dataclass
class World:
    """Directories, ports and tokens of one demonstration.

    Args:
        directory: empty; everything is made in it.
        processes: runs the commands.
    """

    directory: Path
    processes: Processes
    node_ports: dict[str, int] = field(default_factory=dict)
    hub_port: int = 0
    operator_port: int = 0

    def __post_init__(self) -> None:
        """Choose ports that are free now."""
        self.hub_port, self.operator_port, *others = free_ports(2 + len(STATES))
        self.node_ports = dict(zip(STATES, others, strict=True))

    @property
    def hub(self) -> Path:
        """The hub's data directory."""
        return self.directory / "hub"

    @property
    def auditor(self) -> Path:
        """The auditor's data directory."""
        return self.directory / "auditor"

    @property
    def trust(self) -> Path:
        """What the governors made."""
        return self.directory / "trust"

    def node(self, member: str) -> Path:
        """A node's data directory."""
        return self.directory / f"node-{member}"

    def token(self, desk: str) -> Path:
        """The file of a desk's token."""
        return self.directory / "tokens" / desk.replace("/", "-")

    def url(self, desk: str) -> str:
        """Where a desk's agencies reach its node."""
        return f"https://127.0.0.1:{self.node_ports[desk.partition('/')[0]]}"

    def certificate(self, desk: str) -> Path:
        """The certificate of a desk's node, which its agencies trust."""
        return self.node(desk.partition("/")[0]) / "tls.crt"

    def make_keys(self) -> None:
        """Hub, nine nodes, the auditor and five governors make their own keys."""
        exchange = ("--exchange", EXCHANGE)
        where = ("--address", f"127.0.0.1:{self.hub_port}")
        operator = ("--operator", f"127.0.0.1:{self.operator_port}")
        commands = [
            ("hub", "init", "--data", str(self.hub), *exchange, *where, *operator),
            ("audit", "init", "--data", str(self.auditor), *exchange, "--desk", AUDITOR),
        ]
        for member in STATES:
            desks = [word for unit in UNITS for word in ("--desk", unit)]
            listen = ("--listen", f"127.0.0.1:{self.node_ports[member]}")
            data = ("--data", str(self.node(member)))
            commands.append(("node", "init", *data, *exchange, "--member", member, *desks, *listen))
        for member in GOVERNORS:
            name = ("--name", f"Governor of {STATES[member]}")
            out = ("--out", str(self.governor(member)))
            commands.append(("trust", "keygen", *out, *exchange, *name))
        self._run_all(commands)

    def sign_directory(self) -> None:
        """Three of five governors read who belongs to the exchange, and sign it; the hub publishes it."""
        data = [*(self.node(member) for member in STATES), self.auditor]
        requests = [word for d in data for word in ("--request", str(d / "member-request.json"))]
        governors = [
            word
            for member in GOVERNORS
            for word in ("--governor", f"{member}={self.governor(member) / 'trust-public.json'}")
        ]
        witnesses = [
            word
            for member in STATES
            for word in ("--witness", str(self.node(member) / "witness-public.json"))
        ]
        run, proposal = self.processes.run, self.trust / "proposal.json"
        run(
            *("trust", "init", "--out", str(self.trust), "--hub", str(self.hub / "hub.json")),
            *(*requests, *witnesses, *governors, "--threshold", str(THRESHOLD)),
        )
        self.sign(proposal)
        signatures = [word for path in self.signatures(proposal) for word in ("--signature", path)]
        run("trust", "publish", str(proposal), *signatures, "--out", str(self.trust))
        run("hub", "load", "--data", str(self.hub), str(self.trust / "repository"))

    def sign(self, proposal: Path) -> None:
        """Have a threshold of governors sign a proposal, each on a machine of its own."""
        digits = hashlib.sha256(proposal.read_bytes()).hexdigest()[:FINGERPRINT_TYPED]
        signing = ("trust", "sign", str(proposal), "--fingerprint", digits)
        self._run_all(
            (*signing, "--key", str(self.governor(member)), "--out", path)
            for member, path in zip(GOVERNORS, self.signatures(proposal), strict=False)
        )

    def signatures(self, proposal: Path) -> list[str]:
        """Where those who sign put their signatures of a proposal."""
        return [f"{proposal}.{member}" for member in GOVERNORS[:THRESHOLD]]

    def governor(self, member: str) -> Path:
        """The folder of a state's governor, with its key."""
        return self.directory / "governors" / member

    def _run_all(self, commands: Iterable[tuple[str, ...]]) -> None:
        with ThreadPoolExecutor(_PARALLEL_COMMANDS) as pool:
            for _ in pool.map(lambda command: self.processes.run(*command), commands):
                pass

    def join(self) -> None:
        """Nodes and auditor take the governors' invitation, handed over in person."""
        invitation = str(self.trust / "invitation.json")
        folders = [("node", self.node(member)) for member in STATES] + [("audit", self.auditor)]
        for group, data in folders:
            self.processes.run(group, "join", "--data", str(data), invitation)

    def make_tokens(self) -> None:
        """Each agency gets a token from its node's administrator; the node may be running."""
        (self.directory / "tokens").mkdir(mode=0o700)
        with ThreadPoolExecutor(_PARALLEL_COMMANDS) as pool:
            for _ in pool.map(self._make_token, TOKENS):
                pass

    def _make_token(self, desk: str) -> None:
        member, _, _ = desk.partition("/")
        data = ("--data", str(self.node(member)), "--desk", desk)
        made = self.processes.run("node", "token", "create", *data, *TOKENS[desk])
        path = self.token(desk)
        path.touch(mode=0o600)
        path.write_text(made.printed)

    def start_hub(self) -> int:
        """Start the hub; gives its process id."""
        return self.processes.start("hub", "hub", "serve", "--data", str(self.hub))

    def wait_for_hub(self) -> None:
        """Wait until the hub is ready. Raises DemoFailure."""
        self.processes.wait_until("the hub is ready", self._hub_ready, _HUB_READY_SECONDS)

    def _hub_ready(self) -> bool | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.operator_port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            with connection.getresponse() as answer:
                return True if answer.status == HTTPStatus.OK else None
        except OSError:
            return None
        finally:
            connection.close()

    def start_node(self, member: str) -> int:
        """Start a state's node; gives its process id."""
        return self.processes.start(
            f"node-{member}", "node", "serve", "--data", str(self.node(member))
        )

    def agency(self, desk: str, *arguments: str, expected: Exit = Exit.OK) -> Done:
        """Run a command of a desk's agency: through the node's HTTPS interface, with the desk's token."""
        environment = {
            "BARID_NODE": self.url(desk),
            "BARID_TOKEN_FILE": str(self.token(desk)),
            "BARID_CA": str(self.certificate(desk)),
        }
        return self.processes.run(*arguments, expected=expected, environment=environment)

    def audit(self, expected: Exit = Exit.OK) -> Any:
        """Have the auditor verify everything; gives its report."""
        done = self.processes.run(
            "audit", "verify", "--data", str(self.auditor), "--json", expected=expected
        )
        return done.json()

    def log_size(self) -> int:
        """Entries of the exchange log, as the hub's database has them."""
        ((size,),) = self.ask_hub("SELECT size FROM log_head WHERE log = 'exchange'")
        return int(size)

    def find_entry(self, kind: str) -> tuple[int, bytes]:
        """The first entry of a type in the exchange log: its index and its bytes."""
        query = "SELECT entry_index, entry FROM entry WHERE log = 'exchange' ORDER BY entry_index"
        sought = f'"type":"{kind}"'.encode()
        return next((index, bytes(data)) for index, data in self.ask_hub(query) if sought in data)

    def write_entry(self, index: int, data: bytes) -> int:
        """Overwrite an entry in the hub's database, as its operator could; gives how many rows changed."""
        with closing(sqlite3.connect(self.hub / "hub.db", timeout=10)) as database, database:
            change = "UPDATE entry SET entry = ? WHERE log = 'exchange' AND entry_index = ?"
            return database.execute(change, (data, index)).rowcount

    def ask_hub(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the hub's database, beside the hub."""
        with closing(sqlite3.connect(self.hub / "hub.db", timeout=10)) as database, database:
            return database.execute(query, values).fetchall()


def files_under(folders: Iterable[Path]) -> list[Path]:
    """Every file in these folders."""
    return [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
