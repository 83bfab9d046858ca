"""The ceremony: trust keys, members' requests, the first repository, snapshot and timestamp."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import DownloadHTTPError
from tuf.api.metadata import Metadata, Snapshot, Timestamp
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

from keys.ceremony import (
    MemberRequest,
    init_repository,
    member_request,
    online_signer,
    read_member_request,
    sign_snapshot,
    sign_timestamp,
)
from keys.derivation import sha256_hex
from keys.keystore import KdfCost, Keystore
from keys.repository import Governance, TrustSigner, sign_member
from keys.trust import load_directory
from schemas.directory import MemberFile
from schemas.entries import FileVersion
from schemas.errors import BaridError, ConfigurationError, ParseError, VerificationError
from schemas.scalars import encode_base64
from tests.exchange.trust_world import EXCHANGE, TrustWorld


@pytest.fixture(scope="module")
def world() -> TrustWorld:
    """An exchange to take keys and files from; the tests here do not change it."""
    return TrustWorld.fresh()


def request_of(world: TrustWorld, member: str, signer: TrustSigner | None = None) -> MemberRequest:
    """A member's request, handed in and read."""
    key = signer or world.member_keys[member]
    file = world.member_files[member]
    return read_member_request(member_request(EXCHANGE, file, key, world.expires))


# Keys.


def test_a_trust_key_comes_back_from_its_seed() -> None:
    """A key sealed in a keystore as 32 bytes is the same key when it is loaded."""
    signer = TrustSigner.generate()
    again = TrustSigner.from_seed(signer.seed())
    assert again.public_key == signer.public_key
    assert again.public == signer.public
    assert again.sign(b"x").signature == signer.sign(b"x").signature


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_seed_of_another_size_is_refused(size: int) -> None:
    """A truncated or lengthened seed is not a key."""
    with pytest.raises(ParseError, match="32 bytes"):
        online_signer(bytes(size))


def test_a_trust_key_rests_in_a_keystore(tmp_path: Path) -> None:
    """A governor's key is sealed under a passphrase, and loads from there."""
    cost = KdfCost(operations=1, memory_bytes=8192)
    signer = TrustSigner.generate()
    store = Keystore.create(tmp_path / "governor", b"five random words here", cost)
    store.put("governor", signer.seed())
    opened = Keystore.open(tmp_path / "governor", b"five random words here")
    assert TrustSigner.from_seed(opened.get("governor")).public == signer.public
    sealed = b"".join(path.read_bytes() for path in (tmp_path / "governor").iterdir())
    assert signer.seed() not in sealed


# Requests.


def test_a_request_is_read_as_it_was_written(world: TrustWorld) -> None:
    """Member, key and file come through, and the file is signed as version 1."""
    request = request_of(world, "ly")
    assert request.member == "ly"
    assert request.keys == (world.member_keys["ly"].public_key,)
    assert request.file == world.member_files["ly"]
    assert sorted(request.files()) == [
        "metadata/1.member-ly.json",
        f"targets/members/{request.part.file_sha256}.ly.json",
    ]


def test_a_request_may_come_with_an_ml_dsa_key(world: TrustWorld) -> None:
    """A member's key may be ML-DSA."""
    signer = CryptoSigner.generate_mldsa()
    data = member_request(EXCHANGE, world.member_files["ly"], signer, world.expires)
    assert read_member_request(data).keys == (signer.public_key,)


def test_a_request_is_for_one_exchange(world: TrustWorld) -> None:
    """A file of another exchange is not handed in here."""
    with pytest.raises(ConfigurationError, match="not of another"):
        member_request("another", world.member_files["ly"], TrustSigner.generate(), world.expires)


def _tampered(world: TrustWorld, **changes: Any) -> bytes:
    data = member_request(
        EXCHANGE, world.member_files["ly"], world.member_keys["ly"], world.expires
    )
    return json.dumps(json.loads(data) | changes).encode()


def test_a_request_with_another_file_is_refused(world: TrustWorld) -> None:
    """The file handed in is the one that was signed."""
    other = request_of(world, "tn").data
    with pytest.raises(VerificationError, match="not the file that was signed"):
        read_member_request(_tampered(world, file=encode_base64(other)))


def test_a_request_with_another_key_is_refused(world: TrustWorld) -> None:
    """The key handed in is the one that signed."""
    key = TrustSigner.generate().public_key.to_dict()
    with pytest.raises(VerificationError, match="not signed"):
        read_member_request(_tampered(world, signers={"keys": [key], "threshold": 1}))


def test_a_request_for_another_member_is_refused(world: TrustWorld) -> None:
    """Libya's file does not become Tunisia's by the request's saying so."""
    with pytest.raises(VerificationError, match=r"lists members/tn\.json alone"):
        read_member_request(_tampered(world, member="tn"))


def test_a_request_with_a_later_version_is_refused(world: TrustWorld) -> None:
    """The first file in force is version 1, so that none can be skipped to."""
    file, key = world.member_files["ly"], world.member_keys["ly"]
    metadata = sign_member(2, file, [key], world.expires)["metadata/2.member-ly.json"]
    with pytest.raises(VerificationError, match=r"version 2 .* not 1"):
        read_member_request(_tampered(world, metadata=encode_base64(metadata)))


@pytest.mark.parametrize(
    "key",
    [
        {"keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": {"public": "x"}},
        {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "00"}},
        {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "AB" * 32}},
        {"keytype": "ed25519", "scheme": "ml-dsa-65/1", "keyval": {"public": "ab" * 32}},
        {"keytype": "ml-dsa", "scheme": "ml-dsa-65/1", "keyval": {"public": "no PEM"}},
    ],
    ids=["rsa", "short", "upper-case", "two-types", "no-pem"],
)
def test_a_request_with_a_strange_key_is_refused(world: TrustWorld, key: dict[str, Any]) -> None:
    """A key is Ed25519 or ML-DSA, in the one spelling that its keyid is computed from."""
    with pytest.raises(ParseError):
        read_member_request(_tampered(world, signers={"keys": [key], "threshold": 1}))


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_as_a_request_raise_our_errors_only(data: bytes) -> None:
    """Random bytes are no request, and end in a BaridError."""
    with pytest.raises(BaridError):
        read_member_request(data)


@settings(max_examples=50, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), cut=st.booleans())
def test_a_damaged_request_is_refused_or_says_the_same(
    world: TrustWorld, at: float, cut: bool
) -> None:
    """One byte changed, or the end cut off, never lets another key or file through."""
    data = bytearray(_tampered(world))
    position = int(at * len(data))
    if cut:
        del data[position:]
    else:
        data[position] ^= 0x15
    try:
        request = read_member_request(bytes(data))
    except BaridError:
        return
    assert (request.keys, request.data) == (
        (world.member_keys["ly"].public_key,),
        request_of(world, "ly").data,
    )


# The repository.


def test_a_repository_holds_everything_but_the_hubs_part(world: TrustWorld) -> None:
    """Root, targets with three files, and two files of each of ten members."""
    names = sorted(world.files)
    assert len(names) == 1 + 1 + 3 + 2 * 10
    assert "metadata/1.root.json" in names
    assert "metadata/1.targets.json" in names
    assert not [name for name in names if "snapshot" in name or "timestamp" in name]


def test_a_repository_loads_once_the_hub_has_signed(world: TrustWorld) -> None:
    """With the hub's snapshot the governors' files are a directory."""
    name, snapshot = sign_snapshot(world.files, world.online, 1, world.expires)
    files = {**world.files, name: snapshot}
    root = FileVersion(version=1, sha256=sha256_hex(world.initial_root))
    named = FileVersion(version=1, sha256=sha256_hex(snapshot))
    directory = load_directory(world.initial_root, lambda n, _: files[n], root, named)
    assert directory.members == world.member_files


def test_a_snapshot_lists_the_newest_of_each(world: TrustWorld) -> None:
    """Of several versions the newest is listed, with length and SHA-256; nothing else is."""
    newer = sign_member(2, world.member_files["ly"], [world.member_keys["ly"]], world.expires)
    files = {**world.files, **newer, "metadata/timestamp.json": b"{}", "metadata/9.root.json": b""}
    name, data = sign_snapshot(files, world.online, 7, world.expires)
    meta = Metadata[Snapshot].from_bytes(data).signed.meta
    assert name == "metadata/7.snapshot.json"
    assert sorted(meta) == sorted(
        ["targets.json", *(f"member-{member}.json" for member in world.member_files)]
    )
    listed = meta["member-ly.json"]
    expected = newer["metadata/2.member-ly.json"]
    assert (listed.version, listed.length) == (2, len(expected))
    assert listed.hashes == {"sha256": sha256_hex(expected)}


def test_versions_are_compared_as_numbers(world: TrustWorld) -> None:
    """Version 10 is newer than version 9."""
    files: dict[str, bytes] = {}
    for version in (9, 10):
        files |= sign_member(
            version, world.member_files["ly"], [world.member_keys["ly"]], world.expires
        )
    _, data = sign_snapshot(files, world.online, 1, world.expires)
    meta = Metadata[Snapshot].from_bytes(data).signed.meta
    assert meta["member-ly.json"].version == 10


def test_a_timestamp_names_the_snapshot(world: TrustWorld) -> None:
    """The timestamp carries the snapshot's version, length and hash, for TUF's own tools."""
    _, snapshot = sign_snapshot(world.files, world.online, 3, world.expires)
    name, data = sign_timestamp(snapshot, world.online, 3, world.expires)
    listed = Metadata[Timestamp].from_bytes(data).signed.snapshot_meta
    assert name == "metadata/timestamp.json"
    assert (listed.version, listed.length) == (3, len(snapshot))
    assert listed.hashes == {"sha256": sha256_hex(snapshot)}


class _Files(FetcherInterface):
    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = url.removeprefix("https://hub.test/v1/trust/")
        if name not in self._files:
            raise DownloadHTTPError(name, 404)
        yield self._files[name]


def test_python_tufs_own_client_reads_the_repository(tmp_path: Path) -> None:
    """What we write is TUF: the reference client refreshes, and finds council and member file."""
    world = TrustWorld(expires=datetime(2099, 1, 1, tzinfo=UTC))
    world.change_root([TrustSigner.generate() for _ in range(5)])
    world.change_council()
    world.publish()
    (tmp_path / "targets").mkdir()
    updater = Updater(
        str(tmp_path),
        "https://hub.test/v1/trust/metadata/",
        str(tmp_path / "targets"),
        "https://hub.test/v1/trust/targets/",
        fetcher=_Files(world.files),
        bootstrap=world.initial_root,
    )
    updater.refresh()
    found = {}
    for path in ("council.json", "members/ly.json"):
        info = updater.get_targetinfo(path)
        assert info is not None
        found[path] = Path(updater.download_target(info)).read_bytes()
    assert found["council.json"] == world.council_files.targets()["council.json"]
    assert json.loads(found["members/ly.json"])["member"] == "ly"


# What governors are told.


def _init(world: TrustWorld, *requests: MemberRequest) -> dict[str, bytes]:
    return init_repository(
        world.council_files, requests, world.governance(), world.online.public, world.expires
    )


def test_a_member_joins_once(world: TrustWorld) -> None:
    """Two requests of one member are a question, not a repository."""
    request = request_of(world, "ly")
    with pytest.raises(ConfigurationError, match="two requests"):
        _init(world, request, request)


def test_a_stranger_does_not_join(world: TrustWorld) -> None:
    """A request of somebody whom council.json does not name is refused by name."""
    file = world.member_files["ly"].model_copy(update={"member": "xx"})
    data = member_request(EXCHANGE, file, TrustSigner.generate(), world.expires)
    with pytest.raises(ConfigurationError, match="xx is no member"):
        _init(world, read_member_request(data))


def test_a_request_for_another_exchange_does_not_join(world: TrustWorld) -> None:
    """A request written for an exercise is refused."""
    file = world.member_files["ly"].model_copy(update={"exchange": "exercise"})
    data = member_request("exercise", file, TrustSigner.generate(), world.expires)
    with pytest.raises(ConfigurationError, match="asks to join exercise"):
        _init(world, read_member_request(data))


def test_a_desk_without_a_grant_is_named(world: TrustWorld) -> None:
    """Governors learn of a desk that would not exist."""

    def with_harbour(file: MemberFile) -> MemberFile:
        desk = world.make_desk().declare("ly/harbour")
        return file.model_copy(update={"desks": {**file.desks, "harbour": desk}})

    data = member_request(
        EXCHANGE, with_harbour(world.member_files["ly"]), TrustSigner.generate(), world.expires
    )
    with pytest.raises(ConfigurationError, match="grants nothing to ly/harbour"):
        _init(world, read_member_request(data))


def test_two_members_do_not_share_a_key(world: TrustWorld) -> None:
    """One key that signs for two members is refused: whoever holds it speaks for both."""
    key = world.member_keys["ly"]
    with pytest.raises(ConfigurationError, match="makes its own keys"):
        _init(world, request_of(world, "ly"), request_of(world, "tn", key))


def test_two_members_do_not_share_a_desk_key(world: TrustWorld) -> None:
    """A desk key in two members' files is refused, and both are named."""
    main = world.member_files["ly"].desks["main"]
    file = world.member_files["tn"].model_copy(update={"desks": {"main": main}})
    data = member_request(EXCHANGE, file, world.member_keys["tn"], world.expires)
    with pytest.raises(ConfigurationError, match="ly and tn"):
        _init(world, request_of(world, "ly"), read_member_request(data))


@pytest.mark.parametrize("threshold", [0, 6])
def test_a_threshold_can_be_met(world: TrustWorld, threshold: int) -> None:
    """Five governors cannot sign six times, nor nobody at all."""
    keys = tuple(governor.public_key for governor in world.governors)
    with pytest.raises(ConfigurationError, match="choose another threshold"):
        Governance(keys, threshold, tuple(world.governors))


def test_enough_governors_are_present(world: TrustWorld) -> None:
    """Two of five do not start an exchange."""
    with pytest.raises(ConfigurationError, match="2 governors are here; 3 must sign"):
        world.governance(signing=2)


def test_only_governors_sign(world: TrustWorld) -> None:
    """A stranger at the table is refused before anything is signed."""
    keys = tuple(governor.public_key for governor in world.governors)
    with pytest.raises(ConfigurationError, match="must sign"):
        Governance(keys, 3, (*world.governors[:3], TrustSigner.generate()))


def test_a_governor_counts_once(world: TrustWorld) -> None:
    """One governor listed twice is refused."""
    governor = world.governors[0]
    keys = (governor.public_key, governor.public_key)
    with pytest.raises(ConfigurationError, match="under two names"):
        Governance(keys, 1, (governor,))
