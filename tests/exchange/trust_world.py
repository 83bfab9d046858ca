"""An exchange in memory: council, members, hub and directory log, with every private key at hand.

A test bench for attackers, after python-tuf's repository simulator: tests change the parts, sign them with
whichever key they like, publish, and see what a history makes of it.

    world = TrustWorld()
    world.publish()
    world.change_member("ly", lambda file: file.model_copy(update={"revoked": (keyid,)}))
    world.publish()
    state = world.history().newest
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from tuf.api.metadata import Metadata, T

from keys.ceremony import init_repository, member_request, read_member_request
from keys.default_council import default_council
from keys.derivation import sha256_hex
from keys.directory import Directory
from keys.dsse import pae_sha256, sign_statement
from keys.history import DirectoryHistory, DirectoryState, Finding
from keys.repository import (
    CouncilFiles,
    Governance,
    TrustSigner,
    sign_member,
    sign_root,
    sign_snapshot,
    sign_targets,
    sign_timestamp,
)
from keys.sealing import SealingPrivateKey
from keys.signing import RequestSigningKey, SigningIdentity
from keys.tuf_files import TrustFileMissing
from schemas.directory import Council, HubAddress, Logs, MemberFile
from schemas.entries import (
    DeskSealingKey,
    DirectoryLogEntry,
    DirectoryPublished,
    FileVersion,
    TreeHead,
)
from schemas.envelope import DirectoryRef
from schemas.loader import dump_json
from schemas.purges import PurgeOrder
from schemas.sealing_keys import SealingKey
from schemas.statements import PayloadType, Statement
from tests.exchange.trust_parties import DeskSecrets as DeskSecrets
from tests.exchange.trust_parties import Logged as Logged
from tests.exchange.trust_parties import LogSecrets as LogSecrets
from tests.exchange.trust_parties import Versions

EXCHANGE: Final = "tripoli-test"
START: Final = datetime(2026, 11, 24, 22, 0, 0, tzinfo=UTC)
STATES: Final = ("dz", "eg", "ly", "ma", "ml", "mr", "ne", "td", "tn")
UNITS: Final = ("main", "judicial")
GOVERNORS: Final = 5
THRESHOLD: Final = 3
YEAR: Final = timedelta(days=365)
EMPTY_TREE: Final = TreeHead(size=0, root=sha256_hex())

POLICY_TEXT: Final = '@id("all")\npermit(principal, action, resource);\n'
SCHEMA_TEXT: Final = "// no schema\n"


class TrustWorld:
    """Nine states with a main and a judicial desk each, the African Union Commission, five governors, a hub.

    Args:
        authority: the hub's name, which requests sign.
        url: where it answers.
        tls_trust: its certificate, PEM.
        expires: when everything that is signed lapses, unless a change says otherwise.
    """

    def __init__(
        self,
        authority: str = "hub.test:8443",
        url: str = "https://127.0.0.1:8443",
        tls_trust: str = "-",
        expires: datetime = START + YEAR,
    ) -> None:
        self.exchange = EXCHANGE
        self.now = START
        self.expires = expires
        self.online = TrustSigner.generate()
        self.governors = [TrustSigner.generate() for _ in range(GOVERNORS)]
        self.directory_log = LogSecrets.generate(f"{EXCHANGE}/directory/1")
        self.exchange_log = LogSecrets.generate(f"{EXCHANGE}/exchange/1")
        self.logs = Logs(
            generation=1,
            directory=self.directory_log.public,
            exchange=self.exchange_log.public,
        )
        self.hub = HubAddress(authority=authority, url=url, tls_trust=tls_trust)
        self.council: Council = default_council(EXCHANGE, self.hub, self.logs)
        self.policy_text, self.schema_text = POLICY_TEXT, SCHEMA_TEXT
        self.purges: tuple[PurgeOrder, ...] = ()
        self.desks = {f"{m}/{u}": self.make_desk() for m in STATES for u in UNITS}
        self.desks["auc/audit"] = DeskSecrets(RequestSigningKey.generate(), None)
        members = sorted({desk.partition("/")[0] for desk in self.desks})
        self.member_keys = {member: TrustSigner.generate() for member in members}
        self.member_files = {member: self.declare(member) for member in members}
        self.sealing_secrets: dict[str, SealingPrivateKey] = {}
        self.entries: list[Logged] = []
        self.published: tuple[FileVersion, FileVersion] | None = None
        self.fetched: list[str] = []
        self.versions = Versions(members=dict.fromkeys(members, 1))
        requests = [
            read_member_request(
                member_request(EXCHANGE, file, self.member_keys[member], self.expires)
            )
            for member, file in self.member_files.items()
        ]
        self.files = init_repository(
            self.council_files, requests, self.governance(), self.online.public, self.expires
        )
        # What the next snapshot lists: name → bytes of the newest version of each.
        self.current = dict(self.files)
        self.initial_root = self.files["metadata/1.root.json"]

    @classmethod
    def fresh(cls) -> TrustWorld:
        """A world to change, with keys drawn once in this process: drawing them anew takes longer."""
        drawn = _drawn_once()
        world = copy.copy(drawn)
        for name, value in vars(drawn).items():
            # Keys and files are never changed, only the collections that hold them.
            if isinstance(value, list | dict | Versions):
                setattr(world, name, copy.copy(value))
        world.versions.members = dict(drawn.versions.members)
        return world

    # What the parties hold.

    @staticmethod
    def make_desk(releasers: int = 0) -> DeskSecrets:
        """Draw the keys of a desk."""
        release = tuple(SigningIdentity.generate() for _ in range(releasers))
        return DeskSecrets(RequestSigningKey.generate(), SigningIdentity.generate(), release)

    @property
    def council_files(self) -> CouncilFiles:
        """Council and access rules as they stand."""
        return CouncilFiles(self.council, self.policy_text, self.schema_text, purges=self.purges)

    def governance(self, signing: int = THRESHOLD) -> Governance:
        """The governors, of whom the first `signing` are here."""
        keys = tuple(governor.public_key for governor in self.governors)
        return Governance(keys, THRESHOLD, tuple(self.governors[:signing]))

    def declare(self, member: str) -> MemberFile:
        """A member's file, from the desks that it has keys for."""
        own = {d.partition("/")[2]: d for d in self.desks if d.partition("/")[0] == member}
        return MemberFile(
            v=1,
            exchange=self.exchange,
            member=member,
            desks={unit: self.desks[desk].declare(desk) for unit, desk in own.items()},
            classification_names={},
            revoked=(),
        )

    # Changing the parts: each makes the next version of one file; nothing is in force before `publish`.

    def change_member(
        self,
        member: str,
        change: Callable[[MemberFile], MemberFile] = lambda file: file,
        signer: TrustSigner | None = None,
        version: int | None = None,
        expires: datetime | None = None,
    ) -> None:
        """Sign a new version of a member's file."""
        number = version or self.versions.members.get(member, 0) + 1
        self.versions.members[member] = number
        self.member_files[member] = change(self.member_files[member])
        signed = sign_member(
            number,
            self.member_files[member],
            [signer or self.member_keys[member]],
            expires or self.expires,
        )
        self.put(signed)

    def change_council(
        self,
        change: Callable[[Council], Council] = lambda council: council,
        signing: int = THRESHOLD,
        version: int | None = None,
        expires: datetime | None = None,
    ) -> None:
        """Sign a new version of the targets: council, access rules, and the members' keys."""
        self.versions.targets = version or self.versions.targets + 1
        self.council = change(self.council)
        keys = {member: (key.public_key,) for member, key in self.member_keys.items()}
        signed = sign_targets(
            self.versions.targets,
            self.council_files,
            keys,
            self.governors[:signing],
            expires or self.expires,
        )
        self.put(signed)

    def change_root(
        self,
        governors: list[TrustSigner] | None = None,
        predecessors: int = THRESHOLD,
        expires: datetime | None = None,
    ) -> None:
        """Sign a new root with new governors, of whom a threshold signs, and some of those before."""
        before = self.governors
        self.governors = governors or before
        self.versions.root += 1
        signed = sign_root(
            self.versions.root,
            self.governance(),
            self.online.public,
            expires or self.expires,
            before[:predecessors],
        )
        self.put(signed)

    def craft(self, role: str, payload: T, *signers: TrustSigner) -> None:
        """Sign any payload for a role with any keys, and store it in place of the version before."""
        metadata = Metadata(payload)
        for signer in signers:
            metadata.sign(signer, append=True)
        self.put({f"metadata/{payload.version}.{role}.json": metadata.to_bytes()})

    def put(self, files: Mapping[str, bytes]) -> None:
        """Store files; targets metadata among them take the place of the version before."""
        for name, data in files.items():
            self.files[name] = data
            role = name.removeprefix("metadata/").partition(".")[2]
            same = [
                old for old in self.current if old.endswith(f".{role}") and role.endswith("json")
            ]
            for old in same if name.startswith("metadata/") else ():
                del self.current[old]
            self.current[name] = data

    # The hub: snapshot, directory log.

    def snapshot(
        self, signer: TrustSigner | None = None, version: int | None = None
    ) -> FileVersion:
        """Sign and store a snapshot of the current files."""
        self.versions.snapshot = version or self.versions.snapshot + 1
        number = self.versions.snapshot
        name, data = sign_snapshot(self.current, signer or self.online, number, self.expires)
        stamp, stamped = sign_timestamp(data, self.online, number, self.expires)
        self.files |= {name: data, stamp: stamped}
        return FileVersion(version=number, sha256=sha256_hex(data))

    def root(self) -> FileVersion:
        """The newest root."""
        data = self.files[f"metadata/{self.versions.root}.root.json"]
        return FileVersion(version=self.versions.root, sha256=sha256_hex(data))

    def publish(
        self, root: FileVersion | None = None, snapshot: FileVersion | None = None
    ) -> Logged:
        """Log a directory: a new snapshot of the current files, unless another is named."""
        self.published = (root or self.root(), snapshot or self.snapshot())
        return self.log(
            DirectoryPublished(
                type="directory.published",
                at=self.now,
                exchange_log=EMPTY_TREE,
                root=self.published[0],
                snapshot=self.published[1],
            )
        )

    def log(self, entry: DirectoryLogEntry, statement: Statement | None = None) -> Logged:
        """Append an entry to the directory log."""
        logged = Logged(dump_json(entry), statement)
        self.entries.append(logged)
        return logged

    def later(self, **duration: int) -> None:
        """Move the clock, in `timedelta`'s words."""
        self.now += timedelta(**duration)

    def sealing_statement(
        self,
        desk: str,
        epoch: int,
        revokes: tuple[str, ...] | None = None,
        signer: SigningIdentity | None = None,
        **changed: object,
    ) -> Statement:
        """Sign a sealing key; its private half is kept under its keyid."""
        secret = SealingPrivateKey.generate()
        values: dict[str, object] = {
            "v": 1,
            "exchange": self.exchange,
            "desk": desk,
            "epoch": epoch,
            "public_key": secret.public_bytes(),
            "not_before": self.now,
            "not_after": self.now + timedelta(days=60),
        }
        if revokes is not None:
            values["revokes"] = revokes
        key = SealingKey.model_validate(values | changed)
        identity = signer or self.desks[desk].node
        if identity is None:
            raise ValueError(f"{desk} has no node identity")
        statement = sign_statement(
            PayloadType.SEALING_KEY, dump_json(key), self.exchange, [identity]
        )
        self.sealing_secrets[pae_sha256(statement)] = secret
        return statement

    def announce(self, statement: Statement) -> str:
        """Log a sealing key; gives its keyid."""
        keyid = pae_sha256(statement)
        self.log(
            DeskSealingKey(
                type="desk.sealing_key", at=self.now, exchange_log=EMPTY_TREE, pae=keyid
            ),
            statement,
        )
        return keyid

    def announce_all(self) -> None:
        """Log the first sealing key of every desk that has a node identity."""
        for desk, secrets in self.desks.items():
            if secrets.node:
                self.announce(self.sealing_statement(desk, 1))

    # The readers.

    def fetch(self, name: str, size_bytes_max: int) -> bytes:
        """Give a file, as the hub's `/v1/trust/` does; remembers what was asked for."""
        self.fetched.append(name)
        data = self.files.get(name)
        if data is None or len(data) > size_bytes_max:
            raise TrustFileMissing(name)
        return data

    def empty_history(self) -> DirectoryHistory:
        """A history that has read nothing yet."""
        return DirectoryHistory(self.exchange, self.initial_root, self.directory_log.origin)

    def ref(self, index: int) -> DirectoryRef:
        """An entry of the directory log as a header names it."""
        leaf = self.entries[index].leaf
        return DirectoryRef(origin=self.directory_log.origin, index=index, leaf=leaf)

    def feed(self, history: DirectoryHistory) -> tuple[Finding, ...]:
        """Let a history read every entry that it does not know; gives its findings."""
        findings: list[Finding] = []
        for index in range(history.size, len(self.entries)):
            logged = self.entries[index]
            findings += history.apply(index, logged.leaf, logged.data, logged.statement, self.fetch)
        return tuple(findings)

    def rules(self, history: DirectoryHistory) -> list[str]:
        """The same; gives the rules that were broken."""
        return [finding.rule for finding in self.feed(history)]

    def history(self) -> DirectoryHistory:
        """A history that has read the whole log, in which nothing may be wrong."""
        history = self.empty_history()
        findings = self.feed(history)
        if findings:
            raise ValueError(f"the world is wrong: {findings}")
        return history

    def state(self) -> DirectoryState:
        """The state after the whole log."""
        return self.history().newest

    def directory(self) -> Directory:
        """The directory in force."""
        directory = self.state().directory
        if directory is None:
            raise ValueError("nothing was published")
        return directory


@functools.cache
def _drawn_once() -> TrustWorld:
    return TrustWorld()
