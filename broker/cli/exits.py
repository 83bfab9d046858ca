"""Exit codes: how a script learns what became of a `barid` command; and the errors of this room alone.

May import `schemas.errors`; every command ends with one of these codes, and `barid --help` lists them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Self

from schemas.errors import (
    BaridError,
    HubUnreachable,
    ParseError,
    Problem,
    VerificationError,
)


class NodeUnreachable(BaridError):
    """The node did not answer, or answered what no node would."""


class DemoFailure(BaridError):
    """A step of the demonstration ended otherwise than expected; the message says both."""


class Exit(IntEnum):
    """One code for each kind of ending; `meaning` is what help and documentation say of it."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Make a member that carries its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    OK = 0, "done"
    REFUSED = 1, "refused by a rule, a schema, node or hub: the message names which"
    USAGE = 2, "the command was called wrongly"
    FINDINGS = 3, "the audit found something: each finding names its log, index and rule"
    UNREACHABLE = 4, "the hub or the node does not answer, or is not ready"
    CONFIGURATION = 5, "a setting, a file, a passphrase or a directory is not right"
    VERIFICATION = 6, "a signature, a proof or a sealed file does not verify"
    DEMO_FAILED = 7, "a step of the demonstration did not end as expected"
    INTERRUPTED = 130, "stopped by Ctrl-C"


def exit_of(error: BaridError) -> Exit:
    """The exit code that an error ends a command with."""
    match error:
        case Problem() | ParseError():
            return Exit.REFUSED
        case HubUnreachable() | NodeUnreachable():
            return Exit.UNREACHABLE
        case VerificationError():
            return Exit.VERIFICATION
        case DemoFailure():
            return Exit.DEMO_FAILED
        case _:
            return Exit.CONFIGURATION


def exits_table() -> str:
    """The codes and their meanings, a line each."""
    return "\n".join(f"{code.value:>5}  {code.meaning}" for code in Exit)
