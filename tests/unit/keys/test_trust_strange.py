"""Strange bytes as TUF files: whatever they are, they are refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tuf.api.metadata import (
    Metadata,
    Snapshot,
    TargetFile,
    Targets,
)

from keys.derivation import sha256_hex
from keys.directory import Directory
from keys.repository import TrustSigner, tuf_key
from keys.trust import load_directory
from schemas.entries import FileVersion
from schemas.errors import BaridError, VerificationError
from tests.exchange.trust_crafting import (
    load,
    member_targets,
    resign,
    targets_of,
)
from tests.exchange.trust_world import TrustWorld


@pytest.fixture
def world() -> TrustWorld:
    """An exchange whose files are signed, and not yet published."""
    return TrustWorld.fresh()


def test_a_double_name_is_refused(world: TrustWorld) -> None:
    """JSON with two equal names is refused, though tuf would keep the last of them."""
    name = "metadata/1.member-ly.json"
    doubled = world.files[name].replace(b"{", b'{"x":1,"x":1,', 1)
    assert Metadata[Targets].from_bytes(doubled).signed.version == 1
    world.put({name: doubled})
    with pytest.raises(VerificationError, match="not TUF metadata"):
        load(world)


def test_metadata_of_another_type_is_refused(world: TrustWorld) -> None:
    """A snapshot, rightly signed, is not targets metadata."""
    payload = Snapshot(version=2, expires=world.expires)
    world.craft("member-ly", payload, world.member_keys["ly"])
    with pytest.raises(VerificationError, match="is not targets metadata"):
        load(world)


def test_a_version_is_a_number(world: TrustWorld) -> None:
    """`true` is no version, though Python takes it for 1."""
    name = "metadata/1.member-ly.json"
    signed = json.loads(world.files[name])["signed"] | {"version": True}
    world.put({name: resign(signed, [world.member_keys["ly"]])})
    with pytest.raises(VerificationError, match="is not targets metadata"):
        load(world)


JSON_VALUES = st.recursive(
    st.booleans() | st.integers(-2, 3) | st.text(max_size=3) | st.just("0" * 64),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)

FUZZED = ["root", "snapshot", "targets", "member-ly"]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(found for name, item in inner for found in _paths(item, (*path, name)))]


def _load_replaced(world: TrustWorld, role: str, data: bytes) -> Directory:
    """Read a world in which one file has these bytes, and every file above commits to them."""
    if role == "root":
        root = FileVersion(version=1, sha256=sha256_hex(data))
        return load_directory(data, world.fetch, root, world.snapshot())
    if role == "snapshot":
        number = world.snapshot().version
        world.files[f"metadata/{number}.snapshot.json"] = data
        named = FileVersion(version=number, sha256=sha256_hex(data))
        return load_directory(world.initial_root, world.fetch, world.root(), named)
    world.put({f"metadata/1.{role}.json": data})
    return load(world)


@pytest.mark.parametrize("role", FUZZED)
@settings(max_examples=25, deadline=None)
@given(data=st.binary(max_size=64))
def test_any_bytes_as_any_file_raise_our_errors_only(role: str, data: bytes) -> None:
    """Random bytes in the place of any metadata end in a BaridError."""
    with pytest.raises(BaridError):
        _load_replaced(TrustWorld.fresh(), role, data)


@pytest.mark.parametrize("path", ["council.json", "policy.cedar", "members/ly.json"])
@settings(max_examples=25, deadline=None)
@given(data=st.binary(max_size=64))
def test_any_bytes_as_any_target_raise_our_errors_only(path: str, data: bytes) -> None:
    """Random bytes in the place of any signed target are read as text, or end in a BaridError."""
    world = TrustWorld.fresh()
    sha256 = sha256_hex(data)
    parent, _, name = path.rpartition("/")
    world.files[f"targets/{parent + '/' if parent else ''}{sha256}.{name}"] = data
    member = path.startswith("members/")
    payload = member_targets(world, "ly") if member else targets_of(world)
    payload.targets[path] = TargetFile.from_data(path, data)
    signers = [world.member_keys["ly"]] if member else world.governors[:3]
    world.craft("member-ly" if member else "targets", payload, *signers)
    try:
        directory = load(world)
    except BaridError:
        return
    assert directory.policy_text.encode() == data


@pytest.mark.parametrize("role", FUZZED)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_signed_nonsense_raises_our_errors_only(role: str, data: st.DataObject) -> None:
    """Any value in any place of rightly signed metadata is read, or ends in a BaridError."""
    world = TrustWorld.fresh()
    number = world.snapshot().version if role == "snapshot" else 1
    signed = json.loads(world.files[f"metadata/{number}.{role}.json"])["signed"]
    path = data.draw(st.sampled_from([p for p in _paths(signed) if p]))
    target = signed
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = data.draw(JSON_VALUES)
    signers = {
        "root": world.governors[:3],
        "targets": world.governors[:3],
        "snapshot": [world.online],
        "member-ly": [world.member_keys["ly"]],
    }
    try:
        _load_replaced(world, role, resign(signed, signers[role]))
    except BaridError:
        return


def test_keys_load_from_their_raw_form() -> None:
    """The TUF form of a raw key is that of its signer."""
    signer = TrustSigner.generate()
    assert tuf_key(signer.public) == signer.public_key
