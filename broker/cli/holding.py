"""What the holder of a trust key keeps beside it: the trust root, and what was signed with it.

May import `keys`, within functions; the commands that sign call it. In the folder are the keystore (or none,
where the key is in a token), `trust-public.json`, `root.json` and `signed.json`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from broker.cli.passphrase import get_passphrase
from broker.settings import write_whole
from schemas.errors import ConfigurationError, ParseError
from schemas.loader import dump_json, parse
from schemas.scalars import Count, Message, Sha256Hex, UtcTime

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from keys.keystore import Keystore
    from keys.proposal_reading import ReadProposal
    from keys.tokens import Token

KEYSTORE: Final = "keystore"
ROOT_FILE: Final = "root.json"
SIGNED_FILE: Final = "signed.json"
PIN_VARIABLE: Final = "BARID_PIN_FILE"

_PURPOSE: Final = "signed proposals"
_RECORD_BYTES_MAX: Final = 1024 * 1024

TokenLibrary = Annotated[
    Path | None,
    typer.Option("--token", dir_okay=False, help="The PKCS#11 library of the token with the key."),
]
TokenLabel = Annotated[
    str | None, typer.Option("--token-label", help="Which token, where several are plugged in.")
]
TokenKey = Annotated[
    int, typer.Option("--token-key", min=0, help="The id of the key in the token.")
]


class _Signed(Message):
    role: str
    version: Count
    proposal: Sha256Hex
    at: UtcTime


class _Record(Message):
    signed: tuple[_Signed, ...]


@dataclass(frozen=True, slots=True)
class Holder:
    """A person's trust key, opened.

    Args:
        folder: where the person keeps it.
        signer: signs TUF metadata.
        keystore: seals the record; None where the key is in a token.
    """

    folder: Path
    signer: Signer
    keystore: Keystore | None

    @property
    def keyid(self) -> str:
        """The name under which its signatures count."""
        keyid: str = self.signer.public_key.keyid
        return keyid

    def root(self) -> bytes | None:
        """The trust root that this person keeps; None before the first signature."""
        path = self.folder / ROOT_FILE
        return path.read_bytes() if path.exists() else None

    def keep_root(self, root: bytes) -> None:
        """Keep a trust root, once and for all: everything signed later is verified from it.

        Raises:
            VerificationError: it is none.
            ConfigurationError: this person signed the first root, and this is another.
        """
        from keys.trust import read_initial_root

        version = read_initial_root(root).version
        signed_it = any(
            (each.role, each.version) == ("root", version) for each in self._record().signed
        )
        if signed_it and self.keyid.encode() not in root:
            raise ConfigurationError(
                f"the invitation's root is not the one that you signed as version {version}"
            )
        write_whole(self.folder / ROOT_FILE, root)

    def check_once(self, proposal: ReadProposal) -> None:
        """Refuse to sign two proposals of one version.

        Raises:
            ConfigurationError: another proposal of a role's version was signed with this key.
        """
        wanted = {
            (task.role, task.metadata.signed.version)
            for task in proposal.tasks
            if self.keyid in task.keys
        }
        for each in self._record().signed:
            if (each.role, each.version) in wanted and each.proposal != proposal.sha256:
                raise ConfigurationError(
                    f"you signed another proposal of {each.role} version {each.version} already"
                    f" ({each.proposal[:8]}…): if it was given up by all, sign again with --instead"
                )

    def note_signed(self, proposal: ReadProposal, at: datetime) -> None:
        """Write down what was signed."""
        mine = tuple(
            _Signed(
                role=task.role,
                version=task.metadata.signed.version,
                proposal=proposal.sha256,
                at=at,
            )
            for task in proposal.tasks
            if self.keyid in task.keys
        )
        data = dump_json(_Record(signed=(*self._record().signed, *mine)))
        sealed = data if self.keystore is None else self.keystore.seal(_PURPOSE, data)
        write_whole(self.folder / SIGNED_FILE, sealed)

    def _record(self) -> _Record:
        path = self.folder / SIGNED_FILE
        if not path.exists():
            return _Record(signed=())
        data = path.read_bytes()
        try:
            plain = data if self.keystore is None else self.keystore.unseal(_PURPOSE, data)
            return parse(_Record, plain, _RECORD_BYTES_MAX)
        except ParseError as error:
            raise ConfigurationError(f"{path} is not what was written: {error}") from error


def open_holder(folder: Path, exchange: str, token: Token | None = None) -> Holder:
    """Open a person's trust key.

    Args:
        folder: made by `barid trust keygen`.
        exchange: the exchange that it signs for.
        token: where the key is in one.

    Raises:
        ConfigurationError: there is no key, it is for another exchange, or the passphrase or PIN is wrong.
        VerificationError: the key's file was altered.
    """
    from keys.keystore import Keystore
    from keys.trust_keys import TRUST_KEY_FILE, load_trust_key, read_trust_key_file

    public = folder / TRUST_KEY_FILE
    if not public.exists():
        raise ConfigurationError(f"{folder} holds no trust key: make one with `barid trust keygen`")
    name, key = read_trust_key_file(public.read_bytes(), exchange)
    if token is not None:
        signer = token.signer()
        if signer.public_key != key:
            raise ConfigurationError(f"the token holds another key than that of {name} in {folder}")
        return Holder(folder, signer, None)
    if not (folder / KEYSTORE).is_dir():
        raise ConfigurationError(
            f"the key of {name} is in a token: sign with it by `barid trust sign --token LIBRARY.so`"
        )
    keystore = Keystore.open(folder / KEYSTORE, get_passphrase(f"the trust key of {name}"))
    return Holder(folder, load_trust_key(keystore, exchange), keystore)


def token_of(library: Path | None, label: str | None, key_id: int) -> Token | None:
    """A token as the options name it; None where the key is in a keystore."""
    from keys.tokens import Token

    return None if library is None else Token(library, _ask_pin, label, key_id)


def _ask_pin() -> str:
    """The PIN: out of a file that only its owner reads, else from a person."""
    path = os.environ.get(PIN_VARIABLE)
    if path:
        return Path(path).read_text("utf-8").strip()
    pin: str = typer.prompt("PIN of the token", hide_input=True, err=True)
    return pin
