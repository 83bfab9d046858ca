"""Writing evidence: what an audit found and the hub's own signatures show, as files for others.

May import `broker.evidence`, `broker.tlog`, `keys` and the auditor's own rooms; `verify` gathers it at the
end of an audit. Only what a third party would find as well is written.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from broker.audit.checkpoints import Signed
from broker.audit.directory_pass import DirectoryPass
from broker.audit.reading import LogReader, LogSource
from broker.audit.rules import Finding, Findings, LogName
from broker.evidence import Verdict, verify_evidence
from broker.fetched_tiles import over_tiles
from broker.settings import write_whole
from broker.tlog.merkle import HashReader, consistency_path, inclusion_path, root
from broker.tlog.tiles import TILE_WIDTH
from broker.void import check_stays_in_force
from keys.directory import Directory
from keys.directory_files import make_directory_file
from keys.history import DirectoryHistory
from keys.tuf_files import Fetch, recording
from schemas.bundle import ProvedEntry
from schemas.directory import Invitation
from schemas.entries import EnvelopeAccepted, parse_exchange_entry
from schemas.errors import BaridError, ConfigurationError, ParseError, VerificationError
from schemas.evidence import Evidence, TwoTrees, WronglyAccepted
from schemas.limits import EVIDENCE_ENTRIES_MAX
from schemas.loader import dump_json
from schemas.receipts import Opening

T = TypeVar("T")

FOLDER: Final = "evidence"
"""Within the auditor's data directory."""

_TREES: Final = frozenset({"log-forked", "log-shrank"})
_ACCEPTED: Final = frozenset(
    {
        "signature",
        "accepted-wrong-exchange",
        "accepted-created-skew",
        "accepted-lifetime",
        "accepted-unknown-recipient",
        "accepted-access-denied",
        "accepted-otherwise",
    }
)
"""Rules of which the statement, its entry and the directory in force are all that is needed."""

_OF_A_RULE_MAX: Final = 3
"""One convicts; a few show that it was no accident."""

_TRIES_OF_A_RULE_MAX: Final = 10
"""A hub can see to it that none succeeds, and what was found is told after the last."""


@dataclass(frozen=True, slots=True)
class Written:
    """One piece of evidence: `data` are the exact bytes of the file, `verdict` what they show."""

    verdict: Verdict
    data: bytes

    @property
    def name(self) -> str:
        """Of the file: what it shows, and the beginning of its SHA-256."""
        return f"{self.verdict.what}-{hashlib.sha256(self.data).hexdigest()[:16]}.json"

    def to_plain(self) -> dict[str, Any]:
        """What it shows, as plain JSON values."""
        return {"file": self.name, "what": self.verdict.what, "says": list(self.verdict.says)}


@dataclass(frozen=True, slots=True)
class Gathering:
    """Writes evidence of what was found in the newest logs.

    Args:
        source: as the audit read it.
        invitation: the trust root.
        history: of the directory log, folded.
        trust: fetches TUF files.
        newest: by log, the tree that was audited.
        others: by log, what was signed beside it: seen before, shown twice, cosigned.
    """

    source: LogSource
    invitation: Invitation
    history: DirectoryHistory
    trust: DirectoryPass
    newest: Mapping[LogName, Signed]
    others: Mapping[LogName, Sequence[str]]

    async def gather(self, findings: Sequence[Finding]) -> tuple[Written, ...]:
        """Write evidence of findings; there is none of what cannot be shown, or is not served."""
        council = self.history.newest.publication
        if council is None or not {each.rule for each in findings} & (_TREES | _ACCEPTED):
            return ()
        written = []
        counts: Counter[str] = Counter()
        tries: Counter[str] = Counter()
        for finding in findings:
            if (
                counts[finding.rule] == _OF_A_RULE_MAX
                or tries[finding.rule] == _TRIES_OF_A_RULE_MAX
            ):
                continue
            tries[finding.rule] += 1
            for proof in await self._proofs(finding):
                found = await self._write(proof)
                if found is not None and found not in written:
                    written.append(found)
                    counts[finding.rule] += 1
        return tuple(written)

    async def _proofs(self, finding: Finding) -> Sequence[TwoTrees | WronglyAccepted]:
        try:
            if finding.rule in _TREES:
                return [
                    await self._two_trees(finding.log, other) for other in self._pairs(finding.log)
                ]
            if (
                finding.rule in _ACCEPTED
                and finding.log == "exchange"
                and finding.index is not None
            ):
                return [await self._wrongly_accepted(finding.index)]
        except BaridError:
            # A hub that serves no tree to compute with, or nothing more, does not undo what was found.
            pass
        return ()

    def _pairs(self, log: LogName) -> Iterator[Signed]:
        newest = self.newest[log].checkpoint
        for text in self.others.get(log, ()):
            other = Signed.of(text)
            if other.checkpoint != newest:
                yield other

    async def _two_trees(self, log: LogName, other: Signed) -> TwoTrees:
        newest = self.newest[log]
        first, second = sorted((other, newest), key=lambda each: each.checkpoint.size)
        proof = TwoTrees(kind="two-trees", log=log, smaller=first.text, larger=second.text)
        if second is not newest or first.checkpoint.size in {0, second.checkpoint.size}:
            return proof
        size = first.checkpoint.size
        earlier = await self._over(log, partial(root, size))
        path = await self._over(log, partial(consistency_path, size, second.checkpoint.size))
        steps = tuple(step.hex() for step in path)
        return proof.model_copy(update={"earlier_root": earlier.hex(), "path": steps})

    async def _wrongly_accepted(self, index: int) -> WronglyAccepted:
        opening = await self._opening("exchange", index)
        entry = parse_exchange_entry(opening.entry)
        if not isinstance(entry, EnvelopeAccepted) or not (opening.statement and opening.salt):
            raise ParseError(f"the entry {index} accepts no envelope that is shown")
        published = self.history.at(entry.directory_size).publication
        if published is None:
            raise VerificationError("no directory was in force")
        first, until = published.ref.index, entry.directory_size
        exchange, directories = self.newest["exchange"], self.newest["directory"]
        (path,) = await self._paths("exchange", range(index, index + 1))
        proved = await self._proved(range(first, until))
        return WronglyAccepted(
            kind="wrongly-accepted",
            statement=opening.statement,
            entry=opening.entry,
            salt=opening.salt,
            index=index,
            path=path,
            exchange_checkpoint=exchange.text,
            directory=proved,
            directory_checkpoint=directories.text,
            files=await self._files(published.directory)
            | await self._files_of_void(published.directory, proved),
        )

    async def _write(self, proof: TwoTrees | WronglyAccepted) -> Written | None:
        """Write evidence, and judge it as a third party does; None where it shows nothing."""
        council = self.history.newest.publication
        if council is None:
            return None
        try:
            evidence = Evidence(
                v=1,
                exchange=self.invitation.exchange,
                proof=proof,
                council_entry=(await self._opening("directory", council.ref.index)).entry,
                council=await self._files(council.directory),
            )
            data = dump_json(evidence)
            return Written(verify_evidence(data, self.invitation.root), data)
        except BaridError:
            return None

    async def _files(self, directory: Directory) -> dict[str, bytes]:
        root_file = self.invitation.root
        made = await self.trust.with_files(
            lambda fetch: make_directory_file(directory, fetch, root_file)
        )
        return made.files

    async def _files_of_void(
        self, directory: Directory, proved: Sequence[ProvedEntry]
    ) -> dict[str, bytes]:
        """What shows that no directory behind one came into force: the files that those entries name."""
        entries = [each.entry for each in proved]

        def check(fetch: Fetch) -> dict[str, bytes]:
            read, noting = recording(fetch)
            check_stays_in_force(directory, entries, self.invitation.root, noting)
            return read

        return await self.trust.with_files(check)

    async def _opening(self, log: LogName, index: int) -> Opening:
        size = self.newest[log].checkpoint.size
        start = index // TILE_WIDTH * TILE_WIDTH
        end = min(start + TILE_WIDTH, size)
        opening = (await self._reader(log).openings(start, end)).get(index)
        if opening is None:
            raise ParseError(f"the hub does not open entry {index} of the {log} log")
        return opening

    async def _proved(self, indexes: range) -> tuple[ProvedEntry, ...]:
        """Entries of the directory log with their paths; a tile's width is asked for once."""
        if len(indexes) > EVIDENCE_ENTRIES_MAX:
            raise VerificationError(f"{len(indexes)} directory entries are too many to be shown")
        reader, size = self._reader("directory"), self.newest["directory"].checkpoint.size
        opened: dict[int, Opening] = {}
        for start in range(indexes.start // TILE_WIDTH * TILE_WIDTH, indexes.stop, TILE_WIDTH):
            opened |= await reader.openings(start, min(start + TILE_WIDTH, size))
        if missing := [each for each in indexes if each not in opened]:
            raise ParseError(f"the hub does not open entry {missing[0]} of the directory log")
        paths = await self._paths("directory", indexes)
        return tuple(
            ProvedEntry(entry=opened[index].entry, index=index, path=path)
            for index, path in zip(indexes, paths, strict=True)
        )

    async def _paths(self, log: LogName, indexes: range) -> list[tuple[str, ...]]:
        size = self.newest[log].checkpoint.size

        def compute(read: HashReader) -> list[tuple[str, ...]]:
            paths = [inclusion_path(index, size, read) for index in indexes]
            return [tuple(step.hex() for step in path) for path in paths]

        return await self._over(log, compute)

    async def _over(self, log: LogName, compute: Callable[[HashReader], T]) -> T:
        size, generation = self.newest[log].checkpoint.size, self.history.generation
        return await over_tiles(self.source, log, generation, size, compute)

    def _reader(self, log: LogName) -> LogReader:
        newest = self.newest[log].checkpoint
        return LogReader(self.source, log, self.history.generation, newest, Findings())


def keep(data: Path, written: Sequence[Written]) -> tuple[Path, ...]:
    """Write evidence to the auditor's data directory, each piece once.

    Raises:
        ConfigurationError: the folder takes no file.
    """
    paths = []
    for each in written:
        path = data / FOLDER / each.name
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_whole(path, each.data)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error}") from error
        paths.append(path)
    return tuple(paths)
