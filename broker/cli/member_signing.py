"""Signing for a member with the keys that are at hand, and what becomes of it.

May import `keys`, and `broker.node` within functions; `broker.cli.member` calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from broker.cli.directories import PROPOSAL_FILE, PUBLICATION_FILE, publish_files, write_new
from broker.cli.holding import Holder, open_holder
from broker.cli.options import utc_now
from broker.cli.output import banner, note, say
from broker.cli.passphrase import get_passphrase
from broker.cli.proposing import RED, Shown, refuse_errors, show, shown
from broker.settings import write_whole
from schemas.directory import MemberFile
from schemas.errors import ConfigurationError, HubUnreachable, Problem, VerificationError
from schemas.governance import Publication
from schemas.loader import dump_json
from schemas.scalars import format_time

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from keys.directory_files import OpenedDirectory
    from keys.proposal_reading import ReadProposal

REQUEST_FILE: Final = "member-request.json"

MemberKeys = Annotated[
    list[Path] | None,
    typer.Option(
        "--key",
        exists=True,
        file_okay=False,
        help="The folder of a person who signs for the member (`trust keygen`). Repeat it.",
    ),
]


@dataclass(frozen=True, slots=True)
class _Signed:
    proposal: bytes
    shown: Shown
    signatures: tuple[bytes, ...]

    @property
    def missing(self) -> int:
        (task,) = self.shown.proposal.tasks
        return task.missing(self.shown.signed[task.role])


def node_member(data: Path | None) -> str:
    """The member whose node is named. Raises ConfigurationError if none is."""
    from broker.settings import load_node

    if data is None:
        raise ConfigurationError("name the member (--member), or a node of it (--data)")
    return load_node(data).member


def decide(
    opened: OpenedDirectory,
    file: MemberFile,
    expires: datetime,
    keys: Sequence[Path] | None,
    data: Path | None,
    out: Path | None,
) -> bool:
    """Propose a member's file, sign it with the keys at hand, and publish it if they are enough.

    Args:
        opened: the directory that it follows.
        expires: when the file lapses.
        keys: folders of people who are here; where none is named, the key in the node's keystore.
        data: the node through which it is published.
        out: a file to write instead: the publication, or the proposal where signatures are missing.

    Returns:
        Whether it is in force now.

    Raises:
        ConfigurationError: nobody who is here signs for this member, or it should not be signed.
        VerificationError: the directory does not descend from the trust root that a person keeps.
        HubUnreachable, Problem: the hub did not take it; what was signed is written beside.
    """
    from keys.endorsing import assemble
    from keys.proposals import propose_member

    exchange = file.exchange
    proposal = propose_member(file, opened, expires, utc_now())
    holders = [open_holder(folder, exchange) for folder in keys or ()]
    signers: list[Signer] = [holder.signer for holder in holders]
    if not signers and data is not None:
        signers = _node_signers(data, opened, file.member)
    if not signers and out is None:
        raise ConfigurationError(
            f"who signs for {file.member}? Name the folders of its people with --key; or a file with --out,"
            " for those whose keys are elsewhere or in a token"
        )
    for holder in holders:
        _check_root(holder, proposal, opened.initial_root)
    _warn_of_others(holders, proposal, opened.initial_root)
    signed = _sign(proposal, opened.initial_root, signers)
    show(signed.shown)
    refuse_errors(signed.shown)
    say()
    for holder in holders:
        holder.note_signed(signed.shown.proposal, utc_now())
    if signed.missing:
        _pass_on(signed, out or Path(PROPOSAL_FILE))
        return False
    files = assemble(signed.shown.proposal, signed.signatures)
    publication = Publication(v=1, exchange=exchange, files=files)
    if out is not None:
        target = out / PUBLICATION_FILE if out.is_dir() else out
        write_new(target, dump_json(publication))
        say(f"Written: {target}. It is in force once the hub's operator has loaded it")
        say(f"(`barid hub load --data HUB {target}`), or a node has published it")
        say(f"(`barid trust publish {target} --data NODE`).")
        return False
    if data is None:
        raise ConfigurationError(
            "say where it goes: through a node (--data), or into a file (--out)"
        )
    _publish(data, publication, file.member)
    return True


def _check_root(holder: Holder, proposal: bytes, root: bytes) -> None:
    """Verify from the root that this person keeps, not from what a node says; keep it the first time.

    Raises:
        VerificationError: the directory does not descend from it: the node, or the file, is another's.
    """
    from keys.proposal_reading import read_proposal

    kept = holder.root()
    if kept is None:
        holder.keep_root(root)
        return
    try:
        read_proposal(proposal, kept)
    except VerificationError as error:
        raise VerificationError(
            f"the directory does not descend from the trust root in {holder.folder}, which was kept when"
            f" that key first signed: nothing is signed ({error})"
        ) from error


def _warn_of_others(holders: Sequence[Holder], proposal: bytes, root: bytes | None) -> None:
    """Say that somebody here signed another file of this version: one of both will be in force, not both.

    At night nothing is refused for it: what was signed before may never have reached the hub.
    """
    from keys.proposal_reading import read_proposal

    read = read_proposal(proposal, root)
    for holder in holders:
        try:
            holder.check_once(read)
        except ConfigurationError as error:
            banner(f"{holder.folder}: {error}; here it is signed all the same", RED)


def _publish(data: Path, publication: Publication, member: str) -> None:
    try:
        published = publish_files(data, publication.exchange, publication.files)
    except (HubUnreachable, Problem) as error:
        # What people signed is not lost with the line: through another node it is as good. But another
        # version may be in force meanwhile; that has to be signed anew.
        if not (isinstance(error, Problem) and error.word == "publication"):
            target = Path(f"{member}.{PUBLICATION_FILE}")
            write_whole(target, dump_json(publication))
            note(
                f"It is signed, and not in force: {target}. Have it published through another node"
            )
            note(f"(`barid trust publish {target} --data NODE`), or loaded by the hub's operator")
            note(f"(`barid hub load --data HUB {target}`).")
        raise
    say(f"In force: entry {published.index} of the directory log, at {format_time(utc_now())}.")
    say("Nodes read it within a minute.")


def write_request(proposal: bytes, holders: Sequence[Holder], out: Path) -> None:
    """Sign a joining member's request with the keys at hand, and write what became of it into a folder."""
    from keys.endorsing import assemble

    _warn_of_others(holders, proposal, None)
    signed = _sign(proposal, None, [holder.signer for holder in holders])
    show(signed.shown)
    say()
    read = signed.shown.proposal
    for holder in holders:
        holder.note_signed(read, utc_now())
    out.mkdir(parents=True, exist_ok=True)
    if signed.missing:
        _pass_on(signed, out / PROPOSAL_FILE)
        return
    write_whole_request(read, assemble(read, signed.signatures), out / REQUEST_FILE)


def write_whole_request(proposal: ReadProposal, files: Mapping[str, bytes], target: Path) -> None:
    """Write the request of a joining member that enough of its people have signed.

    Args:
        files: of the proposal, whole.

    Raises:
        ConfigurationError: the proposal is no joining member's, or the file is there already.
    """
    from keys.ceremony import write_member_request
    from keys.trust_keys import load_member_keys

    joining, part = proposal.message.joining, proposal.member
    if joining is None or part is None:
        raise ConfigurationError("this is no request of a member")
    keys, threshold = load_member_keys(joining)
    metadata = next(data for name, data in files.items() if name.startswith("metadata/"))
    file = next(data for name, data in files.items() if name.startswith("targets/"))
    member = part.file.member
    write_new(target, write_member_request(member, keys, threshold, metadata, file))
    say(f"The request of {member} is signed: {target}")
    say("Next: give it to the governors, in person, and read the keys above to each other.")


def _sign(proposal: bytes, root: bytes | None, signers: Sequence[Signer]) -> _Signed:
    from keys.endorsing import sign_proposal
    from keys.proposal_reading import read_proposal

    read = read_proposal(proposal, root)
    signatures = tuple(sign_proposal(read, signer) for signer in signers)
    return _Signed(proposal, shown(proposal, root, signatures), signatures)


def _pass_on(signed: _Signed, target: Path) -> None:
    write_new(target, signed.proposal)
    given = ""
    for number, signature in enumerate(signed.signatures, start=1):
        name = target.with_name(f"{target.stem}-signature-{number}.json")
        write_new(name, signature)
        given += f" --signature {name}"
    joins = signed.shown.proposal.message.joining is not None
    goes = f"--out {target.parent}" if joins else "--data NODE"
    say(f"{signed.missing} more must sign {target}, each on a machine of their own:")
    say(f"`barid trust sign {target} --key FOLDER`.")
    say(f"Then: `barid trust publish {target}{given} --signature … {goes}`.")


def _node_signers(data: Path, opened: OpenedDirectory, member: str) -> list[Signer]:
    """The member's key that `barid node init` left in the node's keystore, if the directory names it."""
    from broker.node.home import KEYSTORE_DIRECTORY, MEMBER_KEY_NAME
    from keys.keystore import Keystore
    from keys.repository import TrustSigner

    keystore = Keystore.open(data / KEYSTORE_DIRECTORY, get_passphrase("the node's keystore"))
    if MEMBER_KEY_NAME not in keystore.names():
        return []
    signer = TrustSigner.from_seed(keystore.get(MEMBER_KEY_NAME))
    delegated = opened.directory.council_part.delegations.get(member)
    return [signer] if delegated and signer.public_key.keyid in delegated.keys else []
