"""Making TUF files by hand: what a hostile member, governor or hub would sign.

Tests of `keys.trust` change a payload, sign it with whichever key they like, and read it.
"""

from __future__ import annotations

import json
from typing import Any

from securesystemslib.formats import encode_canonical
from tuf.api.metadata import Metadata, MetaFile, Snapshot, Targets

from keys.derivation import sha256_hex
from keys.directory import Directory
from keys.repository import TrustSigner
from keys.trust import load_directory
from schemas.entries import FileVersion
from tests.exchange.trust_world import TrustWorld


def load(world: TrustWorld, known: Directory | None = None) -> Directory:
    """Read the newest files of a world."""
    return load_directory(world.initial_root, world.fetch, world.root(), world.snapshot(), known)


def targets_of(world: TrustWorld) -> Targets:
    """The newest targets payload, to be changed and signed again."""
    name = f"metadata/{world.versions.targets}.targets.json"
    payload = Metadata[Targets].from_bytes(world.files[name]).signed
    payload.version += 1
    world.versions.targets += 1
    return payload


def member_targets(world: TrustWorld, member: str) -> Targets:
    """The newest payload of a member, with the next version."""
    name = f"metadata/{world.versions.members[member]}.member-{member}.json"
    payload = Metadata[Targets].from_bytes(world.files[name]).signed
    payload.version += 1
    world.versions.members[member] += 1
    return payload


def publish_snapshot(world: TrustWorld, meta: dict[str, MetaFile]) -> FileVersion:
    """Sign a snapshot that lists exactly this."""
    world.versions.snapshot += 1
    payload = Snapshot(version=world.versions.snapshot, expires=world.expires, meta=meta)
    data = Metadata(payload)
    data.sign(world.online)
    name = f"metadata/{payload.version}.snapshot.json"
    world.files[name] = data.to_bytes()
    return FileVersion(version=payload.version, sha256=sha256_hex(world.files[name]))


def honest_meta(world: TrustWorld) -> dict[str, MetaFile]:
    """What an honest snapshot lists."""
    listed = world.snapshot()
    data = world.files[f"metadata/{listed.version}.snapshot.json"]
    return Metadata[Snapshot].from_bytes(data).signed.meta


def resign(signed: Any, signers: list[TrustSigner]) -> bytes:
    """Sign any JSON value, as python-tuf itself never would."""
    message = str(encode_canonical(signed)).encode()
    signatures = [signer.sign(message).to_dict() for signer in signers]
    return json.dumps({"signatures": signatures, "signed": signed}).encode()
