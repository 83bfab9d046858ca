"""What changes in a member's own file: its desks, their keys, revocations, and when it expires.

May import `keys.directory`, `keys.signing`, `schemas` and `broker.policy.changes`; pure. `differences` and
the ceremony of a member call it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from broker.policy.changes import Change, called, plain_differences
from keys.directory import MemberPart
from keys.signing import identity_keyid, request_keyid
from schemas.directory import Desk, MemberFile
from schemas.loader import to_plain
from schemas.scalars import format_time

_KEYS: Final = frozenset({"node", "request", "release", "release_threshold"})


def member_changes(before: MemberPart | None, after: MemberPart) -> Iterator[Change]:
    """Say all that differs between two files of one member; everything is new where there was none.

    Keys are shown by their keyid (the protocol's "Keys"), which a ministry can read out on the telephone.
    """
    old, new = (before.file if before else None), after.file
    exchange, member = new.exchange, new.member
    desks_before: Mapping[str, Desk] = old.desks if old else {}
    for unit in sorted({*desks_before, *new.desks}):
        desk = f"{member}/{unit}"
        if unit not in new.desks:
            yield Change("keys", desk, f"{member} withdraws its desk {desk}, with all its keys")
        else:
            yield from _desk(desk, desks_before.get(unit), new.desks[unit], exchange)
    yield from _revocations(old, new)
    yield from _level_names(old, new)
    if before is None or before.expires != after.expires:
        until = f" (before: {format_time(before.expires)})" if before else ""
        text = f"the file of {member} holds until {format_time(after.expires)}{until}"
        yield Change("expiry", member, text)


def _level_names(old: MemberFile | None, new: MemberFile) -> Iterator[Change]:
    member, names = new.member, to_plain(new)["classification_names"]
    if old is None:
        told = ", ".join(f"{level}: {said['fr']}" for level, said in names.items())
        yield Change("member", member, f"{member} calls the levels: {told or 'nothing of its own'}")
        return
    for path, was, will in plain_differences(to_plain(old)["classification_names"], names):
        yield Change("member", member, f"{member}: national name of {path}: {will} (before: {was})")


def _revocations(old: MemberFile | None, new: MemberFile) -> Iterator[Change]:
    revoked, before = set(new.revoked), set(old.revoked) if old else set()
    for keyid in sorted(revoked - before):
        yield Change("keys", new.member, f"{new.member} revokes its key {keyid}")
    for keyid in sorted(before - revoked):
        text = f"{new.member} takes back the revocation of its key {keyid}: it may count again"
        yield Change("keys", new.member, text)


def _desk(desk: str, old: Desk | None, new: Desk, exchange: str) -> Iterator[Change]:
    if old is None:
        text = f"new desk {desk} declared by its member: {new.names.en}, {called(new.names)}"
        yield Change("keys", desk, text if new.deputy is None else f"{text}; deputy {new.deputy}")
    was, will = _keyids(old, exchange), _keyids(new, exchange)
    for what in will:
        gone, come = was.get(what, set()) - will[what], will[what] - was.get(what, set())
        for keyid in sorted(come):
            yield Change("keys", desk, f"{desk}: new {what} key {keyid}")
        for keyid in sorted(gone):
            yield Change("keys", desk, f"{desk}: its {what} key {keyid} counts no more")
    yield from _threshold(desk, old, new)
    if old is None and new.node is None:
        yield Change("keys", desk, f"{desk} has no node key: it neither sends nor receives")
    if old is not None:
        for path, before, after in plain_differences(_rest(old), _rest(new)):
            yield Change("member", desk, f"{desk}: {path}: {after} (before: {before})")


def _threshold(desk: str, old: Desk | None, new: Desk) -> Iterator[Change]:
    people = (new.release_threshold, len(new.release))
    before = (old.release_threshold, len(old.release)) if old else (0, 0)
    if new.node is None or (old is not None and people == before):
        return
    was = f" (before: {before[0]} of {before[1]})" if old else ""
    if new.release_threshold:
        text = f"{desk}: {people[0]} of {people[1]} people must release what it sends{was}"
    else:
        text = f"{desk}: it sends without anybody's release{was}"
    yield Change("keys", desk, text)


def _keyids(desk: Desk | None, exchange: str) -> dict[str, set[str]]:
    if desk is None:
        return {}

    return {
        "node": {identity_keyid(exchange, desk.node)} if desk.node else set(),
        "request": {request_keyid(exchange, desk.request)},
        "release": {identity_keyid(exchange, key) for key in desk.release},
    }


def _rest(desk: Desk) -> dict[str, Any]:
    return {name: value for name, value in to_plain(desk).items() if name not in _KEYS}
