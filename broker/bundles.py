"""Bundles: a bulletin verified from the trust root alone, without a network, whatever the clock says.

May import `broker.tlog`, `broker.policy`, `keys` and `schemas`; pure. Nodes write bundles, whoever has the
trust root verifies them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from broker.opening import Content, open_content
from broker.policy.admission import admit_by_directory
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.merkle import leaf_hash, root
from broker.tlog.proof import verify_consistency, verify_inclusion
from broker.tlog.quorum import Quorum
from broker.tlog.quorum_times import CLOCKS
from broker.tlog.receipt import LogVerifier, exchange_leaf
from broker.tlog.tiles import append, reader_from_tiles
from broker.void import check_nothing_is_old, check_stays_in_force
from keys.content import open_body, verify_commitment
from keys.directory import Directory
from keys.dsse import pae_sha256, signatures_sha256
from keys.envelope import check_body, parse_header
from keys.trust import load_directory
from keys.tuf_files import Fetch, pick
from schemas.bulletin import Bulletin, parse_bulletin
from schemas.bundle import Bundle, DirectoryLog
from schemas.directory import LogKeys
from schemas.entries import (
    DirectoryPublished,
    EnvelopeAccepted,
    parse_directory_entry,
    parse_exchange_entry,
)
from schemas.envelope import Header
from schemas.errors import ParseError, VerificationError
from schemas.limits import BUNDLE_BYTES_MAX
from schemas.loader import parse


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree that a log signed.

    Args:
        at: the median time of the quorum that cosigned it; None in a test exchange without witnesses.
        witnesses: whose nodes cosigned it.
    """

    checkpoint: Checkpoint
    at: datetime | None
    witnesses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """What a bundle proves.

    Args:
        header: of the envelope, signed by `signer`, the sender's node identity of then.
        entry: its acceptance, at `index` of the exchange log.
        content: the bulletin and its attachments.
        directory: by which it was judged: in force at that entry.
        exchange: the tree in which it stands.
        directories: the tree of the directory log.
        is_former: whether the header names a directory that had just been replaced.
    """

    header: Header
    signer: str
    entry: EnvelopeAccepted
    index: int
    leaf: bytes
    content: Content
    directory: Directory
    exchange: Tree
    directories: Tree
    is_former: bool


def verify_bundle(data: bytes, initial_root: bytes) -> VerifiedBundle:
    """Verify a bundle.

    1. It is well-formed; its statement carries a header, its acceptance is the entry of that statement.
    2. The directory in force descends from the trust root, under k of n governors; it is of this exchange. So
       does one published later that names the witnesses, if the bundle has any: those of an earlier one may
       be in other hands by now.
    3. A quorum of the witnesses cosigned both trees, over the signatures of the logs' keys.
    4. The acceptance stands in the exchange log's tree; the directory log's begins with the entries given, up
       to the acceptance's `directory_size`. By them the directory was in force (`_judging`).
    5. The acceptance is no later than the quorum that cosigned it, five minutes allowed; nor earlier than the
       directory entries before it.
    6. The sender's node identity of that directory signed the header, its times hold at the entry's `at`,
       its recipients were desks, and the access rules permitted each, by the policies logged.
    7. The body is the one that the header names; the content key is the one that it commits to.
    8. Body, bulletin, content and release verify (`open_content`).

    Expiry is judged at the entry's `at`: what has run out since then changes nothing.

    Args:
        data: the exact bytes of `bundle.json`.
        initial_root: the exact bytes of the trust root.

    Raises:
        ParseError: it is no bundle (1).
        VerificationError: 2 to 5.
        Problem: 6 to 8, with the word of what is wrong.
    """
    bundle = parse(Bundle, data, BUNDLE_BYTES_MAX)
    header, entry = parse_header(bundle.statement), _acceptance(bundle)
    directory = _judging(bundle, entry, initial_root)
    council = directory.council
    if bundle.witnessing is not None:
        if bundle.witnessing.index <= bundle.directory.judging:
            raise VerificationError("the witnesses are those of an earlier directory")
        council = _directory(bundle, bundle.witnessing.entry, initial_root).council
    logs, quorum = council.logs, Quorum.of(council)
    exchange = _tree(bundle.exchange_checkpoint, logs.exchange, quorum)
    directories = _tree(bundle.directory_checkpoint, logs.directory, quorum)
    leaf = exchange_leaf(bundle.acceptance.salt, bundle.acceptance.entry)
    check_included(leaf, bundle.acceptance.index, bundle.acceptance.path, exchange.checkpoint)
    _check_log(bundle.directory, directories.checkpoint)
    if bundle.witnessing is not None:
        named = bundle.witnessing
        leaf_named = leaf_hash(named.entry)
        check_included(leaf_named, named.index, named.path, directories.checkpoint)
    if exchange.at is not None and entry.at - exchange.at > CLOCKS:
        raise VerificationError("the entry claims a later time than the quorum that cosigned it")
    if entry.at < parse_directory_entry(bundle.directory.entries[-1]).at:
        raise VerificationError("the entry claims an earlier time than a directory entry before it")
    is_former = _is_former(header, bundle.directory, logs.directory.origin)
    policies = admit_by_directory(bundle.statement, header, directory, entry.at)
    if policies != {recipient.desk: recipient.policies for recipient in entry.recipients}:
        raise VerificationError("other policies than those logged permit it")
    check_body(header, bundle.body)
    verify_commitment(bundle.content_key, header.exchange, header.id, header.body.commitment)
    sender = directory.desk(header.from_, entry.at)
    return VerifiedBundle(
        header=header,
        signer=bundle.statement.signatures[0].keyid,
        entry=entry,
        index=bundle.acceptance.index,
        leaf=leaf,
        content=open_content(header, bundle.body, bundle.content_key, sender),
        directory=directory,
        exchange=exchange,
        directories=directories,
        is_former=is_former,
    )


def peek(data: bytes) -> Bulletin:
    """Read the bulletin of a bundle; nothing is proved.

    Raises:
        ParseError, Problem: it is no bundle, or does not open.
    """
    bundle = parse(Bundle, data, BUNDLE_BYTES_MAX)
    header = parse_header(bundle.statement)
    body = open_body(bundle.content_key, header.exchange, header.id, bundle.body)
    return parse_bulletin(body.bulletin_json)


def _acceptance(bundle: Bundle) -> EnvelopeAccepted:
    entry = parse_exchange_entry(bundle.acceptance.entry)
    if not isinstance(entry, EnvelopeAccepted):
        raise ParseError(f"an entry of type {entry.type} accepts no envelope")
    logged = (entry.pae, entry.signatures, entry.header)
    statement = bundle.statement
    if logged != (pae_sha256(statement), signatures_sha256(statement), statement.payload):
        raise VerificationError("the statement is not the one that was accepted")
    return entry


def _judging(bundle: Bundle, acceptance: EnvelopeAccepted, initial_root: bytes) -> Directory:
    """Verify the directory that was in force at the acceptance, by the whole directory log up to it.

    1. The entries are as many as the acceptance's `directory_size`.
    2. The directory of the judging one descends from the trust root; the logs closed before are those that
       its council names.
    3. No file of it is older than one that any entry before listed: else it is void.
    4. Nothing behind it came into force in its place.
    """
    log, fetch = bundle.directory, given(bundle.files)
    if len(log.entries) != acceptance.directory_size or log.judging >= len(log.entries):
        raise VerificationError("the directory entries do not reach to the acceptance")
    directory = _directory(bundle, log.entries[log.judging], initial_root)
    ends = [(each.directory.size, each.directory.root) for each in directory.council.logs.previous]
    if [(len(each), _root_of(each).hex()) for each in bundle.closed] != ends:
        raise VerificationError("the closed directory logs are not those that the council closed")
    before = (*(entry for each in bundle.closed for entry in each), *log.entries[: log.judging])
    check_nothing_is_old(directory, before, fetch)
    check_stays_in_force(directory, log.entries[log.judging :], initial_root, fetch)
    return directory


def _directory(bundle: Bundle, entry: bytes, initial_root: bytes) -> Directory:
    directory = load_published(entry, bundle.files, initial_root)
    if directory.council.exchange != bundle.exchange:
        raise VerificationError(f"the directory is of {directory.council.exchange}")
    return directory


def _root_of(entries: Sequence[bytes]) -> bytes:
    grown = append(0, lambda *_: b"", [leaf_hash(entry) for entry in entries])
    return root(len(entries), reader_from_tiles(grown.overlay(lambda *_: b""), len(entries)))


def _check_log(log: DirectoryLog, tree: Checkpoint) -> None:
    """Check that a tree begins with these entries. Raises VerificationError."""
    path = [bytes.fromhex(step) for step in log.path]
    verify_consistency(len(log.entries), _root_of(log.entries), tree.size, tree.root, path)


def _is_former(header: Header, log: DirectoryLog, origin: str) -> bool:
    """Whether a header names a directory before the one in force. Raises VerificationError: a later one."""
    named, leaf = header.directory, leaf_hash(log.entries[log.judging]).hex()
    if (named.origin, named.index, named.leaf) == (origin, log.judging, leaf):
        return False
    if named.origin != origin or named.index >= log.judging:
        raise VerificationError("the header names another directory than was in force")
    return True


def load_published(entry: bytes, files: Mapping[str, bytes], initial_root: bytes) -> Directory:
    """Verify the directory that an entry published, from the trust root.

    Args:
        entry: its exact bytes; where it stands in the log is the caller's to check.
        files: TUF files by name.
        initial_root: the exact bytes of the trust root.

    Raises:
        ParseError: it publishes none.
        VerificationError: it does not verify, or a file is missing.
    """
    published = parse_directory_entry(entry)
    if not isinstance(published, DirectoryPublished):
        raise ParseError(f"an entry of type {published.type} publishes no directory")

    return load_directory(initial_root, given(files), published.root, published.snapshot)


def given(files: Mapping[str, bytes]) -> Fetch:
    """What gives TUF files by name, of those in a bundle or in evidence."""
    return partial(pick, files.get)


def _tree(text: str, keys: LogKeys, quorum: Quorum | None) -> Tree:
    verifier = LogVerifier.from_keys(keys)
    if quorum is None:
        return Tree(verifier.open(text, both=True), None, ())
    found = quorum.open(text, verifier)
    return Tree(found.checkpoint, found.at, found.members)


def check_included(leaf: bytes, index: int, path: Sequence[str], tree: Checkpoint) -> None:
    """Check that a leaf stands in a tree. Raises VerificationError."""
    steps = [bytes.fromhex(step) for step in path]
    verify_inclusion(leaf, index, tree.size, steps, tree.root)
