"""Archives: what goes in comes out, and of one that was altered nothing comes out at all."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker import archive
from broker.archive import (
    MANIFEST,
    SEAL,
    ArchivedFile,
    Manifest,
    Owner,
    Source,
    finish,
    open_archive,
    unpack,
    write_archive,
)
from keys.keystore import KdfCost, Keystore
from schemas.errors import BaridError, ConfigurationError, VerificationError
from schemas.loader import dump_json

PASSPHRASE = b"a passphrase of tests"
CHEAP = KdfCost(operations=1, memory_bytes=8 * 1024 * 1024)
AT = datetime(2026, 11, 25, 2, 0, 0, tzinfo=UTC)
OWNER = Owner("node", "tripoli-test", "ly", AT)
FILES = {"config.json": b'{"role":"node"}', "node.db": b"\x07" * 70_000, "attachments/in/aa": b""}


@dataclass(frozen=True)
class Made:
    """An archive, and what it was made of."""

    folder: Path
    path: Path
    keystore: Keystore
    sources: list[Source]
    manifest: Manifest

    def altered(self, data: bytes) -> Path:
        """Another archive with these bytes."""
        path = self.folder / "altered.tar"
        path.write_bytes(data)
        return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """An archive of a few files."""
    folder = tmp_path_factory.mktemp("made")
    keystore = Keystore.create(folder / "keystore", PASSPHRASE, CHEAP)
    keystore.put("desk.main.node", b"\x01" * 64)
    sources = [Source(f"keystore/{name}", folder / "keystore" / name) for name in keystore.files()]
    for name, data in FILES.items():
        path = folder / name.replace("/", ".")
        path.write_bytes(data)
        sources.append(Source(name, path))
    path = folder / "whole.tar"
    return Made(folder, path, keystore, sources, write_archive(path, OWNER, sources, keystore))


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_what_goes_in_comes_out(made: Made, tmp_path: Path) -> None:
    """Every file is there with its bytes, for its owner alone, and the last one only at the end."""
    manifest, keystore = open_archive(made.path, PASSPHRASE)
    assert (manifest.role, manifest.owner, manifest.at) == ("node", "ly", AT)
    assert manifest == made.manifest
    data = tmp_path / "restored"
    unpack(made.path, manifest, data, "config.json")
    assert not (data / "config.json").exists()
    finish(data, "config.json")
    found = files_in(data)
    assert {name: found[name] for name in FILES} == FILES
    assert set(found) == {source.name for source in made.sources}
    modes = {path.stat().st_mode & 0o777 for path in data.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {p.stat().st_mode & 0o777 for p in (data, *data.rglob("*")) if p.is_dir()} == {0o700}
    assert Keystore.open(data / "keystore", PASSPHRASE).get("desk.main.node") == b"\x01" * 64
    assert keystore.unseal("x", made.keystore.seal("x", b"data")) == b"data"


def test_other_tools_read_it(made: Made) -> None:
    """It is a tar file like any other, for its owner alone."""
    with tarfile.open(made.path) as tar:
        names = tar.getnames()
    assert names == [MANIFEST, SEAL, *(source.name for source in made.sources)]
    assert made.path.stat().st_mode & 0o777 == 0o600


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_byte_can_be_another(made: Made, data: st.DataObject) -> None:
    """Whatever byte is altered, nothing of the archive is believed."""
    whole = bytearray(made.path.read_bytes())
    index = data.draw(st.integers(0, len(whole) - 1))
    whole[index] ^= data.draw(st.integers(1, 255))
    with pytest.raises((VerificationError, ConfigurationError)):
        open_archive(made.altered(bytes(whole)), PASSPHRASE)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_it_cannot_be_shorter_or_longer(made: Made, data: st.DataObject) -> None:
    """A part of an archive is none, and neither is one with more behind it."""
    whole = made.path.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(VerificationError):
        open_archive(made.altered(whole[:cut]), PASSPHRASE)
    more = data.draw(st.binary(min_size=1, max_size=2000))
    with pytest.raises(VerificationError):
        open_archive(made.altered(whole + more), PASSPHRASE)


@pytest.mark.parametrize("name", [MANIFEST, SEAL])
def test_a_manifest_has_one_form(made: Made, name: str) -> None:
    """Its own two headers are as we write them: another time or owner in them is refused."""
    whole = made.path.read_bytes()
    start = next(
        n for n in range(0, len(whole), 512) if whole[n:].startswith(name.encode() + b"\0")
    )
    info = tarfile.TarInfo.frombuf(whole[start : start + 512], "ascii", "strict")
    info.mtime += 1
    altered = whole[:start] + info.tobuf(tarfile.GNU_FORMAT) + whole[start + 512 :]
    with pytest.raises(VerificationError, match="manifest"):
        open_archive(made.altered(altered), PASSPHRASE)


def forge(made: Made, *names: str, keystore: Keystore | None = None) -> Path:
    """An archive that holds what an attacker likes, sealed by whatever keystore there is."""
    contents = {source.name: source.path.read_bytes() for source in made.sources}
    contents |= dict.fromkeys(names, b"#!/bin/sh\n")
    listed = [
        {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in contents.items()
    ]
    described = dump_json(made.manifest.model_dump(mode="json") | {"files": listed})
    seal = (keystore or made.keystore).seal("backup", hashlib.sha256(described).digest())
    parts = [(MANIFEST, described), (SEAL, seal), *contents.items()]
    blocks = [
        archive._header(name, len(data), AT) + data + archive._padding(len(data))
        for name, data in parts
    ]
    return made.altered(b"".join(blocks) + bytes(1024))


def test_the_forger_works(made: Made) -> None:
    """What the next tests forge is otherwise right."""
    assert open_archive(forge(made, "more"), PASSPHRASE)[0].files[-1].name == "more"


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/cron.d/barid",
        "a/../../b",
        ".hidden",
        "a//b",
        "a/",
        "a\\b",
        "a\nb",
        "x" * 201,
    ],
)
def test_no_name_leads_out_of_the_directory(made: Made, name: str) -> None:
    """Even an archive that is sealed rightly may not name such files."""
    with pytest.raises(VerificationError, match="manifest"):
        open_archive(forge(made, name), PASSPHRASE)


def test_the_manifest_is_as_compact_as_we_write_it(made: Made) -> None:
    """The same values in other bytes are another manifest."""
    whole = made.path.read_bytes()
    described = dump_json(made.manifest)
    spaced = described.replace(b'"v":1', b'"v": 1')
    rest = whole[512 + len(described) + len(archive._padding(len(described))) :]
    start = archive._header(MANIFEST, len(spaced), AT) + spaced + archive._padding(len(spaced))
    with pytest.raises(VerificationError, match="manifest"):
        open_archive(made.altered(start + rest), PASSPHRASE)


def test_a_file_is_named_once(made: Made) -> None:
    """Two files of one name would be one that was verified and one that is written."""
    files = [each.model_dump(mode="json") for each in made.manifest.files]
    described = made.manifest.model_dump(mode="json") | {"files": [*files, files[-1]]}
    whole = made.path.read_bytes()
    rest = whole[whole.index(archive._header(SEAL, 112, AT)[:20]) :]
    data = dump_json(described)
    start = archive._header(MANIFEST, len(data), AT) + data + archive._padding(len(data))
    with pytest.raises(VerificationError, match="manifest"):
        open_archive(made.altered(start + rest), PASSPHRASE)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_links_and_devices_are_refused(made: Made, kind: bytes) -> None:
    """In place of a file's header no other is taken, even where its name and size are right."""
    whole = made.path.read_bytes()
    header = archive._header("node.db", 70_000, AT)
    info = tarfile.TarInfo.frombuf(header, "ascii", "strict")
    info.type, info.linkname = kind, "/etc/passwd"
    assert whole.count(header) == 1
    altered = whole.replace(header, info.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(VerificationError, match=r"something else in place of node\.db"):
        open_archive(made.altered(altered), PASSPHRASE)


def test_an_archive_of_another_tool_is_refused(made: Made) -> None:
    """What tar itself writes of the same files is no archive of ours."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for source in made.sources:
            tar.add(source.path, source.name)
    with pytest.raises(VerificationError, match="no archive"):
        open_archive(made.altered(written.getvalue()), PASSPHRASE)


def test_whoever_lacks_the_passphrase_makes_no_archive(made: Made, tmp_path: Path) -> None:
    """A manifest sealed under another keystore is refused, though every hash in it is right."""
    stranger = Keystore.create(tmp_path / "stranger", b"the passphrase of a stranger", CHEAP)
    with pytest.raises(VerificationError, match="not the one that was sealed"):
        open_archive(forge(made, keystore=stranger), PASSPHRASE)


def test_it_opens_with_its_passphrase_alone(made: Made) -> None:
    """A wrong passphrase is told as such."""
    with pytest.raises(ConfigurationError, match="passphrase"):
        open_archive(made.path, b"another passphrase")


def test_nothing_is_written_over(made: Made) -> None:
    """An archive that is there stays as it is."""
    before = made.path.read_bytes()
    with pytest.raises(ConfigurationError, match="is there already"):
        write_archive(made.path, OWNER, made.sources, made.keystore)
    assert made.path.read_bytes() == before


def test_a_directory_that_is_in_use_is_left_alone(made: Made, tmp_path: Path) -> None:
    """Nothing is restored over anything."""
    (tmp_path / "config.json").write_bytes(b"another")
    with pytest.raises(ConfigurationError, match="not empty"):
        unpack(made.path, made.manifest, tmp_path, "config.json")
    assert files_in(tmp_path) == {"config.json": b"another"}


def test_an_archive_that_changes_while_it_is_read_leaves_nothing(
    made: Made, tmp_path: Path
) -> None:
    """What was verified first is verified again as it is written; a failure clears the directory."""
    whole = bytearray(made.path.read_bytes())
    whole[-2000] ^= 1
    with pytest.raises(VerificationError, match="altered"):
        unpack(made.altered(bytes(whole)), made.manifest, tmp_path / "data", "config.json")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_file_that_is_gone_is_left_out(made: Made, tmp_path: Path) -> None:
    """What was collected while the backup ran was not needed any more."""
    sources = [*made.sources, Source("attachments/in/gone", tmp_path / "gone")]
    manifest = write_archive(tmp_path / "made.tar", OWNER, sources, made.keystore)
    assert manifest.files == made.manifest.files


def test_a_failure_leaves_no_archive(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that changes between its two readings ends the backup, and no half of it stays."""
    real = archive._copy

    def copy(contents: io.BufferedReader, to: io.BufferedWriter | None, size: int) -> str:
        return "0" * 64 if size == 70_000 else real(contents, to, size)

    monkeypatch.setattr(archive, "_copy", copy)
    with pytest.raises(ConfigurationError, match="changed while it was saved"):
        write_archive(tmp_path / "made.tar", OWNER, made.sources, made.keystore)
    assert list(tmp_path.iterdir()) == []


def test_errors_are_of_one_tree(made: Made, tmp_path: Path) -> None:
    """A file that is not there is told in words."""
    with pytest.raises(BaridError, match="does not exist"):
        open_archive(tmp_path / "nothing.tar", PASSPHRASE)


def test_sizes_have_limits() -> None:
    """A manifest has no negative sizes, and none that no disk has."""
    for size in (-1, 2**53):
        with pytest.raises(ValueError, match="size"):
            ArchivedFile(name="a", size=size, sha256="0" * 64)
