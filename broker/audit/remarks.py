"""What breaks no rule, and people should look at: how the council is governed, how often it moves.

Pure; may import `keys` and `schemas`. The audits of both logs feed it, the report lists what it says.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from tuf.api.metadata import Role

from broker.audit.rules import LogName
from keys.directory import MEMBER_ROLE_PREFIX, Directory
from schemas.limits import PUBLICATIONS_PER_HOUR_MAX
from schemas.scalars import format_time

PAST_REMARKS_MAX: Final = 100
"""Remarks that no longer hold and are still listed; only k of n governors can make one more."""

KEYID_SHOWN: Final = 16
"""Hex digits of a key's id in a sentence."""

_HOUR: Final = timedelta(hours=1)
_ROLES: Final = ("root", "targets")
_MAJORITY: Final = 2
"""A threshold of one half or less lets two groups of governors sign two directories."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to look at.

    Args:
        word: stable, for programs.
        since: index of the entry in `log` from which it holds; None: now, whatever the log says.
        until: index of the entry with which it ended; None while it holds.
        text: a sentence for people.
    """

    log: LogName
    word: str
    since: int | None
    until: int | None
    text: str

    def to_plain(self) -> dict[str, Any]:
        """The remark as plain JSON values; what is unknown is absent."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class GovernanceWatch:
    """Looks at each directory that comes into force, and remembers from which entry on a remark holds."""

    def __init__(self) -> None:
        self._holding: dict[tuple[str, str], int] = {}
        self._past: list[Remark] = []
        self._newest: Directory | None = None

    def look(self, index: int, directory: Directory) -> None:
        """Compare what holds of this directory with what held before."""
        self._newest = directory
        found = set(_conditions(directory))
        for gone in [each for each in self._holding if each not in found]:
            remark = Remark("directory", gone[0], self._holding.pop(gone), index, gone[1])
            if len(self._past) < PAST_REMARKS_MAX:
                self._past.append(remark)
        for condition in sorted(found):
            self._holding.setdefault(condition, index)

    def remarks(self, now: datetime) -> tuple[Remark, ...]:
        """What holds, what held once, and whether the council has lapsed by now."""
        holding = [
            Remark("directory", word, since, None, text)
            for (word, text), since in self._holding.items()
        ]
        if self._newest is not None and self._newest.council_expired(now):
            lapsed = (
                f"what the governors signed lapsed at {format_time(self._newest.council_expires)}"
            )
            holding.append(Remark("directory", "council-lapsed", None, None, lapsed))
        return (*holding, *self._past)


def _conditions(directory: Directory) -> Iterator[tuple[str, str]]:
    root, held = directory.root, directory.council.governors
    roles = {name: root.roles[name] for name in _ROLES}
    governors = sorted({keyid for role in roles.values() for keyid in role.keyids})
    if strangers := [keyid for keyid in governors if keyid not in held]:
        whose = ", ".join(keyid[:KEYID_SHOWN] for keyid in strangers)
        text = f"council.json does not say whose {len(strangers)} governors' keys are: {whose}"
        yield "governor-unknown", text
    for member, count in Counter(held[keyid] for keyid in governors if keyid in held).items():
        if count > 1:
            yield "governor-twice", f"{member} holds {count} of {len(governors)} governors' keys"
    for name, role in roles.items():
        if role.threshold * _MAJORITY <= len(role.keyids):
            text = (
                f"{_size(role)} governors sign the {name}: no majority, two groups could sign two"
            )
            yield "no-majority", text
    if set(roles["root"].keyids) != set(roles["targets"].keyids):
        text = (
            "the keys that sign the root are others than those that sign council and access rules"
        )
        yield "governors-differ", text
    if set(root.roles["snapshot"].keyids) & set(governors):
        yield "online-governor", "the hub's online key is one of the governors'"


def _size(role: Role) -> str:
    return f"{role.threshold} of {len(role.keyids)}"


class RateWatch:
    """Looks for what is published without end: one file that changes more often than members may publish."""

    def __init__(self) -> None:
        self._times: dict[str, deque[datetime]] = {}
        self._found: dict[str, Remark] = {}
        self._counts: Counter[str] = Counter()

    def published(self, index: int, at: datetime, roles: tuple[str, ...]) -> None:
        """Take note of a directory; `roles` are those whose files are new, none where the hub renewed."""
        for role in roles or ("snapshot",):
            kept = PUBLICATIONS_PER_HOUR_MAX + 1
            times = self._times.setdefault(role, deque(maxlen=kept))
            times.append(at)
            if len(times) == kept and at - times[0] < _HOUR:
                self._counts[role] += 1
                text = (
                    f"{_file(role)} changed more than {PUBLICATIONS_PER_HOUR_MAX} times in an hour"
                )
                remark = Remark("directory", "published-often", index, None, text)
                self._found.setdefault(role, remark)

    def remarks(self) -> tuple[Remark, ...]:
        """One for each file that changed too often."""
        return tuple(
            replace(remark, text=f"{remark.text}, at {self._counts[role]} entries")
            for role, remark in self._found.items()
        )


def _file(role: str) -> str:
    if role == "snapshot":
        return "the hub's snapshot alone"
    if role.startswith(MEMBER_ROLE_PREFIX):
        return f"the file of {role.removeprefix(MEMBER_ROLE_PREFIX)}"
    return f"the {role}"


class LapseWatch:
    """Counts the entries of one log that were logged while what the governors signed had lapsed."""

    def __init__(self, log: LogName) -> None:
        self._log: LogName = log
        self._first: tuple[int, datetime] | None = None
        self._count = 0

    def logged(self, index: int, at: datetime, directory: Directory | None) -> None:
        """Take note of an entry; `directory` is the one in force, by which it is judged."""
        if directory is not None and directory.council_expired(at):
            self._first = self._first or (index, directory.council_expires)
            self._count += 1

    def remarks(self) -> tuple[Remark, ...]:
        """One, if there is any such entry."""
        if self._first is None:
            return ()
        index, lapsed = self._first
        text = (
            f"{self._count} entries were logged while what the governors signed had lapsed,"
            f" first at {format_time(lapsed)}"
        )
        return (Remark(self._log, "logged-while-lapsed", index, None, text),)
