"""The client of the hub: one signed HTTPS call a method, typed answers, problems raised.

May import httpx, `keys` and `schemas`; nodes and auditors call the hub through it and nothing else does.
It verifies the hub's TLS certificate, and nothing that the hub says: that is the caller's work.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel

from broker.calls import (
    ANSWER_BYTES_MAX,
    LOG_CLOSED,
    TIMEOUT_SECONDS,
    UPLOAD_OFFSET,
    SignedCalls,
    read_answer,
)
from broker.calls import LogClosed as LogClosed
from broker.calls import tls_context as tls_context
from broker.event_stream import ranks
from schemas.errors import BaridError, ParseError, Problem
from schemas.governance import Publication, Published
from schemas.limits import (
    ATTACHMENT_BYTES_MAX,
    ENVELOPE_BYTES_MAX,
    INLINE_BYTES_MAX,
    LONG_POLL_SECONDS_MAX,
    LOST_ENTRIES_BYTES_MAX,
    PUBLICATION_BYTES_MAX,
    TRUST_FILE_BYTES_MAX,
    UPLOAD_PIECE_BYTES_MAX,
)
from schemas.loader import dump_json, parse
from schemas.lost_entries import GivenBack, LostEntries
from schemas.receipts import (
    EnvelopeStatus,
    InboxPage,
    OpeningsPage,
    Receipt,
    SealingKeyStatements,
)
from schemas.statements import Statement

DOWNLOAD_PIECE_BYTES: Final = 64 * 1024
"""What `download` gives at once, at most."""

_WHOLE_TIMEOUT_SECONDS: Final = 300.0
"""After an upload's last piece the hub hashes and stores all of it: a gibibyte on a slow disk. A publication,
which brings hundreds of files, may have as long."""

_SILENCE_SECONDS: Final = 45.0
"""An event stream that says nothing for so long is cut: the hub gives a sign of life every 15 seconds."""

_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,16})-([0-9]{1,16})/([0-9]{1,16})", re.ASCII)
_NULLABLE: Final = frozenset({"release"})

Model = TypeVar("Model", bound=BaseModel)


class TrustFileAbsent(BaridError):
    """The hub does not have a trust file that was asked for."""


class HubClient(SignedCalls):
    """Calls of one desk to the hub."""

    async def submit(self, envelope: bytes) -> Receipt:
        """Submit the exact bytes of an envelope; harmless to repeat. Raises Problem when refused."""
        return await self._model(Receipt, "POST", "/v1/envelopes", body=envelope)

    async def inbox(
        self,
        desk: str,
        *,
        limit: int,
        after: str | None = None,
        wait_seconds: int = 0,
        since: int | None = None,
        tombstones: int | None = None,
        inline_bytes: int = INLINE_BYTES_MAX,
    ) -> InboxPage:
        """Waiting envelopes of the own desk, by precedence, then index.

        Args:
            after: the cursor of an earlier page.
            wait_seconds: how long the hub may hold the request while nothing waits.
            since: an index of the exchange log: everything unexpired from there on, acknowledged or not.
            tombstones: an index of the exchange log: what was logged from there on as expired unanswered.
        """
        query: dict[str, str | int] = {
            "limit": limit,
            "wait": wait_seconds,
            "inline_bytes": inline_bytes,
        }
        query |= {} if after is None else {"after": after}
        query |= {} if since is None else {"since": since}
        query |= {} if tombstones is None else {"tombstones": tombstones}
        path = f"/v1/desks/{desk}/inbox?{urlencode(query)}"
        return await self._model(
            InboxPage, "GET", path, timeout_seconds=TIMEOUT_SECONDS + LONG_POLL_SECONDS_MAX
        )

    @asynccontextmanager
    async def events(self, desk: str) -> AsyncIterator[AsyncIterator[int]]:
        """Hold the stream that says when something waits for the own desk; open while the block runs.

        The block reads the ranks of the most urgent that waits, as they come (0 is flash). The hub ends
        the stream after an hour.

        Raises:
            Problem, HubUnreachable, ParseError: there is no stream, it was cut, or is not one.
        """
        fields = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        path = f"/v1/desks/{desk}/events"
        asked = self.asked("GET", path, fields=fields, timeout_seconds=_SILENCE_SECONDS)
        async with asked as answer:
            yield ranks(answer)

    async def body(self, sender: str, envelope_id: str) -> bytes:
        """The ciphertext of an envelope's body."""
        return await self._call("GET", f"/v1/envelopes/{sender}/{envelope_id}/body")

    async def status(self, sender: str, envelope_id: str) -> EnvelopeStatus:
        """What became of an own envelope, with proofs."""
        return await self._model(
            EnvelopeStatus, "GET", f"/v1/envelopes/{sender}/{envelope_id}/status"
        )

    async def acknowledge(self, statement: Statement) -> Receipt:
        """Hand in an acknowledgement. Raises Problem `acknowledgement-items` naming the wrong ones."""
        return await self._model(Receipt, "POST", "/v1/acknowledgements", body=dump_json(statement))

    async def publish_sealing_key(self, desk: str, statement: Statement) -> None:
        """Have a sealing key of the own desk logged."""
        await self._call("POST", f"/v1/desks/{desk}/sealing-keys", body=dump_json(statement))

    async def sealing_keys(self, desk: str) -> SealingKeyStatements:
        """Every sealing-key statement of a desk that was logged."""
        return await self._model(SealingKeyStatements, "GET", f"/v1/desks/{desk}/sealing-keys")

    async def checkpoint(self, log: str, generation: int) -> str:
        """The newest signed checkpoint of `directory` or `exchange`, as note text.

        Raises:
            LogClosed: with the last one; that it is closed nobody has to believe.
        """
        async with self.asked("GET", f"/v1/log/{log}/{generation}/checkpoint") as answer:
            note = _text(await read_answer(answer))
            if LOG_CLOSED in answer.headers:
                raise LogClosed(note)
            return note

    async def to_cosign(self, log: str, generation: int, known: str = "") -> str | None:
        """The checkpoint that witnesses are asked to cosign, with the cosignatures that are there already.

        Args:
            known: SHA-256 (hex) of the note text that this member cosigned last; None while that is shown.

        Raises:
            Problem: `not-found` where the council names no witnesses; what the hub answers.
        """
        return await self._unless_known(f"/v1/log/{log}/{generation}/cosignatures", known)

    async def cosign(self, log: str, generation: int, note: str) -> None:
        """Hand in a checkpoint with this witness's cosignature.

        Raises:
            Problem: `cosignature` where another one is shown by now.
        """
        target = f"/v1/log/{log}/{generation}/cosignatures"
        await self._call("POST", target, body=note.encode(), media_type="text/plain")

    async def witnessed(self, log: str, generation: int, known: str = "") -> str | None:
        """The newest checkpoint that a quorum cosigned; `not-found` until there is one.

        Args:
            known: SHA-256 (hex) of the note that was fetched last; None while that is the newest.
        """
        return await self._unless_known(f"/v1/log/{log}/{generation}/witnessed", known)

    async def _unless_known(self, target: str, known: str) -> str | None:
        return (
            _text(await self._call("GET", f"{target}?known={known}" if known else target)) or None
        )

    async def tile(self, log: str, generation: int, path: str) -> bytes:
        """A tile or entry bundle by its path (`tile/0/000`)."""
        return await self._call("GET", f"/v1/log/{log}/{generation}/{path}")

    async def openings(self, log: str, start: int, end: int, generation: int = 1) -> OpeningsPage:
        """What stands behind the leaves start ≤ index < end, as far as it concerns this desk.

        Raises:
            ParseError: `next` of the answer leads nowhere.
        """
        query = urlencode({"start": start, "end": end, "generation": generation})
        page = await self._model(OpeningsPage, "GET", f"/v1/log/{log}/openings?{query}")
        if page.next is not None and not start < page.next < end:
            raise ParseError(f"after the openings from {start} on the hub leads to {page.next}")
        return page

    async def give_back(self, lost: LostEntries) -> GivenBack:
        """Show a hub what it signed and has no more; harmless to repeat."""
        return await self._model(
            GivenBack,
            "POST",
            "/v1/lost-entries",
            body=dump_json(lost),
            body_bytes_max=LOST_ENTRIES_BYTES_MAX,
            timeout_seconds=_WHOLE_TIMEOUT_SECONDS,
        )

    async def publish(self, publication: Publication) -> Published:
        """Have the hub bring into force what governors or a member signed; harmless to repeat.

        Raises:
            Problem: `publication` with what is wrong, `publication-rate` with `retry_after`.
        """
        return await self._model(
            Published,
            "PUT",
            "/v1/trust/publication",
            body=dump_json(publication),
            body_bytes_max=PUBLICATION_BYTES_MAX,
            timeout_seconds=_WHOLE_TIMEOUT_SECONDS,
        )

    async def trust_file(self, name: str, size_bytes_max: int = TRUST_FILE_BYTES_MAX) -> bytes:
        """A TUF metadata or target file by its name under `/v1/trust/`.

        Raises:
            TrustFileAbsent: the hub does not have it.
        """
        try:
            data = await self._call("GET", f"/v1/trust/{name}")
        except Problem as problem:
            if problem.word == "not-found":
                raise TrustFileAbsent(name) from problem
            raise
        if len(data) > size_bytes_max:
            raise ParseError(f"{name} is over its limit of {size_bytes_max} bytes")
        return data

    async def attachment_offset(self, sha256: str, size: int) -> int:
        """How much the hub has of the own desk's upload: where to go on; `size` where it has all.

        A hub that has all of it and was stopped before it stored it answers `size` as well: the receipt
        comes from `upload_piece` alone, which takes an empty last piece.

        Args:
            sha256: of the whole ciphertext, lower-case hex.
            size: of the whole, in bytes.
        """
        async with self.asked("HEAD", f"/v1/attachments/{sha256}?size={size}") as answer:
            return _offset(answer, size)

    async def upload_piece(self, sha256: str, size: int, offset: int, data: bytes) -> int | Receipt:
        """Upload the piece of an attachment that begins at `offset`.

        Args:
            sha256: of the whole ciphertext, lower-case hex.
            size: of the whole, in bytes.
            offset: what the hub has so far, in bytes.
            data: at most `UPLOAD_PIECE_BYTES_MAX` bytes; may be empty where `offset` is `size`.

        Returns:
            The next offset, or once the hub has stored the whole the receipt of its entry.

        Raises:
            Problem: `upload-offset` with the right `offset`, `attachment-hash`, `quota`, `disk-full` …
        """
        if len(data) > UPLOAD_PIECE_BYTES_MAX:
            raise ParseError(f"{len(data)} bytes are more than one piece of an upload")
        asked = self.asked(
            "PUT",
            f"/v1/attachments/{sha256}?size={size}",
            body=data,
            fields={UPLOAD_OFFSET: str(offset)},
            timeout_seconds=(
                _WHOLE_TIMEOUT_SECONDS if offset + len(data) == size else TIMEOUT_SECONDS
            ),
        )
        async with asked as answer:
            content = await read_answer(answer)
            if answer.status_code == httpx.codes.CREATED:
                return parse(Receipt, content, ANSWER_BYTES_MAX)
            return _offset(answer, size)

    async def download(
        self, sha256: str, offset: int = 0, size_bytes: int = ATTACHMENT_BYTES_MAX
    ) -> AsyncGenerator[bytes, None]:
        """An attachment's ciphertext from `offset` on, in pieces of at most `DOWNLOAD_PIECE_BYTES`.

        It ends where the hub said that it would, never before; whose bytes they are its SHA-256 shows,
        which is for the caller to compare. Who stops before its end closes it (`contextlib.aclosing`).

        Args:
            offset: below the attachment's size, in bytes.
            size_bytes: of the whole as the caller knows it; of a longer answer nothing is read.

        Raises:
            ParseError: the hub sends another range, more than `size_bytes`, or more than it announced.
        """
        fields = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        async with self.asked("GET", f"/v1/attachments/{sha256}", fields=fields) as answer:
            due_bytes = _announced(answer, offset, size_bytes)
            # Raw: what a hostile hub calls compressed is not unpacked.
            async for piece in answer.aiter_raw(DOWNLOAD_PIECE_BYTES):
                due_bytes -= len(piece)
                if due_bytes < 0:
                    break
                yield piece
        if due_bytes != 0:
            raise ParseError("the attachment's bytes are not as many as the hub announced")

    async def _model(
        self,
        model: type[Model],
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        body_bytes_max: int = ENVELOPE_BYTES_MAX,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> Model:
        answer = await self._call(
            method,
            target,
            body=body,
            body_bytes_max=body_bytes_max,
            timeout_seconds=timeout_seconds,
        )
        return parse(model, answer, ANSWER_BYTES_MAX, nullable=_NULLABLE)

    async def _call(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        body_bytes_max: int = ENVELOPE_BYTES_MAX,
        media_type: str = "application/json",
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> bytes:
        if body is not None and len(body) > body_bytes_max:
            raise ParseError(f"{len(body)} bytes are more than the hub takes")
        fields = {} if body is None else {"Content-Type": media_type}
        asked = self.asked(
            method, target, body=body, fields=fields, timeout_seconds=timeout_seconds
        )
        async with asked as answer:
            return await read_answer(answer)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ParseError("a checkpoint is UTF-8") from error


def _offset(answer: httpx.Response, size: int) -> int:
    """Read `Upload-Offset`. Raises ParseError: it is none between 0 and `size`."""
    text = answer.headers.get(UPLOAD_OFFSET, "")
    if not re.fullmatch("[0-9]{1,16}", text, re.ASCII) or int(text) > size:
        raise ParseError("the hub does not say at which offset the upload goes on")
    return int(text)


def _announced(answer: httpx.Response, offset: int, size_bytes: int) -> int:
    """How many bytes an answer to a download announces. Raises ParseError: not what was asked."""
    if offset:
        told = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        first, last, size = (int(each) for each in told.groups()) if told else (0, 0, 0)
        if answer.status_code != httpx.codes.PARTIAL_CONTENT or (first, last) != (offset, size - 1):
            raise ParseError("the hub sends another range than was asked for")
    else:
        length = answer.headers.get("Content-Length", "")
        if answer.status_code != httpx.codes.OK or not re.fullmatch(
            "[0-9]{1,16}", length, re.ASCII
        ):
            raise ParseError("the hub does not say how long the attachment is")
        size = int(length)
    if size > size_bytes:
        raise ParseError(f"the hub sends {size} bytes of an attachment of {size_bytes}")
    return size - offset
