"""A live exchange in one test process: a real hub over TLS, and desks that act by hand.

Nine states with a main and a judicial desk each, and an auditor's desk; nothing is mocked. Tests that need
nodes or processes start them on top of it.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import socket
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import uuid_utils
import uvicorn

from broker.client import HubClient
from broker.hub.app import create_app
from broker.hub.attachment_files import AttachmentFiles
from broker.hub.setup import init_hub, load_repository, open_ledger
from broker.policy.rules import default_texts
from broker.serving import EndingServer, server_config
from broker.settings import HubSettings, Listen
from keys.ceremony import TrustSigner, init_repository, member_request, read_member_request
from keys.default_council import default_council
from keys.dsse import sign_statement
from keys.envelope import Outgoing, address, seal_content
from keys.keystore import KdfCost, Keystore
from keys.repository import CouncilFiles, Governance, sign_member, sign_targets
from keys.sealing import SealingPrivateKey, SealingPublicKey
from keys.signing import RequestSigningKey, SigningIdentity
from schemas.acknowledgements import AcknowledgedItem, Acknowledgement, Result
from schemas.bulletin.vocabularies import (
    Classification,
    Kind,
    Precedence,
    Purpose,
    Status,
    Tlp,
    Topic,
)
from schemas.directory import (
    Council,
    Desk,
    HubDescription,
    Invitation,
    MemberFile,
    Names,
    Profile,
    Witnesses,
)
from schemas.envelope import DirectoryRef, Envelope, HeaderMarking
from schemas.loader import dump_json
from schemas.sealing_keys import SealingKey
from schemas.statements import PayloadType, Statement

EXCHANGE = "tripoli-test"
STATES = ("dz", "eg", "ly", "ma", "ml", "mr", "ne", "td", "tn")
CHEAP = KdfCost(operations=1, memory_bytes=8 * 1024 * 1024)
PASSPHRASE = b"a passphrase of tests"

_PORTS = secrets.SystemRandom()


def now() -> datetime:
    """This second."""
    return datetime.now(UTC).replace(microsecond=0)


def new_id() -> str:
    """A fresh UUIDv7."""
    return str(uuid_utils.uuid7())


def names(text: str) -> Names:
    """One name in three languages."""
    return Names(ar=text, fr=text, en=text)


@dataclass
class DeskKeys:
    """The private keys of one desk."""

    desk: str
    request: RequestSigningKey = field(default_factory=RequestSigningKey.generate)
    node: SigningIdentity = field(default_factory=SigningIdentity.generate)
    sealing: SealingPrivateKey = field(default_factory=SealingPrivateKey.generate)
    sealing_keyid: str = ""

    def declared(self, *, with_node: bool = True) -> Desk:
        """The desk as its member declares it."""
        return Desk(
            names=names(self.desk),
            request=self.request.public,
            node=self.node.public if with_node else None,
            release=(),
            release_threshold=0,
            bulletin_versions=(1,),
            profile=Profile(topics=(), area=()),
        )


def member_file(member: str, desks: dict[str, Desk]) -> MemberFile:
    """A member's file."""
    return MemberFile(
        v=1, exchange=EXCHANGE, member=member, desks=desks, classification_names={}, revoked=()
    )


class LiveHub:
    """A hub served from this process, and the exchange around it.

    Args:
        data: the hub's directory; made here.
        node_requests: by member, the request of a real node; the other members act by hand.
        witnesses: whose nodes cosign; None in a test exchange without any.
    """

    seats: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **dict.fromkeys(STATES, ("main", "judicial")),
        "auc": ("audit",),
    }
    """Member → the units of its desks."""

    def __init__(
        self,
        data: Path,
        node_requests: Mapping[str, bytes] | None = None,
        witnesses: Witnesses | None = None,
    ) -> None:
        self.data = data
        self.witnesses = witnesses
        self.node_requests = node_requests or {}
        self.desks: dict[str, DeskKeys] = {}
        self.member_signers = {member: TrustSigner.generate() for member in self.seats}
        self.governors = [TrustSigner.generate() for _ in range(5)]
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.clock_offset_seconds = 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._found()

    def make_council(self, description: HubDescription) -> Council:
        """The council to begin with."""
        council = default_council(EXCHANGE, description.hub, description.logs)
        return council.model_copy(update={"witnesses": self.witnesses or "none"})

    def rules(self) -> tuple[str, str]:
        """The access rules to begin with, and their schema."""
        return default_texts()

    def now_unix(self) -> int:
        """The hub's clock."""
        return int(time.time()) + self.clock_offset_seconds

    def moment(self) -> datetime:
        """The same, as desks that share it write it."""
        return datetime.fromtimestamp(self.now_unix(), UTC)

    def _found(self) -> None:
        self.data.mkdir(parents=True)
        self.keystore = Keystore.create(self.data / "keystore", PASSPHRASE, CHEAP)
        settings = self.settings = HubSettings(
            exchange=EXCHANGE,
            listen=Listen(host="127.0.0.1", port=self.port),
            operator=Listen(host="127.0.0.1", port=0),
            authority=f"127.0.0.1:{self.port}",
            names=("127.0.0.1", "localhost"),
        )
        description = init_hub(self.data, settings, self.keystore, self.url, now())
        self.council = self.make_council(description)
        self.requests = []
        self.member_files: dict[str, MemberFile] = {}
        for member, units in self.seats.items():
            if member in self.node_requests:
                self.requests.append(read_member_request(self.node_requests[member]))
                continue
            for unit in units:
                self.desks[f"{member}/{unit}"] = DeskKeys(f"{member}/{unit}")
            desks = {
                u: self.desks[f"{member}/{u}"].declared(with_node=member != "auc") for u in units
            }
            file = self.member_files[member] = member_file(member, desks)
            signer = self.member_signers[member]
            data = member_request(EXCHANGE, file, signer, now() + timedelta(days=365))
            self.requests.append(read_member_request(data))
        self.governance = Governance(
            tuple(g.public_key for g in self.governors), 3, tuple(self.governors[:3])
        )
        self.files = init_repository(
            CouncilFiles(self.council, *self.rules()),
            self.requests,
            self.governance,
            description.online,
            now() + timedelta(days=365),
        )
        self.invitation = Invitation(
            v=1,
            exchange=EXCHANGE,
            hub=description.hub,
            logs=description.logs,
            root=self.files["metadata/1.root.json"],
        )
        load_repository(self.data, self.keystore, self.files, now())

    def start(self) -> None:
        """Serve over TLS on a thread."""
        self.ledger = open_ledger(self.data, self.keystore, self.now_unix)
        files = AttachmentFiles.open(self.data, self.settings)
        self.app = create_app(EXCHANGE, self.ledger, files, self.now_unix)
        certificate, key = self.data / "tls.crt", self.data / "tls.key"
        config = server_config(self.app, "127.0.0.1", self.port, certificate, key)
        # On a thread uvloop does not close while a client has not ended its side of TLS.
        config.loop = "asyncio"
        self._server = EndingServer(config, self.app.state.hub.inboxes.close)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop serving."""
        if self._server is not None and self._thread is not None:
            end_serving(self._server, self._thread)

    def publish(self, changed: dict[str, bytes]) -> int:
        """Load a directory beside the running hub, as the operator does; gives its entry's index."""
        index = load_repository(self.data, self.keystore, self.files | changed, self.moment()).index
        self.files |= changed
        return index

    def signed_member(
        self, member: str, version: int, expires: datetime, revoked: tuple[str, ...] = ()
    ) -> dict[str, bytes]:
        """A further version of a member's file, with the desks that it has."""
        file = self.member_files[member].model_copy(update={"revoked": revoked})
        return sign_member(version, file, [self.member_signers[member]], expires)

    def signed_targets(
        self, version: int, policy_text: str, schema_text: str, council: Council | None = None
    ) -> dict[str, bytes]:
        """A further version of what the governors sign, with other access rules or another council."""
        keys = {member: (signer.public_key,) for member, signer in self.member_signers.items()}
        files = CouncilFiles(council or self.council, policy_text, schema_text)
        return sign_targets(version, files, keys, self.governors[:3], now() + timedelta(days=365))

    def client(self, desk: str) -> HubClient:
        """A client that signs as a desk."""
        return HubClient(self.invitation.hub, EXCHANGE, self.desks[desk].request, self.now_unix)

    @property
    def directory_ref(self) -> DirectoryRef:
        """The directory in force."""
        in_force = self.ledger.state.in_force
        if in_force is None:
            raise RuntimeError("no directory is in force")
        return in_force

    def sealing_statement(self, desk: str, **changes: Any) -> Statement:
        """A desk's statement of its sealing key, with fields changed at will."""
        keys = self.desks[desk]
        fields: dict[str, Any] = {
            "v": 1,
            "exchange": EXCHANGE,
            "desk": desk,
            "epoch": self.ledger.state.highest_epoch(desk) + 1,
            "public_key": keys.sealing.public_bytes(),
            "not_before": now() - timedelta(minutes=1),
            "not_after": now() + timedelta(days=59),
        }
        payload = dump_json(SealingKey(**(fields | changes)))
        return sign_statement(PayloadType.SEALING_KEY, payload, EXCHANGE, [keys.node])

    async def announce(self, *desks: str) -> None:
        """Have the sealing keys of some desks logged."""
        for desk in desks:
            async with self.client(desk) as client:
                await client.publish_sealing_key(desk, self.sealing_statement(desk))

    def outgoing(self, sender: str, **changes: Any) -> Outgoing:
        """A threat bulletin that is to leave; its text is not valid, and the hub cannot know."""
        fields: dict[str, Any] = {
            "bulletin_id": new_id(),
            "bulletin_json": b'{"title":"secret of ' + secrets.token_hex(8).encode() + b'"}',
            "content_salt": secrets.token_bytes(32),
            "status": Status.ACTUAL,
            "sender": sender,
            "expires": now() + timedelta(days=7),
            "precedence": Precedence.ROUTINE,
            "kind": Kind.WITHDRAWAL if "withdraws" in changes else Kind.THREAT_BULLETIN,
            "topics": (Topic.ARMS,),
            "purpose": Purpose.BORDER_MONITORING,
            "personal_data": False,
            "marking": HeaderMarking(
                tlp=Tlp.AMBER, classification=Classification.RESTRICTED, caveats=()
            ),
        }
        return Outgoing(**(fields | changes))

    def seal(
        self, outgoing: Outgoing, *recipients: str, envelope_id: str = "", **changes: Any
    ) -> Envelope:
        """Seal a bulletin as its sender would."""
        sealed = seal_content(outgoing, EXCHANGE, envelope_id or new_id(), recipients)
        state = self.ledger.state
        slots = {}
        for desk in recipients:
            record = state.sealing_key(desk, self.moment())
            if record is None:
                raise RuntimeError(f"{desk} has no sealing key")
            slots[desk] = (record.keyid, SealingPublicKey.from_bytes(record.public_key))
        arguments: dict[str, Any] = {
            "identity": changes.get("identity") or self.desks[outgoing.sender].node,
            "directory": self.directory_ref,
            "created": self.moment(),
        }
        return address(outgoing, sealed, EXCHANGE, slots, **(arguments | changes))

    def acknowledgement(
        self, desk: str, items: list[AcknowledgedItem], result: Result = Result.DELIVERED
    ) -> Statement:
        """A desk's signed answer."""
        payload = Acknowledgement(
            v=1, exchange=EXCHANGE, desk=desk, at=now(), result=result, items=tuple(items)
        )
        keys = self.desks[desk]
        return sign_statement(
            PayloadType.ACKNOWLEDGEMENT, dump_json(payload), EXCHANGE, [keys.node]
        )


def end_serving(server: uvicorn.Server, thread: threading.Thread) -> None:
    """Have a server on a thread end, and take away what its clients still held open.

    A test that comes later would else be blamed for the connections that end with the loop.
    """
    server.should_exit = True
    thread.join(10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def free_port() -> int:
    """A port of loopback that nobody uses now, and that the kernel gives to nobody who connects meanwhile."""
    while True:
        port = _PORTS.randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def live_hub(data: Path, witnesses: Witnesses | None = None) -> Iterator[LiveHub]:
    """A hub that serves while the block runs."""
    hub = LiveHub(data, witnesses=witnesses)
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()


def run(coroutine: Any) -> Any:
    """Run a coroutine to its end."""
    return asyncio.run(coroutine)
