"""Saving a received bulletin: its exact bytes, attachments and evidence, as files that nobody else reads.

May import the node's views and `schemas`; `analyst` saves with it. Nothing is ever overwritten, and no name
that a sender chose decides where a file goes.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from broker.cli.attaching import download_attachment
from broker.cli.node_client import ANSWER_BYTES_MAX, NodeClient
from broker.node.api.inbox_views import ExportView
from schemas.bulletin import parse_bulletin
from schemas.errors import ConfigurationError, ParseError
from schemas.limits import BULLETIN_BYTES_MAX
from schemas.loader import dump_json, parse

_NAME_BYTES_MAX: Final = 150
"""Bytes of a sender's file name that are kept: with number and folder it fits every file system."""

_KEPT: Final = frozenset(" ._-()")
"""What a file name keeps beside letters, marks and digits of any script."""


def save_bulletin(
    client: NodeClient, desk: str, sender: str, bulletin_id: str, out: Path
) -> Iterator[Path]:
    """Save a bulletin, telling the node that it leaves the inbox as files.

    What is there already with the same bytes stays as it is: a download that failed is gone on with.

    Args:
        client: calls the node.
        desk: the own desk that received it.
        sender: the desk that sent it.
        bulletin_id: its id.
        out: a file that ends in .json, beside which the rest goes; or a folder, in which one is made.

    Yields:
        Each file, once it is on the disk, mode 0600: the bulletin first, then `statement` (the signed
        header), `receipt` (its log entry, proved), `verified` (what the node checked), the attachments.

    Raises:
        ConfigurationError: something else is there already, or cannot be written.
        VerificationError: an attachment is not the file that the bulletin names.
        Problem, NodeUnreachable: as the node answers.
    """
    is_file = out.suffix == ".json"
    place = out.parent if is_file else out / f"{sender.replace('/', '-')}-{bulletin_id}"
    prefix = f"{out.stem}." if is_file else ""
    first = out if is_file else place / "bulletin.json"
    # Looked at before the node is asked: it notes that the bulletin was saved.
    _check_is_ours(first, bulletin_id)
    path = f"/desks/{desk}/inbox/{sender}/{bulletin_id}"
    view = parse(ExportView, client.post(f"{path}/export", (), b""), ANSWER_BYTES_MAX)
    _make_folder(place)
    evidence: Mapping[Path, bytes] = {
        first: view.document,
        place / f"{prefix}statement.json": dump_json(view.statement),
        place / f"{prefix}receipt.json": dump_json(view.receipt),
        place / f"{prefix}verified.json": dump_json(view.verified),
    }
    for target, data in evidence.items():
        write_new(target, data)
        yield target
    for number, each in enumerate(parse_bulletin(view.document).attachments, start=1):
        target = place / f"{prefix}{number:02}-{safe_name(each.name)}"
        if not target.exists():
            download_attachment(client, f"{path}/attachments/{each.id}", each, target)
        elif _sha256(target) != each.sha256:
            raise _is_there(target)
        yield target


def _check_is_ours(path: Path, bulletin_id: str) -> None:
    """Refuse a file that is there, unless it is this bulletin from an earlier try."""
    if not path.exists():
        return
    try:
        with path.open("rb") as file:
            is_ours = parse_bulletin(file.read(BULLETIN_BYTES_MAX + 1)).id == bulletin_id
    except (OSError, ParseError):
        is_ours = False
    if not is_ours:
        raise _is_there(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise _is_there(path) from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be made: {error.strerror}") from error


def write_new(path: Path, data: bytes) -> None:
    """Write a file that was not there, mode 0600; one that has these bytes is left alone.

    Raises:
        ConfigurationError: another file is there, or it cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        if not path.is_file() or _sha256(path) != hashlib.sha256(data).hexdigest():
            raise _is_there(path) from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


def safe_name(name: str) -> str:
    """A sender's file name as a name that does no harm here.

    No separators, no control or bidi characters, no dot or space at either end, of bounded length.
    """
    plain = "".join(
        each if unicodedata.category(each)[0] in "LMN" or each in _KEPT else "_"
        for each in unicodedata.normalize("NFC", name)
    )
    stem, dot, suffix = plain.strip(" .").rpartition(".")
    if not dot:
        return _cut(suffix, _NAME_BYTES_MAX) or "file"
    ending = dot + _cut(suffix, _NAME_BYTES_MAX // 4)
    return _cut(stem, _NAME_BYTES_MAX - len(ending.encode())) + ending


def _cut(text: str, size_bytes: int) -> str:
    """As much of a text as its UTF-8 fits into so many bytes, whole characters only."""
    return text.encode()[:size_bytes].decode(errors="ignore").strip()


def _is_there(path: Path) -> ConfigurationError:
    return ConfigurationError(f"{path} exists, and nothing is overwritten: choose another place")
