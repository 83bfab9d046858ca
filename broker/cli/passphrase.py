"""The passphrase of a keystore: from where an unattended start reads it, else from a person.

May import `keys.keystore`; every command that opens or makes a keystore asks here. A passphrase is never
an argument or the value of a variable: other users of the machine could read those.
"""

from __future__ import annotations

import os
import sys

import typer

from keys.keystore import read_passphrase

SOURCES = ("BARID_PASSPHRASE_FD", "BARID_PASSPHRASE_FILE", "CREDENTIALS_DIRECTORY")


def get_passphrase(what: str, *, new: bool = False) -> bytes:
    """Read the passphrase, or ask for it.

    Args:
        what: what it opens, for the question: `the node's keystore`.
        new: it is being chosen, so that it is asked for twice.

    Raises:
        ConfigurationError: no source is set and there is no terminal to ask at, or it cannot be read.
    """
    unattended = any(os.environ.get(source) for source in SOURCES)
    if unattended or not sys.stdin.isatty():
        return read_passphrase(os.environ)
    typed: str = typer.prompt(
        f"Passphrase of {what}", hide_input=True, confirmation_prompt=new, err=True
    )
    return typed.encode()
