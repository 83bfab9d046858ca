"""What changes in who signs: governors, the keys of members, the hub's online key; and until when.

May import tuf's types, `keys.directory` and `broker.policy.changes`; pure. `differences` calls it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tuf.api.metadata import Role, Root

from broker.policy.changes import Change, titled
from keys.directory import Delegation, Directory
from schemas.directory import Council
from schemas.scalars import format_time

_ROLES: Final = {
    "root": "sign who the governors are",
    "targets": "sign council and access rules",
}


def governors_changes(before: Directory | None, after: Directory) -> Iterator[Change]:
    """Say all that differs in who may sign for whom, and until when."""
    old_root = before.root if before else None
    for name, what in _ROLES.items():
        old = old_root.roles[name] if old_root else None
        yield from _role(what, old, after.root.roles[name], before, after)
    yield from _named(before, after)
    yield from _online(old_root, after.root)
    yield from _delegations(before, after)
    yield from _expiry(before, after)


def _role(
    what: str, old: Role | None, new: Role, before: Directory | None, after: Directory
) -> Iterator[Change]:
    was, will = set(old.keyids) if old else set(), set(new.keyids)
    for keyid in sorted(will - was):
        text = f"new governor's key {_whose(after.council, keyid)}: it helps to {what}"
        yield Change("governors", "-", text)
    for keyid in sorted(was - will):
        council = before.council if before else after.council
        text = f"the governor's key {_whose(council, keyid)} counts no more to {what}"
        yield Change("governors", "-", text)
    if old is None or (old.threshold, len(was)) != (new.threshold, len(will)):
        past = f" (before: {old.threshold} of {len(was)})" if old else ""
        text = f"{new.threshold} of {len(will)} governors {what}{past}"
        yield Change("governors", "-", text)


def _whose(council: Council, keyid: str) -> str:
    member = council.governors.get(keyid)
    if member is None:
        return f"{keyid} (council.json does not say whose)"
    return f"{keyid} of {titled(council.members[member].names, member)}"


def _named(before: Directory | None, after: Directory) -> Iterator[Change]:
    old: Mapping[str, str] = before.council.governors if before else {}
    new = after.council.governors
    for keyid in sorted({*old, *new}):
        if old.get(keyid) != new.get(keyid):
            was, will = old.get(keyid, "nobody's"), new.get(keyid, "nobody's")
            text = f"council.json says whose key {keyid} is: {will} (before: {was})"
            yield Change("governors", will if keyid in new else was, text)


def _online(old: Root | None, new: Root) -> Iterator[Change]:
    for role in ("snapshot", "timestamp"):
        was = (old.roles[role].keyids, old.roles[role].threshold) if old else None
        will = (new.roles[role].keyids, new.roles[role].threshold)
        if was != will:
            keys = ", ".join(will[0])
            text = f"the hub signs its {role} with the key {keys}"
            yield Change("governors", "-", text)


def _delegations(before: Directory | None, after: Directory) -> Iterator[Change]:
    old: Mapping[str, Delegation] = before.council_part.delegations if before else {}
    new = after.council_part.delegations
    for member in sorted({*old, *new}):
        seat = after.council.members.get(member)
        name = titled(seat.names, member) if seat else member
        was, will = old.get(member), new.get(member)
        past = set(was.role.keyids) if was else set()
        if will is None:
            yield Change("governors", member, f"no key speaks for {name} any more")
            continue
        for keyid in sorted(set(will.role.keyids) - past):
            yield Change("governors", member, f"the key {keyid} now speaks for {name}")
        for keyid in sorted(past - set(will.role.keyids)):
            yield Change("governors", member, f"the key {keyid} speaks for {name} no more")
        if was is None or (was.role.threshold, len(past)) != _size(will):
            counted = f" (before: {was.role.threshold} of {len(past)})" if was else ""
            threshold, count = _size(will)
            text = f"{threshold} of {count} keys sign the file of {name}{counted}"
            yield Change("governors", member, text)


def _size(delegation: Delegation) -> tuple[int, int]:
    return delegation.role.threshold, len(delegation.role.keyids)


def _expiry(before: Directory | None, after: Directory) -> Iterator[Change]:
    for what, old, new in (
        ("who the governors are", before.root.expires if before else None, after.root.expires),
        (
            "council and access rules",
            before.council_part.expires if before else None,
            after.council_part.expires,
        ),
    ):
        if old != new:
            past = f" (before: {format_time(old)})" if old else ""
            yield Change("expiry", "-", f"{what} holds until {format_time(new)}{past}")
