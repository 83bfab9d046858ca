"""`barid audit bundle`, and what `barid audit verify --bundle` does: one file that proves a bulletin.

May import `node_client`, `broker.bundles` and `keys`, within the commands; `auditor` adds them. The file is a
ZIP archive without compression: `bundle.json`, and the attachments as they were before they were sealed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import typer

from broker.cli.node_client import (
    Desk,
    NodeClient,
    NodeUrl,
    TokenFile,
    TrustFile,
)
from broker.cli.options import desk_formed, id_formed
from broker.cli.output import UNWITNESSED, note, print_json, say
from schemas.errors import ConfigurationError, ParseError, Problem, VerificationError
from schemas.limits import BUNDLE_BYTES_MAX
from schemas.scalars import format_time

if TYPE_CHECKING:
    from broker.bundles import VerifiedBundle
    from schemas.bulletin.parts import Attachment

BUNDLE_NAME: Final = "bundle.json"
_FOLDER: Final = "attachments/"
_PIECE_BYTES: Final = 1024 * 1024
_STORED_AT: Final = (1980, 1, 1, 0, 0, 0)
"""One bundle has one form, whenever it was made."""

_NO_ARCHIVE: Final = (zipfile.BadZipFile, RuntimeError, EOFError, OSError, ValueError)
"""What zipfile raises of damaged files, and of those that are encrypted or of later versions."""


def _sender(text: str | None) -> str | None:
    return None if text is None else desk_formed(text)


def bundle(
    bulletin_id: Annotated[str, typer.Argument(callback=id_formed, help="The bulletin.")],
    desk: Desk,
    out: Annotated[Path, typer.Option("--out", dir_okay=False, help="The new file, as case.zip.")],
    node: NodeUrl,
    token_file: TokenFile,
    sender: Annotated[
        str | None,
        typer.Option("--from", callback=_sender, help="Whose it is, if this desk received it."),
    ] = None,
    without_attachments: Annotated[
        bool,
        typer.Option("--without-attachments", help="Leave them out: their hashes are in it."),
    ] = False,
    ca: TrustFile = None,
) -> None:
    """Write a bulletin with all that proves it to others into one file, which anybody can read.

    It is noted at the node as exported. Of an own bulletin the attachments are left out.
    """
    from broker.bundles import peek

    if out.exists():
        raise ConfigurationError(f"{out} is there already: name another file")
    client = NodeClient(node, token_file, ca)
    place = "bulletins" if sender is None else f"inbox/{sender}"
    data = client.get(f"/desks/{desk}/{place}/{bulletin_id}/bundle")
    bulletin = peek(data)
    attachments = () if sender is None or without_attachments else bulletin.attachments
    with tempfile.TemporaryDirectory(prefix=".barid-bundle-", dir=out.parent) as folder:
        files = _downloaded(
            client, f"/desks/{desk}/inbox/{sender}/{bulletin_id}", attachments, Path(folder)
        )
        _write(out, data, files)
    say(f"{out}: the bulletin in clear, and all that proves it. Keep it as its marking says:")
    marking = bulletin.marking
    say(f"  TLP:{marking.tlp.upper()} {marking.classification.upper()}")
    if len(attachments) < len(bulletin.attachments):
        note("Its attachments are left out; their hashes are in it.")
    say(f"Next: `barid audit verify --bundle {out} --invitation invitation.json`, anywhere.")


def _downloaded(
    client: NodeClient, path: str, attachments: Sequence[Attachment], folder: Path
) -> dict[str, Path]:
    from broker.cli.attaching import download_attachment

    found = {}
    for each in attachments:
        target = folder / each.id
        download_attachment(client, f"{path}/attachments/{each.id}", each, target)
        found[_FOLDER + each.id] = target
    return found


def _write(out: Path, data: bytes, files: dict[str, Path]) -> None:
    from broker.archive import sync_folder

    part = out.with_name(f".{out.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_info(BUNDLE_NAME), data)
            for name, path in files.items():
                with archive.open(_info(name), "w", force_zip64=True) as to, path.open("rb") as of:
                    while piece := of.read(_PIECE_BYTES):
                        to.write(piece)
        file.flush()
        os.fsync(descriptor)
    part.rename(out)
    sync_folder(out.parent)


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _STORED_AT)
    info.external_attr = 0o600 << 16
    return info


def verify_bundle_file(
    path: Path, initial_root: bytes, extract: Path | None, *, as_json: bool
) -> None:
    """Verify a bundle file, and say what it proves.

    Args:
        path: as `bundle` wrote it; a `bundle.json` alone will do.
        initial_root: the exact bytes of the trust root.
        extract: a new folder for bulletin and attachments, written once all of it verified.
        as_json: print JSON.

    Raises:
        ConfigurationError: it is no bundle, or the folder is not empty.
        VerificationError: it does not prove what it says.
    """
    from broker.bundles import verify_bundle

    if extract is not None and extract.exists() and any(extract.iterdir()):
        raise ConfigurationError(f"{extract} is not empty: name another folder")
    with _opened(path) as archive:
        try:
            found = verify_bundle(_read(archive, path), initial_root)
        except ParseError as error:
            raise ConfigurationError(f"{path} is no bundle: {error}") from error
        except Problem as problem:
            raise VerificationError(f"{problem.word}: {problem.detail}") from problem
        there = _check_attachments(archive, found)
        if extract is not None:
            _extract(archive, found, there, extract)
    print_json(_plain(found, there)) if as_json else _show(found, there)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile | None]:
    """The archive; None for a `bundle.json` alone."""
    if not zipfile.is_zipfile(path):
        yield None
        return
    try:
        archive = zipfile.ZipFile(path)
    except _NO_ARCHIVE as error:
        raise _no_bundle(path, error) from error
    with archive:
        infos = archive.infolist()
        names = [info.filename for info in infos]
        # What is compressed may be a bomb; what has one name twice shows two readers two files.
        is_plain = all(info.compress_type == zipfile.ZIP_STORED for info in infos)
        if not is_plain or len(set(names)) != len(names) or names[:1] != [BUNDLE_NAME]:
            raise ConfigurationError(f"{path} is not as `barid audit bundle` writes it")
        yield archive


def _pieces(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """Read a file of the archive. Raises ConfigurationError: it is damaged, or not as we write it."""
    try:
        with archive.open(name) as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
    except _NO_ARCHIVE as error:
        raise _no_bundle(Path(archive.filename or name), error) from error


def _no_bundle(path: Path, error: Exception) -> ConfigurationError:
    return ConfigurationError(f"{path} is cut short, or no bundle: {error}")


def _read(archive: zipfile.ZipFile | None, path: Path) -> bytes:
    size = path.stat().st_size if archive is None else archive.getinfo(BUNDLE_NAME).file_size
    if size > BUNDLE_BYTES_MAX:
        raise ConfigurationError(f"{path} is over {BUNDLE_BYTES_MAX} bytes: no bundle")
    return path.read_bytes() if archive is None else b"".join(_pieces(archive, BUNDLE_NAME))


def _check_attachments(
    archive: zipfile.ZipFile | None, found: VerifiedBundle
) -> tuple[Attachment, ...]:
    """Hash the attachments that are in it. Raises VerificationError: one is not the bulletin's."""
    known = {_FOLDER + each.id: each for each in found.content.bulletin.attachments}
    names = [] if archive is None else archive.namelist()[1:]
    for name in names:
        if name not in known:
            raise VerificationError(f"{name[:80]} is no attachment of this bulletin")
        each = known[name]
        if archive is None or archive.getinfo(name).file_size != each.size:
            raise VerificationError(f"the attachment {each.id} is not as long as the bulletin says")
        digest = hashlib.sha256()
        for piece in _pieces(archive, name):
            digest.update(piece)
        if digest.hexdigest() != each.sha256:
            raise VerificationError(f"the attachment {each.id} is not the one that was sealed")
    return tuple(known[name] for name in names)


def _extract(
    archive: zipfile.ZipFile | None,
    found: VerifiedBundle,
    there: Sequence[Attachment],
    folder: Path,
) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _new(folder / "bulletin.json") as file:
        file.write(found.content.document)
    for each in there:
        # By its id: its name is whatever its sender called it.
        with _new(folder / each.id) as to:
            if archive is not None:
                for piece in _pieces(archive, _FOLDER + each.id):
                    to.write(piece)


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        yield file


def _show(found: VerifiedBundle, there: Sequence[Attachment]) -> None:
    from broker.cli.reading import mark_content, say_content

    bulletin = found.content.bulletin
    mark_content(bulletin)
    say(f"The bundle verifies: {found.header.kind} {found.header.bulletin.id}")
    say(f"  from {found.header.from_}, to {', '.join(found.header.desks)}.")
    for name, value in _lines(found):
        say(f"  {name}: {value}")
    for each in bulletin.attachments:
        state = "verified" if each in there else "not in this file"
        say(f"  attachment {each.id}: {each.size} bytes, SHA-256 {each.sha256}, {state}")
    if found.exchange.at is None:
        say(UNWITNESSED)
    say()
    say_content(bulletin)
    mark_content(bulletin)


def _lines(found: VerifiedBundle) -> list[tuple[str, str]]:
    exchange, entry = found.exchange, found.entry
    versions = found.directory.versions
    council = f"council version {versions['targets']}, root version {versions['root']}"
    lines = [
        ("signed", f"by the node identity {found.signer}, {format_time(found.header.created)}"),
        (
            "accepted",
            f"{format_time(entry.at)}, entry {found.index} of {exchange.checkpoint.origin}",
        ),
        ("directory", f"{council}, verified from the trust root"),
    ]
    if exchange.at is not None:
        cosigned = f"{', '.join(exchange.witnesses)}, {format_time(exchange.at)}"
        lines.append(("cosigned", f"{cosigned}, in a tree of {exchange.checkpoint.size} entries"))
    lines += [(f"permitted for {each.desk}", ", ".join(each.policies)) for each in entry.recipients]
    if found.is_former:
        text = "a directory that had just been replaced: whether in time, the log alone shows"
        lines.append(("named", text))
    return lines


def _plain(found: VerifiedBundle, there: Sequence[Attachment]) -> dict[str, Any]:
    at = found.exchange.at
    return {
        "bulletin": json.loads(found.content.document),
        "from": found.header.from_,
        "recipients": list(found.header.desks),
        "signer": found.signer,
        "accepted": format_time(found.entry.at),
        "origin": found.exchange.checkpoint.origin,
        "index": found.index,
        "leaf": found.leaf.hex(),
        "versions": dict(found.directory.versions),
        "witnesses": list(found.exchange.witnesses),
        "witnessed_at": None if at is None else format_time(at),
        "policies": {each.desk: list(each.policies) for each in found.entry.recipients},
        "attachments": [each.id for each in there],
    }
