"""Staleness: who changed since the directory that an envelope names, as `stale-directory` tells its sender.

May import `keys` and `schemas`; `relay` asks. A sender gives a desk whose member publishes again and again an
envelope of its own, so that it delays nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from keys.directory import Directory
from keys.history import DirectoryHistory, DirectoryState
from schemas.envelope import DirectoryRef, Header
from schemas.errors import Problem, VerificationError
from schemas.scalars import member_of

COUNCIL: Final = "council"
"""In the place of members: what the governors signed changed, which concerns everybody."""


@contextmanager
def changes_told(
    header: Header, history: DirectoryHistory, state: DirectoryState
) -> Iterator[None]:
    """Add `changed` to a `stale-directory` that the block raises, where the hub knows what is named.

    Args:
        header: of the envelope that the block judges.
        history: of the directory log.
        state: by which it is judged.

    Raises:
        Problem: what the block raised.
    """
    try:
        yield
    except Problem as problem:
        named = _directory(history, header.directory)
        if problem.word != "stale-directory" or named is None or state.directory is None:
            raise
        members = {member_of(desk) for desk in (header.from_, *header.desks)}
        changed = _changed(named, state.directory, members)
        raise Problem(
            problem.word, problem.detail, **problem.extensions, changed=changed
        ) from problem


def _directory(history: DirectoryHistory, ref: DirectoryRef) -> Directory | None:
    try:
        publication = history.at(ref.index + 1).publication
    except VerificationError:
        return None
    return publication.directory if publication and publication.ref == ref else None


def _changed(named: Directory, in_force: Directory, members: set[str]) -> list[str] | str:
    """Those of some members whose file is another; or the word for the council."""
    if not named.same_for(in_force, ()):
        return COUNCIL
    return sorted(member for member in members if not named.same_for(in_force, (member,)))
