"""Files beside a bulletin, at an agency or analyst: named in it, uploaded, downloaded, each resumable.

May import httpx, rich and `schemas`; `main` adds its command, `agency` and `saving` call it. No file is held
in memory.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import mimetypes
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final
from urllib.parse import urlencode

import typer

from broker.cli.exits import NodeUnreachable
from broker.cli.node_client import NodeClient, content_of
from broker.cli.output import note, say
from broker.settings import write_whole
from schemas.errors import ConfigurationError, Problem, VerificationError
from schemas.limits import BULLETIN_BYTES_MAX, UPLOAD_PIECE_BYTES_MAX

if TYPE_CHECKING:
    import httpx

    from schemas.bulletin import Bulletin
    from schemas.bulletin.parts import Attachment

EPILOG: Final = """\
Examples:

  barid bulletin attach bulletin.json photograph.jpg manifest.pdf

  barid bulletin send bulletin.json --to tn/main --attach photograph.jpg --attach manifest.pdf"""

FAILURES_MAX: Final = 5
"""Failures in a row after which a transfer gives up: a node that restarts is back within seconds."""

PAUSE_SECONDS: Final = 1.0
"""Between two of them."""

_OCTETS: Final = "application/octet-stream"
_READ_BYTES: Final = 1024 * 1024

Advance = Callable[[int], None]
"""Told how many bytes of a transfer are done."""


def attach(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The bulletin's file.")],
    attachments: Annotated[list[Path], typer.Argument(help="The files to name in it.")],
) -> None:
    """Name files in a bulletin as its attachments, with size and SHA-256. Nothing is uploaded yet."""
    for each in attach_files(file, attachments):
        say(f"{each.name}: {each.media_type}, {each.size} bytes")
    note(f"Next: barid bulletin send {file} with --attach for each file")


def attach_files(bulletin: Path, files: Sequence[Path]) -> tuple[Attachment, ...]:
    """Name files in a bulletin as attachments: a fresh id, name, media type, size and SHA-256 of each.

    Args:
        bulletin: its file, which is written anew.
        files: in the order in which they are to be named.

    Returns:
        What was added.

    Raises:
        ParseError: the bulletin, or what would become of it, breaks its schema.
        ConfigurationError: a file is attached already, or cannot be read.
    """
    from broker.cli.drafts import new_id, write_bulletin
    from schemas.bulletin import parse_bulletin

    with bulletin.open("rb") as file:
        data = file.read(BULLETIN_BYTES_MAX + 1)
    before = parse_bulletin(data).attachments
    known = {each.sha256 for each in before}
    members = []
    for path in files:
        size, digest = _measure(path)
        if digest in known:
            raise ConfigurationError(f"{path} is attached already: name each file once")
        known.add(digest)
        members.append(
            {
                "id": new_id(),
                "name": path.name,
                "media_type": mimetypes.guess_type(path.name)[0] or _OCTETS,
                "size": size,
                "sha256": digest,
            }
        )
    # It was read strictly above; here it is written again member by member, in its order.
    value = json.loads(data)
    value["attachments"] = [*value.get("attachments", ()), *members]
    written = write_bulletin(value)
    write_whole(bulletin, written)
    return parse_bulletin(written).attachments[len(before) :]


def upload_files(client: NodeClient, bulletin: Bulletin, files: Sequence[Path]) -> None:
    """Upload files that a bulletin names, before it is handed in; what the node has travels no more.

    Args:
        client: calls the own node.
        bulletin: names each of them by size and SHA-256, whatever they are called here.
        files: in any order.

    Raises:
        ConfigurationError: the bulletin does not name a file as it is now.
        Problem, NodeUnreachable: as the node answers.
    """
    found = [(path, _named(bulletin, path)) for path in files]
    for path, attachment in found:
        upload_attachment(client, bulletin, attachment, path)


def _named(bulletin: Bulletin, path: Path) -> Attachment:
    measured = _measure(path)
    for each in bulletin.attachments:
        if (each.size, each.sha256) == measured:
            return each
    raise ConfigurationError(
        f"the bulletin does not name {path} as it is now: run `barid bulletin attach` with it first"
    )


def _measure(path: Path) -> tuple[int, str]:
    if not path.is_file():
        raise ConfigurationError(f"{path} is no file: name the file to attach")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def upload_attachment(
    client: NodeClient, bulletin: Bulletin, attachment: Attachment, path: Path
) -> None:
    """Upload one file in pieces; the node says where to go on, also after either side was stopped.

    Raises:
        Problem, NodeUnreachable: as the node answers, the latter several times in a row.
    """
    desk = bulletin.originator.desk
    query = urlencode({"size": attachment.size, "sha256": attachment.sha256})
    url = f"/v1/desks/{desk}/bulletins/{bulletin.id}/attachments/{attachment.id}?{query}"

    def upload(advance: Advance) -> None:
        with client.connected() as http, path.open("rb") as file:
            answer = http.head(url)
            if not answer.is_success:
                # An answer to HEAD does not say why; the first piece's does.
                content_of(http.put(url, headers={"Upload-Offset": "0"}), client.url)
            offset = _offset_of(answer, client.url)
            advance(offset)
            # An empty file is whole once its one piece was taken.
            while offset < attachment.size or not attachment.size:
                offset = _put(http, client, url, file, offset)
                advance(offset)
                if offset == attachment.size:
                    return

    with _shown(attachment) as advance:
        _patiently(upload, advance)


def _put(http: httpx.Client, client: NodeClient, url: str, file: BinaryIO, offset: int) -> int:
    file.seek(offset)
    piece = file.read(UPLOAD_PIECE_BYTES_MAX)
    headers = {"Upload-Offset": str(offset), "Content-Type": _OCTETS}
    answer = http.put(url, content=piece, headers=headers)
    try:
        content_of(answer, client.url)
    except Problem as problem:
        told = problem.extensions.get("offset")
        # The node lost what it had not answered for, or an answer was lost on its way here.
        if problem.word == "upload-offset" and isinstance(told, int) and told != offset:
            return told
        raise
    return _offset_of(answer, client.url)


def _offset_of(answer: httpx.Response, url: str) -> int:
    text = answer.headers.get("Upload-Offset", "")
    if not (text.isascii() and text.isdecimal()):
        raise NodeUnreachable(f"{url} does not say where the upload goes on: is it a node?")
    return int(text)


def download_attachment(
    client: NodeClient, path: str, attachment: Attachment, target: Path
) -> None:
    """Download one file, mode 0600; until it is whole and right it has `.part` behind its name.

    Args:
        client: calls the own node.
        path: of the attachment, below `/v1`.
        attachment: as the verified bulletin names it.
        target: where it shall be; nothing is there yet. A `.part` from before is gone on with.

    Raises:
        ConfigurationError: something is there already.
        VerificationError: the node gave another file than the bulletin names; nothing of it is kept.
        Problem, NodeUnreachable: as the node answers, the latter several times in a row.
    """
    part = target.with_name(f"{target.name}.part")
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(part, flags, 0o600), "r+b") as file, _shown(attachment) as advance:
        _patiently(lambda told: _fill(client, path, attachment, file, told), advance)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not hmac.compare_digest(digest, attachment.sha256):
            part.unlink()
            raise VerificationError("the node gave another file than the bulletin names")
        if target.exists():
            raise ConfigurationError(f"{target} exists: choose another place")
        part.rename(target)


def _fill(
    client: NodeClient, path: str, attachment: Attachment, file: BinaryIO, advance: Advance
) -> None:
    """Fetch what is missing of a file; what came stays, whatever happens to the line."""
    offset = file.seek(0, os.SEEK_END)
    if offset > attachment.size:
        offset = _cleared(file)
    if offset == attachment.size and attachment.size:
        return
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    with (
        client.connected() as http,
        http.stream("GET", f"/v1{path}", headers=headers) as answer,
    ):
        if not answer.is_success:
            answer.read()
            content_of(answer, client.url)
        if answer.status_code != (206 if offset else 200):
            offset = _cleared(file)
        for piece in answer.iter_raw(_READ_BYTES):
            offset += len(piece)
            if offset > attachment.size:
                raise VerificationError("the node gives more than the bulletin says")
            file.write(piece)
            advance(offset)
    if offset != attachment.size:
        raise NodeUnreachable(f"{client.url} ended the download early")


def _cleared(file: BinaryIO) -> int:
    file.truncate(0)
    return 0


def _patiently(transfer: Callable[[Advance], None], advance: Advance) -> None:
    """Try a transfer again where the line or the node failed, as long as it gets on in between."""
    failures, reached = 0, 0

    def told(done: int) -> None:
        nonlocal failures, reached
        if done > reached:
            failures, reached = 0, done
        advance(done)

    while True:
        try:
            transfer(told)
        except NodeUnreachable:
            failures += 1
            if failures >= FAILURES_MAX:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return


@contextmanager
def _shown(attachment: Attachment) -> Iterator[Advance]:
    """A bar on the terminal, if there is one."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(attachment.name, total=attachment.size)
        yield lambda done: progress.update(task, completed=done)
