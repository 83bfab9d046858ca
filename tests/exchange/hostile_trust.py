"""A hub that publishes what governors and members never signed: it has its online key and its log keys.

May import the live hub; `test_hostile_trust` tells what nodes and auditors make of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert

from broker.hub.ledger import Answer, Batch
from broker.hub.tables import trust_file
from keys.ceremony import online_signer, sign_snapshot
from keys.derivation import sha256_hex
from keys.dsse import pae_sha256
from keys.repository import (
    CouncilFiles,
    TrustSigner,
    delegation,
    make_targets,
    named,
    sign_member,
    signed,
)
from keys.tuf_files import metadata_name
from schemas.directory import Council, MemberFile
from schemas.entries import DeskSealingKey, DirectoryPublished, FileVersion
from schemas.loader import dump_json
from schemas.statements import Statement
from tests.exchange.live import LiveHub, now

YEAR = timedelta(days=365)

CouncilChange = Callable[[Council], Council]
MemberChange = Callable[[MemberFile], MemberFile]


@dataclass(frozen=True)
class LogAnything:
    """Write a directory entry without asking whether readers will take it."""

    files: Mapping[str, bytes]
    root: FileVersion
    snapshot: FileVersion

    def apply(self, batch: Batch) -> Answer:
        """Store the files over whatever has their names, and log the entry."""
        entry = DirectoryPublished(
            type="directory.published",
            at=batch.at,
            exchange_log=batch.exchange.head.tree,
            root=self.root,
            snapshot=self.snapshot,
        )
        for name, data in self.files.items():
            row = insert(trust_file).prefix_with("OR REPLACE").values(name=name, data=data)
            batch.connection.execute(row)
        index = batch.directory.append(dump_json(entry), None, None)
        return lambda _committed: index


@dataclass
class Hostile:
    """What such a hub can do to an exchange.

    Args:
        hub: the real one, whose keys are used.
        governors: those of the root in force, of whom three must sign.
    """

    hub: LiveHub
    governors: list[TrustSigner]
    files: dict[str, bytes] = field(default_factory=dict)
    """Those of the directory in force: name → bytes, a name for each role and target."""
    roots: int = 1
    former: list[TrustSigner] = field(default_factory=list)
    """Governors who were replaced."""

    @property
    def _state(self) -> Any:
        self.hub.ledger.catch_up()
        return self.hub.ledger.state

    def version(self, role: str) -> int:
        """The version of a role in force."""
        found: int = self._state.directory.versions[role]
        return found

    def council_files(self, change: CouncilChange, rules: str | None = None) -> CouncilFiles:
        """Council and rules in force, changed."""
        directory = self._state.directory
        text = directory.policy_text if rules is None else rules
        return CouncilFiles(change(directory.council), text, directory.schema_text)

    def targets(
        self,
        change: CouncilChange = lambda council: council,
        rules: str | None = None,
        signers: list[TrustSigner] | None = None,
        version: int | None = None,
        keys: Mapping[str, TrustSigner] | None = None,
    ) -> dict[str, bytes]:
        """Targets metadata with its files; by default of the next version, signed by three governors."""
        files = self.council_files(change, rules)
        delegations = dict(self._state.directory.council_part.delegations)
        for member, signer in (keys or {}).items():
            delegations[member] = delegation(member, [signer.public_key])
        number = version or self.version("targets") + 1
        payload = make_targets(number, files, delegations, now() + YEAR)
        by = self.governors[:3] if signers is None else signers
        return {metadata_name("targets", number): signed(payload, by)} | named(
            payload, files.targets()
        )

    def member(
        self,
        member: str,
        change: MemberChange = lambda file: file,
        signer: TrustSigner | None = None,
        version: int | None = None,
        expires: datetime | None = None,
    ) -> dict[str, bytes]:
        """A member's file; by default of the next version, signed by the member, for a year."""
        file = change(self._state.directory.members[member])
        number = version or self.version(f"member-{member}") + 1
        signed_by = [signer or self.hub.member_signers[member]]
        return sign_member(number, file, signed_by, expires or now() + YEAR)

    def publish(
        self,
        files: Mapping[str, bytes],
        *,
        root: int | None = None,
        snapshot: int | None = None,
        only: Mapping[str, bytes] | None = None,
    ) -> int:
        """Log a directory; gives the entry's index.

        Args:
            files: new ones; metadata take the place of what the role had.
            root: version of the root that is named; by default the one in force.
            snapshot: version of the new snapshot; by default the next.
            only: what the snapshot lists; by default what is in force, with `files`.
        """
        listed = dict(only) if only is not None else _merged(self.files, files)
        number = snapshot or self.version("snapshot") + 1
        online = online_signer(self.hub.keystore.get("online"))
        name, data = sign_snapshot(listed, online, number, now() + YEAR)
        return self.log({**files, name: data}, number, data, root)

    def log(
        self, files: Mapping[str, bytes], number: int, snapshot: bytes, root: int | None = None
    ) -> int:
        """Log a directory with a snapshot that is given."""
        chosen = root or self.roots
        root_data = {**self.files, **files}[metadata_name("root", chosen)]
        work = LogAnything(
            files,
            FileVersion(version=chosen, sha256=sha256_hex(root_data)),
            FileVersion(version=number, sha256=sha256_hex(snapshot)),
        )
        (index,) = self.hub.ledger.commit([work])
        return int(index)

    def honest(self, files: Mapping[str, bytes]) -> int:
        """Publish what readers take, and go on from there."""
        self.roots += sum(name.endswith(".root.json") for name in files)
        index = self.publish(files)
        self.files = _merged(self.files, files)
        return index


def _merged(before: Mapping[str, bytes], new: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files before, with newer metadata in the place of older ones."""
    roles = {_role(name) for name in new if name.startswith("metadata/")} - {"root.json"}
    kept = {name: data for name, data in before.items() if _role(name) not in roles}
    return kept | dict(new)


def _role(name: str) -> str:
    return (
        name.removeprefix("metadata/").partition(".")[2] if name.startswith("metadata/") else name
    )


@dataclass(frozen=True)
class LogAnyKey:
    """Write a sealing key's entry without asking whether it counts."""

    statement: Statement

    def apply(self, batch: Batch) -> Answer:
        """Log the entry."""
        entry = DeskSealingKey(
            type="desk.sealing_key",
            at=batch.at,
            exchange_log=batch.exchange.head.tree,
            pae=pae_sha256(self.statement),
        )
        index = batch.directory.append(dump_json(entry), None, dump_json(self.statement))
        return lambda _committed: index
