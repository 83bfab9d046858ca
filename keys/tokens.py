"""Trust keys in a token (PKCS#11): the private key never leaves it.

May import securesystemslib, whose signer speaks to the token, and `schemas`; `barid trust` calls it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pkcs11.exceptions
from securesystemslib.signer import HSMSigner, Key, Signature, Signer, SSlibKey

from schemas.errors import ConfigurationError

KEY_ID_DEFAULT: Final = 2
"""The key with this id signs: on PIV cards it is the slot for digital signatures (9c)."""

_LIBRARY_VARIABLE: Final = "PYKCS11LIB"
"""Where the signing library looks for the token's own library."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and which key in it.

    Args:
        library: the PKCS#11 module of its maker.
        label: the token's label, where several are plugged in.
        key_id: CKA_ID of the key pair, ECDSA on P-256 or P-384.
        pin: asks its holder; called when the token is used.
    """

    library: Path
    pin: Callable[[], str]
    label: str | None = None
    key_id: int = KEY_ID_DEFAULT

    def public_key(self) -> Key:
        """Read the public key out of the token.

        Raises:
            ConfigurationError: no such token or key, or another kind of key.
        """
        self._name_library()
        try:
            _, key = HSMSigner.import_(self.key_id, self.label, lambda _: self.pin())
        except (ValueError, pkcs11.exceptions.PKCS11Error, RuntimeError) as error:
            raise self._refusal(error) from error
        return key

    def signer(self) -> Signer:
        """A signer whose key stays in the token. Raises ConfigurationError as `public_key`."""
        key = self.public_key()
        if not isinstance(key, SSlibKey):
            raise self._refusal("the token gave no key")
        return _TokenSigner(self.key_id, key, lambda _: self.pin(), self.label)

    def _name_library(self) -> None:
        if not self.library.is_file():
            raise ConfigurationError(f"{self.library} does not exist: name the token's own library")
        os.environ[_LIBRARY_VARIABLE] = str(self.library)

    def _refusal(self, error: object) -> ConfigurationError:
        what = str(error) or type(error).__name__
        label = f" with the label {self.label!r}" if self.label else ""
        return ConfigurationError(
            f"the token{label} does not give the key {self.key_id}: {what}; check that it is plugged in,"
            " its label, the key's id, and the PIN"
        )


class _TokenSigner(HSMSigner):
    """The library's signer, with its token's errors as ours."""

    def sign(self, payload: bytes) -> Signature:
        """Sign inside the token. Raises ConfigurationError: it refuses, as for a wrong PIN."""
        try:
            return super().sign(payload)
        except (ValueError, pkcs11.exceptions.PKCS11Error, RuntimeError) as error:
            what = str(error) or type(error).__name__
            raise ConfigurationError(f"the token does not sign: {what}; check the PIN") from error
