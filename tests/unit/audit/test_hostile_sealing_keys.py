"""Sealing keys that a thief or a hub slipped into the directory log: each is one finding, at its entry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keys.sealing import SealingPrivateKey
from keys.signing import SigningIdentity
from tests.unit.audit.governing import govern, publish_member, revoke
from tests.unit.audit.world import AuditWorld, audit, found

X25519 = slice(-32, None)
ML_KEM = slice(0, 1152)


@pytest.fixture
def governed(story: AuditWorld) -> AuditWorld:
    """An honest exchange: council and Libya's file have their second version, governors are known."""
    govern(story)
    return story


def _half_zero(part: slice) -> bytes:
    public = bytearray(SealingPrivateKey.generate().public_bytes())
    public[part] = bytes(len(public[part]))
    return bytes(public)


def _announced(desk: str, epoch: int = 2, **changed: Any) -> Callable[[AuditWorld], int]:
    def tell(world: AuditWorld) -> int:
        world.later(days=1)
        world.announce(world.sealing_statement(desk, epoch, **changed))
        return len(world.entries) - 1

    return tell


def _by_a_revoked_signer(world: AuditWorld) -> int:
    node = world.known().newest.directory
    assert node is not None
    view = node.desk("ly/main", world.now)
    assert view is not None
    assert view.node_keyid is not None
    publish_member(world, "ly", revoke(view.node_keyid))
    return _announced("ly/main")(world)


KEYS: list[tuple[str, Callable[[AuditWorld], int], str, str]] = [
    (
        "an epoch that jumps",
        _announced("ly/main", 2**53 - 1),
        "sealing-key-epoch",
        "epoch 9007199254740991 of ly/main is not 2",
    ),
    (
        "an X25519 half of zeros",
        _announced("ly/main", public_key=_half_zero(X25519)),
        "sealing-key-unusable",
        "X25519",
    ),
    (
        "an ML-KEM half of zeros",
        _announced("ly/main", public_key=_half_zero(ML_KEM)),
        "sealing-key-unusable",
        "ML-KEM",
    ),
    (
        "a signer who was revoked",
        _by_a_revoked_signer,
        "signature",
        "ly/main has no node identity in force",
    ),
    (
        "a signer who never was",
        _announced("ly/main", signer=SigningIdentity.generate()),
        "signature",
        "",
    ),
]


@pytest.mark.parametrize(
    ("tell", "rule", "says"), [case[1:] for case in KEYS], ids=[case[0] for case in KEYS]
)
def test_a_sealing_key_that_does_not_count(
    governed: AuditWorld, tmp_path: Path, tell: Callable[[AuditWorld], int], rule: str, says: str
) -> None:
    """A key that a thief or the hub slipped in is one finding, at its entry."""
    index = tell(governed)
    report = audit(governed.served(), governed, tmp_path)
    assert found(report) == [("directory", index, rule)]
    assert says in report.findings[0].detail
