"""Where a ceremony takes the directory from: a node's own verified store, or a file that is carried by hand.

May import `keys`, and `broker.node` within functions; the commands of `barid trust` and `barid member` call
it. Nothing here changes a node, which may be running.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from broker.cli.options import utc_now
from broker.cli.passphrase import get_passphrase
from schemas.directory import Invitation
from schemas.errors import ConfigurationError, ParseError
from schemas.governance import Publication, Published
from schemas.limits import PUBLICATION_BYTES_MAX, TRUST_FILE_BYTES_MAX
from schemas.loader import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from broker.following import FollowStore
    from broker.node.home import Home
    from broker.node.line import Line
    from keys.directory_files import OpenedDirectory
    from schemas.receipts import Opening

DIRECTORY_FILE: Final = "directory.json"
PROPOSAL_FILE: Final = "proposal.json"
PUBLICATION_FILE: Final = "publication.json"

NodeData = Annotated[
    Path | None,
    typer.Option(
        "--data", envvar="BARID_DATA", exists=True, file_okay=False, help="A node's data directory."
    ),
]
DirectoryPath = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        exists=True,
        dir_okay=False,
        help="A directory.json (`barid trust fetch`), where there is no node.",
    ),
]
InvitationPath = Annotated[
    Path | None,
    typer.Option(
        "--invitation",
        exists=True,
        dir_okay=False,
        help="The invitation from which the directory file is verified.",
    ),
]


def opened_directory(
    data: Path | None, directory: Path | None, invitation: Path | None
) -> OpenedDirectory:
    """Open the directory that a ceremony builds on.

    Args:
        data: a node's data directory: what the node has verified, and whatever is newer at the hub, if the
            hub answers.
        directory: a directory file, where there is no node.
        invitation: from whose trust root the file is verified.

    Raises:
        ConfigurationError: neither is given, or not both files; or a file is not what it should be.
        VerificationError: it does not descend from the trust root.
    """
    from keys.directory_files import read_directory_file

    if data is not None and directory is None:
        with _at_node(data) as (home, line, kept):
            asyncio.run(_refreshed(line))
            return _of_node(home, line, kept)
    if directory is None or invitation is None:
        raise ConfigurationError(
            "name the node whose directory it builds on (--data), or a directory file and the invitation"
            " from which it is verified (--directory, --invitation)"
        )
    return read_directory_file(read_file(directory), read_invitation(invitation).root)


def read_file(path: Path, size_bytes_max: int = PUBLICATION_BYTES_MAX) -> bytes:
    """Read a file that is carried by hand. Raises ConfigurationError if it is too large for one."""
    if path.stat().st_size > size_bytes_max:
        raise ConfigurationError(f"{path} is over {size_bytes_max} bytes: it is another file")
    return path.read_bytes()


def read_invitation(path: Path) -> Invitation:
    """Read an invitation. Raises ConfigurationError if it is none."""
    try:
        return parse(Invitation, read_file(path, TRUST_FILE_BYTES_MAX), TRUST_FILE_BYTES_MAX)
    except ParseError as error:
        raise ConfigurationError(f"{path} is no invitation: {error}") from error


def publish_files(data: Path, exchange: str, files: Mapping[str, bytes]) -> Published:
    """Have the hub publish finished files, through a node's line and with its request key.

    Args:
        data: the node's data directory; the node may be running, or not.
        exchange: to which the files belong.
        files: name under `/v1/trust/` → bytes; only what is new.

    Raises:
        ConfigurationError: the node belongs to another exchange.
        Problem: the hub refuses them; says why.
        HubUnreachable: it does not answer.
    """
    with _at_node(data) as (home, line, _):
        if home.exchange != exchange:
            raise ConfigurationError(f"the node in {data} belongs to {home.exchange}")

        async def put() -> Published:
            try:
                publication = Publication(v=1, exchange=exchange, files=dict(files))
                return await line.reader.publish(publication)
            finally:
                await line.close()

        return asyncio.run(put())


class _Kept:
    """What a node keeps, and what is read beyond it now: the node's own store stays as it is."""

    def __init__(self, store: FollowStore) -> None:
        from broker.following import kept_together

        self._store = store
        text, self._openings = kept_together(store)
        self._checkpoints: dict[str, str] = {} if text is None else {"directory": text}
        self._files: dict[str, bytes] = {}

    def openings(self) -> Iterable[Opening]:
        return self._openings

    def save(
        self,
        openings: Sequence[Opening],
        checkpoints: dict[str, str],
        generation: int = 1,  # noqa: ARG002 - their order says it
    ) -> None:
        self._openings += openings
        self._checkpoints |= checkpoints

    def checkpoint(self, log: str) -> str | None:
        return self._checkpoints.get(log) or self._store.checkpoint(log)

    def trust_file(self, name: str) -> bytes | None:
        return self._files.get(name) or self._store.trust_file(name)

    def save_trust_file(self, name: str, data: bytes) -> None:
        self._files[name] = data


@contextmanager
def _at_node(data: Path) -> Iterator[tuple[Home, Line, _Kept]]:
    from broker.node.follow_store import NodeFollowStore
    from broker.node.home import load_invitation, look_home
    from broker.node.line import open_line

    home = look_home(data, get_passphrase("the node's keystore"))
    try:
        kept = _Kept(NodeFollowStore(home.engine))
        yield home, open_line(home, load_invitation(data, home.exchange), kept, utc_now), kept
    finally:
        home.close()


async def _refreshed(line: Line) -> None:
    """Read what is new, past `Line.refresh`, which also switches the node's keys."""
    from broker.cli.output import note
    from schemas.errors import HubUnreachable, Problem

    try:
        await line.follower.refresh()
    except (HubUnreachable, Problem) as error:
        note(f"The hub did not say what is new ({error}): going by what this node has verified.")
    finally:
        await line.close()


def _of_node(home: Home, line: Line, kept: _Kept) -> OpenedDirectory:
    from broker.node.home import load_invitation
    from keys.directory_files import make_directory_file, open_directory
    from keys.tuf_files import TrustFileMissing

    directory = line.state.directory
    if directory is None:
        raise ConfigurationError(
            "this node knows no directory yet: start it once, so that it reads the hub's"
        )
    root = load_invitation(home.data, home.exchange).root

    def fetch(name: str, size_bytes_max: int) -> bytes:
        data = kept.trust_file(name)
        if data is None or len(data) > size_bytes_max:
            raise TrustFileMissing(name)
        return data

    return open_directory(make_directory_file(directory, fetch, root), root)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet. Raises ConfigurationError if it is."""
    from broker.settings import write_whole

    if path.exists():
        raise ConfigurationError(f"{path} is there already: name another file")
    write_whole(path, data)
