"""One line of a report on what changes between two directories, and how plain values are compared.

May import `schemas`; `council_changes`, `member_changes` and `differences` make lines with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.directory import Names

VALUE_SHOWN_CHARACTERS: Final = 60
"""A longer value, such as a key or certificates, is shown as its SHA-256."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is otherwise than before.

    Args:
        area: `governors`, `council`, `member`, `group`, `rules`, `table`, `expiry`, `keys`, or
            `purge`.
        subject: whose it is: a member, a desk, a group, a rule; `-` for the directory as a whole.
        text: the sentence that people read.
    """

    area: str
    subject: str
    text: str


def one_line(text: str) -> str:
    """Text in one line: rules are explained in other people's words, and a line break would forge a line."""
    return "\\n".join(text.splitlines())


def titled(names: Names, id_: str) -> str:
    """A name for people, with its id: `Tunisia (tn)`."""
    return f"{names.en} ({id_})"


def called(names: Names) -> str:
    """The other two names of something new: a reader of one language signs all three."""
    return f"in French {names.fr}, in Arabic {names.ar}"


def listed(words: Collection[object]) -> str:
    """Words in order, or `none`."""
    return ", ".join(sorted(str(word) for word in words)) or "none"


def plain_differences(
    before: object, after: object, path: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Compare plain JSON values down to their leaves.

    Returns:
        Path, old and new value as people may read them; `-` for none.
    """
    if isinstance(before, Mapping) or isinstance(after, Mapping):
        old = before if isinstance(before, Mapping) else {}
        new = after if isinstance(after, Mapping) else {}
        for name in sorted({*old, *new}):
            below = f"{path}.{name}" if path else str(name)
            yield from plain_differences(old.get(name), new.get(name), below)
    elif before != after:
        yield path, _shown(before), _shown(after)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    text = listed(value) if isinstance(value, list) else str(value)
    if len(text) <= VALUE_SHOWN_CHARACTERS:
        return text
    return f"SHA-256 {hashlib.sha256(text.encode()).hexdigest()}"
