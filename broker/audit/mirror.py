"""A copy of what an audit reads, in a folder: kept while the hub is asked, and verified later without it.

May import `broker.tlog`, `broker.settings`, `schemas` and the auditor's own rooms; the command line puts one
in the hub's place. Tiles lie by their C2SP paths; a folder is believed no more than a hub.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from broker.audit.reading import LogSource
from broker.client import LogClosed, TrustFileAbsent
from broker.settings import write_whole
from broker.tlog.tiles import TILE_WIDTH, parse_tile_path
from schemas.errors import ConfigurationError, ParseError, Problem
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.receipts import OpeningsPage

_CLOSED: Final = "closed"
_PAGE_BYTES_MAX: Final = 64 * 1024 * 1024
_TRUST_NAME: Final = re.compile(r"(?:metadata|targets)(?:/[A-Za-z0-9._-]{1,200}){1,2}", re.ASCII)


class Folder:
    """A folder with the copy of an exchange's logs, as a source for audits.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def checkpoint(self, log: str, generation: int) -> str:
        """The signed checkpoint that was the newest. Raises LogClosed as the hub's client does."""
        folder = self._log(log, generation)
        note = await self._text(folder / "checkpoint")
        if (folder / _CLOSED).exists():
            raise LogClosed(note)
        return note

    async def witnessed(self, log: str, generation: int) -> str | None:
        """The checkpoint that a quorum had cosigned."""
        return await self._text(self._log(log, generation) / "witnessed")

    async def tile(self, log: str, generation: int, path: str) -> bytes:
        """A tile or entry bundle."""
        parse_tile_path(path)
        return await self._bytes(self._log(log, generation) / path)

    async def openings(self, log: str, start: int, end: int, generation: int = 1) -> OpeningsPage:
        """What stood behind the leaves start ≤ index < end, where just these were asked for."""
        data = await self._bytes(self.openings_path(log, start, end, generation))
        return await asyncio.to_thread(parse, OpeningsPage, data, _PAGE_BYTES_MAX)

    async def trust_file(self, name: str) -> bytes:
        """A TUF file. Raises TrustFileAbsent."""
        try:
            return await self._bytes(self.trust_path(name))
        except Problem as problem:
            raise TrustFileAbsent(name) from problem

    def openings_path(self, log: str, start: int, end: int, generation: int) -> Path:
        """Where the openings of a range lie."""
        return self._log(log, generation) / "openings" / f"{start}-{end}.json"

    def trust_path(self, name: str) -> Path:
        """Where a TUF file lies. Raises TrustFileAbsent: no TUF file has this name."""
        if not _TRUST_NAME.fullmatch(name) or ".." in name:
            raise TrustFileAbsent(name)
        return self._path / "trust" / name

    def note_path(self, log: str, generation: int, name: str) -> Path:
        """Where `checkpoint`, `witnessed` or a tile of a log lies."""
        return self._log(log, generation) / name

    def _log(self, log: str, generation: int) -> Path:
        return self._path / "log" / log / str(generation)

    async def _text(self, path: Path) -> str:
        try:
            return (await self._bytes(path)).decode()
        except UnicodeDecodeError as error:
            raise ParseError(f"{path.name} is not UTF-8") from error

    async def _bytes(self, path: Path) -> bytes:
        def read() -> bytes:
            if path.stat().st_size > _PAGE_BYTES_MAX:
                raise ParseError(f"{path} is over {_PAGE_BYTES_MAX} bytes")
            return path.read_bytes()

        try:
            return await asyncio.to_thread(read)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Problem("not-found", f"{path} is not there") from error
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error}") from error


class Keeping:
    """A source that keeps all that is read of another one; what never changes is not asked for again.

    Args:
        source: the hub.
        path: the folder; made where it is not there.
    """

    def __init__(self, source: LogSource, path: Path) -> None:
        self._source = source
        self._folder = Folder(path)

    async def checkpoint(self, log: str, generation: int) -> str:
        """The newest, which is kept in place of an older one."""
        path = self._folder.note_path(log, generation, "checkpoint")
        try:
            note = await self._source.checkpoint(log, generation)
        except LogClosed as closed:
            _write(path, closed.note.encode())
            _write(path.with_name(_CLOSED), b"")
            raise
        _write(path, note.encode())
        return note

    async def witnessed(self, log: str, generation: int) -> str | None:
        """The newest, likewise."""
        note = await self._source.witnessed(log, generation)
        if note is not None:
            _write(self._folder.note_path(log, generation, "witnessed"), note.encode())
        return note

    async def tile(self, log: str, generation: int, path: str) -> bytes:
        """A tile or entry bundle; one of this path never changes."""
        parse_tile_path(path)
        return await self._once(
            self._folder.note_path(log, generation, path),
            lambda: self._folder.tile(log, generation, path),
            lambda: self._source.tile(log, generation, path),
        )

    async def openings(self, log: str, start: int, end: int, generation: int = 1) -> OpeningsPage:
        """Openings; those of a whole tile are asked for once."""
        path = self._folder.openings_path(log, start, end, generation)
        if path.exists() and end - start == TILE_WIDTH:
            return await self._folder.openings(log, start, end, generation)
        page = await self._source.openings(log, start, end, generation)
        await asyncio.to_thread(_write, path, dump_json(page))
        return page

    async def trust_file(self, name: str) -> bytes:
        """A TUF file; those with a version or hash in their name never change."""
        data = await self._source.trust_file(name)
        if len(data) <= TRUST_FILE_BYTES_MAX:
            _write(self._folder.trust_path(name), data)
        return data

    @staticmethod
    async def _once(
        path: Path, kept: Callable[[], Awaitable[bytes]], asked: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        if await asyncio.to_thread(path.exists):
            return await kept()
        data = await asked()
        await asyncio.to_thread(_write, path, data)
        return data


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error}") from error
