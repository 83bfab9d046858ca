"""Signing a proposal, collecting signatures, and putting both together into TUF files.

May import `schemas` and the rest of `keys`; pure. `barid trust sign` and `barid trust publish` call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from securesystemslib.exceptions import Error as SigningLibraryError
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Signature, Signer
from tuf.api.metadata import Metadata, Targets

from keys.proposal_reading import ReadProposal
from keys.repository import named
from keys.tuf_files import metadata_name
from schemas.errors import ConfigurationError, ParseError
from schemas.governance import ProposalSignature, RoleSignature
from schemas.loader import dump_json, parse

_SIGNATURE_BYTES_MAX: Final = 64 * 1024


def sign_proposal(proposal: ReadProposal, signer: Signer) -> bytes:
    """Sign everything in a proposal that a key is asked for.

    Returns:
        A signature file.

    Raises:
        ConfigurationError: nothing in it is for this key, or the key does not sign.
    """
    keyid = signer.public_key.keyid
    signatures = []
    for task in proposal.tasks:
        if keyid not in task.keys:
            continue
        try:
            signature = signer.sign(task.metadata.signed_bytes)
        except (SigningLibraryError, ValueError) as error:
            raise ConfigurationError(f"the key {keyid} does not sign: {error}") from error
        signatures.append(RoleSignature(role=task.role, sig=signature.signature))
    if not signatures:
        raise ConfigurationError(
            f"nothing in this proposal is for the key {keyid}: is it the right one?"
        )
    return dump_json(
        ProposalSignature(
            v=1,
            exchange=proposal.message.exchange,
            proposal=proposal.sha256,
            keyid=keyid,
            signatures=tuple(signatures),
        )
    )


def collect(proposal: ReadProposal, signatures: Sequence[bytes]) -> dict[str, dict[str, str]]:
    """Verify signature files against a proposal.

    Returns:
        Role → keyid → signature, hex.

    Raises:
        ConfigurationError: a file is no signature, is of another proposal, or does not verify.
    """
    found: dict[str, dict[str, str]] = {task.role: {} for task in proposal.tasks}
    for data in signatures:
        try:
            read = parse(ProposalSignature, data, _SIGNATURE_BYTES_MAX)
        except ParseError as error:
            raise ConfigurationError(f"this is no signature file: {error}") from error
        if read.proposal != proposal.sha256:
            raise ConfigurationError(
                f"the signature of {read.keyid} is for another proposal: {read.proposal}"
            )
        for each in read.signatures:
            task = proposal.task(each.role)
            key = task.keys.get(read.keyid) if task else None
            if task is None or key is None:
                raise ConfigurationError(f"the key {read.keyid} is not asked to sign {each.role}")
            try:
                key.verify_signature(Signature(read.keyid, each.sig), task.metadata.signed_bytes)
            except (UnverifiedSignatureError, SigningLibraryError) as error:
                raise ConfigurationError(
                    f"the signature of {read.keyid} on {each.role} does not verify"
                ) from error
            found[each.role][read.keyid] = each.sig
    return found


def assemble(proposal: ReadProposal, signatures: Sequence[bytes]) -> dict[str, bytes]:
    """Put a proposal and its signatures together into TUF files that are whole.

    Returns:
        Name under `/v1/trust/` → bytes; only what is new.

    Raises:
        ConfigurationError: as `collect`, or too few have signed; says how many are missing.
    """
    collected = collect(proposal, signatures)
    files = dict(proposal.message.signed)
    for task in proposal.tasks:
        signed = collected[task.role]
        for quorum in task.quorums:
            present = len(signed.keys() & quorum.keys.keys())
            if present < quorum.threshold:
                raise ConfigurationError(
                    f"{present} of the {quorum.what} have signed {task.role}, and"
                    f" {quorum.threshold} must: {quorum.threshold - present} more"
                )
        payload: Any = task.metadata.signed
        metadata: Metadata[Any] = Metadata(
            payload,
            {keyid: Signature(keyid, sig) for keyid, sig in sorted(signed.items())},
        )
        files[metadata_name(task.role, payload.version)] = metadata.to_bytes()
        if isinstance(payload, Targets):
            files |= named(payload, proposal.message.targets)
    return files
